/** The identification of IPv6 fragments: the kernel draws a new one for each datagram that it cuts. */
import {
  IPV6_HEADER,
  IPV6_NEXT_HEADER,
  NEXTHDR_DEST,
  NEXTHDR_FRAGMENT,
  NEXTHDR_HOP,
  NEXTHDR_ROUTING,
} from '../packet/ipv6.js';

const IDENTIFICATION = 4;
const SKIPPED = new Set([NEXTHDR_HOP, NEXTHDR_ROUTING, NEXTHDR_DEST]);

/**
 * An allowance for `compareOutputs`: the identification that the kernel drew is as good as the predicted one, if all
 * fragments that leave because of one input have the same.
 */
export function fragmentIds(): (input: number, kernel: Uint8Array, predicted: Uint8Array) => boolean {
  let current = -1;
  let drawn: number | undefined;
  return (input, kernel, predicted) => {
    if (!differInFragmentIdOnly(kernel, predicted)) return false;
    const id = Buffer.from(kernel.buffer, kernel.byteOffset, kernel.length).readUInt32BE(identificationAt(kernel) ?? 0);
    if (input !== current) drawn = undefined;
    current = input;
    drawn ??= id;
    return id === drawn;
  };
}

/** True for two IPv6 fragments, from their IP headers on, that differ in nothing but their identification. */
export function differInFragmentIdOnly(a: Uint8Array, b: Uint8Array): boolean {
  const at = identificationAt(a);
  if (at === undefined || at !== identificationAt(b)) return false;
  const same = (from: number, to?: number): boolean => Buffer.compare(a.subarray(from, to), b.subarray(from, to)) === 0;
  return same(0, at) && same(at + 4);
}

/** Offset of the identification of an IPv6 fragment, a packet from its IP header on; undefined for others. */
export function identificationAt(packet: Uint8Array): number | undefined {
  if ((packet[0] ?? 0) >> 4 !== 6) return undefined;
  let next = packet[IPV6_NEXT_HEADER] ?? 0;
  let at = IPV6_HEADER;
  while (SKIPPED.has(next) && at + 8 <= packet.length) {
    next = packet[at] ?? 0;
    at += ((packet[at + 1] ?? 0) + 1) << 3;
  }
  return next === NEXTHDR_FRAGMENT && at + 8 <= packet.length ? at + IDENTIFICATION : undefined;
}
