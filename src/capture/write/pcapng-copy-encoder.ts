/**
 * pcapng from pcapng: blocks are written as they lie in the slab. Only the interface of a packet block is rewritten
 * in place, to the one the packet leaves by; a description of it is added to the section before its first use if
 * there is none yet, and the numbers of the descriptions that come later move up.
 */
import {
  BLOCK_INTERFACE,
  BLOCK_PACKET,
  BLOCK_SECTION,
  BLOCK_SIMPLE,
  BLOCK_STATISTICS,
  BYTE_ORDER_MAGIC,
  buildInterface,
  buildPacket,
  buildSection,
  encodeTime,
  type InterfaceDescription,
  PACKET_INTERFACE,
  parseInterface,
  SECTION_LENGTH,
  SECTION_MAGIC,
  STATISTICS_INTERFACE,
} from '../pcapng.js';
import type { Slab } from '../slab.js';
import { type ExtraRecord, NOT_WRITTEN, type OutputInterface } from '../types.js';
import type { Encoder } from './encoder.js';
import type { Segments } from './segments.js';
import { shortenPacketBlock } from './shorten.js';

/** Section length "not stated". */
const UNSTATED_LENGTH = new Uint8Array(8).fill(0xff);

/** A section whose header states a length, which dropped and added blocks make wrong. */
interface StatedSection {
  /** Where in the output its length is, and where its content begins. */
  readonly lengthAt: number;
  readonly contentAt: number;
  readonly stated: bigint;
}

export class PcapngCopyEncoder implements Encoder {
  records = 0;
  readonly patches: { offset: number; bytes: Uint8Array }[] = [];
  private littleEndian = true;
  private started = false;
  /** Every interface of the input so far, in order: the index is that of the reader's `interfaces`. */
  private readonly described: InterfaceDescription[] = [];
  /** Index there of the section's interface 0. */
  private sectionBase = 0;
  /** Interfaces of the section as written; the index is the number packets refer to. */
  private written: InterfaceDescription[] = [];
  /** Number in the output of the section's own interfaces. */
  private ownNumbers: number[] = [];
  /** Number in the output by interface of the input (index in `described`), then by output interface. */
  private numbers: (number[] | undefined)[] = [];
  private section: StatedSection | undefined;
  /** Bytes written in slabs before. */
  private offset = 0;

  /** `seekable`: whether the file can be patched later; if not, sections are written without a stated length. */
  constructor(
    private readonly outputs: readonly OutputInterface[],
    private readonly seekable: boolean,
  ) {}

  encode(slab: Slab, output: Int32Array, extras: readonly ExtraRecord[], segments: Segments): void {
    const { count, start, end, shortened } = slab.records;
    let done = slab.begin;
    let nextExtra = 0;
    for (let i = -1; i <= count; i++) {
      if (i >= 0) {
        const next = i < count ? (start[i] as number) : slab.end;
        if (next > done) this.blocks(slab.view, done, next, segments);
        if (i === count) break;
        done = end[i] as number;
        const to = output[i] as number;
        if (to !== NOT_WRITTEN) {
          this.direct(slab.view, next, to, segments);
          segments.run(next, shortened === 0 ? done : shortenPacketBlock(slab, i, this.littleEndian));
          this.records++;
        }
      }
      while (nextExtra < extras.length && (extras[nextExtra] as ExtraRecord).after <= i) {
        this.extra(extras[nextExtra++] as ExtraRecord, segments);
      }
    }
    this.offset += segments.total;
  }

  /** Gives the packet block at `at` the number of the interface it leaves by. */
  private direct(view: DataView, at: number, to: number, segments: Segments): void {
    const type = view.getUint32(at, this.littleEndian);
    // A simple packet block has no interface number: it is of the section's first, whatever way it went.
    if (type === BLOCK_SIMPLE) return;
    const id =
      type === BLOCK_PACKET
        ? view.getUint16(at + PACKET_INTERFACE, this.littleEndian)
        : view.getUint32(at + PACKET_INTERFACE, this.littleEndian);
    const source = this.sectionBase + id;
    const number = this.numbers[source]?.[to] ?? this.number(source, to, segments);
    if (number === id) return;
    if (type === BLOCK_PACKET) view.setUint16(at + PACKET_INTERFACE, number, this.littleEndian);
    else view.setUint32(at + PACKET_INTERFACE, number, this.littleEndian);
  }

  /** Number of the interface for what came in by `source` and leaves by `to`; describes it if need be. */
  private number(source: number, to: number, segments: Segments): number {
    const description = this.described[source];
    if (description === undefined) throw new Error(`interface ${source} is not described`);
    const name = this.outputs[to]?.name ?? description.name;
    const own = name === description.name ? this.ownNumbers[source - this.sectionBase] : undefined;
    let number = own ?? this.written.findIndex((other) => isSame(other, description, name));
    if (number < 0) {
      number = this.written.length;
      const added = { ...description, name };
      this.written.push(added);
      segments.insert(buildInterface(added, this.littleEndian));
    }
    let known = this.numbers[source];
    if (known === undefined) this.numbers[source] = known = [];
    known[to] = number;
    return number;
  }

