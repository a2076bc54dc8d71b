/** Copies pcapng blocks of either byte order into a little-endian section, with other interface numbers. */
import {
  BLOCK_ENHANCED,
  BLOCK_HEADER,
  BLOCK_INTERFACE,
  BLOCK_NAMES,
  BLOCK_PACKET,
  BLOCK_STATISTICS,
  INTERFACE_LINKTYPE,
  INTERFACE_OPTIONS,
  INTERFACE_SNAPLEN,
  OPTION_END,
  OPTION_IF_TSOFFSET,
  OPTION_PACKET_FLAGS,
  PACKET_CAPTURED,
  PACKET_FRAME,
  PACKET_INTERFACE,
  PACKET_ON_WIRE,
  PACKET_TIME_HIGH,
  PACKET_TIME_LOW,
  pad4,
  STATISTICS_INTERFACE,
} from './pcapng.js';

export const BLOCK_SECRETS = 10;
const BLOCK_CUSTOM = 0xbad;
const BLOCK_CUSTOM_NOT_COPIED = 0x40000bad;

/** Options whose value begins with the number of an enterprise. */
const CUSTOM_OPTIONS: ReadonlySet<number> = new Set([2988, 2989, 19372, 19373]);

/** Widths of the numbers in option values, by option code; other values are bytes or text. */
type OptionNumbers = ReadonlyMap<number, readonly (4 | 8)[]>;

const PACKET_NUMBERS: OptionNumbers = new Map([
  [OPTION_PACKET_FLAGS, [4]],
  [4, [8]], // epb_dropcount
  [5, [8]], // epb_packetid
  [6, [4]], // epb_queue
]);
const INTERFACE_NUMBERS: OptionNumbers = new Map([
  [8, [8]], // if_speed
  [10, [4]], // if_tzone
  [OPTION_IF_TSOFFSET, [8]],
  [16, [8]], // if_txspeed
  [17, [8]], // if_rxspeed
]);
const STATISTICS_NUMBERS: OptionNumbers = new Map([
  [2, [4, 4]], // isb_starttime, high and low word
  [3, [4, 4]], // isb_endtime
  [4, [8]],
  [5, [8]],
  [6, [8]],
  [7, [8]],
  [8, [8]],
]);
const NO_NUMBERS: OptionNumbers = new Map();

/**
 * A little-endian copy of the block in `block`, which is big-endian if `bigEndian`, with the interface it refers to
 * renumbered by `renumber`. Undefined for a big-endian block of a type whose fields are not known.
 */
export function transcodeBlock(
  block: Uint8Array,
  bigEndian: boolean,
  renumber: (interfaceId: number) => number,
): Uint8Array | undefined {
  // A plain copy, whatever memory the block is in.
  const bytes = new Uint8Array(block);
  const view = new DataView(bytes.buffer);
  if (bigEndian && !swapBlock(view)) return undefined;
  const type = view.getUint32(0, true);
  if (type === BLOCK_ENHANCED) {
    view.setUint32(PACKET_INTERFACE, renumber(view.getUint32(PACKET_INTERFACE, true)), true);
  } else if (type === BLOCK_PACKET) {
    view.setUint16(PACKET_INTERFACE, renumber(view.getUint16(PACKET_INTERFACE, true)), true);
  } else if (type === BLOCK_STATISTICS && bytes.length >= STATISTICS_INTERFACE + 8) {
    view.setUint32(STATISTICS_INTERFACE, renumber(view.getUint32(STATISTICS_INTERFACE, true)), true);
  }
  return bytes;
}

/** Turns a big-endian block into a little-endian one in place; false if its type is not known. */
function swapBlock(view: DataView): boolean {
  const end = view.byteLength - 4;
  const type = view.getUint32(0, false);
  switch (type) {
    case BLOCK_ENHANCED:
    case BLOCK_PACKET: {
      const options = PACKET_FRAME + pad4(view.getUint32(PACKET_CAPTURED, false));
      if (type === BLOCK_ENHANCED) swap32(view, PACKET_INTERFACE);
      else swap16(view, PACKET_INTERFACE, PACKET_INTERFACE + 2);
      swap32(view, PACKET_TIME_HIGH, PACKET_TIME_LOW, PACKET_CAPTURED, PACKET_ON_WIRE);
      swapOptions(view, options, end, PACKET_NUMBERS);
      break;
    }
    case BLOCK_INTERFACE:
      swap16(view, INTERFACE_LINKTYPE);
      swap32(view, INTERFACE_SNAPLEN);
      swapOptions(view, INTERFACE_OPTIONS, end, INTERFACE_NUMBERS);
      break;
    case BLOCK_STATISTICS:
      if (view.byteLength < STATISTICS_INTERFACE + 16) return false;
      swap32(view, STATISTICS_INTERFACE, STATISTICS_INTERFACE + 4, STATISTICS_INTERFACE + 8);
      swapOptions(view, STATISTICS_INTERFACE + 12, end, STATISTICS_NUMBERS);
      break;
    case BLOCK_NAMES:
      // Records are laid out as options are: type, length, value, an end mark; then come the options.
      swapOptions(view, swapOptions(view, BLOCK_HEADER, end, NO_NUMBERS), end, NO_NUMBERS);
      break;
    case BLOCK_SECRETS: {
      if (view.byteLength < BLOCK_HEADER + 12) return false;
      const options = BLOCK_HEADER + 8 + pad4(view.getUint32(BLOCK_HEADER + 4, false));
      swap32(view, BLOCK_HEADER, BLOCK_HEADER + 4);
      swapOptions(view, options, end, NO_NUMBERS);
      break;
    }
    case BLOCK_CUSTOM:
    case BLOCK_CUSTOM_NOT_COPIED:
      if (view.byteLength < BLOCK_HEADER + 8) return false;
      swap32(view, BLOCK_HEADER);
      break;
    default:
      return false;
  }
  swap32(view, 0, 4, end);
  return true;
}

/** Swaps a list of options; returns the offset after its end mark. */
function swapOptions(view: DataView, from: number, to: number, numbers: OptionNumbers): number {
  let at = from;
  while (at + 4 <= to) {
    const code = view.getUint16(at, false);
    const length = view.getUint16(at + 2, false);
    swap16(view, at, at + 2);
    at += 4;
    if (code === OPTION_END) return at;
    if (at + length > to) return to;
    swapValue(view, at, length, CUSTOM_OPTIONS.has(code) ? [4] : (numbers.get(code) ?? []));
    at += pad4(length);
  }
  return to;
}

function swapValue(view: DataView, from: number, length: number, widths: readonly (4 | 8)[]): void {
  let at = from;
  for (const width of widths) {
    if (at + width > from + length) return;
    if (width === 4) swap32(view, at);
    else view.setBigUint64(at, view.getBigUint64(at, false), true);
    at += width;
  }
}

function swap16(view: DataView, ...offsets: number[]): void {
  for (const at of offsets) view.setUint16(at, view.getUint16(at, false), true);
}

function swap32(view: DataView, ...offsets: number[]): void {
  for (const at of offsets) view.setUint32(at, view.getUint32(at, false), true);
}
