/** Where an output's bytes go: a file that gets its name when it is whole, or standard output. */
import * as fs from 'node:fs';
import { type FileHandle, open, realpath, stat } from 'node:fs/promises';
import type { Transform } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { NatreplayError } from '../../errors.js';
import { createPartial, finishPartial } from '../../partial.js';
import { compressionOfPath, createCompressor, endOf, writeTo } from '../compression.js';
import { errorCode, errorText } from '../source.js';

export interface ByteSink {
  /** Writes all of it, in order, as few system calls as it takes. The bytes must stay untouched until it is done. */
  write(pieces: readonly Uint8Array[]): Promise<void>;
  /** Whether `patch` works: not on pipes and compressed streams. */
  readonly seekable: boolean;
  /** Overwrites bytes written before. */
  patch(offset: number, bytes: Uint8Array): Promise<void>;
  /** Finishes: only now the file appears under its name. */
  close(): Promise<void>;
  /** Stops: what was written whole stays as `NAME.partial`. */
  abort(): Promise<void>;
}

/**
 * Opens the sink of a path, which compresses if the name says so; `-` is standard output. Throws NatreplayError when
 * nothing can be written there.
 */
export async function openSink(path: string): Promise<ByteSink> {
  if (path === '-') return new StandardOutput();
  const compression = compressionOfPath(path);
  if (compression === undefined) return openFile(path);
  const compressor = await createCompressor(path, compression);
  return new CompressedSink(path, compressor, await openFile(path));
}

async function openFile(path: string): Promise<ByteSink> {
  const existing = await stat(path).catch(() => undefined);
  if (existing?.isDirectory() === true || path.endsWith('/')) {
    throw new NatreplayError('CAPTURE_OUTPUT_IS_DIRECTORY', 'this is a directory', {
      file: path,
      advice: 'name a file in it',
    });
  }
  // A device or a pipe (/dev/null, a FIFO) is written as it is; a file to be renamed over it would replace it.
  const special = existing !== undefined && !existing.isFile();
  // The file a symbolic link points to is what gets replaced, not the link.
  const final = existing === undefined ? path : await realpath(path);
  const written = `${final}.partial`;
  try {
    if (special) return new FileSink(path, await open(path, 'w'), undefined);
    return new FileSink(path, await createPartial(written), { written, final });
  } catch (cause) {
    throw cannotOpen(path, cause);
  }
}

function cannotOpen(file: string, cause: unknown): NatreplayError {
  switch (errorCode(cause)) {
    case 'ENOENT':
    case 'ENOTDIR':
      return new NatreplayError('CAPTURE_OUTPUT_NO_FOLDER', 'cannot write: there is no such folder', {
        file,
        cause,
        advice: 'make the folder first',
      });
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return new NatreplayError('CAPTURE_OUTPUT_NO_PERMISSION', 'no permission to write it', {
        file,
        cause,
        advice: 'choose another place, or check the permissions of the folder',
      });
    default:
      return new NatreplayError('CAPTURE_OUTPUT_CANNOT_OPEN', `cannot write: ${errorText(cause)}`, {
        file,
        cause,
        advice: 'choose another name or place',
      });
  }
}

/** The error of a write that failed while running. `partial`: there is a file beside with what was written so far. */
export function cannotWrite(file: string, cause: unknown, partial = false): NatreplayError {
  if (cause instanceof NatreplayError) return cause;
  switch (errorCode(cause)) {
    case 'ENOSPC':
    case 'EDQUOT':
      return new NatreplayError('CAPTURE_OUTPUT_DISK_FULL', 'the disk is full', {
        file,
        cause,
        exitCode: 3,
        advice: partial ? 'make room; what was written so far is beside it with the ending .partial' : 'make room',
      });
    case 'EPIPE':
      return new NatreplayError('CAPTURE_OUTPUT_CLOSED', 'whoever read the output has closed it', {
        file,
        cause,
        exitCode: 3,
        advice: 'let it read to the end',
      });
    default:
      return new NatreplayError('CAPTURE_OUTPUT_FAILED', `writing failed: ${errorText(cause)}`, {
        file,
        cause,
        exitCode: 3,
        advice: 'choose another place',
      });
  }
}

/** Linux takes at most IOV_MAX buffers in one call. */
const MAX_PIECES = 1024;

type WriteSome = (pieces: readonly Uint8Array[]) => Promise<number>;

