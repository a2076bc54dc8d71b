/** Where encoders that make records anew put them. */
import type { Segments } from './segments.js';

/** Encoded records side by side in large buffers. */
export class RecordBatch {
  bytes = new Uint8Array(0);
  view = new DataView(this.bytes.buffer);
  private used = 0;

  constructor(private readonly segments: Segments) {}

  /** Offset of `length` free bytes. */
  room(length: number): number {
    if (this.used + length > this.bytes.length) {
      this.flush();
      this.bytes = new Uint8Array(Math.max(length, 262_144));
      this.view = new DataView(this.bytes.buffer);
    }
    const at = this.used;
    this.used += length;
    return at;
  }

  /** Hands over what was encoded so far. */
  flush(): void {
    if (this.used > 0) this.segments.insert(this.bytes.subarray(0, this.used));
    this.bytes = this.bytes.subarray(this.used);
    this.view = new DataView(this.bytes.buffer, this.bytes.byteOffset, this.bytes.byteLength);
    this.used = 0;
  }
}
