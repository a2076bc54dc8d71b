/**
 * Several captures as one, by time. Of the inputs' next records the earliest comes first, of equal ones that of the
 * input named first; the records of one input never change their order, whatever its clock did.
 */
import { type PcapHeader, parsePcapHeader, pcapLayout, withSnaplen } from './pcap.js';
import {
  BLOCK_INTERFACE,
  BLOCK_SECTION,
  BLOCK_SIMPLE,
  buildInterface,
  buildPacket,
  buildSection,
  DEFAULT_TSRESOL,
  encodeTime,
  PACKET_FRAME,
} from './pcapng.js';
import { Slab, type SlabLayout } from './slab.js';
import { transcodeBlock } from './transcode.js';
import type { CaptureFormat, CaptureInterface, CaptureReader, CaptureWarning } from './types.js';

/** Memory for the slabs of all inputs together, and the least for one. */
const INPUT_MEMORY = 4 * 1024 * 1024;
const MINIMUM_SLAB = 131_072;

/**
 * Merges captures. If all are pcap files of the same byte order, resolution and link type, slabs are laid out as
 * theirs; else as a little-endian pcapng section in which every interface of every input is described and the options
 * and comments of pcapng records are kept.
 */
export function mergeCaptures(readers: readonly CaptureReader[]): CaptureReader {
  const [first] = readers;
  if (first === undefined) throw new Error('nothing to merge');
  return readers.length === 1 ? first : new MergedReader(readers);
}

class MergedReader implements CaptureReader {
  readonly path: string;
  readonly format: CaptureFormat;
  readonly interfaces: CaptureInterface[] = [];
  readonly fileHeader: Uint8Array | undefined;
  private readonly ownWarnings: CaptureWarning[] = [];
  private readonly inputs: Input[];
  private readonly layout: SlabLayout;
  /** Blocks that come before the next record. */
  private readonly pending: Uint8Array[] = [];
  private failure: unknown;

  constructor(private readonly readers: readonly CaptureReader[]) {
    const first = readers[0] as CaptureReader;
    this.path = first.path;
    this.format = first.format;
    this.fileHeader = commonHeader(readers);
    this.layout = this.fileHeader === undefined ? { kind: 'pcapng', bigEndian: false } : layoutOf(this.fileHeader);
    if (this.fileHeader === undefined) this.pending.push(buildSection());
    const size = Math.max(MINIMUM_SLAB, Math.floor(INPUT_MEMORY / readers.length));
    this.inputs = readers.map((reader) => new Input(reader, size));
    for (const input of this.inputs) if (input.reader.fileHeader !== undefined) this.addPcapInterface(input);
  }

  /** The one interface of a pcap file. */
  private addPcapInterface(input: Input): void {
    const [described] = input.reader.interfaces;
    if (described === undefined) throw new Error('a pcap reader has an interface');
    input.numbers.push(this.interfaces.push(described) - 1);
    if (this.fileHeader !== undefined) return;
    const { linkType, snaplen, assignedName } = described;
    const tsresol = described.tsresol ?? DEFAULT_TSRESOL;
    this.pending.push(buildInterface({ name: assignedName, linkType, snaplen, tsresol, tsoffset: 0n }, true));
  }

  get warnings(): readonly CaptureWarning[] {
    return [...this.readers.flatMap(({ warnings }) => warnings), ...this.ownWarnings];
  }

  get bytesRead(): number {
    return this.readers.reduce((sum, { bytesRead }) => sum + bytesRead, 0);
  }

  get totalBytes(): number | undefined {
    return this.readers.reduce<number | undefined>(
      (sum, { totalBytes }) => (sum === undefined || totalBytes === undefined ? undefined : sum + totalBytes),
      0,
    );
  }

  async next(slab: Slab): Promise<boolean> {
    slab.begin = 0;
    slab.end = 0;
    slab.records.count = 0;
    slab.records.shortened = 0;
    slab.layout = this.layout;
    if (this.failure !== undefined) throw this.failure;
    for (const input of this.inputs) await this.refill(input);
    while (this.failure === undefined) {
      const input = this.earliest();
      if (input === undefined) {
        this.flushPending(slab);
        break;
      }
      const record = this.record(input);
      if (!this.flushPending(slab) || !append(slab, record, input, this.layout)) break;
      this.advance(input);
      if (input.at >= input.slab.records.count) await this.refill(input);
    }
    if (slab.end === 0 && this.failure !== undefined) throw this.failure;
    return slab.end > 0;
  }

