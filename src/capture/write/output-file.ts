/** One output file: picks its format's encoder and gives it its sink. */
import type { Slab, SlabLayout } from '../slab.js';
import type { CaptureFormat, CaptureReader, ExtraRecord, OutputInterface, WrittenFile } from '../types.js';
import { assertDistinct } from './distinct.js';
import type { Encoder } from './encoder.js';
import { PcapConvertEncoder, PcapCopyEncoder } from './pcap-encoder.js';
import { PcapngConvertEncoder } from './pcapng-convert-encoder.js';
import { PcapngCopyEncoder } from './pcapng-copy-encoder.js';
import { Arena, Segments } from './segments.js';
import { type ByteSink, openSink } from './sink.js';

/** What a writer has to know of the capture its slabs come from. A CaptureReader is one. */
export type WriterSource = Pick<CaptureReader, 'format' | 'interfaces' | 'fileHeader'>;

export interface CaptureWriterOptions {
  readonly source: WriterSource;
  /** What `output[i]` of `write` indexes; taken by reference, it may grow while writing. */
  readonly outputs: readonly OutputInterface[];
  /** Paths that must not be written over. */
  readonly inputs?: readonly string[] | undefined;
}

/** The format a path's ending asks for, undefined if none. */
export function formatOfPath(path: string): CaptureFormat | undefined {
  const plain = path.toLowerCase().replace(/\.(gz|zst)$/, '');
  if (/\.(pcap|cap)$/.test(plain)) return 'pcap';
  if (/\.(pcapng|ntar)$/.test(plain)) return 'pcapng';
  return undefined;
}

/** One file being written: its sink and, from its first slab on, its encoder. */
export class OutputFile {
  private encoder: Encoder | undefined;
  private bytes = 0;

  private constructor(
    private readonly path: string,
    private readonly iface: string | undefined,
    private readonly options: CaptureWriterOptions,
    private readonly sink: ByteSink,
    private readonly alone: boolean,
  ) {}

  /** `alone`: the slabs go into no other file; one of several may have no interface's name either. */
  static async open(
    path: string,
    iface: string | undefined,
    options: CaptureWriterOptions,
    alone: boolean,
  ): Promise<OutputFile> {
    await assertDistinct(options.inputs ?? [], path);
    return new OutputFile(path, iface, options, await openSink(path), alone);
  }

  /** Encodes at once, before it returns, and then writes. */
  write(slab: Slab, output: Int32Array, extras: readonly ExtraRecord[], arena: Arena): Promise<void> {
    const segments = new Segments(slab.bytes);
    this.encoderFor(slab.layout).encode(slab, output, extras, segments);
    return this.put(segments, arena);
  }

  /** Blocks that came before the file was begun. */
  writeEarlierBlocks(blocks: Uint8Array, layout: SlabLayout): Promise<void> {
    const segments = new Segments(new Uint8Array(0));
    this.encoderFor(layout).earlierBlocks(blocks, segments);
    return this.put(segments, new Arena());
  }

  private encoderFor(layout: SlabLayout | undefined): Encoder {
    this.encoder ??= this.createEncoder(layout);
    return this.encoder;
  }

  private createEncoder(layout: SlabLayout | undefined): Encoder {
    const { source, outputs } = this.options;
    const format = formatOfPath(this.path) ?? source.format;
    const from = layout?.kind ?? (source.fileHeader === undefined ? source.format : 'pcap');
    if (format === 'pcapng') {
      if (from === 'pcapng') return new PcapngCopyEncoder(outputs, this.sink.seekable);
      return new PcapngConvertEncoder(source.interfaces, outputs);
    }
    if (from === 'pcap' && source.fileHeader !== undefined) return new PcapCopyEncoder(source.fileHeader, this.alone);
    return new PcapConvertEncoder(this.path, source.interfaces);
  }

  private async put(segments: Segments, arena: Arena): Promise<void> {
    const pieces = segments.finish(arena);
    if (segments.length > 0) await this.sink.write(pieces);
    this.bytes += segments.length;
    await this.patch();
  }

  private async patch(): Promise<void> {
    for (const { offset, bytes } of this.encoder?.patches.splice(0) ?? []) await this.sink.patch(offset, bytes);
  }

  async close(): Promise<void> {
    const segments = new Segments(new Uint8Array(0));
    this.encoderFor(undefined).finish(segments);
    await this.put(segments, new Arena());
    await this.sink.close();
  }

  async abort(): Promise<void> {
    this.encoder?.abandon();
    await this.patch().catch(() => {});
    await this.sink.abort();
  }

  get summary(): WrittenFile {
    const { path, iface, bytes } = this;
    return { path, iface, records: this.encoder?.records ?? 0, bytes };
  }
}
