/**
 * A slab: a large block of a capture, in shared memory, that ends at a record boundary. Packets are translated where
 * they lie and the slab is written out again as it is: no copy and no object per packet.
 *
 *   bytes  [ ...carry | begin ................................... end | free ]
 *                       block | record 0 | record 1 | block | record 2
 *
 * Every byte of begin..end belongs to a record (`records.start[i]` .. `records.end[i]`) or, in the gaps between
 * records, to pcapng blocks that are not packets (section headers, interface descriptions, names, statistics).
 */

import { type Allocator, separately } from '../workspace.js';

/** How the records of a slab are laid out, so that a writer of the same layout can write them back unchanged. */
export type SlabLayout =
  | {
      readonly kind: 'pcap';
      readonly bigEndian: boolean;
      readonly nanosecond: boolean;
      /** Length of a record's header: 16, or 24 in the "modified" format of magic 0xa1b2cd34. */
      readonly recordHeader?: 16 | 24;
    }
  | { readonly kind: 'pcapng'; readonly bigEndian: boolean }
  /** Records gathered from several inputs: only the columns and the frames' bytes mean something. */
  | { readonly kind: 'gathered' };

/** Direction of a record as the capture itself states it (pcapng epb_flags bits 0-1). */
export const DIRECTION_UNKNOWN = 0;
export const DIRECTION_INBOUND = 1;
export const DIRECTION_OUTBOUND = 2;

/** What walking a slab finds, a column for each field; entry i belongs to record i of the slab. */
export class RecordColumns {
  count = 0;
  /** How many records `shorten` was called for; 0 after reading. */
  shortened = 0;
  /** Offset in the slab of the record's header (pcap) or block (pcapng). */
  readonly start: Int32Array;
  /** Offset just past the record, padding and trailers included. */
  readonly end: Int32Array;
  /** Offset of the frame's first byte. */
  readonly frame: Int32Array;
  /** Bytes of the frame that were captured, all of them inside the record. */
  readonly capturedLength: Int32Array;
  /** Bytes the frame had on the wire; at least 0, may be below capturedLength in odd files. */
  readonly wireLength: Int32Array;
  /** Index into the reader's `interfaces`. */
  readonly source: Int32Array;
  /** DIRECTION_*. */
  readonly direction: Uint8Array;
  /** Capture time: whole seconds since 1970 (may be negative or beyond 2^32) and nanoseconds within that second. */
  readonly seconds: Float64Array;
  readonly nanoseconds: Int32Array;

  /** `capacity`: how many records fit at the most. */
  constructor(
    readonly capacity: number,
    from: Allocator = separately,
  ) {
    this.start = from.ints(capacity);
    this.end = from.ints(capacity);
    this.frame = from.ints(capacity);
    this.capturedLength = from.ints(capacity);
    this.wireLength = from.ints(capacity);
    this.source = from.ints(capacity);
    this.nanoseconds = from.ints(capacity);
    this.direction = from.bytes(capacity);
    this.seconds = from.doubles(capacity);
  }

  /**
   * Gives record i shorter lengths than it was read with: the frame's first `captured` bytes are what is written of it.
   * Only columns change; a writer brings the bytes in line.
   */
  shorten(i: number, captured: number, wire: number): void {
    this.capturedLength[i] = captured;
    this.wireLength[i] = wire;
    this.shortened++;
  }
}

/** What a packer leaves: the records to be written lie in `begin..end` of the slab. */
export interface PackedRecords {
  readonly begin: number;
  readonly end: number;
  readonly records: number;
}

export class Slab {
  /**
   * The slab's memory. A reader's `next` may replace it (it reads ahead into memory of its own and swaps the two, and
   * a record larger than the slab makes it grow): take `bytes` and `view` anew after every `next`.
   */
  bytes: Uint8Array;
  view: DataView;
  readonly records: RecordColumns;
  /** First byte of the slab's content. */
  begin = 0;
  /** Just past its last byte. */
  end = 0;
  layout: SlabLayout = { kind: 'gathered' };
  /**
   * Moves the records of a pcap slab whose `output[i]` is not NOT_WRITTEN side by side, shortened ones made right, faster
   * than an encoder would; nothing else of the slab means anything then. Undefined if this slab is none it can move. Set by
   * whoever can.
   */
  packer: ((slab: Slab, output: Int32Array, bigEndian: boolean) => PackedRecords | undefined) | undefined;

  /** `size` in bytes, at least 64 KiB; `maxRecords` bounds the columns; `from`: where its memory comes from. */
  constructor(
    size: number,
    maxRecords: number = Math.ceil(size / 32),
    private readonly from: Allocator = separately,
  ) {
    this.bytes = from.bytes(size);
    this.view = new DataView(this.bytes.buffer, this.bytes.byteOffset, size);
    this.records = new RecordColumns(maxRecords, from);
  }

  /** Other memory that this slab could have, from where its own came. */
  allocate(size: number): Uint8Array {
    return this.from.bytes(size);
  }

  /** Gives the slab other memory and returns what it had; the columns stay. */
  replaceMemory(bytes: Uint8Array): Uint8Array {
    const old = this.bytes;
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    return old;
  }
}
