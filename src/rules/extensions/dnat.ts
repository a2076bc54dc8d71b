/** `-j DNAT`: another destination (kernel: net/netfilter/xt_nat.c). */
import type { NatRange, TargetExtension } from '../extension.js';
import { formatNatFlags, formatNatRange, parseNatRange } from '../values/nat-range.js';
import { flag, option } from './support.js';

export const dnat: TargetExtension<NatRange> = {
  kind: 'target',
  name: 'DNAT',
  summary: 'translates the destination address and port',
  families: [4, 6],
  tables: ['nat'],
  hooks: ['PREROUTING', 'OUTPUT'],
  options: [option(false, '--to-destination'), flag(false, '--random'), flag(false, '--persistent')],
  parse(options, context) {
    return parseNatRange(options, '--to-destination', context);
  },
  print(range, family) {
    return ` --to-destination ${formatNatRange(range, family)}${formatNatFlags(range, ' --')}`;
  },
  list(range, family) {
    return `to:${formatNatRange(range, family)}${formatNatFlags(range, ' ')}`;
  },
  compile(range) {
    return { kind: 'nat', manipulation: 'dst', range: () => range };
  },
};
