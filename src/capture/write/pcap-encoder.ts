/** Encoders of classic pcap files. */
import { NatreplayError } from '../../errors.js';
import { maximumFrame } from '../limits.js';
import { linkTypeName } from '../linktypes.js';
import {
  buildPcapHeader,
  PCAP_RECORD_HEADER,
  type PcapEncoding,
  parsePcapHeader,
  putPcapRecordHeader,
} from '../pcap.js';
import type { Slab } from '../slab.js';
import { type CaptureInterface, type ExtraRecord, NOT_WRITTEN } from '../types.js';
import { RecordBatch } from './batch.js';
import { copyBytes } from './copy.js';
import type { Encoder } from './encoder.js';
import type { Segments } from './segments.js';
import { shortenPcapRecord } from './shorten.js';

/** Whether a slab's records are, byte for byte, records of a file with this encoding. */
function sameLayout(slab: Slab, encoding: PcapEncoding): boolean {
  const layout = slab.layout;
  return (
    layout.kind === 'pcap' &&
    layout.bigEndian === encoding.bigEndian &&
    layout.nanosecond === encoding.nanosecond &&
    (layout.recordHeader ?? PCAP_RECORD_HEADER) === encoding.recordHeader
  );
}

/** pcap from pcap with the same header: records are written as they lie in the slab. */
export class PcapCopyEncoder implements Encoder {
  records = 0;
  readonly patches = [];
  private readonly encoding: PcapEncoding;
  private started = false;

  /**
   * `header`: the 24 bytes the input begins with, which the output begins with too. `alone`: the slabs go into no other
   * file, so that their bytes may be moved.
   */
  constructor(
    private readonly header: Uint8Array,
    private readonly alone = false,
  ) {
    const parsed = parsePcapHeader(header);
    if (parsed === undefined) throw new Error('not a pcap header');
    this.encoding = parsed;
  }

  encode(slab: Slab, output: Int32Array, extras: readonly ExtraRecord[], segments: Segments): void {
    if (!sameLayout(slab, this.encoding)) throw new Error('the slab has another layout than the file');
    this.start(segments);
    const packed = this.alone && extras.length === 0 ? slab.packer?.(slab, output, this.encoding.bigEndian) : undefined;
    if (packed !== undefined) {
      segments.run(packed.begin, packed.end);
      this.records += packed.records;
      return;
    }
    const { count, start, end, shortened } = slab.records;
    let nextExtra = this.putExtras(extras, 0, -1, segments);
    let extraAt = extras[nextExtra]?.after ?? count;
    for (let i = 0; i < count; i++) {
      if (output[i] !== NOT_WRITTEN) {
        const to = shortened === 0 ? (end[i] as number) : shortenPcapRecord(slab, i, this.encoding.bigEndian);
        segments.run(start[i] as number, to);
        this.records++;
      }
      if (i === extraAt) {
        nextExtra = this.putExtras(extras, nextExtra, i, segments);
        extraAt = extras[nextExtra]?.after ?? count;
      }
    }
  }

  /** Puts the extras from `next` on that belong after record `after`; returns the index of the one that follows. */
  private putExtras(extras: readonly ExtraRecord[], next: number, after: number, segments: Segments): number {
    let at = next;
    for (; at < extras.length; at++) {
      const extra = extras[at] as ExtraRecord;
      if (extra.after > after) break;
      if (extra.output === NOT_WRITTEN) continue;
      segments.insert(encodeRecord(this.encoding, extra));
      this.records++;
    }
    return at;
  }

  private start(segments: Segments): void {
    if (this.started) return;
    this.started = true;
    segments.insert(this.header);
  }

  /** pcap has no blocks but records. */
  earlierBlocks(): void {}
  abandon(): void {}

  finish(segments: Segments): void {
    this.start(segments);
  }
}

interface RecordContent {
  readonly seconds: number;
  readonly nanoseconds: number;
  readonly wireLength: number;
  readonly frame: Uint8Array;
}

function encodeRecord(encoding: PcapEncoding, record: RecordContent): Uint8Array {
  const bytes = new Uint8Array(encoding.recordHeader + record.frame.length);
  const view = new DataView(bytes.buffer);
  const { seconds, nanoseconds, frame, wireLength } = record;
  putPcapRecordHeader(view, 0, encoding, seconds, nanoseconds, frame.length, wireLength);
  bytes.set(frame, encoding.recordHeader);
  return bytes;
}

const ADVICE_PCAPNG = 'write a .pcapng file, which can hold it';

