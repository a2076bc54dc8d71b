/** Reads and copies whole captures, for tests. */
import {
  type CaptureReader,
  type CaptureWarning,
  type CaptureWriter,
  createCaptureWriter,
  NOT_WRITTEN,
  type OutputInterface,
  openCapture,
  Slab,
  type WrittenFile,
} from '../../src/capture/index.js';

export interface ReadRecord {
  readonly seconds: number;
  readonly nanoseconds: number;
  readonly wireLength: number;
  readonly source: number;
  readonly direction: number;
  readonly frame: string;
}

export interface ReadCapture {
  readonly records: readonly ReadRecord[];
  readonly warnings: readonly CaptureWarning[];
  readonly reader: CaptureReader;
  /** What stopped the reading, if it was not the end. */
  readonly error: unknown;
}

/** Slabs of these sizes end in the middle of records, and do not. */
export const SMALL = 65_536;

export async function readAll(path: string | CaptureReader, size = SMALL): Promise<ReadCapture> {
  const reader = typeof path === 'string' ? await openCapture(path) : path;
  const slab = new Slab(size);
  const records: ReadRecord[] = [];
  let error: unknown;
  try {
    while (await reader.next(slab)) {
      const { count, frame, capturedLength, seconds, nanoseconds, wireLength, source, direction } = slab.records;
      for (let i = 0; i < count; i++) {
        const from = frame[i] as number;
        records.push({
          seconds: seconds[i] as number,
          nanoseconds: nanoseconds[i] as number,
          wireLength: wireLength[i] as number,
          source: source[i] as number,
          direction: direction[i] as number,
          frame: Buffer.from(slab.bytes.slice(from, from + (capturedLength[i] as number))).toString('hex'),
        });
      }
    }
  } catch (caught) {
    error = caught;
  }
  await reader.close();
  return { records, warnings: reader.warnings, reader, error };
}

export interface CopyOptions {
  readonly outputs?: readonly OutputInterface[];
  /** Output of record i, counted over the whole capture; NOT_WRITTEN drops it. */
  readonly output?: (i: number) => number;
  readonly size?: number;
  /** Bytes that record i's frame is cut to before it is written; undefined: as it is. */
  readonly length?: (i: number) => number | undefined;
}

/** Reads `from` (paths are opened) and writes it to `to`, every record unless told otherwise. */
export async function copy(
  from: string | CaptureReader,
  to: string,
  options: CopyOptions = {},
): Promise<readonly WrittenFile[]> {
  const { outputs = [{ name: undefined }], output = () => 0, size = SMALL, length = () => undefined } = options;
  const reader = typeof from === 'string' ? await openCapture(from) : from;
  let writer: CaptureWriter | undefined;
  const slab = new Slab(size);
  let first = 0;
  try {
    writer = await createCaptureWriter(to, { source: reader, outputs });
    while (await reader.next(slab)) {
      const { records } = slab;
      const { count, capturedLength, wireLength } = records;
      for (let i = 0; i < count; i++) {
        const to = length(first + i);
        if (to !== undefined) {
          records.shorten(i, Math.min(capturedLength[i] as number, to), Math.min(wireLength[i] as number, to));
        }
      }
      await writer.write(
        slab,
        Int32Array.from({ length: count }, (_, i) => output(first + i)),
      );
      first += count;
    }
    await writer.close();
    return writer.files;
  } catch (error) {
    await writer?.abort();
    throw error;
  } finally {
    await reader.close();
  }
}

export { NOT_WRITTEN };
