/**
 * The pcapng format (draft-ietf-opsawg-pcapng): blocks, in the byte order of the section header before them.
 *
 *    0      4        8                      length-4   length
 *   | type | length | body ... padded to 4 |  length  |
 */

export const BLOCK_SECTION = 0x0a0d0d0a;
export const BLOCK_INTERFACE = 1;
/** Obsolete packet block. */
export const BLOCK_PACKET = 2;
export const BLOCK_SIMPLE = 3;
export const BLOCK_NAMES = 4;
export const BLOCK_STATISTICS = 5;
export const BLOCK_ENHANCED = 6;

export const BYTE_ORDER_MAGIC = 0x1a2b3c4d;

/** Length of a block with an empty body. */
export const BLOCK_OVERHEAD = 12;
/** Length before the body. */
export const BLOCK_HEADER = 8;

/** Section header: byte-order magic, version, section length, options. */
export const SECTION_MAGIC = 8;
export const SECTION_MAJOR = 12;
export const SECTION_LENGTH = 16;
export const SECTION_MINIMUM = 28;

/** Interface description: link type, reserved, snaplen, options. */
export const INTERFACE_LINKTYPE = 8;
export const INTERFACE_SNAPLEN = 12;
export const INTERFACE_OPTIONS = 16;
export const INTERFACE_MINIMUM = 20;

/** Enhanced packet block, and obsolete packet block but for its interface number of 16 bits and drop count. */
export const PACKET_INTERFACE = 8;
export const PACKET_TIME_HIGH = 12;
export const PACKET_TIME_LOW = 16;
export const PACKET_CAPTURED = 20;
export const PACKET_ON_WIRE = 24;
export const PACKET_FRAME = 28;
export const PACKET_MINIMUM = 32;

/** Simple packet block. */
export const SIMPLE_ON_WIRE = 8;
export const SIMPLE_FRAME = 12;
export const SIMPLE_MINIMUM = 16;

/** Interface statistics block. */
export const STATISTICS_INTERFACE = 8;
export const STATISTICS_MINIMUM = 24;

export const OPTION_END = 0;
export const OPTION_COMMENT = 1;
export const OPTION_IF_NAME = 2;
export const OPTION_IF_TSRESOL = 9;
export const OPTION_IF_FCSLEN = 13;
export const OPTION_IF_TSOFFSET = 14;
/** epb_flags and pack_flags. */
export const OPTION_PACKET_FLAGS = 2;

/** if_tsresol of an interface that does not state it: microseconds. */
export const DEFAULT_TSRESOL = 6;

export function pad4(length: number): number {
  return (length + 3) & ~3;
}

/** Calls `visit` for each option of `bytes[from..to)` until the end mark; options that overrun end the walk. */
export function visitOptions(
  view: DataView,
  from: number,
  to: number,
  littleEndian: boolean,
  visit: (code: number, at: number, length: number) => void,
): void {
  let at = from;
  while (at + 4 <= to) {
    const code = view.getUint16(at, littleEndian);
    const length = view.getUint16(at + 2, littleEndian);
    if (code === OPTION_END || at + 4 + length > to) return;
    visit(code, at + 4, length);
    at += 4 + pad4(length);
  }
}

/** What an interface description block says. */
export interface InterfaceDescription {
  readonly name: string | undefined;
  readonly linkType: number;
  readonly snaplen: number;
  readonly tsresol: number;
  readonly tsoffset: bigint;
  /** Length of the check sequence that frames end with, as stated. */
  readonly fcslen?: number | undefined;
}

/** Reads the interface description block at `view[at..at+length)`. */
export function parseInterface(
  view: DataView,
  at: number,
  length: number,
  littleEndian: boolean,
): InterfaceDescription {
  let name: string | undefined;
  let tsresol = DEFAULT_TSRESOL;
  let tsoffset = 0n;
  let fcslen: number | undefined;
  visitOptions(view, at + INTERFACE_OPTIONS, at + length - 4, littleEndian, (code, value, size) => {
    if (code === OPTION_IF_NAME && name === undefined) name = textAt(view, value, size);
    else if (code === OPTION_IF_TSRESOL && size >= 1) tsresol = view.getUint8(value);
    else if (code === OPTION_IF_FCSLEN && size >= 1) fcslen = view.getUint8(value);
    else if (code === OPTION_IF_TSOFFSET && size >= 8) tsoffset = view.getBigInt64(value, littleEndian);
  });
  return {
    name,
    linkType: view.getUint16(at + INTERFACE_LINKTYPE, littleEndian),
    snaplen: view.getUint32(at + INTERFACE_SNAPLEN, littleEndian),
    tsresol,
    tsoffset,
    fcslen,
  };
}

/**
 * Bytes of check sequence that frames of an interface end with. The specification says bits and gives 4 as its example;
 * writers state either.
 */
export function frameCheckBytes({ fcslen = 0 }: InterfaceDescription): number {
  return fcslen > 8 ? fcslen >> 3 : fcslen;
}

