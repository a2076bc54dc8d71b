/**
 * Makes records whose columns were shortened (`RecordColumns.shorten`) so in the slab's bytes, each where it lies. A
 * record's place, `start..end`, stays what it was: only part of it is written, and the gap is closed as that of a
 * record left out is. To be called once for each record that is written, shortened or not.
 */
import { CAPTURED, ON_WIRE } from '../pcap.js';
import { BLOCK_SIMPLE, PACKET_CAPTURED, PACKET_ON_WIRE, pad4, SIMPLE_ON_WIRE } from '../pcapng.js';
import type { Slab } from '../slab.js';

/** A pcap record; returns the offset just past what is to be written of it. */
export function shortenPcapRecord(slab: Slab, i: number, bigEndian: boolean): number {
  const { view, records } = slab;
  const at = records.start[i] as number;
  const frame = records.frame[i] as number;
  const captured = records.capturedLength[i] as number;
  const stated = (records.end[i] as number) - frame;
  // Files of old versions may have the lengths the other way round. When both are the same, so are the shorter ones,
  // as a frame was captured whole and stays so.
  const swapped = view.getUint32(at + CAPTURED, !bigEndian) !== stated;
  lower(view, at + (swapped ? ON_WIRE : CAPTURED), captured, !bigEndian);
  lower(view, at + (swapped ? CAPTURED : ON_WIRE), records.wireLength[i] as number, !bigEndian);
  return frame + captured;
}

/** A packet block of pcapng, whose options and trailing length move up; returns the offset just past it. */
export function shortenPacketBlock(slab: Slab, i: number, littleEndian: boolean): number {
  const { view, records } = slab;
  const at = records.start[i] as number;
  const end = records.end[i] as number;
  const frame = records.frame[i] as number;
  const captured = records.capturedLength[i] as number;
  const wire = records.wireLength[i] as number;
  if (view.getUint32(at, littleEndian) === BLOCK_SIMPLE) {
    // Its captured length is not stated: it follows from the one on the wire and from the block's.
    const stated = view.getUint32(at + SIMPLE_ON_WIRE, littleEndian);
    if (wire >= stated) return end;
    view.setUint32(at + SIMPLE_ON_WIRE, wire, littleEndian);
    return closeBlock(slab, at, frame + captured, end - 4, end, littleEndian);
  }
  const stated = view.getUint32(at + PACKET_CAPTURED, littleEndian);
  lower(view, at + PACKET_ON_WIRE, wire, littleEndian);
  if (captured >= stated) return end;
  view.setUint32(at + PACKET_CAPTURED, captured, littleEndian);
  return closeBlock(slab, at, frame + captured, frame + pad4(stated), end, littleEndian);
}

/**
 * Moves `rest..end` of the block at `at` (its options, and its length once more) to where its frame now ends, and makes
 * its lengths right; returns its new end.
 */
function closeBlock(
  { view, bytes }: Slab,
  at: number,
  frameEnd: number,
  rest: number,
  end: number,
  littleEndian: boolean,
): number {
  // Counted from the block's start, which need not be a multiple of 4 in the slab.
  const to = at + pad4(frameEnd - at);
  bytes.fill(0, frameEnd, to);
  const gap = rest - to;
  if (gap > 0) bytes.copyWithin(to, rest, end);
  const length = end - gap - at;
  view.setUint32(at + 4, length, littleEndian);
  view.setUint32(at + length - 4, length, littleEndian);
  return at + length;
}

/** Columns hold lengths up to 2^31 - 1: a larger one that was not lowered stays as it is stated. */
function lower(view: DataView, at: number, length: number, littleEndian: boolean): void {
  if (length < view.getUint32(at, littleEndian)) view.setUint32(at, length, littleEndian);
}
