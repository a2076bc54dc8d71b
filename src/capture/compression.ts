/** Captures that are compressed: what a file is is told from its first bytes, whatever its name. */
import type { Transform } from 'node:stream';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { createGunzip, createGzip } from 'node:zlib';
import { NatreplayError } from '../errors.js';
import { type ByteSource, errorCode, openSource } from './source.js';
import { ZstdFrameScanner } from './zstd-frames.js';

export type Compression = 'gzip' | 'zstd';

/** Opens a file and, if its content is compressed (RFC 1952, RFC 8878), the stream inside. */
export async function openDecompressed(path: string): Promise<ByteSource> {
  const source = await openSource(path);
  try {
    const magic = new Uint8Array(4);
    const length = await source.read(magic, 0, magic.length);
    const whole = new PrefixedSource(magic.subarray(0, length), source);
    const compression = compressionOf(magic.subarray(0, length));
    if (compression === undefined) return whole;
    return new DecompressedSource(whole, compression, await createDecompressor(path, compression));
  } catch (error) {
    await source.close();
    throw error;
  }
}

function compressionOf(head: Uint8Array): Compression | undefined {
  if (head[0] === 0x1f && head[1] === 0x8b) return 'gzip';
  if (head.length < 4) return undefined;
  const [a, b, c, d] = head as unknown as [number, number, number, number];
  if (a === 0x28 && b === 0xb5 && c === 0x2f && d === 0xfd) return 'zstd';
  // A skippable frame may come first (RFC 8878 section 3.1.2), as pzstd and seekable files have it.
  if (a >= 0x50 && a <= 0x5f && b === 0x2a && c === 0x4d && d === 0x18) return 'zstd';
  return undefined;
}

/** The compression an output's name asks for. */
export function compressionOfPath(path: string): Compression | undefined {
  const match = /\.(gz|zst)$/i.exec(path);
  if (match === null) return undefined;
  return match[1]?.toLowerCase() === 'gz' ? 'gzip' : 'zstd';
}

/** Size of the pieces that zlib hands over. */
const PIECE = 262_144;

async function createDecompressor(path: string, compression: Compression): Promise<Transform> {
  if (compression === 'gzip') return createGunzip({ chunkSize: PIECE });
  const { Decompressor } = await loadZstd(path);
  return new Decompressor();
}

/** A stream that compresses as `gzip` and `zstd` do without options. */
export async function createCompressor(path: string, compression: Compression): Promise<Transform> {
  if (compression === 'gzip') return createGzip({ chunkSize: PIECE });
  const { Compressor } = await loadZstd(path);
  return new Compressor();
}

async function loadZstd(file: string): Promise<typeof import('@cloudpss/zstd/napi')> {
  try {
    return await import('@cloudpss/zstd/napi');
  } catch (cause) {
    throw new NatreplayError('CAPTURE_NO_ZSTD', 'zstd is not available on this machine', {
      file,
      cause,
      advice: 'npm install @cloudpss/zstd, or use gzip',
    });
  }
}

/** Writes to a stream and waits until it is taken; also when the stream fails, whose zlib then never says so. */
export function writeTo(stream: Transform, chunk: Uint8Array): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      stream.off('close', done);
      resolve();
    };
    stream.once('close', done);
    stream.write(chunk, done);
  });
}

/** Ends a stream and waits until everything came out of it, or it failed. */
export function endOf(stream: Transform): Promise<void> {
  return new Promise((resolve) => {
    if (stream.closed) {
      resolve();
      return;
    }
    stream.once('close', () => resolve());
    stream.end();
  });
}

/** A source some bytes of which were taken already. */
class PrefixedSource implements ByteSource {
  private taken = 0;

  constructor(
    private readonly prefix: Uint8Array,
    private readonly source: ByteSource,
  ) {}

  get path(): string {
    return this.source.path;
  }
  get bytesRead(): number {
    return this.source.bytesRead;
  }
  get totalBytes(): number | undefined {
    return this.source.totalBytes;
  }
  get cut(): string | undefined {
    return this.source.cut;
  }

  async read(into: Uint8Array, from: number, to: number): Promise<number> {
    const again = Math.min(this.prefix.length - this.taken, to - from);
    if (again === 0) return this.source.read(into, from, to);
    into.set(this.prefix.subarray(this.taken, this.taken + again), from);
    this.taken += again;
    return again + (await this.source.read(into, from + again, to));
  }

  close(): Promise<void> {
    return this.source.close();
  }
}

/** Compressed bytes given to the stream at a time; small, as a thousand times as many may come out. */
const CHUNK = 65_536;

/** What comes out of a decompressing stream; the next compressed bytes are read while the stream works. */
class DecompressedSource implements ByteSource {
  cut: string | undefined;
  private readonly queue: Uint8Array[] = [];
  private error: unknown;
  private ended = false;
  private ahead: Promise<Uint8Array> | undefined;
  private readonly frames: ZstdFrameScanner | undefined;

  constructor(
    private readonly source: ByteSource,
    private readonly compression: Compression,
    private readonly stream: Transform,
  ) {
    this.frames = compression === 'zstd' ? new ZstdFrameScanner() : undefined;
    stream.on('data', (piece: Uint8Array) => this.queue.push(piece));
    stream.on('error', (error) => {
      this.error = error;
    });
  }

  get path(): string {
    return this.source.path;
  }
  get bytesRead(): number {
    return this.source.bytesRead;
  }
  get totalBytes(): number | undefined {
    return this.source.totalBytes;
  }

  async read(into: Uint8Array, from: number, to: number): Promise<number> {
    let at = from;
    while (at < to) {
      const piece = this.queue.shift();
      if (piece !== undefined) {
        const taken = Math.min(piece.length, to - at);
        into.set(piece.subarray(0, taken), at);
        at += taken;
        if (taken < piece.length) this.queue.unshift(piece.subarray(taken));
      } else if (this.ended) {
        break;
      } else {
        await this.decompressMore();
      }
    }
    return at - from;
  }

  private async decompressMore(): Promise<void> {
    if (this.error !== undefined) throw this.damaged();
    const chunk = await (this.ahead ?? this.readChunk());
    this.ahead = undefined;
    if (chunk.length === 0) return this.finish();
    this.ahead = this.readChunk();
    this.ahead.catch(() => {});
    this.frames?.push(chunk);
    await writeTo(this.stream, chunk);
    await this.flowing();
  }

  private async readChunk(): Promise<Uint8Array> {
    const chunk = new Uint8Array(CHUNK);
    return chunk.subarray(0, await this.source.read(chunk, 0, CHUNK));
  }

  /** What the stream has pushed arrives a turn later. */
  private async flowing(): Promise<void> {
    while (this.stream.readableLength > 0 && this.error === undefined) await nextTurn();
  }

  private async finish(): Promise<void> {
    await this.flowing();
    await endOf(this.stream);
    this.ended = true;
    if (this.error !== undefined && errorCode(this.error) !== 'Z_BUF_ERROR') throw this.damaged();
    if (this.error !== undefined || this.frames?.atFrameEnd === false) {
      this.cut = `the ${this.compression} data ends before its end mark`;
    }
  }

  private damaged(): NatreplayError {
    return new NatreplayError('CAPTURE_COMPRESSED_DAMAGED', `the ${this.compression} data is damaged`, {
      file: this.path,
      cause: this.error,
      advice: `test it with ${this.compression} -t`,
    });
  }

  async close(): Promise<void> {
    this.stream.destroy();
    await this.source.close();
  }
}
