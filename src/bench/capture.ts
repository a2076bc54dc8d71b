/** A capture in memory, read as often as a measurement likes: what the disk takes is none of its business. */
import { createHash } from 'node:crypto';
import { freemem } from 'node:os';
import { openDecompressed } from '../capture/compression.js';
import { mergeCaptures } from '../capture/merge.js';
import { readCapture } from '../capture/reader.js';
import type { ByteSource } from '../capture/source.js';
import type { CaptureReader } from '../capture/types.js';
import { NatreplayError } from '../errors.js';
import type { CaptureInput } from '../pipeline/replay.js';

const PIECE = 4 * 1024 * 1024;
/** Of the memory that is free: passes need some, too. */
const MOST_OF_MEMORY = 0.6;

interface Content {
  readonly input: CaptureInput;
  readonly pieces: readonly Uint8Array[];
  readonly bytes: number;
}

export class MemoryCapture {
  private constructor(
    private readonly contents: readonly Content[],
    /** Of all contents, with the interfaces that they are assigned to: what tells one capture from another. */
    readonly sha256: string,
  ) {}

  /** Reads captures to their end, uncompressed. Throws NatreplayError, BENCH_TOO_LARGE when memory does not suffice. */
  static async load(inputs: readonly CaptureInput[]): Promise<MemoryCapture> {
    const most = freemem() * MOST_OF_MEMORY;
    const hash = createHash('sha256');
    const contents: Content[] = [];
    let total = 0;
    for (const input of inputs) {
      hash.update(`${input.iface ?? ''}\n`);
      const pieces: Uint8Array[] = [];
      let bytes = 0;
      const source = await openDecompressed(input.path);
      try {
        for (;;) {
          const piece = new Uint8Array(PIECE);
          const length = await source.read(piece, 0, PIECE);
          pieces.push(length === PIECE ? piece : piece.slice(0, length));
          hash.update(piece.subarray(0, length));
          bytes += length;
          total += length;
          if (total > most) throw tooLarge(input.path);
          if (length < PIECE) break;
        }
      } finally {
        await source.close();
      }
      contents.push({ input, pieces, bytes });
    }
    return new MemoryCapture(contents, hash.digest('hex'));
  }

  get files(): string[] {
    return this.contents.map(({ input }) => input.path);
  }

  /** Bytes of the captures, uncompressed. */
  get bytes(): number {
    return this.contents.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  /** A reader at the beginning, of all captures merged by time. */
  async open(): Promise<CaptureReader> {
    const readers: CaptureReader[] = [];
    for (const { input, pieces, bytes } of this.contents)
      readers.push(await readCapture(new MemorySource(input.path, pieces, bytes), { assignedName: input.iface }));
    return mergeCaptures(readers);
  }
}

function tooLarge(file: string): NatreplayError {
  return new NatreplayError('BENCH_TOO_LARGE', 'the captures do not fit into the memory that is free', {
    file,
    advice: 'measure a part: editcap -r IN OUT 1-1000000',
  });
}

class MemorySource implements ByteSource {
  readonly cut = undefined;
  bytesRead = 0;

  constructor(
    readonly path: string,
    private readonly pieces: readonly Uint8Array[],
    readonly totalBytes: number,
  ) {}

  read(into: Uint8Array, from: number, to: number): Promise<number> {
    let at = from;
    while (at < to && this.bytesRead < this.totalBytes) {
      const piece = this.pieces[Math.floor(this.bytesRead / PIECE)];
      const offset = this.bytesRead % PIECE;
      const part = piece?.subarray(offset, offset + to - at) ?? new Uint8Array(0);
      into.set(part, at);
      at += part.length;
      this.bytesRead += part.length;
    }
    return Promise.resolve(at - from);
  }

  async close(): Promise<void> {}
}
