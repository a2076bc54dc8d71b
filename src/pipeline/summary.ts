/** Gathers, slab by slab, what the report tells. */
import { linkTypeName } from '../capture/linktypes.js';
import type { Slab } from '../capture/slab.js';
import type { CaptureReader, ExtraRecord, WrittenFile } from '../capture/types.js';
import { hostProblems } from '../host/problems.js';
import type { Host } from '../host/types.js';
import { InterfaceCounterTable } from '../measure/counters.js';
import type { Engine } from '../netfilter/engine.js';
import {
  type ResultColumns,
  VERDICT_DROP,
  VERDICT_FORWARD,
  VERDICT_HELD,
  VERDICT_IGNORED,
  VERDICT_LOCAL,
  VERDICT_OUTGOING,
} from '../netfilter/results.js';
import type {
  FragmentTotals,
  InputSummary,
  InterfaceCounters,
  ReplayResult,
  RuleCounters,
  ServiceTime,
  WrittenText,
} from '../report/types.js';
import type { Ruleset, TableName } from '../rules/types.js';
import type { HotTotals } from './hotpath/totals.js';

export interface Outcome {
  readonly readers: readonly CaptureReader[];
  readonly outputs: readonly WrittenFile[];
  readonly texts: readonly WrittenText[];
  readonly serviceTime: ServiceTime | undefined;
  readonly elapsedSeconds: number;
}

/** What became of fragments whose datagram was never complete. */
function fragmentWarnings({ fragments }: Engine): string[] {
  const { reassembled, expired, waitingDatagrams, waitingFragments } = fragments.counts;
  if (expired === 0 && waitingDatagrams === 0) return [];
  return [
    `Fragments: ${reassembled} datagrams were complete; ${expired} were given up because their time was over, ` +
      `and ${waitingDatagrams} (${waitingFragments} fragments) still waited at the end of the capture`,
  ];
}

function fragmentTotals({ fragments, reasons }: Engine, held: number): FragmentTotals | undefined {
  const refused = reasons.ranking().filter(([reason]) => reason.startsWith('fragment-'));
  const dropped = refused.reduce((sum, [, packets]) => sum + packets, 0);
  const totals = { held, dropped, ...fragments.counts };
  return Object.values(totals).some((total) => total > 0) ? totals : undefined;
}

const NO_RULES = 'No rules are given: packets are routed and nothing else happens to them. Name them with --rules FILE';

export class RunSummary {
  records = 0;
  private translated = 0;
  private firstTime: number | undefined;
  private lastTime = Number.NEGATIVE_INFINITY;
  private readonly verdicts = new Float64Array(8);
  private readonly counters: InterfaceCounterTable;
  /** Records of each capture interface. */
  private readonly bySource: number[] = [];

  constructor(
    private readonly host: Host,
    private readonly engine: Engine,
    private readonly rulesets: readonly Ruleset[],
    /** The only tables that are evaluated; undefined: all. */
    private readonly tables?: readonly TableName[] | undefined,
  ) {
    this.counters = new InterfaceCounterTable(host.interfaces.length);
  }

  /** Records `start` to `end` (all of the slab if not given), whatever became of them. */
  countRecords(slab: Slab, start = 0, end = slab.records.count): void {
    this.noteSources(slab, start, end);
    this.noteTimes(slab, start, end);
    this.records += end - start;
  }

  /** Packets that the hot path has counted by itself. */
  addHot(totals: HotTotals): void {
    const { verdicts, counters, engine } = this;
    verdicts[VERDICT_FORWARD] = (verdicts[VERDICT_FORWARD] as number) + totals.forwarded;
    verdicts[VERDICT_LOCAL] = (verdicts[VERDICT_LOCAL] as number) + totals.local;
    this.translated += totals.translated;
    for (let k = 0; k < totals.interfaces; k++) counters.addRow(k, totals.interface(k));
    engine.table.probes += totals.probes;
  }

  /** What came in: records `start` to `end` (all of the slab if not given), padding included. */
  countReceived(slab: Slab, results: ResultColumns, start = 0, end = slab.records.count): void {
    const { wireLength } = slab.records;
    const { verdict: verdicts, ingress, nat } = results;
    const { verdicts: counts, counters } = this;
    let translated = 0;
    for (let i = start; i < end; i++) {
      const verdict = verdicts[i] as number;
      counts[verdict] = (counts[verdict] as number) + 1;
      if (verdict === VERDICT_OUTGOING) continue;
      counters.received(ingress[i] as number, wireLength[i] as number);
      if (verdict <= VERDICT_LOCAL && nat[i] !== 0) translated++;
    }
    this.translated += translated;
  }

