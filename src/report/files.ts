/**
 * Text outputs (packet log, counters, listings): written beside as `NAME.partial` and renamed when complete, so that
 * half a file never looks whole. `-` is standard output. What is there already and is no regular file (/dev/null, a
 * named pipe) is written to as it is: renaming would put a file in its place.
 */
import { type FileHandle, open, realpath, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { type FailureExitCode, NatreplayError } from '../errors.js';
import { createPartial, finishPartial } from '../partial.js';

/** Bytes that may wait to be written before `write` asks its caller to wait too. */
const HIGH_WATER = 4 * 1024 * 1024;

/** Where the bytes of a sink go. */
interface Destination {
  write(bytes: Uint8Array): Promise<void>;
  /** Finishes; `complete` false leaves a file under its partial name. */
  end(complete: boolean): Promise<void>;
}

/** A text output being written. Errors while writing come with the next `write` or `close`. */
export class TextSink {
  /** Bytes taken so far. */
  bytes = 0;
  readonly #destination: Destination;
  #waiting = 0;
  #last: Promise<void> = Promise.resolve();
  #failure: unknown;
  #ended = false;

  constructor(
    /** As named by the user. */
    readonly path: string,
    destination: Destination,
  ) {
    this.#destination = destination;
  }

  /**
   * Takes a chunk, in order; its bytes must stay as they are. Returns a promise only when so much is waiting that the
   * caller should wait for it.
   */
  write(chunk: Uint8Array | string): Promise<void> | undefined {
    this.#check();
    const bytes = typeof chunk === 'string' ? Buffer.from(chunk, 'utf8') : chunk;
    this.bytes += bytes.length;
    this.#waiting += bytes.length;
    this.#last = this.#last.then(async () => {
      try {
        if (this.#failure === undefined) await this.#destination.write(bytes);
      } catch (error) {
        this.#failure = writeError(this.path, error);
      } finally {
        this.#waiting -= bytes.length;
      }
    });
    return this.#waiting > HIGH_WATER ? this.#last.then(() => this.#check()) : undefined;
  }

  /** Writes what is waiting and gives the file its name. On an error the file is left as `NAME.partial`. */
  async close(): Promise<void> {
    if (this.#ended) return;
    await this.#last;
    this.#ended = true;
    try {
      await this.#destination.end(this.#failure === undefined);
    } catch (error) {
      this.#failure ??= writeError(this.path, error);
    }
    this.#check();
  }

  /** Stops. What was written stays beside as `NAME.partial`; never throws. */
  async abort(): Promise<void> {
    if (this.#ended) return;
    this.#ended = true;
    await this.#last;
    await this.#destination.end(false).catch(() => {});
  }

  #check(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }
}

/** Opens a text output. Throws OUTPUT_* with exit code 2 when the path can't be written to. */
export async function openTextSink(path: string): Promise<TextSink> {
  if (path === '-') return new TextSink(path, new StreamDestination(process.stdout));
  try {
    return new TextSink(path, await openFile(path));
  } catch (error) {
    throw openError(path, error);
  }
}

/** Writes a whole text; returns its bytes. Nothing appears under the name unless everything was written. */
export async function writeTextFile(
  path: string,
  chunks: string | Iterable<Uint8Array | string> | AsyncIterable<Uint8Array | string>,
): Promise<number> {
  const sink = await openTextSink(path);
  try {
    for await (const chunk of typeof chunks === 'string' ? [chunks] : chunks) await sink.write(chunk);
    await sink.close();
  } catch (error) {
    await sink.abort();
    throw error;
  }
  return sink.bytes;
}

async function openFile(path: string): Promise<Destination> {
  const existing = await stat(path).catch(() => undefined);
  if (existing?.isDirectory() === true) throw Object.assign(new Error('is a directory'), { code: 'EISDIR' });
  if (existing !== undefined && !existing.isFile()) return new FileDestination(await open(path, 'w'));
  // Through a symbolic link, so that the link stays and its file is replaced.
  const finalPath = existing === undefined ? path : await realpath(path);
  const partial = `${finalPath}.partial`;
  return new FileDestination(await createPartial(partial), { from: partial, to: finalPath });
}

class FileDestination implements Destination {
  readonly #file: FileHandle;
  readonly #naming: { readonly from: string; readonly to: string } | undefined;

  constructor(file: FileHandle, naming?: { readonly from: string; readonly to: string }) {
    this.#file = file;
    this.#naming = naming;
  }

  async write(bytes: Uint8Array): Promise<void> {
    // A write may take less than it is given (a pipe, a disk about to fill up).
    for (let done = 0; done < bytes.length; ) {
      done += (await this.#file.write(bytes, done, bytes.length - done)).bytesWritten;
    }
  }

  async end(complete: boolean): Promise<void> {
    if (complete && this.#naming !== undefined) await finishPartial(this.#file, this.#naming.from, this.#naming.to);
    else await this.#file.close();
  }
}

/** A stream that outlives the sink: standard output. Exported for tests. */
export class StreamDestination implements Destination {
  readonly #stream: NodeJS.WritableStream;
  /** A broken pipe is told to the callback and as an event; without a listener the event would end the process. */
  readonly #ignore = (): void => {};

  constructor(stream: NodeJS.WritableStream) {
    this.#stream = stream;
    stream.on('error', this.#ignore);
  }

  write(bytes: Uint8Array): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#stream.write(bytes, (error) => {
        if (error === undefined || error === null) resolve();
        else reject(error);
      });
    });
  }

  async end(): Promise<void> {
    // The error event comes after the callback: keep listening for one more turn.
    setImmediate(() => this.#stream.removeListener('error', this.#ignore));
  }
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function outputError(
  code: string,
  path: string,
  what: string,
  exitCode: FailureExitCode,
  advice?: string,
  cause?: unknown,
) {
  return new NatreplayError(code, what, { file: path, exitCode, advice, cause });
}

/** Opening fails for what the user asked: exit code 2 (but a full disk is the machine's fault: 3). */
function openError(path: string, error: unknown): NatreplayError {
  const code = codeOf(error);
  switch (code) {
    case 'ENOENT':
    case 'ENOTDIR':
      return outputError(
        'OUTPUT_NO_FOLDER',
        path,
        `the folder ${dirname(path)} does not exist`,
        2,
        'create it first',
        error,
      );
    case 'EISDIR':
      return outputError('OUTPUT_IS_FOLDER', path, 'is a folder', 2, 'name a file in it', error);
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return outputError('OUTPUT_NOT_PERMITTED', path, 'may not be written', 2, 'check its permissions', error);
    case 'ENAMETOOLONG':
      return outputError('OUTPUT_NAME_TOO_LONG', path, 'the name is too long', 2, 'choose a shorter one', error);
    case 'ENOSPC':
    case 'EDQUOT':
      return writeError(path, error);
    default:
      return outputError(
        'OUTPUT_FAILED',
        path,
        `can't be opened for writing: ${messageOf(error)}`,
        2,
        'choose another name or place',
        error,
      );
  }
}

function writeError(path: string, error: unknown): NatreplayError {
  if (error instanceof NatreplayError) return error;
  const name = path === '-' ? 'standard output' : path;
  switch (codeOf(error)) {
    case 'ENOSPC':
    case 'EDQUOT':
      return outputError('OUTPUT_DISK_FULL', name, 'the disk is full', 3, 'make room and run again', error);
    case 'EPIPE':
    case 'ERR_STREAM_DESTROYED':
      return outputError(
        'OUTPUT_CLOSED',
        name,
        'the reader went away before everything was written',
        3,
        'let it read to the end',
        error,
      );
    default:
      return outputError(
        'OUTPUT_FAILED',
        name,
        `writing failed: ${messageOf(error)}`,
        3,
        'choose another place',
        error,
      );
  }
}
