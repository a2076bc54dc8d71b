/**
 * Fills slabs from a source, reading ahead. While a slab is being worked on, the next piece of the file is read into
 * spare memory (by libuv's threadpool); `fill` then swaps the slab's memory with it, so that no byte is copied but
 * the partial record at the end of a slab, which moves to the head of the next one:
 *
 *   slab    [ record | record | rec ]      keep(): "rec" goes ahead, the read of what follows it begins
 *   spare   [ rec|ord | record | ...  ]    fill(): becomes the next slab's memory
 */
import type { Slab } from './slab.js';
import type { ByteSource } from './source.js';

export class SlabFiller {
  /** Offset in the (uncompressed) file of the slab's first byte. */
  base = 0;
  /** How much of the slab's memory holds bytes of the file, from its first byte on. */
  filled = 0;
  /** The source has nothing beyond `filled`. */
  ended = false;

  private spare: Uint8Array | undefined;
  /** Bytes at the head of `spare` that were carried over. */
  private carried = 0;
  private ahead: Promise<number> | undefined;
  private closed = false;

  /** `head`: bytes already taken from the source, which come before the rest; `base`: their offset in the file. */
  constructor(
    private readonly source: ByteSource,
    head: Uint8Array,
    base: number,
  ) {
    this.base = base;
    this.spare = new Uint8Array(new SharedArrayBuffer(head.length));
    this.spare.set(head);
    this.carried = head.length;
  }

  /** Fills the slab from its first byte on: the bytes kept from the slab before, then what follows them. */
  async fill(slab: Slab): Promise<void> {
    if (this.closed) throw new Error('the capture is closed');
    const spare = this.spare;
    if (spare === undefined) throw new Error('fill before keep');
    let filled = this.carried;
    if (this.ahead !== undefined) {
      filled += await this.ahead;
      this.ahead = undefined;
      this.spare = slab.replaceMemory(spare);
      if (filled < spare.length) this.ended = true;
    } else {
      if (slab.bytes.length < filled) slab.replaceMemory(slab.allocate(filled));
      slab.bytes.set(spare.subarray(0, filled), 0);
      this.spare = undefined;
    }
    this.filled = filled;
    if (!this.ended) await this.readOn(slab);
  }

  /** Reads on into a slab whose bytes do not hold a whole record: `needed` bytes, or what there is. */
  async more(slab: Slab, needed: number): Promise<void> {
    while (this.filled < needed && !this.ended) {
      if (this.filled === slab.bytes.length) {
        // Twice as much at a time: a length that the file does not back with bytes must not allocate what it claims.
        const size = Math.min(Math.max(needed, 65_536), slab.bytes.length * 2);
        const grown = slab.allocate(size);
        grown.set(slab.bytes.subarray(0, this.filled));
        slab.replaceMemory(grown);
      }
      await this.readOn(slab);
    }
  }

  private async readOn(slab: Slab): Promise<void> {
    const to = slab.bytes.length;
    if (this.filled === to) return;
    this.filled += await this.source.read(slab.bytes, this.filled, to);
    if (this.filled < to) this.ended = true;
  }

  /** Keeps the slab's bytes from `from` on for the next one and begins to read what follows them. */
  keep(slab: Slab, from: number): void {
    const length = this.filled - from;
    const size = slab.bytes.length;
    if (this.spare === undefined || this.spare.length < size) {
      this.spare = slab.allocate(this.ended ? length : size);
    }
    const spare = this.spare;
    spare.set(slab.bytes.subarray(from, this.filled), 0);
    this.carried = length;
    this.base += from;
    if (this.ended) return;
    this.ahead = this.source.read(spare, length, spare.length);
    // Whoever fills the next slab hears of a failure; until then it is not an unhandled one.
    this.ahead.catch(() => {});
  }

  async close(): Promise<void> {
    if (this.closed) return;
    this.closed = true;
    await this.source.close();
  }
}
