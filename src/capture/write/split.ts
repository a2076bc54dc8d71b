/** One file for each interface that packets leave by. */
import type { Slab, SlabLayout } from '../slab.js';
import { type CaptureWriter, type ExtraRecord, NOT_WRITTEN, type WrittenFile } from '../types.js';
import { type CaptureWriterOptions, OutputFile } from './output-file.js';
import { Arena } from './segments.js';
import { Sequence } from './sequence.js';

/** Stands in a path for the name of the interface. */
export const IFACE_PLACEHOLDER = '{iface}';

/** Name in the path of an interface without one. */
const UNKNOWN = 'unknown';

/** An interface's name with what a file name cannot have, or had better not begin with, replaced. */
export function fileNameOf(iface: string | undefined): string {
  if (iface === undefined || iface === '') return UNKNOWN;
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are among what is replaced
  return iface.replace(/[/\\:*?"<>|\u0000-\u001f\u007f]/g, '_').replace(/^\./, '_');
}

export class SplitWriter implements CaptureWriter {
  private readonly arena = new Arena();
  private readonly sequence = new Sequence();
  /** In the order they were begun. */
  private readonly opened: OutputFile[] = [];
  /** Index in `opened` by output interface; several of the same name share a file. */
  private readonly fileOfOutput: (number | undefined)[] = [];
  private readonly fileOfName = new Map<string | undefined, number>();
  private readonly usedPaths = new Set<string>();
  /** The blocks that are not packets so far, which every file begun later has as well. */
  private readonly earlier: Uint8Array[] = [];
  private selected = new Int32Array(0);

  constructor(
    private readonly target: string,
    private readonly options: CaptureWriterOptions,
  ) {}

  write(slab: Slab, output: Int32Array, extras: readonly ExtraRecord[] = []): Promise<void> {
    return this.sequence.run(() => this.writeSlab(slab, output, extras));
  }

  private async writeSlab(slab: Slab, output: Int32Array, extras: readonly ExtraRecord[]): Promise<void> {
    const { count } = slab.records;
    if (this.selected.length < count) this.selected = new Int32Array(slab.records.capacity);
    const used = await this.openFiles(slab.layout, count, output, extras);
    const blocks = blocksBetween(slab);
    this.arena.reset(slab.end - slab.begin);
    const writes: Promise<void>[] = [];
    try {
      for (const [file, opened] of this.opened.entries()) {
        if (!used.has(file) && blocks.length === 0) continue;
        this.select(file, output, count);
        const own = extras.filter((extra) => this.fileOf(extra.output) === file);
        writes.push(opened.write(slab, this.selected, own, this.arena));
      }
    } finally {
      // All of them are done with the slab before anybody else touches it, failed or not.
      await Promise.allSettled(writes);
    }
    await Promise.all(writes);
    if (blocks.length > 0) this.earlier.push(blocks);
  }

  private fileOf(output: number): number | undefined {
    return output === NOT_WRITTEN ? undefined : this.fileOfOutput[output];
  }

  /** Opens the files that the slab's records need and are not there; returns all it needs. */
  private async openFiles(
    layout: SlabLayout,
    count: number,
    output: Int32Array,
    extras: readonly ExtraRecord[],
  ): Promise<Set<number>> {
    const outputs = new Set<number>(extras.map((extra) => extra.output));
    let last = NOT_WRITTEN;
    for (let i = 0; i < count; i++) {
      const to = output[i] as number;
      if (to !== last) outputs.add(to);
      last = to;
    }
    outputs.delete(NOT_WRITTEN);
    const files = new Set<number>();
    for (const to of outputs) files.add(this.fileOfOutput[to] ?? (await this.open(to, layout)));
    return files;
  }

  private async open(to: number, layout: SlabLayout): Promise<number> {
    const name = this.options.outputs[to]?.name;
    let file = this.fileOfName.get(name);
    if (file === undefined) {
      file = this.opened.length;
      const opened = await OutputFile.open(this.pathFor(name), name, this.options, false);
      this.opened.push(opened);
      this.fileOfName.set(name, file);
      for (const blocks of this.earlier) await opened.writeEarlierBlocks(blocks, layout);
    }
    this.fileOfOutput[to] = file;
    return file;
  }

  /** The path for an interface; names that differ only in what had to be replaced get a number. */
  private pathFor(name: string | undefined): string {
    const plain = fileNameOf(name);
    for (let n = 1; ; n++) {
      const path = this.target.replaceAll(IFACE_PLACEHOLDER, n === 1 ? plain : `${plain}-${n}`);
      if (this.usedPaths.has(path)) continue;
      this.usedPaths.add(path);
      return path;
    }
  }

  private select(file: number, output: Int32Array, count: number): void {
    const { selected, fileOfOutput } = this;
    for (let i = 0; i < count; i++) {
      const to = output[i] as number;
      selected[i] = to !== NOT_WRITTEN && fileOfOutput[to] === file ? to : NOT_WRITTEN;
    }
  }

  close(): Promise<void> {
    return this.sequence.run(async () => {
      for (const file of this.opened) await file.close();
    });
  }

  async abort(): Promise<void> {
    await this.sequence.settled();
    for (const file of this.opened) await file.abort();
  }

  get files(): readonly WrittenFile[] {
    return this.opened.map(({ summary }) => summary);
  }
}

/** A copy of the slab's blocks that are not packets. */
function blocksBetween(slab: Slab): Uint8Array {
  const { count, start, end } = slab.records;
  const runs: Uint8Array[] = [];
  let done = slab.begin;
  for (let i = 0; i <= count; i++) {
    const next = i < count ? (start[i] as number) : slab.end;
    if (next > done) runs.push(slab.bytes.subarray(done, next));
    if (i < count) done = end[i] as number;
  }
  return new Uint8Array(Buffer.concat(runs));
}