  /** Reads on until the input has a record or ends; what is wrong with it is told after what came before. */
  private async refill(input: Input): Promise<void> {
    while (input.at >= input.slab.records.count && !input.ended) {
      try {
        input.ended = !(await input.reader.next(input.slab));
      } catch (error) {
        this.failure ??= error;
        return;
      }
      input.at = 0;
      input.done = input.slab.begin;
      if (!input.ended) this.takeBlocks(input);
    }
  }

  private earliest(): Input | undefined {
    let best: Input | undefined;
    for (const input of this.inputs) {
      if (!input.ended && (best === undefined || isEarlier(input, best))) best = input;
    }
    return best;
  }

  private advance(input: Input): void {
    input.ready = undefined;
    input.done = input.slab.records.end[input.at] as number;
    input.at++;
    this.takeBlocks(input);
  }

  /** Passes on the input's blocks up to its next record. */
  private takeBlocks(input: Input): void {
    const { slab } = input;
    if (slab.layout.kind !== 'pcapng') return;
    const { bigEndian } = slab.layout;
    const to = input.at < slab.records.count ? (slab.records.start[input.at] as number) : slab.end;
    while (input.done < to) {
      const type = slab.view.getUint32(input.done, !bigEndian);
      const length = slab.view.getUint32(input.done + 4, !bigEndian);
      const block = slab.bytes.subarray(input.done, input.done + length);
      input.done += length;
      this.takeBlock(input, type, block, bigEndian);
    }
  }

  private takeBlock(input: Input, type: number, block: Uint8Array, bigEndian: boolean): void {
    if (type === BLOCK_SECTION) {
      input.sectionBase = input.numbers.length;
      return;
    }
    if (type === BLOCK_INTERFACE) {
      const described = input.reader.interfaces[input.numbers.length];
      if (described === undefined) throw new Error('the reader did not take up an interface');
      input.numbers.push(this.interfaces.push(described) - 1);
    }
    const copy = transcodeBlock(block, bigEndian, (id) => input.numberOf(id));
    if (copy !== undefined) this.pending.push(copy);
    else this.warnOfLeftOut(input, type);
  }

  private warnOfLeftOut(input: Input, type: number): void {
    if (input.leftOut.has(type)) return;
    input.leftOut.add(type);
    this.ownWarnings.push({
      code: 'CAPTURE_BLOCK_LEFT_OUT',
      message: `blocks of type 0x${type.toString(16)} are left out of the merge: their numbers cannot be brought into another byte order`,
      file: input.reader.path,
      offset: undefined,
    });
  }

  /** The input's next record as it is to be in the slab; made once, even if it has to wait for the next slab. */
  private record(input: Input): Uint8Array {
    input.ready ??= this.makeRecord(input);
    return input.ready;
  }

  private makeRecord(input: Input): Uint8Array {
    const { slab, at } = input;
    const { start, end, frame, capturedLength, wireLength, source, seconds, nanoseconds } = slab.records;
    const whole = slab.bytes.subarray(start[at] as number, end[at] as number);
    if (this.fileHeader !== undefined) return whole;
    if (slab.layout.kind === 'pcapng') {
      const { bigEndian } = slab.layout;
      const simple = slab.view.getUint32(start[at] as number, !bigEndian) === BLOCK_SIMPLE;
      const copy = simple ? undefined : transcodeBlock(whole, bigEndian, (id) => input.numberOf(id));
      if (copy !== undefined) return copy;
    }
    const from = input.reader.interfaces[source[at] as number] as CaptureInterface;
    const isSimple = slab.layout.kind === 'pcapng';
    const { tsresol = DEFAULT_TSRESOL, tsoffset = 0n } = from;
    return buildPacket(
      {
        interfaceId: input.numbers[source[at] as number] as number,
        // A simple packet block has no time: zero, as its columns say.
        time: isSimple ? 0n : encodeTime(seconds[at] as number, nanoseconds[at] as number, tsresol, tsoffset),
        wireLength: wireLength[at] as number,
        frame: slab.bytes.subarray(frame[at] as number, (frame[at] as number) + (capturedLength[at] as number)),
      },
      true,
    );
  }

