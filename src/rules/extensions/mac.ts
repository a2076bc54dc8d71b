/** `-m mac`: the sender's Ethernet address; never matches where the frame has none (kernel: net/netfilter/xt_mac.c). */
import type { MatchExtension } from '../extension.js';
import { argument, bang, find, option, requireOne } from './support.js';

export interface MacOptions {
  readonly negated: boolean;
  readonly address: readonly number[];
}

function formatMac({ address }: MacOptions): string {
  return address.map((byte) => byte.toString(16).padStart(2, '0')).join(':');
}

export const mac: MatchExtension<MacOptions> = {
  kind: 'match',
  name: 'mac',
  summary: "the sender's Ethernet address",
  families: [4, 6],
  hooks: ['PREROUTING', 'INPUT', 'FORWARD'],
  options: [option(true, '--mac-source')],
  parse(options, context) {
    requireOne(options, 'match mac', context, '--mac-source');
    const found = find(options, '--mac-source');
    if (found === undefined) throw new RangeError('--mac-source');
    const token = argument(found);
    if (!/^[0-9a-f]{1,2}(:[0-9a-f]{1,2}){5}$/i.test(token.text)) {
      const advice = 'write it like 00:53:00:12:34:56';
      context.fail('RULES_BAD_ADDRESS', `"${token.text}" is not an Ethernet address`, token, advice);
    }
    return { negated: found.negated, address: token.text.split(':').map((part) => Number.parseInt(part, 16)) };
  },
  print(options) {
    return ` ${bang(options.negated)}--mac-source ${formatMac(options)}`;
  },
  list(options) {
    return `MAC ${bang(options.negated)}${formatMac(options)}`;
  },
  compile({ negated, address }) {
    return ({ bytes, sourceMac }) => {
      if (sourceMac === undefined || sourceMac < 0) return false;
      for (let i = 0; i < 6; i++) if (bytes[sourceMac + i] !== address[i]) return negated;
      return !negated;
    };
  },
};