/** Makes an interface description block state, where it lies, that frames have no check sequence. */
export function clearFrameCheck(view: DataView, at: number, length: number, littleEndian: boolean): void {
  visitOptions(view, at + INTERFACE_OPTIONS, at + length - 4, littleEndian, (code, value, size) => {
    if (code === OPTION_IF_FCSLEN && size >= 1) view.setUint8(value, 0);
  });
}

/** UTF-8 text up to the first NUL, which some writers end strings with. */
function textAt(view: DataView, at: number, length: number): string {
  // A copy: text cannot be decoded from shared memory.
  const bytes = new Uint8Array(view.buffer, view.byteOffset + at, length).slice();
  const end = bytes.indexOf(0);
  return new TextDecoder().decode(end < 0 ? bytes : bytes.subarray(0, end));
}

/** An option to be written. */
export interface Option {
  readonly code: number;
  readonly value: Uint8Array;
}

/** A whole block: `body` (its length a multiple of 4 with `options` left out), then the options, if any. */
export function buildBlock(
  type: number,
  body: Uint8Array,
  options: readonly Option[],
  littleEndian: boolean,
): Uint8Array {
  const optionBytes = options.reduce((sum, { value }) => sum + 4 + pad4(value.length), 0);
  const length = BLOCK_OVERHEAD + pad4(body.length) + optionBytes + (options.length > 0 ? 4 : 0);
  const bytes = new Uint8Array(length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, type, littleEndian);
  view.setUint32(4, length, littleEndian);
  bytes.set(body, BLOCK_HEADER);
  let at = BLOCK_HEADER + pad4(body.length);
  for (const { code, value } of options) {
    view.setUint16(at, code, littleEndian);
    view.setUint16(at + 2, value.length, littleEndian);
    bytes.set(value, at + 4);
    at += 4 + pad4(value.length);
  }
  view.setUint32(length - 4, length, littleEndian);
  return bytes;
}

/** A section header of unstated length, version 1.0, little-endian. */
export function buildSection(): Uint8Array {
  const body = new Uint8Array(16);
  const view = new DataView(body.buffer);
  view.setUint32(0, BYTE_ORDER_MAGIC, true);
  view.setUint16(4, 1, true);
  view.setBigInt64(8, -1n, true);
  return buildBlock(BLOCK_SECTION, body, [], true);
}

/** An interface description block; what has its default value is left out. */
export function buildInterface(description: InterfaceDescription, littleEndian: boolean): Uint8Array {
  const body = new Uint8Array(8);
  const view = new DataView(body.buffer);
  view.setUint16(0, description.linkType, littleEndian);
  view.setUint32(4, description.snaplen, littleEndian);
  const options: Option[] = [];
  if (description.name !== undefined) {
    options.push({ code: OPTION_IF_NAME, value: new TextEncoder().encode(description.name) });
  }
  if (description.tsresol !== DEFAULT_TSRESOL) {
    options.push({ code: OPTION_IF_TSRESOL, value: Uint8Array.of(description.tsresol) });
  }
  if (description.fcslen !== undefined) {
    options.push({ code: OPTION_IF_FCSLEN, value: Uint8Array.of(description.fcslen) });
  }
  if (description.tsoffset !== 0n) {
    const value = new Uint8Array(8);
    new DataView(value.buffer).setBigInt64(0, description.tsoffset, littleEndian);
    options.push({ code: OPTION_IF_TSOFFSET, value });
  }
  return buildBlock(BLOCK_INTERFACE, body, options, littleEndian);
}

/** What a packet block says beyond its frame. */
export interface PacketContent {
  readonly interfaceId: number;
  readonly time: bigint;
  readonly wireLength: number;
  readonly frame: Uint8Array;
}

/** An enhanced packet block without options. */
export function buildPacket(packet: PacketContent, littleEndian: boolean): Uint8Array {
  const { interfaceId, time, wireLength, frame } = packet;
  const body = new Uint8Array(PACKET_FRAME - BLOCK_HEADER + frame.length);
  const view = new DataView(body.buffer);
  view.setUint32(PACKET_INTERFACE - BLOCK_HEADER, interfaceId, littleEndian);
  view.setUint32(PACKET_TIME_HIGH - BLOCK_HEADER, Number(time >> 32n), littleEndian);
  view.setUint32(PACKET_TIME_LOW - BLOCK_HEADER, Number(time & 0xffffffffn), littleEndian);
  view.setUint32(PACKET_CAPTURED - BLOCK_HEADER, frame.length, littleEndian);
  view.setUint32(PACKET_ON_WIRE - BLOCK_HEADER, wireLength, littleEndian);
  body.set(frame, PACKET_FRAME - BLOCK_HEADER);
  return buildBlock(BLOCK_ENHANCED, body, [], littleEndian);
}

/** The timestamp of a packet block: units of the interface's resolution since its offset, as 64 bits. */
export function encodeTime(seconds: number, nanoseconds: number, tsresol: number, tsoffset: bigint): bigint {
  const whole = BigInt(seconds) - tsoffset;
  const units = tsresol >= 0x80 ? 1n << BigInt(tsresol & 0x7f) : 10n ** BigInt(tsresol);
  return BigInt.asUintN(64, whole * units + (BigInt(nanoseconds) * units) / 1_000_000_000n);
}
