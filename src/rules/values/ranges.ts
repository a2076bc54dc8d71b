/** Numbers and ranges of numbers in options: `5`, `5:10`, `:10`, `5:`; unlike port ranges they may run backwards (and then hold for nothing). */
import type { ParseContext, Token } from '../extension.js';
import { parseUnsigned } from './numbers.js';

/** Both ends included. */
export interface NumberRange {
  readonly min: number;
  readonly max: number;
}

/** Greatest unsigned 32-bit number. */
export const MAX_32 = 0xffffffff;

/** A whole number from `min` to `max`; fails with RULES_BAD_NUMBER. */
export function parseNumber(token: Token, min: number, max: number, context: ParseContext): number {
  const value = parseUnsigned(token.text, max);
  if (value !== undefined && value >= min) return value;
  const what = `"${token.text}" is not a number from ${min} to ${max}`;
  return context.fail('RULES_BAD_NUMBER', what, token, 'correct the number');
}

/** A missing end is 0 or `max`; nothing at all is 0. */
export function parseNumberRange(token: Token, max: number, context: ParseContext): NumberRange {
  const parts = token.text.split(':');
  const [low = '', high] = parts;
  const read = (text: string, missing: number): number => {
    if (text === '') return missing;
    const value = parseUnsigned(text, max);
    const what = `"${token.text}" is not a number or range from 0 to ${max}`;
    return value ?? context.fail('RULES_BAD_NUMBER', what, token, 'write it like 5 or 5:10');
  };
  if (parts.length > 2)
    context.fail('RULES_BAD_NUMBER', `"${token.text}" has more than two parts`, token, 'write it like 5:10');
  const min = read(low, 0);
  return { min, max: high === undefined ? min : read(high, max) };
}

export function formatRange({ min, max }: NumberRange): string {
  return min === max ? String(min) : `${min}:${max}`;
}

export const isWhole = (range: NumberRange, max: number): boolean => range.min === 0 && range.max === max;

export const inRange = (value: number, { min, max }: NumberRange): boolean => value >= min && value <= max;

/** `spi:5`, `spis:!5:10`, and nothing for a whole range that is not negated: as listings word ranges. */
export function listRange(name: string, range: NumberRange, negated: boolean, max: number): string {
  if (isWhole(range, max) && !negated) return '';
  return `${name}${range.min === range.max ? '' : 's'}:${negated ? '!' : ''}${formatRange(range)}`;
}
