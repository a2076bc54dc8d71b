/**
 * Cutting an IPv4 datagram into fragments on its way out (kernel: ip_fragment, ip_do_fragment): one that came in
 * fragments leaves in the same ones as long as that is possible, any other is cut to the MTU.
 */
import {
  IPV4_DF,
  IPV4_FLAGS_OFFSET,
  IPV4_MF,
  IPV4_TOTAL_LENGTH,
  ipv4FragmentOffset,
  ipv4HeaderLength,
} from '../../packet/ipv4.js';
import { blankUncopiedOptions } from '../ipoptions.js';
import { capturedFrom, type FragmentLayout, writeHeaderChecksum } from './ipv4.js';
import type { Piece } from './queue.js';

/** A datagram to be cut. */
export interface Fragmentable {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly l3: number;
  readonly end: number;
  readonly totalLength: number;
}

/** A fragment from its IP header on: as much of it as the capture holds. */
export interface OutputFragment {
  readonly bytes: Uint8Array;
  /** Its total length. */
  readonly length: number;
}

interface Cut {
  readonly offset: number;
  readonly end: number;
}

/**
 * Fragments of a datagram in order, one at least. `layout`: how it came, undefined if in one piece. `linear`: payload
 * bytes that the way through the host has drawn into the first buffer (kernel: pskb_may_pull), which moves the first cut.
 */
export function fragmentIpv4(
  datagram: Fragmentable,
  mtu: number,
  layout: FragmentLayout | undefined,
  linear: number,
): OutputFragment[] {
  const { view, l3, totalLength } = datagram;
  const headerLength = ipv4HeaderLength(view, l3);
  const length = totalLength - headerLength;
  const room = Math.min(mtu, layout?.maxSize ?? mtu) - headerLength;
  const kept = layout === undefined ? undefined : keptCuts(layout.pieces, Math.min(linear, length), room);
  const df = kept === undefined && layout?.findsMtu === true ? IPV4_DF : 0;
  const cuts = kept ?? cutAnew(length, room);
  // A fragment that is cut again keeps its place in the datagram.
  const base = ipv4FragmentOffset(view, l3);
  const moreBehind = view.getUint16(l3 + IPV4_FLAGS_OFFSET) & IPV4_MF;
  return cuts.map((cut, k) => {
    const l4 = l3 + headerLength;
    const captured =
      layout === undefined
        ? Math.max(0, Math.min(datagram.end - l4, cut.end) - cut.offset)
        : capturedFrom(layout.pieces, cut.offset, cut.end);
    const bytes = new Uint8Array(headerLength + captured);
    bytes.set(datagram.bytes.subarray(l3, l4));
    bytes.set(datagram.bytes.subarray(l4 + cut.offset, l4 + cut.offset + captured), headerLength);
    const header = new DataView(bytes.buffer);
    const more = k + 1 < cuts.length ? IPV4_MF : moreBehind;
    header.setUint16(IPV4_TOTAL_LENGTH, headerLength + cut.end - cut.offset);
    header.setUint16(IPV4_FLAGS_OFFSET, df | more | ((base + cut.offset) >> 3));
    if (k > 0 && base === 0) blankUncopiedOptions(bytes, headerLength);
    writeHeaderChecksum(header, 0, headerLength);
    return { bytes, length: headerLength + cut.end - cut.offset };
  });
}

/** The cuts of the fragments as they came, if each of them still makes a sound fragment; else undefined. */
export function keptCuts(pieces: readonly Piece[], linear: number, room: number): readonly Cut[] | undefined {
  const cuts: Cut[] = [];
  pieces.forEach(({ offset, end }, k) => {
    if (k === 0) cuts.push({ offset, end: Math.max(end, linear) });
    else if (end > linear) cuts.push({ offset: Math.max(offset, linear), end });
  });
  const fits = cuts.every(({ offset, end }, k) => {
    const length = end - offset;
    return length <= room && (length % 8 === 0 || (k > 0 && k === cuts.length - 1));
  });
  return fits && cuts.length > 1 ? cuts : undefined;
}

export function cutAnew(length: number, room: number): Cut[] {
  const cuts: Cut[] = [];
  // Links of an MTU below a header and eight bytes do not exist (RFC 791 section 3.2: 68).
  const step = Math.max(8, room & ~7);
  let offset = 0;
  while (length - offset > room && length - offset > step) {
    cuts.push({ offset, end: offset + step });
    offset += step;
  }
  cuts.push({ offset, end: length });
  return cuts;
}
