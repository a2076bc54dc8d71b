/** Names of DSCP values: class selectors, assured and expedited forwarding (RFC 2474, 2597, 3246). */
import type { ParseContext, ParsedOption } from '../extension.js';
import { didYouMean } from '../nearest.js';
import { parseNumber } from '../values/ranges.js';
import { argument } from './support.js';

const CLASSES: ReadonlyMap<string, number> = new Map([
  ...Array.from({ length: 8 }, (_, k) => [`CS${k}`, 8 * k] as const),
  ['BE', 0],
  ...[1, 2, 3, 4].flatMap((k) => [1, 2, 3].map((drop) => [`AF${k}${drop}`, 8 * k + 2 * drop] as const)),
  ['EF', 46],
]);

/** The value of `--dscp` or `--set-dscp`, or of the same with `-class`. */
export function parseDscp(found: ParsedOption, context: ParseContext): number {
  const token = argument(found);
  if (!found.name.endsWith('-class')) return parseNumber(token, 0, 63, context);
  const value = CLASSES.get(token.text.toUpperCase());
  if (value !== undefined) return value;
  const advice = didYouMean(token.text, CLASSES.keys(), 'classes are CS0 to CS7, BE, AF11 to AF43 and EF');
  return context.fail('RULES_BAD_DSCP', `"${token.text}" is not a DiffServ class`, token, advice);
}

export const formatDscp = (value: number): string => `0x${value.toString(16).padStart(2, '0')}`;
