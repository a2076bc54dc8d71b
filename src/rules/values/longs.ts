/** Whole numbers of 64 bits, exactly. */

const MAX = 2n ** 64n - 1n;

/** A whole number as strtoull reads it (decimal, 0x hexadecimal, 0 octal), undefined beyond 64 bits. */
export function parseUnsigned64(text: string): bigint | undefined {
  let value: bigint;
  if (/^0[xX][0-9a-fA-F]{1,24}$/.test(text) || /^(0|[1-9][0-9]{0,24})$/.test(text)) value = BigInt(text);
  else if (/^0[0-7]{1,30}$/.test(text)) value = BigInt(`0o${text.slice(1)}`);
  else return undefined;
  return value <= MAX ? value : undefined;
}

export const MAX_UNSIGNED64 = MAX;
