/** `-j TEE`: sends a copy to another machine (kernel: net/netfilter/xt_TEE.c). The packet goes on; the copy is not made. */
import { formatAddress, parseAddress } from '../../host/address.js';
import type { TargetExtension } from '../extension.js';
import { argument, find, option, requireOne } from './support.js';

export interface TeeOptions {
  readonly gateway: Uint32Array;
  readonly out: string;
}

const MAX_INTERFACE_NAME = 15;

export const tee: TargetExtension<TeeOptions> = {
  kind: 'target',
  name: 'TEE',
  summary: 'sends a copy elsewhere; the copy is not shown',
  families: [4, 6],
  options: [option(false, '--gateway'), option(false, '--oif')],
  parse(options, context) {
    requireOne(options, 'TEE', context, '--gateway');
    const [gateway, oif] = [find(options, '--gateway'), find(options, '--oif')];
    if (gateway === undefined) throw new RangeError('--gateway');
    const token = argument(gateway);
    const words = parseAddress(token.text, context.family)?.words;
    if (words === undefined || words.every((word) => word === 0))
      return context.fail(
        'RULES_BAD_ADDRESS',
        `"${token.text}" is not the address of a gateway`,
        token,
        'write it as numbers: host names are not looked up',
      );
    return { gateway: words, out: oif === undefined ? '' : argument(oif).text.slice(0, MAX_INTERFACE_NAME) };
  },
  print: ({ gateway, out }, family) =>
    ` --gateway ${formatAddress(family, gateway)}${out === '' ? '' : ` --oif ${out}`}`,
  list: ({ gateway, out }, family) => `TEE gw:${formatAddress(family, gateway)}${out === '' ? '' : ` oif=${out}`}`,
  compile: () => ({ kind: 'effect', apply() {} }),
};
