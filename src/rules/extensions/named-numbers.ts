/** Numbers that iproute2 has names for (realms, interface groups), with a mask: `5/0xff`, `default`. */
import type { ParseContext, Token } from '../extension.js';
import { didYouMean } from '../nearest.js';
import { hex, parseUnsigned } from '../values/numbers.js';
import { MAX_32 } from '../values/ranges.js';

export interface MaskedNumber {
  readonly value: number;
  readonly mask: number;
}

/** `zero`: the name of number 0, the only one that every machine has. */
export function parseNamed(token: Token, zero: string, context: ParseContext): MaskedNumber {
  if (token.text === zero) return { value: 0, mask: MAX_32 };
  const [value, mask = MAX_32, ...more] = token.text.split('/').map((part) => parseUnsigned(part, MAX_32) ?? -1);
  if (value !== undefined && value >= 0 && mask >= 0 && more.length === 0) return { value, mask };
  const advice = didYouMean(token.text, [zero], 'write its number: other names depend on the machine');
  return context.fail('RULES_BAD_NUMBER', `"${token.text}" is not a number that is known here`, token, advice);
}

export const formatNumber = ({ value, mask }: MaskedNumber): string =>
  mask === MAX_32 ? hex(value) : `${hex(value)}/${hex(mask)}`;

export const formatNamed = (number: MaskedNumber, zero: string): string =>
  number.value === 0 && number.mask === MAX_32 ? zero : formatNumber(number);
