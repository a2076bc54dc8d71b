/** `-m connmark`: the connection's mark; never matches without a connection (kernel: net/netfilter/xt_connmark.c). */
import type { MatchExtension } from '../extension.js';
import { formatMaskedMark } from '../values/marks.js';
import { type MarkOptions, parseMarkOption } from './mark.js';
import { bang, option } from './support.js';

export const connmark: MatchExtension<MarkOptions> = {
  kind: 'match',
  name: 'connmark',
  summary: "the connection's mark",
  families: [4, 6],
  options: [option(true, '--mark')],
  parse(options, context) {
    return parseMarkOption(options, context, 'match connmark');
  },
  print(options) {
    return ` ${bang(options.negated)}--mark ${formatMaskedMark(options)}`;
  },
  list(options) {
    return `connmark match ${options.negated ? '!' : ''} ${formatMaskedMark(options)}`;
  },
  reads: () => ({ connection: true }),
  compile({ negated, value, mask }) {
    return ({ connection }) => connection !== undefined && ((connection.mark & mask) >>> 0 === value) !== negated;
  },
};
