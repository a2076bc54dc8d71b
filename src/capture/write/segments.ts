/**
 * What of a slab goes into a file: runs of its bytes, with other bytes inserted between them. Long runs are written
 * straight from the slab; short ones, as many drops make them, are first copied side by side, because thousands of
 * small buffers cost more than moving their bytes.
 */
import { copyBytes } from './copy.js';

/** A run at least this long is written from where it lies. */
const LONG_RUN = 16_384;

/** Memory for the short runs of a slab, shared by all the files that one slab is written to. */
export class Arena {
  bytes = new Uint8Array(0);
  view = new DataView(this.bytes.buffer);
  used = 0;

  /** Before each slab: room for `size` bytes, and nothing used of it. */
  reset(size: number): void {
    if (this.bytes.length < size) {
      this.bytes = new Uint8Array(size);
      this.view = new DataView(this.bytes.buffer);
    }
    this.used = 0;
  }
}

export class Segments {
  /** Bytes in all; complete after `finish`. */
  length = 0;
  /** Pairs (from, to) of the slab; (-1 - k, 0) stands for `inserted[k]`. */
  private readonly runs: number[] = [];
  private readonly inserted: Uint8Array[] = [];
  private runFrom = 0;
  private runTo = 0;

  constructor(private readonly bytes: Uint8Array) {}

  /** Bytes added so far. */
  get total(): number {
    return this.length + this.runTo - this.runFrom;
  }

  /** Adds `bytes[from..to)` of the slab; it joins the run before if that ends where this begins. */
  run(from: number, to: number): void {
    if (from !== this.runTo) {
      this.endRun();
      this.runFrom = from;
    }
    this.runTo = to;
  }

  /** Adds bytes that are not in the slab. */
  insert(piece: Uint8Array): void {
    this.endRun();
    this.runs.push(-1 - this.inserted.length, 0);
    this.inserted.push(piece);
    this.length += piece.length;
  }

  private endRun(): void {
    if (this.runTo > this.runFrom) this.runs.push(this.runFrom, this.runTo);
    this.length += this.runTo - this.runFrom;
    this.runFrom = 0;
    this.runTo = 0;
  }

  /** The buffers to write, in order, short runs gathered in the arena (while it has room). */
  finish(arena: Arena): Uint8Array[] {
    this.endRun();
    const pieces: Uint8Array[] = [];
    const { runs, bytes } = this;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const alone = runs.length === 2;
    let gatheredFrom = arena.used;
    for (let i = 0; i < runs.length; i += 2) {
      const from = runs[i] as number;
      const to = runs[i + 1] as number;
      const length = to - from;
      if (from >= 0 && length < LONG_RUN && !alone && arena.used + length <= arena.bytes.length) {
        copyBytes(view, from, to, arena.view, arena.used);
        arena.used += length;
        continue;
      }
      if (arena.used > gatheredFrom) pieces.push(arena.bytes.subarray(gatheredFrom, arena.used));
      gatheredFrom = arena.used;
      pieces.push(from >= 0 ? bytes.subarray(from, to) : (this.inserted[-1 - from] as Uint8Array));
    }
    if (arena.used > gatheredFrom) pieces.push(arena.bytes.subarray(gatheredFrom, arena.used));
    return pieces;
  }
}
