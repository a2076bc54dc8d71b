/**
 * The stages that a slab's records pass, one batch after the other:
 *
 *   parse ─▶ ingress ─▶ track ─▶ outputs ─▶ padding, counting
 *
 * Records that the hot path can take go through WebAssembly loops instead, which do the same in fewer passes.
 */
import { Slab } from '../capture/slab.js';
import type { CaptureInterface } from '../capture/types.js';
import { PacketSampler } from '../measure/servicetime.js';
import type { Engine } from '../netfilter/engine.js';
import { BEGIN_SLOW } from '../netfilter/megaflows/remembered.js';
import { ResultColumns } from '../netfilter/results.js';
import { PacketColumns } from '../packet/columns.js';
import { type ChecksumMode, parseSlab } from '../packet/parse.js';
import { separately, type Workspace } from '../workspace.js';
import { HotPath, type OtherPackets } from './hotpath/hotpath.js';
import type { IngressStage } from './ingress.js';
import type { OutputStage, PlacedExtra } from './outputs.js';
import type { PacketLogStage } from './packetlog.js';
import { cutPadding } from './padding.js';
import type { RunSummary } from './summary.js';

/** Records that go through all stages together, so that their columns are still in the cache for the next one. */
const BATCH = 256;
/** One packet in this many is timed alone: the first of a batch. */
const SAMPLE_EVERY = BATCH;

/** What is worked on at a time: a slab and the columns that belong to it. */
export class Bench {
  readonly slab: Slab;
  readonly columns: PacketColumns;
  readonly results: ResultColumns;
  /** Interface of the output that a record goes to, or NOT_WRITTEN. */
  readonly output: Int32Array;
  /** Number of a record in its output file. */
  readonly position: Int32Array;
  /** Records to be inserted among the slab's: fragments, and datagrams put together from them. */
  readonly extras: PlacedExtra[] = [];
  written: Promise<void> = Promise.resolve();

  /** `bytes`: size of the slab. */
  constructor(bytes: number, workspace: Workspace | undefined) {
    this.slab = new Slab(bytes, undefined, workspace);
    const { capacity } = this.slab.records;
    this.columns = new PacketColumns(capacity, workspace);
    this.results = new ResultColumns(capacity);
    this.output = (workspace ?? separately).ints(capacity);
    this.position = new Int32Array(capacity);
  }
}

export interface StagesOptions {
  readonly engine: Engine;
  readonly ingress: IngressStage;
  readonly outputs: OutputStage;
  readonly summary: RunSummary;
  /** Undefined: nobody wants to read of every packet, and the hot path may be used. */
  readonly log: PacketLogStage | undefined;
  /** Of the reader; more may turn up while reading. */
  readonly interfaces: readonly CaptureInterface[];
  /** Interfaces of the host. */
  readonly hostInterfaces: number;
  readonly checksums: ChecksumMode;
  readonly writeLocal: boolean;
  readonly workspace: Workspace | undefined;
}

export class Stages {
  readonly engine: Engine;
  readonly outputs: OutputStage;
  readonly summary: RunSummary;
  readonly log: PacketLogStage | undefined;
  readonly serviceTime = new PacketSampler(SAMPLE_EVERY);
  private readonly hot: HotPath | undefined;
  private readonly linkTypes: number[] = [];

  constructor(private readonly options: StagesOptions) {
    const { engine, ingress, outputs, summary, log, hostInterfaces, workspace } = options;
    this.engine = engine;
    this.outputs = outputs;
    this.summary = summary;
    this.log = log;
    if (log === undefined && workspace !== undefined)
      this.hot = HotPath.create({ ...options, workspace, engine, ingress, interfaces: hostInterfaces });
  }

  /** Takes all records of the bench's slab through. */
  run(bench: Bench): void {
    const take = this.prepare(bench);
    const { count } = bench.slab.records;
    for (let start = 0; start < count; start += BATCH) {
      const end = Math.min(start + BATCH, count);
      const began = performance.now();
      take(start, start + 1);
      this.serviceTime.record((performance.now() - began) * 1e6);
      take(start + 1, end);
      this.summary.countRecords(bench.slab, start, end);
    }
  }

  /**
   * For whoever takes the records through at a pace of their own: what takes records `start`..`end` of the bench's slab
   * through, to be called for all of them, in order. These are not in the summary's records.
   */
  prepare(bench: Bench): (start: number, end: number) => void {
    const { interfaces } = this.options;
    for (let k = this.linkTypes.length; k < interfaces.length; k++) this.linkTypes.push(interfaces[k]?.linkType ?? -1);
    const hot = this.hot?.load(bench.slab, bench.columns, bench.output) === true ? this.hot : undefined;
    bench.slab.packer = hot?.pack;
    const others = this.others(bench);
    bench.extras.length = 0;
    return (start, end) => this.take(bench, hot, others, start, end);
  }

  /** Adds what the hot path has counted to the summary and the rules; to be called once, after the last slab. */
  finish(): void {
    if (this.hot !== undefined) this.summary.addHot(this.hot.totals);
  }

  private take(bench: Bench, hot: HotPath | undefined, others: OtherPackets, start: number, end: number): void {
    if (hot !== undefined) hot.run(bench.slab, start, end, others);
    else this.judge(bench, start, end);
  }

  private others(bench: Bench): OtherPackets {
    const { slab, columns, results } = bench;
    return {
      slow: (i) => this.judge(bench, i, i + 1),
      parsed: (i, ingress) => {
        const begun = this.engine.begin(slab, columns, i, ingress);
        if (begun !== BEGIN_SLOW) return begun;
        results.ingress[i] = ingress;
        this.engine.trackHookByHook(slab, columns, results, i);
        this.passOn(bench, i, i + 1);
        return BEGIN_SLOW;
      },
      judged: (i, reference, result) => {
        this.parse(bench, i, i + 1);
        this.engine.trackJudged(slab, columns, results, i, reference, result);
        this.passOn(bench, i, i + 1);
      },
    };
  }

  /** All stages, for records `start`..`end`. */
  private judge(bench: Bench, start: number, end: number): void {
    const { slab, columns, results } = bench;
    this.parse(bench, start, end);
    this.log?.remember(slab, columns, start, end);
    this.engine.track(slab, columns, results, start, end);
    this.passOn(bench, start, end);
  }

  private parse({ slab, columns, results }: Bench, start: number, end: number): void {
    parseSlab(slab, columns, this.linkTypes, this.options.checksums, start, end);
    this.options.ingress.run(slab, columns, results, start, end);
  }

  private passOn(bench: Bench, start: number, end: number): void {
    const { slab, columns, results, output, position } = bench;
    const { extras } = this.engine;
    if (extras.length === 0) this.outputs.run(slab, results, output, position, start, end);
    else {
      this.summary.countExtras(extras);
      const placed = this.outputs.runWith(extras, slab, results, output, position, start, end);
      for (const extra of placed) bench.extras.push(extra);
      extras.length = 0;
    }
    this.summary.countReceived(slab, results, start, end);
    cutPadding(slab, columns, results, start, end);
    this.summary.countSent(slab, results, start, end);
  }
}
