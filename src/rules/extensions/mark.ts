/** `-m mark`: the packet's mark (kernel: net/netfilter/xt_mark.c). */
import type { MatchExtension, ParseContext, ParsedOption } from '../extension.js';
import { formatMaskedMark, type MaskedMark, parseMaskedMark } from '../values/marks.js';
import { argument, bang, find, option, requireOne } from './support.js';

export interface MarkOptions extends MaskedMark {
  readonly negated: boolean;
}

/** `--mark VALUE[/MASK]`, as mark and connmark take it. */
export function parseMarkOption(options: readonly ParsedOption[], context: ParseContext, what: string): MarkOptions {
  requireOne(options, what, context, '--mark');
  const found = find(options, '--mark');
  if (found === undefined) throw new RangeError('--mark');
  return { negated: found.negated, ...parseMaskedMark(argument(found), context) };
}

export const mark: MatchExtension<MarkOptions> = {
  kind: 'match',
  name: 'mark',
  summary: "the packet's mark",
  families: [4, 6],
  options: [option(true, '--mark')],
  parse(options, context) {
    return parseMarkOption(options, context, 'match mark');
  },
  print(options) {
    return ` ${bang(options.negated)}--mark ${formatMaskedMark(options)}`;
  },
  list(options) {
    return `mark match ${bang(options.negated)}${formatMaskedMark(options)}`;
  },
  reads: () => ({}),
  compile({ negated, value, mask }) {
    return (packet) => ((packet.mark & mask) >>> 0 === value) !== negated;
  },
};
