/** Whole numbers as iptables reads them. */

/** A whole number as strtoul reads it (decimal, 0x hexadecimal, 0 octal), undefined beyond `max`. */
export function parseUnsigned(text: string, max: number): number | undefined {
  const value = parseDecimal(text) ?? parseOctalOrHex(text);
  return value !== undefined && value <= max ? value : undefined;
}

const ZERO = 48;

/** `0`, or up to 16 digits that do not begin with 0: nearly every number is one. */
function parseDecimal(text: string): number | undefined {
  const { length } = text;
  if (length === 0 || length > 16 || (length > 1 && text.charCodeAt(0) === ZERO)) return undefined;
  let value = 0;
  for (let at = 0; at < length; at++) {
    const digit = text.charCodeAt(at) - ZERO;
    if (digit < 0 || digit > 9) return undefined;
    value = value * 10 + digit;
  }
  return length < 16 ? value : Number(text);
}

function parseOctalOrHex(text: string): number | undefined {
  if (text.charCodeAt(0) !== ZERO) return undefined;
  if (/^0[xX][0-9a-fA-F]{1,12}$/.test(text)) return Number.parseInt(text.slice(2), 16);
  return /^0[0-7]{1,16}$/.test(text) ? Number.parseInt(text, 8) : undefined;
}

/** `0x1f`, as iptables prints marks. */
export function hex(value: number): string {
  return `0x${(value >>> 0).toString(16)}`;
}
