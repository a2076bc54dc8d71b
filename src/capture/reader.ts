/** Opens captures and reads them slab by slab. */
import { NatreplayError } from '../errors.js';
import { openDecompressed } from './compression.js';
import { describeContent } from './content.js';
import { SlabFiller } from './filler.js';
import { PCAP_FILE_HEADER, type PcapHeader, parsePcapHeader, pcapLayout, walkPcap, withoutFrameCheck } from './pcap.js';
import { BLOCK_SECTION, clearFrameCheck, frameCheckBytes, SECTION_MINIMUM } from './pcapng.js';
import { PcapngWalker } from './pcapng-walk.js';
import type { Slab, SlabLayout } from './slab.js';
import type { ByteSource } from './source.js';
import type { CaptureFormat, CaptureInterface, CaptureReader, CaptureWarning } from './types.js';
import { WalkState } from './walk.js';

export interface OpenCaptureOptions {
  /** Name of the interface the capture was taken on, as given on the command line (`eth0=outside.pcap`). */
  readonly assignedName?: string | undefined;
}

/**
 * Opens a capture file, or standard input for `-`; what it is (pcap, pcapng, compressed) is told from its content.
 * Throws NatreplayError when there is no such file, it cannot be read, or it is no capture.
 */
export async function openCapture(path: string, options: OpenCaptureOptions = {}): Promise<CaptureReader> {
  return readCapture(await openDecompressed(path), options);
}

/** The same for bytes from anywhere; they are those of a capture, not compressed. Closes the source when it is none. */
export async function readCapture(source: ByteSource, options: OpenCaptureOptions = {}): Promise<CaptureReader> {
  const { path } = source;
  try {
    const head = new Uint8Array(PCAP_FILE_HEADER);
    const length = await source.read(head, 0, head.length);
    const content = head.subarray(0, length);
    if (length === 0) {
      const what = source.cut === undefined ? 'the file is empty' : `nothing can be read: ${source.cut}`;
      throw new NatreplayError('CAPTURE_EMPTY', `${what}, not even a capture header is there`, {
        file: path,
        advice: 'capture again, or check what was to write it',
      });
    }
    const header = parsePcapHeader(content);
    if (header !== undefined) return new PcapReader(source, content, header, options.assignedName);
    if (isSectionHeader(content)) return new PcapngReader(source, content, options.assignedName);
    throw notACapture(path, content);
  } catch (error) {
    await source.close();
    throw error;
  }
}

function notACapture(file: string, content: Uint8Array): NatreplayError {
  const { code, what, advice } = describeContent(content);
  return new NatreplayError(code, what, { file, advice });
}

/** The type of a section header block is the same in both byte orders. */
function isSectionHeader(head: Uint8Array): boolean {
  const isType = head.length >= 4 && new DataView(head.buffer, head.byteOffset).getUint32(0) === BLOCK_SECTION;
  // The head is 24 bytes, a section header at least 28: a shorter file is told apart here, a cut one when walking.
  return isType && head.length === Math.min(PCAP_FILE_HEADER, SECTION_MINIMUM);
}

/** What the readers of both formats share: filling slabs, carrying the partial record over, the end of the file. */
export abstract class SlabReader implements CaptureReader {
  abstract readonly format: CaptureFormat;
  abstract readonly interfaces: readonly CaptureInterface[];
  readonly fileHeader: Uint8Array | undefined = undefined;
  readonly warnings: CaptureWarning[] = [];
  protected readonly state = new WalkState();
  /** Bytes of check sequence at the end of frames, by interface; empty when there are none. */
  protected readonly frameChecks: number[] = [];
  private readonly filler: SlabFiller;
  private finished = false;

