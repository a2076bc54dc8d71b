/** Addresses and networks as `-s`, `-d`, `--ctorigsrc` and the like take them. */
import { formatAddress, ipv4Words, maskLength, parseAddress, parseIpv4, prefixMask } from '../../host/address.js';
import type { Family } from '../../host/types.js';
import { parseUnsigned } from './numbers.js';

export interface Network {
  /** Host bits as written. */
  readonly address: Uint32Array;
  /** Need not be contiguous; others may have the same array. */
  readonly mask: Uint32Array;
}

/** The address alone; `undefined` if the text is none of that family. Trailing octets may be left out (`10.1` is 10.1.0.0). */
export function parseLooseAddress(text: string, family: Family): Uint32Array | undefined {
  if (family === 4) {
    const word = parseIpv4(text) ?? (/^[0-9]+(\.[0-9]+){0,2}$/.test(text) ? parseIpv4(padOctets(text)) : undefined);
    return word === undefined ? undefined : ipv4Words(word);
  }
  return parseAddress(text, family)?.words;
}

function padOctets(text: string): string {
  const octets = text.split('.');
  while (octets.length < 4) octets.push('0');
  return octets.join('.');
}

/** `ADDRESS`, `ADDRESS/LENGTH` or `ADDRESS/MASK`; says which part is wrong. */
export function parseNetwork(text: string, family: Family): Network | { readonly wrong: 'address' | 'mask' } {
  const slash = text.indexOf('/');
  const address = parseLooseAddress(slash < 0 ? text : text.slice(0, slash), family);
  if (address === undefined) return { wrong: 'address' };
  if (slash < 0) return { address, mask: sharedMask(family, family === 4 ? 32 : 128) };
  const maskText = text.slice(slash + 1);
  const length = parseUnsigned(maskText, family === 4 ? 32 : 128);
  const mask = length === undefined ? parseAddress(maskText, family)?.words : sharedMask(family, length);
  return mask === undefined ? { wrong: 'mask' } : { address, mask };
}

const MASKS: Readonly<Record<Family, (Uint32Array | undefined)[]>> = { 4: [], 6: [] };

/** One array for all masks of a length: rule sets have few of these, and many masks. */
function sharedMask(family: Family, length: number): Uint32Array {
  const masks = MASKS[family];
  masks[length] ??= prefixMask(family, length);
  return masks[length];
}

export function applyMask(address: Uint32Array, mask: Uint32Array): Uint32Array {
  return address.map((word, i) => word & (mask[i] ?? 0));
}

export function isZero(words: Uint32Array): boolean {
  return words.every((word) => word === 0);
}

/** `/24`, or `/255.0.255.0` where the mask is no prefix; as iptables-save prints. */
export function formatMask(family: Family, mask: Uint32Array): string {
  const length = maskLength(family, mask);
  return length === undefined ? `/${formatAddress(family, mask)}` : `/${length}`;
}

/** `10.0.0.0/8`, always with its mask. */
export function formatNetwork(family: Family, network: Network): string {
  return formatAddress(family, network.address) + formatMask(family, network.mask);
}

/** As listings print it: no mask for a single address. */
export function listNetwork(family: Family, network: Network): string {
  const single = network.mask.every((word, i) => word === (family === 4 && i > 0 ? 0 : 0xffffffff));
  return single ? formatAddress(family, network.address) : formatNetwork(family, network);
}

/** Whether `(address & mask) == (network & mask)`; the words a family does not use are zero in the mask. */
export function inNetwork(address: Uint32Array, network: Network): boolean {
  const { mask } = network;
  for (let i = 0; i < 4; i++) {
    if ((((address[i] as number) ^ (network.address[i] as number)) & (mask[i] as number)) !== 0) return false;
  }
  return true;
}

/** Negative, zero or positive as `a` is below, equal to or above `b`, taken as numbers. */
export function compareAddresses(a: Uint32Array, b: Uint32Array): number {
  for (let i = 0; i < 4; i++) {
    const difference = (a[i] as number) - (b[i] as number);
    if (difference !== 0) return difference;
  }
  return 0;
}
