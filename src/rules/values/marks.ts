/** Marks: `VALUE` or `VALUE/MASK`, 32 bits each. */
import type { ParseContext, Token } from '../extension.js';
import { hex, parseUnsigned } from './numbers.js';

export interface MaskedMark {
  readonly value: number;
  readonly mask: number;
}

export function parseMark(token: Token, context: ParseContext): number {
  return markNumber(token.text, token, context);
}

export function parseMaskedMark(token: Token, context: ParseContext): MaskedMark {
  const slash = token.text.indexOf('/');
  if (slash < 0) return { value: markNumber(token.text, token, context), mask: 0xffffffff };
  return {
    value: markNumber(token.text.slice(0, slash), token, context),
    mask: markNumber(token.text.slice(slash + 1), token, context),
  };
}

function markNumber(text: string, token: Token, context: ParseContext): number {
  const value = parseUnsigned(text, 0xffffffff);
  return (
    value ??
    context.fail('RULES_BAD_MARK', `"${text}" is not a 32-bit number`, token, 'write it like 0x10 or 0x10/0xff')
  );
}

/** `0x1`, or `0x1/0xff` when the mask is not full. */
export function formatMaskedMark({ value, mask }: MaskedMark): string {
  return mask === 0xffffffff ? hex(value) : `${hex(value)}/${hex(mask)}`;
}
