/** Values of TOS in options: `0x10`, `0x10/0x3f`, and the names of RFC 1349. */
import type { ParseContext, Token } from '../extension.js';
import { didYouMean } from '../nearest.js';
import { parseUnsigned } from '../values/numbers.js';

export interface MaskedTos {
  readonly value: number;
  readonly mask: number;
}

const NAMES: readonly (readonly [string, number])[] = [
  ['Minimize-Delay', 0x10],
  ['Maximize-Throughput', 0x08],
  ['Maximize-Reliability', 0x04],
  ['Minimize-Cost', 0x02],
  ['Normal-Service', 0x00],
];
/** Names leave the two bits of ECN alone, and those of precedence. */
const NAME_MASK = 0x3f;

export function parseTos(token: Token, context: ParseContext): MaskedTos {
  const named = NAMES.find(([name]) => name.toLowerCase() === token.text.toLowerCase());
  if (named !== undefined) return { value: named[1], mask: NAME_MASK };
  const [value, mask = 0xff, ...more] = token.text.split('/').map((part) => parseUnsigned(part, 255) ?? -1);
  if (value !== undefined && value >= 0 && mask >= 0 && more.length === 0) return { value, mask };
  const names = NAMES.map(([name]) => name);
  const advice = didYouMean(token.text, names, `write it like 0x10 or 0x10/0x3f, or ${names.join(', ')}`);
  return context.fail('RULES_BAD_TOS', `"${token.text}" is not a TOS value`, token, advice);
}

const byte = (value: number): string => `0x${value.toString(16).padStart(2, '0')}`;

export const formatTos = ({ value, mask }: MaskedTos): string => `${byte(value)}/${byte(mask)}`;
