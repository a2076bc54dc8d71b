/** Ranges of security parameter indexes, as esp, ah and ipcomp have them. */
import type { ParseContext, ParsedOption } from '../extension.js';
import { formatRange, isWhole, MAX_32, type NumberRange, parseNumberRange } from '../values/ranges.js';
import { argument, bang, find } from './support.js';

export interface SpiOptions {
  readonly negated: boolean;
  readonly range: NumberRange;
}

/** Every index where the option is not given. */
export function parseSpis(options: readonly ParsedOption[], name: string, context: ParseContext): SpiOptions {
  const found = find(options, name);
  if (found === undefined) return { negated: false, range: { min: 0, max: MAX_32 } };
  return { negated: found.negated, range: parseNumberRange(argument(found), MAX_32, context) };
}

/** iptables leaves out a whole range, negated or not. */
export function printSpis(name: string, { negated, range }: SpiOptions): string {
  return isWhole(range, MAX_32) ? '' : ` ${bang(negated)}${name} ${formatRange(range)}`;
}
