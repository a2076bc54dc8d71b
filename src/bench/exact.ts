/**
 * The figures that are the same on every machine: what became of the packets, how many rules they were held against,
 * what the flow table was asked. Found by one pass that takes packets one by one, without WebAssembly and without a clock.
 */
import { createHash, type Hash } from 'node:crypto';
import type { Slab } from '../capture/slab.js';
import { NOT_WRITTEN } from '../capture/types.js';
import type { Engine } from '../netfilter/engine.js';
import {
  VERDICT_DROP,
  VERDICT_FORWARD,
  VERDICT_HELD,
  VERDICT_IGNORED,
  VERDICT_LOCAL,
  VERDICT_OUTGOING,
} from '../netfilter/results.js';
import { parseSlab } from '../packet/parse.js';
import { IngressStage } from '../pipeline/ingress.js';
import type { OutputStage, PlacedExtra } from '../pipeline/outputs.js';
import { cutPadding } from '../pipeline/padding.js';
import { Bench } from '../pipeline/stages.js';
import type { MemoryCapture } from './capture.js';
import { newEngine, newOutputs, type PassOptions, type Subject } from './subject.js';

const SLAB_BYTES = 256 * 1024;

export interface ExactFigures {
  readonly packets: number;
  /** Bytes of their frames as captured. */
  readonly bytes: number;
  readonly verdicts: Readonly<Record<'forward' | 'local' | 'drop' | 'held' | 'outgoing' | 'ignored', number>>;
  /** Connections that were begun. */
  readonly connections: number;
  /** Rules that packets were held against, as the kernel would, chain by chain. */
  readonly rulesEvaluated: number;
  /** The same of the packets that began a connection; undefined when none did. */
  readonly rulesPerConnection: { readonly min: number; readonly mean: number; readonly max: number } | undefined;
  /** First packets whose way was that of one before them, which spared them the walk. */
  readonly remembered: number;
  /** Slots of the flow table's index that lookups looked at. */
  readonly tableProbes: number;
  /** Of every record that leaves: egress, time, lengths, frame. */
  readonly outputSha256: string;
}

export interface ExactPass {
  readonly figures: ExactFigures;
  /** A byte for each record of the capture: 1 where it began a connection. */
  readonly begins: Uint8Array;
}

export async function exactPass(capture: MemoryCapture, subject: Subject, options: PassOptions): Promise<ExactPass> {
  const reader = await capture.open();
  const outputs = newOutputs(subject, reader);
  const ingress = new IngressStage(subject.host, reader.interfaces, true);
  const engine = newEngine(subject, options);
  const bench = new Bench(SLAB_BYTES, undefined);
  const hash = new OutputHash(outputs);
  const counts = new Counts(engine);
  while (await reader.next(bench.slab)) {
    const { slab, columns, results, output, position } = bench;
    const linkTypes = reader.interfaces.map(({ linkType }) => linkType);
    parseSlab(slab, columns, linkTypes, options.checksums);
    ingress.run(slab, columns, results);
    for (let i = 0; i < slab.records.count; i++) {
      const bytes = slab.records.capturedLength[i] as number;
      engine.track(slab, columns, results, i, i + 1);
      const extras = outputs.runWith(engine.extras.splice(0), slab, results, output, position, i, i + 1);
      cutPadding(slab, columns, results, i, i + 1);
      counts.note(results.verdict[i] as number, bytes);
      hash.add(slab, output, i, extras);
    }
  }
  await reader.close();
  return { figures: { ...counts.figures(), outputSha256: hash.digest() }, begins: counts.begins() };
}

const created = (engine: Engine): number => (engine.conntrack?.created ?? 0) + (engine.ipv6?.conntrack?.created ?? 0);
const evaluated = (engine: Engine): number => engine.path.walker.evaluated + (engine.ipv6?.path.walker.evaluated ?? 0);

