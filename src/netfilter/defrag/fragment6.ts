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
 * Bytes by which the headers of a later fragment may grow: the room in front of a received frame (NET_SKB_PAD: 64, the
 * least there is) and its Ethernet header, less what the interface it leaves by keeps for its own (LL_RESERVED_SPACE).
 */
const ROOM_IN_FRONT = 64;

/** Headers that stay in front lie partly outside the first buffer, so they are not found (ip6_find_1stfragopt: EINVAL). */
export type CutFault = 'fragment-headers-cut';

/**
 * Fragments of a datagram in order; undefined: it is too short to be cut, though it came in fragments. `id`: their new
 * identification. `linear`: bytes behind the IPv6 header that have been drawn into the first buffer (see linear.ts), which
 * holds the first fragment in any case.
 */
export function fragmentIpv6(
  datagram: Fragmentable,
  layout: FragmentLayout,
  linear: number,
  id: () => number,
): OutputFragment[] | CutFault | undefined {
  const { view, l3, totalLength } = datagram;
  if (totalLength <= layout.maxSize) return undefined;
  const firstBuffer = Math.max(IPV6_HEADER + linear, (layout.headerLength ?? 0) + (layout.pieces[0]?.end ?? 0));
  const unfragmentable = unfragmentablePart(view, l3, datagram.end, l3 + firstBuffer);
  if (unfragmentable === undefined) return 'fragment-headers-cut';
  const { headerLength, nextAt } = unfragmentable;
  const protocol = view.getUint8(nextAt);
  const length = totalLength - headerLength;
  const room = Math.max(layout.maxSize, MIN_MTU) - headerLength - FRAGMENT_HEADER;
  const pieces = movedPieces(layout, headerLength);
  const fits = headerLength - (layout.headerLength ?? headerLength) <= ROOM_IN_FRONT;
  const kept = fits ? keptCuts(pieces, Math.min(length, IPV6_HEADER + linear - headerLength), room) : undefined;
  const cuts = kept ?? cutAnew(length, room);
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

/**
 * Headers that stay in front of the fragment header (kernel: ip6_find_1stfragopt); undefined if they go on behind
 * `bufferEnd`. `end`: of what was captured.
 */
function unfragmentablePart(
  view: DataView,
  ip: number,
  end: number,
  bufferEnd: number,
): { readonly headerLength: number; readonly nextAt: number } | undefined {
  let nextAt = ip + IPV6_NEXT_HEADER;
  let at = ip + IPV6_HEADER;
  let routing = false;
  while (at <= bufferEnd) {
    const protocol = view.getUint8(nextAt);
    if (protocol === NEXTHDR_ROUTING) routing = true;
    // Destination options before a routing header are for every hop on its list.
    else if (protocol !== NEXTHDR_HOP && (protocol !== NEXTHDR_DEST || routing))
      return { headerLength: at - ip, nextAt };
    if (at + 2 > bufferEnd) return undefined;
    if (at + 2 > end) return { headerLength: at - ip, nextAt };
    nextAt = at;
    at += (view.getUint8(at + 1) + 1) << 3;
  }
  return undefined;
}
