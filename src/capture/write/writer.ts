/** Writes captures: which format, which files, in which order; the formats themselves are the encoders'. */

import type { Slab } from '../slab.js';
import { errorText } from '../source.js';
import type {
  CaptureFormat,
  CaptureReader,
  CaptureWriter,
  ExtraRecord,
  OutputInterface,
  WrittenFile,
} from '../types.js';
import type { Encoder } from './encoder.js';
import { PcapConvertEncoder, PcapCopyEncoder } from './pcap-encoder.js';
import { Arena, Segments } from './segments.js';
import { type ByteSink, openSink } from './sink.js';

/** What a writer has to know of the capture its slabs come from. A CaptureReader is one. */
export type WriterSource = Pick<CaptureReader, 'format' | 'interfaces' | 'fileHeader'>;

export interface CaptureWriterOptions {
  readonly source: WriterSource;
  /** What `output[i]` of `write` indexes; taken by reference, it may grow while writing. */
  readonly outputs: readonly OutputInterface[];
}

/**
 * Creates what writes to `target`: a path, `-` for standard output, or a path with `{iface}` in it for one file per
 * output interface. The format follows the ending (.pcap, .cap: pcap; .pcapng, .ntar: pcapng), else it is the
 * source's. Throws NatreplayError when nothing can be written there.
 */
export async function createCaptureWriter(target: string, options: CaptureWriterOptions): Promise<CaptureWriter> {
  const arena = new Arena();
  return SingleWriter.open(target, undefined, options, arena);
}

/** The format a path's ending asks for, undefined if none. */
export function formatOfPath(path: string): CaptureFormat | undefined {
  const plain = path.toLowerCase().replace(/\.(gz|zst)$/, '');
  if (/\.(pcap|cap)$/.test(plain)) return 'pcap';
  if (/\.(pcapng|ntar)$/.test(plain)) return 'pcapng';
  return undefined;
}

function createEncoder(path: string, options: CaptureWriterOptions): Encoder {
  const { source } = options;
  const format = formatOfPath(path) ?? source.format;
  if (format === 'pcap' && source.fileHeader !== undefined) return new PcapCopyEncoder(source.fileHeader);
  if (format === 'pcap') return new PcapConvertEncoder(path, source.interfaces);
  throw new Error('pcapng is not written yet');
}

/** One file. */
class SingleWriter implements CaptureWriter {
  private written = 0;
  private failed = false;

  private constructor(
    private readonly path: string,
    private readonly iface: string | undefined,
    private readonly encoder: Encoder,
    private readonly sink: ByteSink,
    private readonly arena: Arena,
  ) {}

  static async open(
    path: string,
    iface: string | undefined,
    options: CaptureWriterOptions,
    arena: Arena,
  ): Promise<SingleWriter> {
    const encoder = createEncoder(path, options);
    return new SingleWriter(path, iface, encoder, await openSink(path), arena);
  }

  async write(slab: Slab, output: Int32Array, extras: readonly ExtraRecord[] = []): Promise<void> {
    this.arena.reset(slab.end - slab.begin);
    const segments = new Segments(slab.bytes);
    this.encoder.encode(slab, output, extras, segments);
    await this.put(segments);
  }

  private async put(segments: Segments): Promise<void> {
    const pieces = segments.finish(this.arena);
    try {
      if (segments.length > 0) await this.sink.write(pieces);
      this.written += segments.length;
      for (const { offset, bytes } of this.encoder.patches.splice(0)) await this.sink.patch(offset, bytes);
    } catch (error) {
      this.failed = true;
      throw error;
    }
  }

  async close(): Promise<void> {
    if (this.failed) throw new Error(`closing ${this.path} after a write failed: ${errorText(this.path)}`);
    const segments = new Segments(new Uint8Array(0));
    this.encoder.finish(segments);
    await this.put(segments);
    await this.sink.close();
  }

  abort(): Promise<void> {
    return this.sink.abort();
  }

  get files(): readonly WrittenFile[] {
    return [{ path: this.path, iface: this.iface, records: this.encoder.records, bytes: this.written }];
  }
}
