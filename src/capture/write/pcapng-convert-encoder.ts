/** pcapng from anything else: a little-endian section, every record encoded anew from the columns. */
import {
  BLOCK_ENHANCED,
  buildInterface,
  buildPacket,
  buildSection,
  DEFAULT_TSRESOL,
  encodeTime,
  PACKET_CAPTURED,
  PACKET_FRAME,
  PACKET_INTERFACE,
  PACKET_MINIMUM,
  PACKET_ON_WIRE,
  PACKET_TIME_HIGH,
  PACKET_TIME_LOW,
  pad4,
} from '../pcapng.js';
import type { Slab } from '../slab.js';
import { type CaptureInterface, type ExtraRecord, NOT_WRITTEN, type OutputInterface } from '../types.js';
import { RecordBatch } from './batch.js';
import { copyBytes } from './copy.js';
import type { Encoder } from './encoder.js';
import type { Segments } from './segments.js';

const TWO_32 = 4_294_967_296;

interface Interface {
  readonly number: number;
  readonly tsresol: number;
  readonly unitsPerSecond: number;
  readonly nanosecondsPerUnit: number;
}

export class PcapngConvertEncoder implements Encoder {
  records = 0;
  readonly patches = [];
  private started = false;
  private written = 0;
  /** By interface of the input, then by output interface. */
  private readonly interfaces: (Interface[] | undefined)[] = [];

  constructor(
    private readonly sources: readonly CaptureInterface[],
    private readonly outputs: readonly OutputInterface[],
  ) {}

  encode(slab: Slab, output: Int32Array, extras: readonly ExtraRecord[], segments: Segments): void {
    this.start(segments);
    const { count, source } = slab.records;
    const batch = new RecordBatch(segments);
    let nextExtra = 0;
    for (let i = -1; i < count; i++) {
      const to = i < 0 ? NOT_WRITTEN : (output[i] as number);
      if (to !== NOT_WRITTEN) {
        const from = source[i] as number;
        const as = this.interfaces[from]?.[to] ?? this.describe(from, to, batch, segments);
        putRecord(batch, slab, i, as);
        this.records++;
      }
      while (nextExtra < extras.length && (extras[nextExtra] as ExtraRecord).after <= i) {
        this.extra(extras[nextExtra++] as ExtraRecord, batch, segments);
      }
    }
    batch.flush();
  }

  private start(segments: Segments): void {
    if (this.started) return;
    this.started = true;
    segments.insert(buildSection());
  }

  private describe(from: number, to: number, batch: RecordBatch, segments: Segments): Interface {
    const source = this.sources[from];
    if (source === undefined) throw new Error(`no interface ${from}`);
    const { linkType, snaplen } = source;
    const tsresol = Math.min(source.tsresol ?? DEFAULT_TSRESOL, 9);
    const name = this.outputs[to]?.name ?? source.name ?? source.assignedName;
    batch.flush();
    segments.insert(buildInterface({ name, linkType, snaplen, tsresol, tsoffset: 0n }, true));
    const added = {
      number: this.written++,
      tsresol,
      unitsPerSecond: 10 ** tsresol,
      nanosecondsPerUnit: 10 ** (9 - tsresol),
    };
    let known = this.interfaces[from];
    if (known === undefined) this.interfaces[from] = known = [];
    known[to] = added;
    return added;
  }

  private extra(extra: ExtraRecord, batch: RecordBatch, segments: Segments): void {
    if (extra.output === NOT_WRITTEN) return;
    const known = this.interfaces[extra.source]?.[extra.output];
    const as = known ?? this.describe(extra.source, extra.output, batch, segments);
    const time = encodeTime(extra.seconds, extra.nanoseconds, as.tsresol, 0n);
    const { frame, wireLength } = extra;
    batch.flush();
    segments.insert(buildPacket({ interfaceId: as.number, time, wireLength, frame }, true));
    this.records++;
  }

  earlierBlocks(): void {}
  abandon(): void {}

  finish(segments: Segments): void {
    this.start(segments);
    const [first] = this.sources;
    // A capture without records still says what it is of.
    if (this.written === 0 && first !== undefined) this.describe(0, NOT_WRITTEN, new RecordBatch(segments), segments);
  }
}

/** An enhanced packet block made of the columns. */
function putRecord(batch: RecordBatch, slab: Slab, i: number, as: Interface): void {
  const { frame, capturedLength, wireLength, seconds, nanoseconds } = slab.records;
  const from = frame[i] as number;
  const captured = capturedLength[i] as number;
  const length = PACKET_MINIMUM + pad4(captured);
  const at = batch.room(length);
  const { view } = batch;
  view.setUint32(at, BLOCK_ENHANCED, true);
  view.setUint32(at + 4, length, true);
  view.setUint32(at + PACKET_INTERFACE, as.number, true);
  putTime(view, at, seconds[i] as number, nanoseconds[i] as number, as);
  view.setUint32(at + PACKET_CAPTURED, captured, true);
  view.setUint32(at + PACKET_ON_WIRE, wireLength[i] as number, true);
  copyBytes(slab.view, from, from + captured, view, at + PACKET_FRAME);
  view.setUint32(at + length - 4, length, true);
}

function putTime(view: DataView, at: number, seconds: number, nanoseconds: number, as: Interface): void {
  if (seconds < 0 || seconds > 0xffffffff) {
    const time = encodeTime(seconds, nanoseconds, as.tsresol, 0n);
    view.setUint32(at + PACKET_TIME_HIGH, Number(time >> 32n), true);
    view.setUint32(at + PACKET_TIME_LOW, Number(time & 0xffffffffn), true);
    return;
  }
  const perSecond = as.unitsPerSecond;
  const fraction = Math.floor(nanoseconds / as.nanosecondsPerUnit);
  // The low word is exact modulo 2^32; the double, which may be off in its last bits, then gives the high word.
  const low = (Math.imul(seconds, perSecond) + fraction) >>> 0;
  view.setUint32(at + PACKET_TIME_HIGH, Math.round((seconds * perSecond + fraction - low) / TWO_32), true);
  view.setUint32(at + PACKET_TIME_LOW, low, true);
}
