/** Writes a generated capture, and the host and the rules that belong to it. */
import { openSink } from '../capture/write/sink.js';
import { writeTextFile } from '../report/files.js';
import { hostFile } from './hostfile.js';
import type { Plan } from './plan.js';
import { BLOCK, captureBlocks, type Traffic } from './traffic.js';

/** In the first line of what is generated beside a capture. */
export const MARK = 'natreplay generate';

export interface ScenarioPaths {
  readonly host?: string | undefined;
  readonly rules?: string | undefined;
  /** Written only if the profile has IPv6. */
  readonly rules6?: string | undefined;
}

/** Writes the host file and the rules; a path that is not given is not written. */
export async function writeScenario({ world, rules, rules6 }: Plan, name: string, paths: ScenarioPaths): Promise<void> {
  const made = `${MARK} ${name}`;
  if (paths.host !== undefined) {
    const host = { generator: made, ...hostFile(world) };
    await writeTextFile(paths.host, `${JSON.stringify(host, undefined, 1)}\n`);
  }
  if (paths.rules !== undefined) await writeTextFile(paths.rules, `# ${made}\n${rules}`);
  if (paths.rules6 !== undefined && rules6 !== undefined) {
    await writeTextFile(paths.rules6, `# ${made}, IPv6\n${rules6}`);
  }
}

export interface WriteOptions {
  readonly signal?: AbortSignal | undefined;
  /** Called with the bytes of the capture so far. */
  readonly onProgress?: ((bytes: number) => void) | undefined;
}

/**
 * Writes the capture to a path (compressed if its ending says so; `-` is standard output) and returns its bytes before
 * compression. It has its name only once it is whole; until then, and if the signal is aborted, it is `PATH.partial`.
 */
export async function writeCapture(traffic: Traffic, path: string, options: WriteOptions = {}): Promise<number> {
  const { signal, onProgress } = options;
  const sink = await openSink(path);
  let bytes = 0;
  // One block is written while the next one is made.
  let writing: Promise<void> = Promise.resolve();
  try {
    for (const block of captureBlocks(traffic, [new Uint8Array(BLOCK), new Uint8Array(BLOCK)])) {
      await writing;
      signal?.throwIfAborted();
      bytes += block.length;
      onProgress?.(bytes);
      writing = sink.write([block]);
    }
    await writing;
    signal?.throwIfAborted();
    await sink.close();
  } catch (error) {
    await writing.catch(() => {});
    await sink.abort();
    throw error;
  }
  return bytes;
}
