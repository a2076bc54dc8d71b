/** Writes captures, to one file or to one for each interface that packets leave by. */
import type { Slab } from '../slab.js';
import type { CaptureWriter, ExtraRecord, WrittenFile } from '../types.js';
import { type CaptureWriterOptions, OutputFile } from './output-file.js';
import { Arena } from './segments.js';
import { Sequence } from './sequence.js';
import { IFACE_PLACEHOLDER, SplitWriter } from './split.js';

/**
 * Creates what writes to `target`: a path, `-` for standard output, or a path with `{iface}` in it for one file per
 * output interface, opened with its first record. The format follows the ending (.pcap, .cap: pcap; .pcapng, .ntar:
 * pcapng; then .gz or .zst to compress), else it is the source's. Throws NatreplayError when nothing can be written
 * there.
 */
export async function createCaptureWriter(target: string, options: CaptureWriterOptions): Promise<CaptureWriter> {
  return target.includes(IFACE_PLACEHOLDER)
    ? new SplitWriter(target, options)
    : new SingleWriter(await OutputFile.open(target, undefined, options, true));
}

const NO_EXTRAS: readonly ExtraRecord[] = [];

/** Everything into one file. */
class SingleWriter implements CaptureWriter {
  private readonly arena = new Arena();
  private readonly sequence = new Sequence();

  constructor(private readonly file: OutputFile) {}

  write(slab: Slab, output: Int32Array, extras: readonly ExtraRecord[] = NO_EXTRAS): Promise<void> {
    return this.sequence.run(() => {
      this.arena.reset(slab.end - slab.begin);
      return this.file.write(slab, output, extras, this.arena);
    });
  }

  close(): Promise<void> {
    return this.sequence.run(() => this.file.close());
  }

  async abort(): Promise<void> {
    await this.sequence.settled();
    await this.file.abort();
  }

  get files(): readonly WrittenFile[] {
    return [this.file.summary];
  }
}