/** Writes all of the pieces whatever the system takes at a time. */
async function writeAll(pieces: readonly Uint8Array[], writeSome: WriteSome): Promise<void> {
  const rest = pieces.filter(({ length }) => length > 0);
  let first = 0;
  while (first < rest.length) {
    let written = await writeSome(rest.slice(first, first + MAX_PIECES));
    // What was taken: whole pieces, then perhaps a part of one.
    for (; written > 0; first++) {
      const piece = rest[first] as Uint8Array;
      if (written < piece.length) {
        rest[first] = piece.subarray(written);
        break;
      }
      written -= piece.length;
    }
  }
}

class FileSink implements ByteSink {
  /** End of the last write that was done whole: where an aborted file is cut. */
  private whole = 0;
  private offset = 0;

  constructor(
    private readonly path: string,
    private readonly handle: FileHandle,
    private readonly names: { readonly written: string; readonly final: string } | undefined,
  ) {}

  async write(pieces: readonly Uint8Array[]): Promise<void> {
    try {
      await writeAll(pieces, async (batch) => {
        const { bytesWritten } = await this.handle.writev(batch);
        this.offset += bytesWritten;
        return bytesWritten;
      });
    } catch (error) {
      throw cannotWrite(this.path, error, this.names !== undefined);
    }
    this.whole = this.offset;
  }

  get seekable(): boolean {
    return this.names !== undefined;
  }

  async patch(offset: number, bytes: Uint8Array): Promise<void> {
    try {
      // A positioned write leaves the place where the next one goes on untouched (pwrite).
      await this.handle.write(bytes, 0, bytes.length, offset);
    } catch (error) {
      throw cannotWrite(this.path, error, this.names !== undefined);
    }
  }

  async close(): Promise<void> {
    try {
      if (this.names === undefined) await this.handle.close();
      else await finishPartial(this.handle, this.names.written, this.names.final);
    } catch (error) {
      throw cannotWrite(this.path, error, this.names !== undefined);
    }
  }

  async abort(): Promise<void> {
    if (this.names !== undefined && this.whole < this.offset) await this.handle.truncate(this.whole).catch(() => {});
    await this.handle.close().catch(() => {});
  }
}

/** How long to wait before writing again to a non-blocking pipe that is full. */
const RETRY_MILLISECONDS = 2;

class StandardOutput implements ByteSink {
  async write(pieces: readonly Uint8Array[]): Promise<void> {
    try {
      await writeAll(pieces, writeStandardOutput);
    } catch (error) {
      throw cannotWrite('-', error);
    }
  }

  readonly seekable = false;

  async patch(): Promise<void> {
    throw new Error('standard output cannot be patched');
  }
  async close(): Promise<void> {}
  async abort(): Promise<void> {}
}

async function writeStandardOutput(pieces: readonly Uint8Array[]): Promise<number> {
  for (;;) {
    try {
      return await new Promise<number>((resolve, reject) => {
        fs.writev(1, pieces, (error, written) => (error === null ? resolve(written) : reject(error)));
      });
    } catch (error) {
      const code = errorCode(error);
      if (code !== 'EAGAIN' && code !== 'EINTR') throw error;
      await sleep(RETRY_MILLISECONDS);
    }
  }
}

/** Compresses on the way to a file. */
class CompressedSink implements ByteSink {
  readonly seekable = false;
  private readonly compressed: Uint8Array[] = [];
  private failure: unknown;

  constructor(
    private readonly path: string,
    private readonly stream: Transform,
    private readonly file: ByteSink,
  ) {
    stream.on('data', (piece: Uint8Array) => this.compressed.push(piece));
    stream.on('error', (error) => {
      this.failure = error;
    });
  }

  async write(pieces: readonly Uint8Array[]): Promise<void> {
    for (const piece of pieces) {
      await writeTo(this.stream, piece);
      await this.passOn();
    }
  }

  private async passOn(): Promise<void> {
    if (this.failure !== undefined) throw cannotWrite(this.path, this.failure);
    if (this.compressed.length > 0) await this.file.write(this.compressed.splice(0));
  }

  private async end(): Promise<void> {
    await endOf(this.stream);
    await this.passOn();
  }

  async patch(): Promise<void> {
    throw new Error('a compressed file cannot be patched');
  }

  async close(): Promise<void> {
    await this.end();
    await this.file.close();
  }

  async abort(): Promise<void> {
    // What was written whole is made a whole compressed file, unless writing is what failed.
    await this.end().catch(() => {});
    await this.file.abort();
  }
}