  /** False when a block has to wait for the next slab. */
  private flushPending(slab: Slab): boolean {
    for (let block = this.pending[0]; block !== undefined; block = this.pending[0]) {
      if (!room(slab, block.length)) return false;
      slab.bytes.set(block, slab.end);
      slab.end += block.length;
      this.pending.shift();
    }
    return true;
  }

  async close(): Promise<void> {
    for (const reader of this.readers) await reader.close();
  }
}

/** An input and where in it the merge is. */
class Input {
  readonly slab: Slab;
  /** The record that is next. */
  at = 0;
  /** Offset in the slab up to which blocks were passed on. */
  done = 0;
  ended = false;
  /** The next record, made ready. */
  ready: Uint8Array | undefined;
  /** Index among the merged interfaces, by index among the input's own. */
  readonly numbers: number[] = [];
  /** Index there of the section's interface 0. */
  sectionBase = 0;
  readonly leftOut = new Set<number>();

  constructor(
    readonly reader: CaptureReader,
    size: number,
  ) {
    this.slab = new Slab(size);
  }

  /** The merged number of the section's interface `id`; ones that are not described stay as they are. */
  numberOf(id: number): number {
    return this.numbers[this.sectionBase + id] ?? id;
  }
}

function isEarlier(a: Input, b: Input): boolean {
  const aSeconds = a.slab.records.seconds[a.at] as number;
  const bSeconds = b.slab.records.seconds[b.at] as number;
  if (aSeconds !== bSeconds) return aSeconds < bSeconds;
  return (a.slab.records.nanoseconds[a.at] as number) < (b.slab.records.nanoseconds[b.at] as number);
}

/** Whether `length` more bytes fit into the slab; an empty one grows. */
function room(slab: Slab, length: number): boolean {
  if (slab.end + length <= slab.bytes.length) return true;
  if (slab.end > 0) return false;
  slab.replaceMemory(new Uint8Array(new SharedArrayBuffer(length)));
  return true;
}

function append(slab: Slab, record: Uint8Array, input: Input, layout: SlabLayout): boolean {
  const to = slab.records;
  if (to.count === to.capacity || !room(slab, record.length)) return false;
  const { at } = input;
  const from = input.slab.records;
  const i = to.count++;
  slab.bytes.set(record, slab.end);
  const captured = from.capturedLength[at] as number;
  to.start[i] = slab.end;
  to.end[i] = slab.end + record.length;
  // Whatever block it was, in pcapng it is one with the packet block's layout now.
  const headerLength =
    layout.kind === 'pcapng' ? PACKET_FRAME : (from.frame[at] as number) - (from.start[at] as number);
  to.frame[i] = slab.end + headerLength;
  to.capturedLength[i] = captured;
  to.wireLength[i] = from.wireLength[at] as number;
  to.source[i] = input.numbers[from.source[at] as number] as number;
  to.direction[i] = from.direction[at] as number;
  to.seconds[i] = from.seconds[at] as number;
  to.nanoseconds[i] = from.nanoseconds[at] as number;
  slab.end += record.length;
  return true;
}

/** The header that fits all inputs, undefined unless they are pcap files whose records can stand in one file. */
function commonHeader(readers: readonly CaptureReader[]): Uint8Array | undefined {
  const first = readers[0]?.fileHeader;
  if (first === undefined) return undefined;
  let snaplen = 0;
  for (const { fileHeader } of readers) {
    if (fileHeader === undefined || !isSameKind(first, fileHeader)) return undefined;
    snaplen = Math.max(snaplen, headerOf(fileHeader).snaplen);
  }
  return withSnaplen(first, snaplen);
}

/** Magic and version, then the link type with its bits above; what lies between may differ. */
function isSameKind(a: Uint8Array, b: Uint8Array): boolean {
  return (
    Buffer.compare(a.subarray(0, 8), b.subarray(0, 8)) === 0 && Buffer.compare(a.subarray(20), b.subarray(20)) === 0
  );
}

function headerOf(bytes: Uint8Array): PcapHeader {
  const header = parsePcapHeader(bytes);
  if (header === undefined) throw new Error('not a pcap header');
  return header;
}

function layoutOf(fileHeader: Uint8Array): SlabLayout {
  return pcapLayout(headerOf(fileHeader));
}
