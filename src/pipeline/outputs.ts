/** Which of a slab's records go out, and by which interface of the output. */
import type { Slab } from '../capture/slab.js';
import { type CaptureInterface, type ExtraRecord, NOT_WRITTEN, type OutputInterface } from '../capture/types.js';
import type { Host } from '../host/types.js';
import {
  EGRESS_REPLACED,
  type ResultColumns,
  VERDICT_FORWARD,
  VERDICT_IGNORED,
  VERDICT_LOCAL,
  VERDICT_OUTGOING,
} from '../netfilter/results.js';
import { LOCAL_NAME } from './ingress.js';

export interface OutputPolicy {
  /** Copy records that are not IP (or of an unknown link type) as they are. */
  readonly copyIgnored: boolean;
  /** Copy what the host sent itself. */
  readonly copyOutgoing: boolean;
  /** Write packets delivered to the host. */
  readonly writeLocal: boolean;
  /** One file per interface, so records are counted for each. */
  readonly split: boolean;
}

/** A record that is not among the slab's, with its number in the file it goes to. */
export interface PlacedExtra extends ExtraRecord {
  readonly position: number;
}

export class OutputStage {
  /** What the writer's interface numbers mean: the host's interfaces first, then names only the capture has. */
  readonly interfaces: OutputInterface[];
  private readonly byName = new Map<string | undefined, number>();
  private readonly counts: number[] = [];

  constructor(
    host: Host,
    private readonly captureInterfaces: readonly CaptureInterface[],
    private readonly policy: OutputPolicy,
  ) {
    this.interfaces = host.interfaces.map(({ name }) => ({ name }));
    for (const { name, index } of host.interfaces) this.byName.set(name, index);
  }

  /**
   * Fills `output` (interface or NOT_WRITTEN) and `position` (record number in its file) for records `start` to `end`,
   * all of the slab if not given.
   */
  run(
    slab: Slab,
    results: ResultColumns,
    output: Int32Array,
    position: Int32Array,
    start = 0,
    end = slab.records.count,
  ): void {
    for (let i = start; i < end; i++) {
      const to = this.destination(slab, results, i);
      output[i] = to;
      if (to === NOT_WRITTEN) continue;
      const file = this.policy.split ? to : 0;
      const count = this.counts[file] ?? 0;
      position[i] = count;
      this.counts[file] = count + 1;
    }
  }

  /**
   * As `run`, for records among which others are to be inserted: the engine's `extras` of these records, each behind
   * the one that caused it. Returns them as the writer takes them.
   */
  runWith(
    extras: readonly ExtraRecord[],
    slab: Slab,
    results: ResultColumns,
    output: Int32Array,
    position: Int32Array,
    start: number,
    end: number,
  ): PlacedExtra[] {
    let done = start;
    const placed = extras.map((extra): PlacedExtra => {
      const { after } = extra;
      if (after >= done) this.run(slab, results, output, position, done, after + 1);
      done = Math.max(done, after + 1);
      const to = extra.output >= 0 ? extra.output : this.ofHost(slab, results.ingress[after] as number, after);
      return { ...extra, output: to, position: to === NOT_WRITTEN ? -1 : this.place(to) };
    });
    this.run(slab, results, output, position, done, end);
    return placed;
  }

  private place(to: number): number {
    const file = this.policy.split ? to : 0;
    const count = this.counts[file] ?? 0;
    this.counts[file] = count + 1;
    return count;
  }

  /** Where packets delivered to the host are written. */
  private ofHost(slab: Slab, ingress: number, i: number): number {
    return this.policy.writeLocal ? this.own(slab, ingress, i) : NOT_WRITTEN;
  }

  name(output: number): string | null {
    return this.interfaces[output]?.name ?? null;
  }

  private destination(slab: Slab, results: ResultColumns, i: number): number {
    const ingress = results.ingress[i] as number;
    const egress = results.egress[i] as number;
    if (egress === EGRESS_REPLACED) return NOT_WRITTEN;
    switch (results.verdict[i]) {
      case VERDICT_FORWARD:
        return egress >= 0 ? egress : this.own(slab, ingress, i);
      case VERDICT_LOCAL:
        return this.ofHost(slab, ingress, i);
      case VERDICT_IGNORED:
        return this.policy.copyIgnored ? this.own(slab, ingress, i) : NOT_WRITTEN;
      case VERDICT_OUTGOING:
        return this.policy.copyOutgoing ? this.own(slab, ingress, i) : NOT_WRITTEN;
      default:
        return NOT_WRITTEN;
    }
  }

  /** The interface the record was captured on: the host's if known, else the capture's own. */
  private own(slab: Slab, ingress: number, i: number): number {
    if (ingress >= 0) return ingress;
    const described = this.captureInterfaces[slab.records.source[i] as number];
    const stated = described?.assignedName ?? described?.name;
    const name = stated === LOCAL_NAME ? undefined : stated;
    const known = this.byName.get(name);
    if (known !== undefined) return known;
    this.byName.set(name, this.interfaces.length);
    return this.interfaces.push({ name }) - 1;
  }
}
