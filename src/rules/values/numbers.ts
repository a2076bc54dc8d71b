/** Whole numbers as iptables reads them. */

/** A whole number as strtoul reads it (decimal, 0x hexadecimal, 0 octal), undefined beyond `max`. */
export function parseUnsigned(text: string, max: number): number | undefined {
  let value: number;
  if (/^0[xX][0-9a-fA-F]{1,12}$/.test(text)) value = Number.parseInt(text.slice(2), 16);
  else if (/^0[0-7]{1,16}$/.test(text)) value = Number.parseInt(text, 8);
  else if (/^(0|[1-9][0-9]{0,15})$/.test(text)) value = Number(text);
  else return undefined;
  return value <= max ? value : undefined;
}

/** `0x1f`, as iptables prints marks. */
export function hex(value: number): string {
  return `0x${(value >>> 0).toString(16)}`;
}
