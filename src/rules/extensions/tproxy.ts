/**
 * `-j TPROXY`: hands the packet to a socket of the host (kernel: net/netfilter/xt_TPROXY.c). The host is taken to have none:
 * then the kernel drops it.
 */
import { formatAddress, parseAddress } from '../../host/address.js';
import type { TargetExtension } from '../extension.js';
import { type MaskedMark, parseMaskedMark } from '../values/marks.js';
import { hex, parseUnsigned } from '../values/numbers.js';
import { servicePort } from '../values/services.js';
import { argument, find, option, requireOne } from './support.js';

export interface TproxyOptions {
  readonly port: number;
  readonly address: Uint32Array;
  readonly mark: MaskedMark;
}

export const tproxy: TargetExtension<TproxyOptions> = {
  kind: 'target',
  name: 'TPROXY',
  summary: 'hands packets to a local socket; without one they are dropped',
  families: [4, 6],
  tables: ['mangle'],
  hooks: ['PREROUTING'],
  protocols: [6, 17],
  options: [option(false, '--on-port'), option(false, '--on-ip'), option(false, '--tproxy-mark')],
  parse(options, context) {
    requireOne(options, 'TPROXY', context, '--on-port');
    const [port, ip, mark] = ['--on-port', '--on-ip', '--tproxy-mark'].map((name) => find(options, name));
    const portToken = port && argument(port);
    // Numbers beyond 65535 come out as 0 of iptables.
    const text = portToken?.text ?? '';
    const number = /^[0-9]+$/.test(text) ? (parseUnsigned(text, 65535) ?? 0) : servicePort(text);
    if (number === undefined)
      return context.fail('RULES_BAD_PORT', `"${text}" is not a port`, portToken, 'write it as a number');
    const ipText = ip && argument(ip).text;
    const address = ipText === undefined ? new Uint32Array(4) : parseAddress(ipText, context.family)?.words;
    if (address === undefined)
      return context.fail(
        'RULES_BAD_ADDRESS',
        `"${ipText}" is not an address`,
        ip?.args[0],
        'write it as numbers: host names are not looked up',
      );
    return {
      port: number,
      address,
      mark: mark === undefined ? { value: 0, mask: 0 } : parseMaskedMark(argument(mark), context),
    };
  },
  print({ port, address, mark }, family) {
    return ` --on-port ${port} --on-ip ${formatAddress(family, address)} --tproxy-mark ${hex(mark.value)}/${hex(mark.mask)}`;
  },
  list({ port, address, mark }, family) {
    return `TPROXY redirect ${formatAddress(family, address)}:${port} mark ${hex(mark.value)}/${hex(mark.mask)}`;
  },
  compile: () => ({ kind: 'drop' }),
};
