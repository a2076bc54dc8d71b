/** Cutting an IPv6 datagram that came in fragments into fragments again (kernel: ip6_fragment). */
import {
  IPV6_HEADER,
  IPV6_NEXT_HEADER,
  IPV6_PAYLOAD_LENGTH,
  NEXTHDR_DEST,
  NEXTHDR_FRAGMENT,
  NEXTHDR_HOP,
  NEXTHDR_ROUTING,
} from '../../packet/ipv6.js';
import { cutAnew, type Fragmentable, keptCuts, type OutputFragment } from './fragment.js';
import { capturedFrom, type FragmentLayout } from './ipv4.js';
import { FRAGMENT_HEADER } from './ipv6.js';
import type { Piece } from './queue.js';

/** Every link carries this much (RFC 8200 section 5). */
const MIN_MTU = 1280;

/**
 * Fragments of a datagram in order; undefined: it is too short to be cut, though it came in fragments. `id`: their new
 * identification. `linear`: bytes behind the IPv6 header that lie in the first buffer (see linear.ts).
 */
export function fragmentIpv6(
  datagram: Fragmentable,
  layout: FragmentLayout,
  linear: number,
  id: () => number,
): OutputFragment[] | undefined {
  const { view, l3, totalLength } = datagram;
  if (totalLength <= layout.maxSize) return undefined;
  const { headerLength, nextAt } = unfragmentablePart(view, l3, datagram.end);
  const protocol = view.getUint8(nextAt);
  const length = totalLength - headerLength;
  const room = Math.max(layout.maxSize, MIN_MTU) - headerLength - FRAGMENT_HEADER;
  const pieces = movedPieces(layout, headerLength);
  const cuts = keptCuts(pieces, Math.min(length, IPV6_HEADER + linear - headerLength), room) ?? cutAnew(length, room);
  const identification = id();
  return cuts.map((cut, k) => {
    const from = l3 + headerLength;
    const captured = capturedFrom(pieces, cut.offset, cut.end);
    const bytes = new Uint8Array(headerLength + FRAGMENT_HEADER + captured);
    bytes.set(datagram.bytes.subarray(l3, from));
    bytes.set(datagram.bytes.subarray(from + cut.offset, from + cut.offset + captured), headerLength + FRAGMENT_HEADER);
    const header = new DataView(bytes.buffer);
    header.setUint16(IPV6_PAYLOAD_LENGTH, headerLength - IPV6_HEADER + FRAGMENT_HEADER + cut.end - cut.offset);
    header.setUint8(nextAt - l3, NEXTHDR_FRAGMENT);
    header.setUint8(headerLength, protocol);
    header.setUint16(headerLength + 2, cut.offset | (k + 1 < cuts.length ? 1 : 0));
    header.setUint32(headerLength + 4, identification);
    return { bytes, length: headerLength + FRAGMENT_HEADER + cut.end - cut.offset };
  });
}

/** What the kernel puts before the fragment header may be more or less than the sender did: cuts move with it. */
function movedPieces(layout: FragmentLayout, headerLength: number): Piece[] {
  const by = (layout.headerLength ?? headerLength) - headerLength;
  return layout.pieces.map(({ offset, end, bytes }) => ({
    offset: offset === 0 ? 0 : offset + by,
    end: end + by,
    bytes: offset === 0 && by !== 0 ? new Uint8Array(Math.max(0, bytes.length + by)) : bytes,
  }));
}

/** Headers that stay in front of the fragment header (kernel: ip6_find_1stfragopt). */
function unfragmentablePart(
  view: DataView,
  ip: number,
  end: number,
): { readonly headerLength: number; readonly nextAt: number } {
  let nextAt = ip + IPV6_NEXT_HEADER;
  let at = ip + IPV6_HEADER;
  let routing = false;
  for (; at + 2 <= end; at += (view.getUint8(at + 1) + 1) << 3) {
    const protocol = view.getUint8(nextAt);
    if (protocol === NEXTHDR_ROUTING) routing = true;
    // Destination options before a routing header are for every hop on its list.
    else if (protocol !== NEXTHDR_HOP && (protocol !== NEXTHDR_DEST || routing)) break;
    nextAt = at;
  }
  return { headerLength: at - ip, nextAt };
}