  /** What the host sent on: the same records, after their padding was cut. */
  countSent(slab: Slab, results: ResultColumns, start = 0, end = slab.records.count): void {
    const { wireLength } = slab.records;
    const { verdict, egress } = results;
    const { counters } = this;
    for (let i = start; i < end; i++) {
      if (verdict[i] !== VERDICT_FORWARD) continue;
      counters.sent(egress[i] as number, wireLength[i] as number);
    }
  }

  /** What the host sent on in another shape than it came. */
  countExtras(extras: readonly ExtraRecord[]): void {
    for (const { output, wireLength } of extras) this.counters.sent(output, wireLength);
  }

  /** Nearly always, neighbours come from the same capture interface: they are added together. */
  private noteSources(slab: Slab, start: number, end: number): void {
    const { source } = slab.records;
    for (let i = start; i < end; ) {
      const first = i;
      const from = source[i] as number;
      while (i < end && source[i] === from) i++;
      this.bySource[from] = (this.bySource[from] ?? 0) + i - first;
    }
  }

  private noteTimes(slab: Slab, start: number, end: number): void {
    const { seconds, nanoseconds } = slab.records;
    if (start === end) return;
    let first = this.firstTime ?? Number.POSITIVE_INFINITY;
    let last = this.lastTime;
    for (let i = start; i < end; i++) {
      const time = (seconds[i] as number) + (nanoseconds[i] as number) * 1e-9;
      if (time > last) last = time;
      if (time < first) first = time;
    }
    this.firstTime = first;
    this.lastTime = last;
  }

  result(outcome: Outcome): ReplayResult {
    const { engine, host } = this;
    engine.flushCounters();
    const live = engine.liveConnections();
    const created = (engine.conntrack?.created ?? 0) + (engine.ipv6?.conntrack?.created ?? 0);
    const of = (verdict: number): number => this.verdicts[verdict] ?? 0;
    return {
      host,
      inputs: this.inputs(outcome.readers),
      outputs: outcome.outputs,
      texts: outcome.texts,
      records: this.records,
      verdicts: {
        forward: of(VERDICT_FORWARD),
        local: of(VERDICT_LOCAL),
        drop: of(VERDICT_DROP),
        held: of(VERDICT_HELD),
        outgoing: of(VERDICT_OUTGOING),
        ignored: of(VERDICT_IGNORED),
        translated: this.translated,
      },
      reasons: engine.reasons.ranking(),
      interfaces: this.interfaces(),
      connections: {
        created,
        expired: created - live,
        live,
        peak: engine.table.peak + (engine.ipv6?.table.peak ?? 0),
      },
      fragments: fragmentTotals(engine, of(VERDICT_HELD)),
      rules: this.rulesets.map((ruleset) => this.ruleCounters(ruleset)),
      serviceTime: outcome.serviceTime,
      elapsedSeconds: outcome.elapsedSeconds,
      captureSeconds: this.firstTime === undefined ? undefined : { first: this.firstTime, last: this.lastTime },
      assumptions: this.rulesets.length > 0 ? host.assumptions : [...host.assumptions, NO_RULES],
      warnings: [...hostProblems(host, this.rulesets), ...fragmentWarnings(engine)],
    };
  }

  private inputs(readers: readonly CaptureReader[]): InputSummary[] {
    let offset = 0;
    return readers.map((reader) => {
      const { interfaces } = reader;
      const counts = interfaces.map((_, k) => this.bySource[offset + k] ?? 0);
      offset += interfaces.length;
      return {
        path: reader.path,
        format: reader.format,
        linkTypes: [...new Set(interfaces.map(({ linkType }) => linkTypeName(linkType)))],
        records: counts.reduce((sum, n) => sum + n, 0),
        bytes: reader.bytesRead,
        warnings: reader.warnings,
      };
    });
  }

  private interfaces(): InterfaceCounters[] {
    return this.host.interfaces
      .map(({ name, index }) => ({ name, ...this.counters.row(index) }))
      .filter(({ rxPackets, txPackets }) => rxPackets + txPackets > 0);
  }

  private ruleCounters(ruleset: Ruleset): RuleCounters {
    const evaluated = [this.engine, this.engine.ipv6].find((stack) => stack?.ruleset === ruleset);
    const value = (of: 'packets' | 'bytes') => (table: string, chain: string, rule: number | 'policy') => {
      const id = evaluated?.counters.id(table, chain, rule);
      return id === undefined ? 0 : (evaluated?.counters[of][id] ?? 0);
    };
    return {
      ruleset,
      packets: value('packets'),
      bytes: value('bytes'),
      notEvaluated: [...ruleset.tables.keys()].filter(
        (name) => evaluated === undefined || this.tables?.includes(name) === false,
      ),
    };
  }
}
