/** Patterns of `-m string` as bytes: `--string` as it stands, `--hex-string` with bytes in hexadecimal between bars. */
import type { ParseContext, Token } from '../extension.js';

/** XT_STRING_MAX_PATTERN_SIZE. */
const MOST = 128;

export function parseString(token: Token, context: ParseContext): Uint8Array {
  return checked(Buffer.from(token.text), token, context);
}

/** `|0a 0d|foo\|bar`: a backslash makes the next character literal, outside of the bars. */
export function parseHexString(token: Token, context: ParseContext): Uint8Array {
  const text = Buffer.from(token.text);
  const bad = (what: string): never =>
    context.fail('RULES_BAD_PATTERN', `${what} in "${token.text}"`, token, 'write it like "|0a 0d|text|ff|"');
  const bytes: number[] = [];
  let inHex = false;
  for (let at = 0; at < text.length; ) {
    if (text[at] === BACKSLASH) {
      if (inHex) bad('a backslash among hexadecimal digits');
      if (at + 1 >= text.length) bad('a backslash at the end');
      bytes.push(text[at + 1] ?? 0);
      at += 2;
      continue;
    }
    if (text[at] === BAR) {
      inHex = !inHex;
      while (inHex && text[at + 1] === BLANK) at++;
      at++;
      // Behind a bar iptables takes what comes as it is, even a bar.
      if (at >= text.length) break;
    }
    if (!inHex) {
      bytes.push(text[at++] ?? 0);
      continue;
    }
    const digits = text.subarray(at, at + 2).toString('latin1');
    if (at + 2 >= text.length) bad('a hexadecimal part that is not closed, or has an odd number of digits');
    if (!/^[0-9a-fA-F]{2}$/.test(digits)) bad(`"${digits}", which is no pair of hexadecimal digits,`);
    bytes.push(Number.parseInt(digits, 16));
    at += text[at + 2] === BLANK ? 3 : 2;
  }
  return checked(Uint8Array.from(bytes), token, context);
}

const BACKSLASH = 0x5c;
const BAR = 0x7c;
const BLANK = 0x20;

function checked(bytes: Uint8Array, token: Token, context: ParseContext): Uint8Array {
  if (bytes.length === 0) context.fail('RULES_BAD_PATTERN', 'the pattern is empty', token, 'give at least one byte');
  if (bytes.length > MOST)
    context.fail(
      'RULES_BAD_PATTERN',
      `the pattern has ${bytes.length} bytes, ${MOST} is the most`,
      token,
      'shorten it',
    );
  return bytes;
}

/** Bytes that are not printable ASCII, and a backslash at the end, make the whole a hexadecimal string. */
export const needsHex = (bytes: Uint8Array): boolean =>
  bytes.some((byte) => byte < 0x20 || byte > 0x7e) || bytes.at(-1) === BACKSLASH;

/** As iptables prints it, quoted. */
export function formatPattern(bytes: Uint8Array): string {
  if (needsHex(bytes)) return `"|${Buffer.from(bytes).toString('hex')}|"`;
  return `"${Buffer.from(bytes).toString('latin1').replace(/["\\]/g, '\\$&')}"`;
}
