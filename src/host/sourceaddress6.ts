/**
 * Default address selection for IPv6 sources (RFC 6724 section 5) as the kernel does it (ipv6_dev_get_saddr): of all
 * candidates the one that wins the first rule in which they differ. Left out: home addresses, temporary addresses
 * (use_tempaddr is 0 unless set) and ORCHIDs.
 */
import { addressBits, prefixContains, sameAddress } from './address.js';
import type { Host, InterfaceAddress, InterfaceIndex } from './types.js';

interface Candidate {
  readonly address: InterfaceAddress;
  readonly iface: InterfaceIndex;
}

/** Of the unspecified address: below every other (__IPV6_ADDR_SCOPE_INVALID). */
const NONE = -1;
const GLOBAL = 14;
const SITE = 5;
const LINK = 2;

export function selectSource6(host: Host, iface: InterfaceIndex, destination: Uint32Array): Uint32Array | undefined {
  const onLinkOnly = isMulticast(destination) || scopeOf(destination) <= LINK;
  let best: { candidate: Candidate; score: readonly number[] } | undefined;
  for (const other of host.interfaces) {
    if (onLinkOnly && other.index !== iface) continue;
    for (const address of other.addresses) {
      if (address.family !== 6 || address.tentative === true) continue;
      const candidate = { address, iface: other.index };
      const score = scoreOf(candidate, iface, destination);
      if (best === undefined || isHigher(score, best.score)) best = { candidate, score };
    }
  }
  return best?.candidate.address.words;
}

/** One number for each rule, the higher the better. */
function scoreOf(candidate: Candidate, iface: InterfaceIndex, destination: Uint32Array): number[] {
  const { words, prefixLength, deprecated } = candidate.address;
  const scope = scopeOf(words);
  return [
    Number(sameAddress(words, destination)),
    // The smallest scope that reaches the destination; if none does, the largest.
    scope >= scopeOf(destination) ? -scope : scope - 128,
    Number(deprecated !== true),
    Number(candidate.iface === iface),
    Number(labelOf(words) === labelOf(destination)),
    Math.min(commonBits(words, destination), prefixLength),
  ];
}

function isHigher(a: readonly number[], b: readonly number[]): boolean {
  for (const [i, value] of a.entries()) if (value !== b[i]) return value > (b[i] ?? 0);
  return false;
}

function isMulticast(words: Uint32Array): boolean {
  return (words[0] ?? 0) >>> 24 === 0xff;
}

function scopeOf(words: Uint32Array): number {
  const first = (words[0] ?? 0) >>> 16;
  if (isMulticast(words)) return first & 15;
  if ((first & 0xffc0) === 0xfe80) return LINK;
  if ((first & 0xffc0) === 0xfec0) return SITE;
  if (words[0] !== 0 || words[1] !== 0 || words[2] !== 0) return GLOBAL;
  if (words[3] === 0) return NONE;
  return words[3] === 1 ? LINK : GLOBAL;
}

function commonBits(a: Uint32Array, b: Uint32Array): number {
  for (let i = 0; i < 4; i++) {
    const difference = (a[i] ?? 0) ^ (b[i] ?? 0);
    if (difference !== 0) return 32 * i + Math.clz32(difference);
  }
  return addressBits(6);
}

/** The kernel's policy table (net/ipv6/addrlabel.c), longest prefixes first. */
const LABELS: readonly (readonly [words: readonly number[], prefixLength: number, label: number])[] = [
  [[0, 0, 0, 1], 128, 0],
  [[0, 0, 0xffff, 0], 96, 4],
  [[0, 0, 0, 0], 96, 3],
  [[0x20010000, 0, 0, 0], 32, 6],
  [[0x20010010, 0, 0, 0], 28, 7],
  [[0x20020000, 0, 0, 0], 16, 2],
  [[0x3ffe0000, 0, 0, 0], 16, 12],
  [[0xfec00000, 0, 0, 0], 10, 11],
  [[0xfc000000, 0, 0, 0], 7, 5],
];

function labelOf(words: Uint32Array): number {
  const found = LABELS.find(([prefix, prefixLength]) =>
    prefixContains({ family: 6, words: Uint32Array.from(prefix), prefixLength }, words),
  );
  return found?.[2] ?? 1;
}