/** pcap from anything else: every record is encoded anew from the columns. */
export class PcapConvertEncoder implements Encoder {
  records = 0;
  readonly patches = [];
  private encoding: PcapEncoding | undefined;
  private linkType = 0;

  constructor(
    private readonly path: string,
    private readonly sources: readonly CaptureInterface[],
  ) {}

  encode(slab: Slab, output: Int32Array, extras: readonly ExtraRecord[], segments: Segments): void {
    const { count, frame, capturedLength, wireLength, source, seconds, nanoseconds } = slab.records;
    const batch = new RecordBatch(segments);
    let nextExtra = 0;
    for (let i = -1; i < count; i++) {
      if (i >= 0 && output[i] !== NOT_WRITTEN) {
        const encoding = this.encodingFor(source[i] as number, segments);
        const from = frame[i] as number;
        const length = capturedLength[i] as number;
        const at = batch.room(PCAP_RECORD_HEADER + length);
        const second = this.checkedSeconds(seconds[i] as number);
        putPcapRecordHeader(
          batch.view,
          at,
          encoding,
          second,
          nanoseconds[i] as number,
          length,
          wireLength[i] as number,
        );
        copyBytes(slab.view, from, from + length, batch.view, at + PCAP_RECORD_HEADER);
        this.records++;
      }
      for (; nextExtra < extras.length; nextExtra++) {
        const extra = extras[nextExtra] as ExtraRecord;
        if (extra.after > i) break;
        if (extra.output === NOT_WRITTEN) continue;
        const encoding = this.encodingFor(extra.source, segments);
        this.checkedSeconds(extra.seconds);
        batch.flush();
        segments.insert(encodeRecord(encoding, extra));
        this.records++;
      }
    }
    batch.flush();
  }

  /** The encoding of the file, decided with its first record; checks that an interface's records fit in. */
  private encodingFor(source: number, segments: Segments): PcapEncoding {
    const from = this.sources[source];
    if (from === undefined) throw new Error(`no interface ${source}`);
    if (this.encoding === undefined) return this.start(from.linkType, segments);
    if (from.linkType !== this.linkType) {
      const types = `${linkTypeName(this.linkType)} and ${linkTypeName(from.linkType)}`;
      throw new NatreplayError(
        'CAPTURE_SEVERAL_LINK_TYPES',
        `a pcap file has one link type, the records have ${types}`,
        {
          file: this.path,
          advice: ADVICE_PCAPNG,
          exitCode: 3,
        },
      );
    }
    if (!this.encoding.nanosecond && isFine(from)) {
      const what =
        'an interface with timestamps finer than microseconds came after the file was begun with microseconds';
      throw new NatreplayError('CAPTURE_SEVERAL_RESOLUTIONS', what, {
        file: this.path,
        advice: ADVICE_PCAPNG,
        exitCode: 3,
      });
    }
    return this.encoding;
  }

  private start(linkType: number, segments: Segments): PcapEncoding {
    const nanosecond = this.sources.some(isFine);
    const snaplens = this.sources.map(({ snaplen }) => snaplen);
    const snaplen = snaplens.includes(0) ? maximumFrame(linkType) : Math.max(0, ...snaplens);
    segments.insert(buildPcapHeader({ nanosecond, snaplen: snaplen || maximumFrame(linkType), linkType }));
    this.linkType = linkType;
    this.encoding = { bigEndian: false, nanosecond, recordHeader: PCAP_RECORD_HEADER };
    return this.encoding;
  }

  private checkedSeconds(seconds: number): number {
    if (seconds >= 0 && seconds <= 0xffffffff) return seconds;
    throw new NatreplayError(
      'CAPTURE_TIME_OUT_OF_RANGE',
      `a pcap file cannot hold the time ${seconds} (1970 to 2106)`,
      {
        file: this.path,
        advice: ADVICE_PCAPNG,
        exitCode: 3,
      },
    );
  }

  /** pcap has no blocks but records. */
  earlierBlocks(): void {}
  abandon(): void {}

  finish(segments: Segments): void {
    if (this.encoding === undefined) this.start(this.sources[0]?.linkType ?? 1, segments);
  }
}

/**
 * Whether an interface's timestamps are not whole microseconds: units of 10^-n or 2^-n seconds are until n = 6, since
 * 10^6 is 2^6 times 5^6.
 */
function isFine({ tsresol }: CaptureInterface): boolean {
  return tsresol !== undefined && (tsresol & 0x7f) > 6;
}