  private extra(extra: ExtraRecord, segments: Segments): void {
    if (extra.output === NOT_WRITTEN) return;
    const interfaceId = this.numbers[extra.source]?.[extra.output] ?? this.number(extra.source, extra.output, segments);
    const { tsresol, tsoffset } = this.described[extra.source] as InterfaceDescription;
    const time = encodeTime(extra.seconds, extra.nanoseconds, tsresol, tsoffset);
    const { frame, wireLength } = extra;
    segments.insert(buildPacket({ interfaceId, time, wireLength, frame }, this.littleEndian));
    this.records++;
  }

  earlierBlocks(blocks: Uint8Array, segments: Segments): void {
    const view = new DataView(blocks.buffer, blocks.byteOffset, blocks.byteLength);
    let at = 0;
    while (at < blocks.length) {
      const length = this.block(view, at, segments);
      if (length.copy === undefined) segments.insert(blocks.subarray(at, at + length.bytes));
      else segments.insert(length.copy);
      at += length.bytes;
    }
    this.offset += segments.total;
  }

  /** The blocks between packets. */
  private blocks(view: DataView, from: number, to: number, segments: Segments): void {
    for (let at = from; at < to; ) {
      const { bytes, copy } = this.block(view, at, segments);
      if (copy === undefined) segments.run(at, at + bytes);
      else segments.insert(copy);
      at += bytes;
    }
  }

  /** Takes notice of a block; its length, and what is to be written instead of it, if it cannot stay as it is. */
  private block(view: DataView, at: number, segments: Segments): { bytes: number; copy: Uint8Array | undefined } {
    const type = view.getUint32(at, this.littleEndian);
    if (type === BLOCK_SECTION) this.littleEndian = view.getUint32(at + SECTION_MAGIC, true) === BYTE_ORDER_MAGIC;
    const bytes = view.getUint32(at + 4, this.littleEndian);
    let copy: Uint8Array | undefined;
    if (type === BLOCK_SECTION) {
      copy = this.beginSection(view, at, bytes, segments);
    } else if (type === BLOCK_INTERFACE) {
      const description = parseInterface(view, at, bytes, this.littleEndian);
      this.described.push(description);
      this.ownNumbers.push(this.written.length);
      this.written.push(description);
    } else if (type === BLOCK_STATISTICS && bytes >= STATISTICS_INTERFACE + 8) {
      copy = this.renumberStatistics(view, at, bytes);
    }
    return { bytes, copy };
  }

  private beginSection(view: DataView, at: number, bytes: number, segments: Segments): Uint8Array | undefined {
    this.endSection(this.offset + segments.total);
    this.started = true;
    this.sectionBase = this.described.length;
    this.written = [];
    this.ownNumbers = [];
    this.numbers = [];
    const stated = view.getBigInt64(at + SECTION_LENGTH, this.littleEndian);
    if (stated === -1n) return undefined;
    if (this.seekable) {
      const here = this.offset + segments.total;
      this.section = { lengthAt: here + SECTION_LENGTH, contentAt: here + bytes, stated };
      return undefined;
    }
    const copy = copyOf(view, at, bytes);
    copy.set(UNSTATED_LENGTH, SECTION_LENGTH);
    return copy;
  }

  /** The section ends at offset `end` of the output: if that is not what its header says, it must say nothing. */
  private endSection(end: number): void {
    const section = this.section;
    this.section = undefined;
    if (section === undefined || section.stated === BigInt(end - section.contentAt)) return;
    this.patches.push({ offset: section.lengthAt, bytes: UNSTATED_LENGTH });
  }

  /** Statistics are of an interface too. A copy, as several files may be made of one slab. */
  private renumberStatistics(view: DataView, at: number, bytes: number): Uint8Array | undefined {
    const id = view.getUint32(at + STATISTICS_INTERFACE, this.littleEndian);
    const number = this.ownNumbers[id];
    if (number === undefined || number === id) return undefined;
    const copy = copyOf(view, at, bytes);
    new DataView(copy.buffer).setUint32(STATISTICS_INTERFACE, number, this.littleEndian);
    return copy;
  }

  abandon(): void {
    this.endSection(this.offset);
  }

  finish(segments: Segments): void {
    if (!this.started) segments.insert(buildSection());
    this.endSection(this.offset);
  }
}

function copyOf(view: DataView, at: number, bytes: number): Uint8Array {
  return new Uint8Array(view.buffer, view.byteOffset + at, bytes).slice();
}

/** Whether packets of `description` can refer to `other` when it is to be named `name`. */
function isSame(other: InterfaceDescription, description: InterfaceDescription, name: string | undefined): boolean {
  return (
    other.name === name &&
    other.linkType === description.linkType &&
    other.tsresol === description.tsresol &&
    other.tsoffset === description.tsoffset &&
    other.fcslen === description.fcslen
  );
}