/** Counts packet by packet. */
class Counts {
  private packets = 0;
  private bytes = 0;
  private readonly verdicts = new Float64Array(8);
  private flags = new Uint8Array(1 << 16);
  private connections = 0;
  private evaluated = 0;
  private least = Number.POSITIVE_INFINITY;
  private most = 0;
  private sum = 0;
  private first = 0;

  constructor(private readonly engine: Engine) {}

  /** After each packet. */
  note(verdict: number, bytes: number): void {
    if (this.packets === this.flags.length) {
      const larger = new Uint8Array(this.flags.length * 2);
      larger.set(this.flags);
      this.flags = larger;
    }
    const connections = created(this.engine);
    const rules = evaluated(this.engine) - this.evaluated;
    if (connections > this.connections) {
      this.flags[this.packets] = 1;
      this.first++;
      this.sum += rules;
      this.least = Math.min(this.least, rules);
      this.most = Math.max(this.most, rules);
    }
    this.connections = connections;
    this.evaluated += rules;
    this.packets++;
    this.bytes += bytes;
    this.verdicts[verdict] = (this.verdicts[verdict] as number) + 1;
  }

  begins(): Uint8Array {
    return this.flags.slice(0, this.packets);
  }

  figures(): Omit<ExactFigures, 'outputSha256'> {
    const of = (verdict: number): number => this.verdicts[verdict] as number;
    const { first, least, most, sum } = this;
    return {
      packets: this.packets,
      bytes: this.bytes,
      verdicts: {
        forward: of(VERDICT_FORWARD),
        local: of(VERDICT_LOCAL),
        drop: of(VERDICT_DROP),
        held: of(VERDICT_HELD),
        outgoing: of(VERDICT_OUTGOING),
        ignored: of(VERDICT_IGNORED),
      },
      connections: this.connections,
      rulesEvaluated: this.evaluated,
      rulesPerConnection: first === 0 ? undefined : { min: least, mean: sum / first, max: most },
      remembered: this.engine.begunByMemory,
      tableProbes: this.engine.table.probes + (this.engine.ipv6?.table.probes ?? 0),
    };
  }
}

/** Gathers what is hashed, since a call for each record would take most of the time. */
class OutputHash {
  private readonly hash: Hash = createHash('sha256');
  private readonly staged = new Uint8Array(1 << 20);
  private readonly view = new DataView(this.staged.buffer);
  private filled = 0;

  constructor(private readonly outputs: OutputStage) {}

  add(slab: Slab, output: Int32Array, i: number, extras: readonly PlacedExtra[]): void {
    const { records } = slab;
    const to = output[i] as number;
    if (to !== NOT_WRITTEN) {
      const from = records.frame[i] as number;
      const frame = slab.bytes.subarray(from, from + (records.capturedLength[i] as number));
      const time = [records.seconds[i] as number, records.nanoseconds[i] as number] as const;
      this.record(to, time, records.wireLength[i] as number, frame);
    }
    for (const extra of extras) {
      if (extra.output !== NOT_WRITTEN)
        this.record(extra.output, [extra.seconds, extra.nanoseconds], extra.wireLength, extra.frame);
    }
  }

  digest(): string {
    this.flush();
    return this.hash.digest('hex');
  }

  private record(to: number, [seconds, nanoseconds]: readonly [number, number], wire: number, frame: Uint8Array): void {
    const name = Buffer.from(this.outputs.name(to) ?? '');
    const length = 24 + name.length + frame.length;
    if (this.filled + length > this.staged.length) this.flush();
    const { view, staged, filled } = this;
    view.setFloat64(filled, seconds);
    view.setInt32(filled + 8, nanoseconds);
    view.setInt32(filled + 12, wire);
    view.setInt32(filled + 16, frame.length);
    view.setInt32(filled + 20, name.length);
    staged.set(name, filled + 24);
    if (length > staged.length) {
      this.filled += 24 + name.length;
      this.flush();
      this.hash.update(frame);
      return;
    }
    staged.set(frame, filled + 24 + name.length);
    this.filled += length;
  }

  private flush(): void {
    this.hash.update(this.staged.subarray(0, this.filled));
    this.filled = 0;
  }
}
