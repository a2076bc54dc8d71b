/** Looking for an extension header as the kernel does (ipv6_find_hdr), for the matches that ask about one. */
import { IPV6_HEADER, IPV6_NEXT_HEADER, isExtensionHeader, NEXTHDR_AUTH, NEXTHDR_FRAGMENT } from '../../packet/ipv6.js';
import type { PacketContext } from '../context.js';

/** There is no such header. */
export const NO_HEADER = -1;
/** The headers are cut before it could be found. */
const CUT = -2;

function search({ view, l3, end }: PacketContext, wanted: number): number {
  let protocol = view.getUint8(l3 + IPV6_NEXT_HEADER);
  let at = l3 + IPV6_HEADER;
  for (;;) {
    if (!isExtensionHeader(protocol)) return NO_HEADER;
    if (at + 2 > end || (protocol === NEXTHDR_FRAGMENT && at + 4 > end)) return CUT;
    if (protocol === wanted) return at;
    // What follows in a later fragment is no header.
    if (protocol === NEXTHDR_FRAGMENT && (view.getUint16(at + 2) & 0xfff8) !== 0) return NO_HEADER;
    const next = view.getUint8(at);
    at += headerLength(view, at, protocol);
    protocol = next;
  }
}

export function headerLength(view: DataView, at: number, protocol: number): number {
  if (protocol === NEXTHDR_FRAGMENT) return 8;
  const units = view.getUint8(at + 1);
  return protocol === NEXTHDR_AUTH ? (units + 2) << 2 : (units + 1) << 3;
}

/**
 * Offset of the first header `wanted` of which `length` bytes are there; NO_HEADER if there is none, and if it is cut,
 * in which case the packet is dropped.
 */
export function findHeader(packet: PacketContext, wanted: number, length: number): number {
  const at = search(packet, wanted);
  if (at === NO_HEADER) return NO_HEADER;
  if (at !== CUT && at + length <= packet.end) return at;
  packet.hotDrop();
  return NO_HEADER;
}