  constructor(
    private readonly source: ByteSource,
    head: Uint8Array,
    base: number,
  ) {
    this.filler = new SlabFiller(source, head, base);
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

  /** Fills the columns from `slab.bytes[0..to)`; returns where it stopped and says in `state` why. */
  protected abstract walk(slab: Slab, to: number): number;
  protected abstract readonly layout: SlabLayout;

  async next(slab: Slab): Promise<boolean> {
    slab.begin = 0;
    slab.end = 0;
    slab.records.count = 0;
    slab.records.shortened = 0;
    if (this.finished) return false;
    const filler = this.filler;
    await filler.fill(slab);
    let end = this.walkFrom(slab);
    while (end === 0 && this.state.problem === undefined && !filler.ended) {
      await filler.more(slab, Math.max(this.state.needed, filler.filled + 1));
      end = this.walkFrom(slab);
    }
    slab.layout = this.layout;
    slab.end = end;
    // Records before a damaged one are still delivered; the call after that throws.
    if (end === 0 && this.state.problem !== undefined) this.fail();
    if (filler.ended && (end === filler.filled || this.state.needed > 0)) {
      this.finished = true;
      if (this.state.needed > 0 || this.source.cut !== undefined) this.warnOfCut(end);
    }
    if (!this.finished) filler.keep(slab, end);
    if (this.frameChecks.length > 0) this.cutFrameChecks(slab);
    return end > 0;
  }

  /**
   * Frames are read without the check sequence that a capture says they end with: once a packet is translated it would
   * be wrong. The declaration goes, too, so that what is written says what it holds.
   */
  private cutFrameChecks({ records }: Slab): void {
    for (let i = 0; i < records.count; i++) {
      const length = this.frameChecks[records.source[i] as number] ?? 0;
      if (length === 0) continue;
      const wire = Math.max(0, (records.wireLength[i] as number) - length);
      records.shorten(i, Math.min(records.capturedLength[i] as number, wire), wire);
    }
  }

  private walkFrom(slab: Slab): number {
    this.state.reset();
    return this.walk(slab, this.filler.filled);
  }

  /** Offset in the file of an offset in the slab. */
  protected offsetOf(at: number): number {
    return this.filler.base + at;
  }

  private fail(): never {
    this.finished = true;
    const problem = this.state.problem;
    throw new NatreplayError(problem?.code ?? 'CAPTURE_DAMAGED', problem?.what ?? 'the capture is damaged', {
      file: this.path,
      offset: this.offsetOf(problem?.at ?? 0),
      advice: 'the file is damaged here; what comes before can be cut out with editcap or tcpdump',
    });
  }

  private warnOfCut(end: number): void {
    const offset = this.offsetOf(end);
    const left = this.filler.filled - end;
    const { needed } = this.state;
    const record = `its last record, at byte ${offset}, has ${left} bytes of at least ${needed}`;
    const reasons = [...(needed > 0 ? [record] : []), ...(this.source.cut === undefined ? [] : [this.source.cut])];
    this.warnings.push({
      code: 'CAPTURE_TRUNCATED',
      message: `the capture is cut short: ${reasons.join(', ')}; everything before was read`,
      file: this.path,
      offset,
    });
  }

  close(): Promise<void> {
    return this.filler.close();
  }
}

export class PcapReader extends SlabReader {
  readonly format = 'pcap';
  readonly interfaces: readonly CaptureInterface[];
  override readonly fileHeader: Uint8Array;
  protected readonly layout: SlabLayout;

  constructor(
    source: ByteSource,
    fileHeader: Uint8Array,
    private readonly header: PcapHeader,
    assignedName: string | undefined,
  ) {
    super(source, new Uint8Array(0), PCAP_FILE_HEADER);
    this.fileHeader = header.frameCheck === 0 ? fileHeader : withoutFrameCheck(fileHeader);
    if (header.frameCheck > 0) this.frameChecks.push(header.frameCheck);
    const { linkType, snaplen, nanosecond } = header;
    this.interfaces = [{ name: undefined, linkType, snaplen, assignedName, tsresol: nanosecond ? 9 : 6 }];
    this.layout = pcapLayout(header);
  }

  protected walk(slab: Slab, to: number): number {
    return walkPcap(slab, 0, to, this.header, this.state);
  }
}

export class PcapngReader extends SlabReader {
  readonly format = 'pcapng';
  readonly interfaces: CaptureInterface[] = [];
  private readonly walker: PcapngWalker;

  constructor(source: ByteSource, head: Uint8Array, assignedName: string | undefined) {
    super(source, head, 0);
    this.walker = new PcapngWalker((description, view, at, length, littleEndian) => {
      const index = this.interfaces.length;
      const frameCheck = frameCheckBytes(description);
      if (frameCheck > 0) {
        this.frameChecks[index] = frameCheck;
        clearFrameCheck(view, at, length, littleEndian);
      }
      const without = frameCheck > 0 ? { ...description, fcslen: 0 } : description;
      return this.interfaces.push({ ...without, assignedName }) - 1;
    });
  }

  protected get layout(): SlabLayout {
    return { kind: 'pcapng', bigEndian: this.walker.bigEndian };
  }

  protected walk(slab: Slab, to: number): number {
    return this.walker.walk(slab, 0, to, this.state);
  }
}
