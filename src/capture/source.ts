/** Where a capture's bytes come from: a file or standard input, read in pieces, never as a whole. */
import * as fs from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { NatreplayError } from '../errors.js';

export interface ByteSource {
  /** As named by the user; `-` is standard input. */
  readonly path: string;
  /** Bytes taken so far of the file as stored, and its size if it is known. */
  readonly bytesRead: number;
  readonly totalBytes: number | undefined;
  /** Why the source ended before it should have (a compressed stream cut short), else undefined. */
  readonly cut: string | undefined;
  /**
   * Fills `into[from..to)` and returns how many bytes that were: fewer than asked for only at the end of the source.
   * One read at a time.
   */
  read(into: Uint8Array, from: number, to: number): Promise<number>;
  close(): Promise<void>;
}

/** What makes the reads that wait fail; one set for the process, as signals are. */
const waiting = new Set<(reason: unknown) => void>();
let abandoned: { readonly reason: unknown } | undefined;

/**
 * Makes every read that waits, and every later one, fail with `reason`: a pipe may have nothing to read for ever, and
 * the threads that wait for it cannot be told to stop. The process must be ended by a signal then; exiting would wait.
 */
export function abandonReads(reason: unknown): void {
  abandoned = { reason };
  for (const reject of [...waiting]) reject(reason);
}

function unlessAbandoned<T>(start: () => Promise<T>): Promise<T> {
  if (abandoned !== undefined) return Promise.reject(abandoned.reason);
  return new Promise((resolve, reject) => {
    waiting.add(reject);
    start()
      .then(resolve, reject)
      .finally(() => waiting.delete(reject));
  });
}

/** How long to wait before reading again from a non-blocking pipe that has nothing yet. */
const RETRY_MILLISECONDS = 2;

/** A file descriptor that is read through libuv's threadpool: the event loop goes on meanwhile. */
class DescriptorSource implements ByteSource {
  bytesRead = 0;
  readonly cut = undefined;
  private ended = false;

  constructor(
    readonly path: string,
    readonly totalBytes: number | undefined,
    private readonly readSome: (into: Uint8Array, from: number, length: number) => Promise<number>,
    private readonly closeIt: () => Promise<void>,
  ) {}

  async read(into: Uint8Array, from: number, to: number): Promise<number> {
    let at = from;
    while (at < to && !this.ended) {
      const got = await this.readOnce(into, at, to - at);
      if (got === 0) this.ended = true;
      at += got;
      this.bytesRead += got;
    }
    return at - from;
  }

  private async readOnce(into: Uint8Array, from: number, length: number): Promise<number> {
    for (;;) {
      try {
        return await unlessAbandoned(() => this.readSome(into, from, length));
      } catch (error) {
        if (abandoned !== undefined) throw abandoned.reason;
        const code = errorCode(error);
        if (code === 'EOF') return 0;
        if (code !== 'EAGAIN' && code !== 'EINTR') throw cannotRead(this.path, error, this.bytesRead);
        await sleep(RETRY_MILLISECONDS);
      }
    }
  }

  async close(): Promise<void> {
    const closed = this.closeIt();
    // Closing waits for a read that waits.
    if (abandoned === undefined) await closed;
    else closed.catch(() => {});
  }
}

/** Opens a file, or standard input for `-`. Throws NatreplayError when it cannot be a capture's file. */
export async function openSource(path: string): Promise<ByteSource> {
  if (path === '-') return openStandardInput();
  let handle: FileHandle;
  try {
    // A named pipe that nobody writes to is not even opened.
    handle = await unlessAbandoned(() => open(path, fs.constants.O_RDONLY));
  } catch (error) {
    if (abandoned !== undefined) throw abandoned.reason;
    throw cannotRead(path, error);
  }
  try {
    const stat = await handle.stat();
    if (stat.isDirectory()) throw isDirectory(path);
    return new DescriptorSource(
      path,
      stat.isFile() ? stat.size : undefined,
      async (into, from, length) => (await handle.read(into, from, length, null)).bytesRead,
      () => handle.close(),
    );
  } catch (error) {
    await handle.close();
    throw error;
  }
}

function openStandardInput(): ByteSource {
  const descriptor = 0;
  let size: number | undefined;
  try {
    const stat = fs.fstatSync(descriptor);
    if (stat.isDirectory()) throw isDirectory('-');
    if (stat.isFile()) size = stat.size;
  } catch (error) {
    if (error instanceof NatreplayError) throw error;
    throw cannotRead('-', error);
  }
  const readSome = (into: Uint8Array, from: number, length: number): Promise<number> =>
    new Promise((resolve, reject) => {
      fs.read(descriptor, into, from, length, null, (error, got) => (error === null ? resolve(got) : reject(error)));
    });
  return new DescriptorSource('-', size, readSome, async () => {});
}

function isDirectory(path: string): NatreplayError {
  return new NatreplayError('CAPTURE_IS_DIRECTORY', 'this is a directory, not a capture', {
    file: path,
    advice: 'name the capture files themselves',
  });
}

/** The `code` of a system error (`ENOENT`), '' for anything else. */
export function errorCode(error: unknown): string {
  if (error instanceof Error && 'code' in error && typeof error.code === 'string') return error.code;
  return '';
}

/** What a system error says, without the call's name and the path that Node puts into its message. */
export function errorText(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const match = /^[A-Z0-9]+: ([^,]+)/.exec(error.message);
  return match?.[1] ?? error.message;
}

function cannotRead(file: string, cause: unknown, offset?: number): NatreplayError {
  switch (errorCode(cause)) {
    case 'ENOENT':
    case 'ENOTDIR':
      return new NatreplayError('CAPTURE_NOT_FOUND', 'there is no such file', {
        file,
        cause,
        advice: 'check its name',
      });
    case 'EACCES':
    case 'EPERM':
      return new NatreplayError('CAPTURE_NO_PERMISSION', 'no permission to read it', {
        file,
        cause,
        advice: 'ask its owner (captures of tcpdump often belong to root), or run as root',
      });
    case 'EISDIR':
      return isDirectory(file);
    default: {
      const advice = 'see whether cp can read the whole file';
      const details = { file, offset, cause, advice, exitCode: offset === undefined ? 2 : 3 } as const;
      return new NatreplayError('CAPTURE_CANNOT_READ', `cannot read it: ${errorText(cause)}`, details);
    }
  }
}
