/** `-j SNAT`: another source (kernel: net/netfilter/xt_nat.c). */
import type { NatRange, TargetExtension } from '../extension.js';
import { formatNatFlags, formatNatRange, parseNatRange } from '../values/nat-range.js';
import { flag, option } from './support.js';

export const snat: TargetExtension<NatRange> = {
  kind: 'target',
  name: 'SNAT',
  summary: 'translates the source address and port',
  families: [4, 6],
  tables: ['nat'],
  hooks: ['POSTROUTING', 'INPUT'],
  options: [
    option(false, '--to-source'),
    flag(false, '--random'),
    flag(false, '--random-fully'),
    flag(false, '--persistent'),
  ],
  parse(options, context) {
    return parseNatRange(options, '--to-source', context);
  },
  print(range, family) {
    return ` --to-source ${formatNatRange(range, family)}${formatNatFlags(range, ' --')}`;
  },
  list(range, family) {
    return `to:${formatNatRange(range, family)}${formatNatFlags(range, ' ')}`;
  },
  compile(range) {
    return { kind: 'nat', manipulation: 'src', range: () => range };
  },
};
