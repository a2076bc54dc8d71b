/** `-m tos`: bits of the TOS byte or traffic class (kernel: net/netfilter/xt_dscp.c, tos_mt). */
import type { MatchExtension } from '../extension.js';
import { dsField } from './dsfield.js';
import { argument, bang, option, requireOne } from './support.js';
import { formatTos, type MaskedTos, parseTos } from './tos-values.js';

export interface TosOptions extends MaskedTos {
  readonly negated: boolean;
}

export const tos: MatchExtension<TosOptions> = {
  kind: 'match',
  name: 'tos',
  summary: 'bits of the TOS byte or traffic class',
  families: [4, 6],
  options: [option(true, '--tos')],
  parse(options, context) {
    requireOne(options, 'match tos', context, '--tos');
    const [found] = options;
    if (found === undefined) throw new RangeError('--tos');
    return { negated: found.negated, ...parseTos(argument(found), context) };
  },
  print: (options) => ` ${bang(options.negated)}--tos ${formatTos(options)}`,
  list: (options) => `tos match${options.negated ? '!' : ''}${formatTos(options)}`,
  compile({ negated, value, mask }) {
    return (packet) => ((dsField(packet) & mask) === value) !== negated;
  },
};
