/**
 * Addresses as text and as words: IPv4 is one 32-bit word, IPv6 four, host order, in a Uint32Array of four of which
 * IPv4 uses the first. Text is read as strictly as inet_pton reads it (no `10.1`, no leading zeros, no zone) and
 * written as inet_ntop writes it (RFC 5952).
 */
import { isIPv6 } from 'node:net';
import ipaddr from 'ipaddr.js';
import type { Family } from './types.js';

export interface Address {
  readonly family: Family;
  readonly words: Uint32Array;
}

/** An address with the length of its prefix; host bits are kept as written (`192.0.2.1/24` stays .1). */
export interface Prefix extends Address {
  readonly prefixLength: number;
}

/** Bits of an address. */
export function addressBits(family: Family): 32 | 128 {
  return family === 4 ? 32 : 128;
}

/** Reads an address; undefined if the text is none (or none of `family`). */
export function parseAddress(text: string, family?: Family): Address | undefined {
  if (family !== 6) {
    const word = parseIpv4(text);
    if (word !== undefined) return { family: 4, words: ipv4Words(word) };
    if (family === 4) return undefined;
  }
  const words = parseIpv6(text);
  return words === undefined ? undefined : { family: 6, words };
}

const DOT = 46;
const ZERO = 48;

/** `192.0.2.1` as a word, undefined if it is not four plain decimal numbers of 0 to 255. */
export function parseIpv4(text: string): number | undefined {
  const { length } = text;
  let word = 0;
  let octets = 0;
  for (let at = 0; at < length; ) {
    const first = at;
    let octet = 0;
    for (; at < length; at++) {
      const digit = text.charCodeAt(at) - ZERO;
      if (digit < 0 || digit > 9) break;
      octet = octet * 10 + digit;
    }
    if (at === first || at - first > 3 || octet > 255) return undefined;
    // No leading zeros.
    if (at - first > 1 && text.charCodeAt(first) === ZERO) return undefined;
    word = word * 256 + octet;
    octets++;
    if (at === length) break;
    if (text.charCodeAt(at) !== DOT || octets === 4 || at + 1 === length) return undefined;
    at++;
  }
  return octets === 4 ? word : undefined;
}

function parseIpv6(text: string): Uint32Array | undefined {
  // isIPv6 is inet_pton; ipaddr.js alone would also take what inet_pton refuses. A zone is no part of an address.
  if (text.includes('%') || !isIPv6(text)) return undefined;
  const groups = ipaddr.IPv6.parse(withoutDots(text)).parts;
  return Uint32Array.from([0, 2, 4, 6], (i) => (groups[i] ?? 0) * 0x10000 + (groups[i + 1] ?? 0));
}

/** `::192.0.2.1` as `::c000:201`: ipaddr.js would take it for the IPv4-mapped ::ffff:192.0.2.1. */
function withoutDots(text: string): string {
  return text.replace(/[^:]+\.[^:]+$/, (dotted) => {
    const word = parseIpv4(dotted) ?? 0;
    return `${(word >>> 16).toString(16)}:${(word & 0xffff).toString(16)}`;
  });
}

/** The word as an address of this program: four words of which IPv4 uses the first. */
export function ipv4Words(word: number): Uint32Array {
  const words = new Uint32Array(4);
  words[0] = word;
  return words;
}

export function formatAddress(family: Family, words: Uint32Array): string {
  return family === 4 ? formatIpv4(words[0] ?? 0) : formatIpv6(words);
}

export function formatIpv4(word: number): string {
  return `${word >>> 24}.${(word >>> 16) & 255}.${(word >>> 8) & 255}.${word & 255}`;
}

function formatIpv6(words: Uint32Array): string {
  const groups = Array.from({ length: 8 }, (_, i) => {
    const word = words[i >> 1] ?? 0;
    return i % 2 === 0 ? word >>> 16 : word & 0xffff;
  });
  const zeros = longestZeroRun(groups);
  // inet_ntop shows the IPv4-mapped ::ffff:a.b.c.d and the IPv4-compatible ::a.b.c.d with dots.
  if (zeros.start === 0 && (zeros.length === 6 || (zeros.length === 5 && groups[5] === 0xffff))) {
    return `${zeros.length === 6 ? '::' : '::ffff:'}${formatIpv4(words[3] ?? 0)}`;
  }
  const hex = groups.map((group) => group.toString(16));
  if (zeros.length < 2) return hex.join(':');
  return `${hex.slice(0, zeros.start).join(':')}::${hex.slice(zeros.start + zeros.length).join(':')}`;
}

/** The first of the longest runs of zero groups, which `::` stands for. */
function longestZeroRun(groups: readonly number[]): { start: number; length: number } {
  let best = { start: -1, length: 0 };
  let length = 0;
  for (const [i, group] of groups.entries()) {
    length = group === 0 ? length + 1 : 0;
    if (length > best.length) best = { start: i - length + 1, length };
  }
  return best;
}

/** Mask of a prefix length: `prefixMask(4, 24)` is 255.255.255.0. */
export function prefixMask(family: Family, length: number): Uint32Array {
  const mask = new Uint32Array(4);
  for (let i = 0; i < (family === 4 ? 1 : 4); i++) {
    const bits = Math.min(32, Math.max(0, length - 32 * i));
    mask[i] = bits === 0 ? 0 : 0xffffffff << (32 - bits);
  }
  return mask;
}

/** Length of the prefix a mask stands for; undefined if its ones are not all at the front. */
export function maskLength(family: Family, mask: Uint32Array): number | undefined {
  let length = 0;
  while (length < addressBits(family) && ((mask[length >> 5] ?? 0) & (0x80000000 >>> (length & 31))) !== 0) length++;
  return sameAddress(prefixMask(family, length), mask) ? length : undefined;
}

/** Reads `ADDRESS`, `ADDRESS/LENGTH` or, for IPv4, `ADDRESS/255.255.255.0`; without a length it is the whole address. */
export function parsePrefix(text: string, family?: Family): Prefix | undefined {
  const slash = text.indexOf('/');
  const address = parseAddress(slash < 0 ? text : text.slice(0, slash), family);
  if (address === undefined) return undefined;
  const bits = addressBits(address.family);
  const prefixLength = slash < 0 ? bits : parseLength(text.slice(slash + 1), address.family);
  return prefixLength === undefined ? undefined : { ...address, prefixLength };
}

function parseLength(text: string, family: Family): number | undefined {
  if (/^[0-9]{1,3}$/.test(text)) {
    const length = Number(text);
    return length <= addressBits(family) ? length : undefined;
  }
  const mask = parseAddress(text, family);
  return mask === undefined ? undefined : maskLength(family, mask.words);
}

export function formatPrefix(family: Family, words: Uint32Array, prefixLength: number): string {
  return `${formatAddress(family, words)}/${prefixLength}`;
}

/** The address with its host bits cleared. */
export function networkOf(family: Family, words: Uint32Array, prefixLength: number): Uint32Array {
  const mask = prefixMask(family, prefixLength);
  return mask.map((bits, i) => bits & (words[i] ?? 0));
}

/** Whether `words` lies in the prefix. */
export function prefixContains(prefix: Prefix, words: Uint32Array): boolean {
  const { family, prefixLength } = prefix;
  return sameAddress(networkOf(family, words, prefixLength), networkOf(family, prefix.words, prefixLength));
}

export function sameAddress(a: Uint32Array, b: Uint32Array): boolean {
  return a[0] === b[0] && a[1] === b[1] && a[2] === b[2] && a[3] === b[3];
}
