/** Puts the records of a pcap slab that go out side by side. */
import { capturedLengths, ends, frames, outputs, starts, wireLengths } from './columns';

/** Records that the last `pack` put together. */
let packed: i32 = 0;

export function packedRecords(): i32 {
  return packed;
}

/**
 * Moves the records of a pcap slab that go out side by side, from its first byte on, in order, and returns where the last
 * ends. The headers of those that were shortened are made right. `bigEndian`: byte order of the record headers.
 */
export function pack(slabAt: usize, count: i32, anyShortened: bool, bigEndian: bool): i32 {
  let to = slabAt;
  let from = slabAt;
  let until = slabAt;
  packed = 0;
  for (let i = 0; i < count; i++) {
    const column = (<usize>i) << 2;
    if (load<i32>(outputs + column) === -1) continue;
    packed++;
    const start = slabAt + <usize>load<i32>(starts + column);
    if (start !== until) {
      to = moved(to, from, until);
      from = start;
    }
    until = slabAt + <usize>load<i32>(ends + column);
    if (anyShortened) until = shorten(start, slabAt, column, until, bigEndian);
  }
  to = moved(to, from, until);
  return <i32>(to - slabAt);
}

function moved(to: usize, from: usize, until: usize): usize {
  if (to !== from) memory.copy(to, from, until - from);
  return to + (until - from);
}

/** As shortenPcapRecord of capture/write/shorten: the header's lengths are lowered to those of the columns. */
function shorten(start: usize, slabAt: usize, column: usize, end: usize, bigEndian: bool): usize {
  const frame = slabAt + <usize>load<i32>(frames + column);
  const captured = load<u32>(capturedLengths + column);
  const first = load<u32>(start, 8);
  // Files of old versions may have the lengths the other way round.
  const swapped = (bigEndian ? bswap<u32>(first) : first) !== <u32>(end - frame);
  lower(start + (swapped ? 12 : 8), captured, bigEndian);
  lower(start + (swapped ? 8 : 12), load<u32>(wireLengths + column), bigEndian);
  return frame + <usize>captured;
}

function lower(at: usize, length: u32, bigEndian: bool): void {
  const stored = load<u32>(at);
  const stated = bigEndian ? bswap<u32>(stored) : stored;
  if (length >= stated) return;
  store<u32>(at, bigEndian ? bswap<u32>(length) : length);
}
