/** What turns a slab into the bytes of one file. */
import type { Slab } from '../slab.js';
import type { ExtraRecord } from '../types.js';
import type { Segments } from './segments.js';

export interface Encoder {
  /** Records put so far. */
  readonly records: number;
  /**
   * Adds to `segments` what of the slab goes into the file: its records whose `output[i]` is not NOT_WRITTEN, the
   * extras, and the blocks between. May rewrite interface numbers, and records that were shortened, where they lie in
   * the slab; of several encoders only one has a record. Throws NatreplayError when the format cannot hold a record.
   */
  encode(slab: Slab, output: Int32Array, extras: readonly ExtraRecord[], segments: Segments): void;
  /** Takes up blocks that are not packets and came before this file was begun. */
  earlierBlocks(blocks: Uint8Array, segments: Segments): void;
  /** The file ends here, before its time: what has to be patched for it to be well-formed. */
  abandon(): void;
  /** What is still due at the end: the header of a file without records. */
  finish(segments: Segments): void;
  /** Bytes to change at a place written before, as (offset, bytes), if the sink can; emptied by the caller. */
  readonly patches: { offset: number; bytes: Uint8Array }[];
}
