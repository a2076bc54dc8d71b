/**
 * Captures of both sides of a real host against themselves: what came in says what should go out, and what went out is
 * what the kernel made of it. One pass, of any length: memory is that of a window of some seconds.
 */

import { mergeCaptures } from '../../capture/merge.js';
import { openCapture } from '../../capture/reader.js';
import type { Slab } from '../../capture/slab.js';
import type { CaptureReader } from '../../capture/types.js';
import { NatreplayError } from '../../errors.js';
import { inferHost } from '../../host/infer/infer.js';
import { hostProblems } from '../../host/problems.js';
import { type Host, NO_INTERFACE } from '../../host/types.js';
import { Engine } from '../../netfilter/engine.js';
import type { PortChooser } from '../../netfilter/nat/portchoice.js';
import {
  CT_NEW,
  CT_NONE,
  INGRESS_UNKNOWN,
  VERDICT_DROP,
  VERDICT_FORWARD,
  VERDICT_HELD,
  VERDICT_LOCAL,
} from '../../netfilter/results.js';
import { FLAG_OUTGOING } from '../../packet/columns.js';
import { type ChecksumMode, parseSlab } from '../../packet/parse.js';
import { PROTO_TCP, PROTO_UDP } from '../../packet/transport.js';
import { IngressStage, LOCAL_NAME } from '../../pipeline/ingress.js';
import { VERDICT_NAMES } from '../../pipeline/packetlog.js';
import type { CaptureInput } from '../../pipeline/replay.js';
import { samplePackets } from '../../pipeline/samples.js';
import type { LearntPorts } from '../../report/types.js';
import type { Ruleset, TableName } from '../../rules/types.js';
import { Bench, CapturedInterfaces, interfaceOfMac, ipBytes } from './captured.js';
import { Findings, type Undrawn } from './findings.js';
import { type PortAnswers, PortLearner, RememberedPorts } from './learner.js';
import { Lookahead, type LookaheadOptions, timeOf } from './lookahead.js';
import { Matcher } from './matcher.js';
import { Anatomy, answerTo, isSyn } from './packet.js';
import type { Received, Sent } from './store.js';
import type { RecordedReport } from './types.js';

export interface RecordedOptions extends LookaheadOptions {
  readonly captures: readonly CaptureInput[];
  /** Undefined: inferred from the rules and the capture. */
  readonly host?: Host | undefined;
  readonly rules?: Ruleset | undefined;
  readonly rules6?: Ruleset | undefined;
  /** The only tables to be evaluated; undefined: all. */
  readonly tables?: readonly TableName[] | undefined;
  /** The host's own answers are made, as they will be in the replay that ports are learnt for. None is predicted. */
  readonly hostPackets?: boolean | undefined;
  /** Seed of the random choices that the captures do not show; default 1. */
  readonly seed?: number | undefined;
  /** Default `offload`. */
  readonly checksums?: ChecksumMode | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onStart?: ((totalBytes: number | undefined) => void) | undefined;
  readonly onProgress?: ((bytes: number, packets: number) => void) | undefined;
}

export interface RecordedResult {
  readonly report: RecordedReport;
  /** The ports that were learnt, for a replay of the same captures. */
  readonly answers: PortAnswers;
}

/** Of packets that are not predicted to leave, so many bytes are kept: enough to know them again. */
const KEPT_BYTES = 160;

/** Throws NatreplayError as `replay` does. */
export async function verifyRecorded(options: RecordedOptions): Promise<RecordedResult> {
  const readers: CaptureReader[] = [];
  try {
    for (const { path, iface } of options.captures) readers.push(await openCapture(path, { assignedName: iface }));
    return await new RecordedRun(options, readers).run();
  } finally {
    for (const reader of readers) await reader.close();
  }
}

/**
 * The ports that the real host drew, for a replay of the same captures with the same rules, host and seed. Reads the
 * captures to their end, so none of them can be standard input: throws USAGE_STDIN.
 */
export async function learnPorts(options: RecordedOptions): Promise<{ chooser: PortChooser; ports: LearntPorts }> {
  if (options.captures.some(({ path }) => path === '-'))
    throw new NatreplayError('USAGE_STDIN', 'learning ports reads captures twice, so it cannot read standard input', {
      advice: 'name a file',
    });
  const { answers, report } = await verifyRecorded(options);
  return { chooser: new RememberedPorts(answers), ports: report.ports };
}

class RecordedRun {
  private readonly reader: CaptureReader;
  private stages: Stages | undefined;
  private incoming = 0;
  private outgoing = 0;
  private predicted = 0;
  private readonly linkTypes: number[] = [];
  /** Of slabs as they arrive, and as they are judged. */
  private arriving = new Bench(0);
  private judging = new Bench(0);
  private readonly undrawn: Undrawn[] = [];
  private now = Number.NEGATIVE_INFINITY;
  /** The beginning of the packet in hand as it came in: tracking translates it where it lies. */
  private readonly scratch = new Uint8Array(KEPT_BYTES);

  constructor(
    private readonly options: RecordedOptions,
    private readonly readers: readonly CaptureReader[],
  ) {
    this.reader = mergeCaptures(readers);
  }

  async run(): Promise<RecordedResult> {
    const started = performance.now();
    const { signal, onStart, onProgress } = this.options;
    onStart?.(this.reader.totalBytes);
    const ahead = new Lookahead(this.reader, (slab) => this.arrive(slab), this.options);
    for (let slab = await ahead.next(); slab !== undefined; slab = await ahead.next()) {
      signal?.throwIfAborted();
      this.judge(slab, this.stagesFor(slab));
      onProgress?.(this.reader.bytesRead, this.incoming + this.outgoing);
    }
    return this.result(this.stagesFor(undefined), (performance.now() - started) / 1000, ahead.shortened);
  }

  /** Made when the first slab is there: a host that is not stated is inferred from it. */
  private stagesFor(slab: Slab | undefined): Stages {
    this.stages ??= this.newStages(slab);
    return this.stages;
  }

  private newStages(slab: Slab | undefined): Stages {
    const { rules, rules6, seed = 1, checksums = 'offload', tables, hostPackets } = this.options;
    const { interfaces } = this.reader;
    const rulesets = [rules, rules6].filter((ruleset) => ruleset !== undefined);
    const samples = slab === undefined ? [] : samplePackets(slab, interfaces);
    const host = this.options.host ?? inferHost({ rulesets, samples });
    this.checkNames(host);
    const captured = new CapturedInterfaces(host, this.reader);
    const findings = new Findings({
      host,
      fileOf: (source) => this.fileOf(source),
      isCaptured: (iface) => captured.has(iface),
    });
    const matcher = new Matcher(findings);
    const learner = new PortLearner(matcher.sent, (packet) => findings.hasBegun(packet));
    const engine = new Engine(host, rules, { rules6, seed, checksums, tables, hostPackets, portChooser: learner });
    const ingress = (): IngressStage => new IngressStage(host, interfaces, true);
    return { host, rulesets, captured, findings, matcher, learner, engine, arriving: ingress(), judging: ingress() };
  }

  /** A name on the command line must be one of the host's. */
  private checkNames(host: Host): void {
    for (const { path, iface } of this.options.captures) {
      if (iface === undefined || iface === LOCAL_NAME || host.interfaceByName(iface) !== undefined) continue;
      throw new NatreplayError(
        'USAGE_UNKNOWN_INTERFACE',
        `${iface}=${path} names an interface the host does not have`,
        {
          advice: `it has ${host.interfaces.map(({ name }) => name).join(', ')}; state it with --iface ${iface}=ADDRESS/LENGTH`,
        },
      );
    }
  }

  private fileOf(source: number): string {
    const described = this.reader.interfaces[source];
    const from = this.readers.find(({ interfaces }) => interfaces.some((each) => each === described));
    return from?.path ?? this.reader.path;
  }

  private parse(slab: Slab, bench: Bench, ingress: IngressStage): void {
    const { interfaces } = this.reader;
    for (let k = this.linkTypes.length; k < interfaces.length; k++)
      this.linkTypes.push(interfaces[k]?.linkType ?? INGRESS_UNKNOWN);
    parseSlab(slab, bench.columns, this.linkTypes, this.options.checksums ?? 'offload');
    ingress.run(slab, bench.columns, bench.results);
  }

  /** A slab has been read: what the host sent is known from now on. */
  private arrive(slab: Slab): void {
    const { matcher, findings, host, captured, arriving } = this.stagesFor(slab);
    this.arriving = this.arriving.for(slab);
    const { columns, results, frames } = this.arriving;
    this.parse(slab, this.arriving, arriving);
    const { records } = slab;
    for (let i = 0; i < records.count; i++) {
      const source = records.source[i] as number;
      const frame = frames.next(this.fileIndex(source));
      const time = timeOf(slab, i);
      if (time < findings.begin) findings.begin = time;
      if (time > findings.end) findings.end = time;
      if (((columns.flags[i] as number) & FLAG_OUTGOING) === 0) continue;
      this.outgoing++;
      const bytes = ipBytes(slab, columns, i);
      if (bytes === undefined) continue;
      const stated = results.ingress[i] as number;
      const iface = stated >= 0 ? stated : interfaceOfMac(host, slab, columns.sender[i] as number);
      captured.note(iface);
      findings.noteSent(iface, time);
      const packet = new Anatomy(Uint8Array.from(bytes));
      if (isSyn(packet)) findings.begins(packet);
      matcher.addSent({ source, frame, time, iface, packet, used: false, claimed: false });
    }
  }

  private fileIndex(source: number): number {
    for (let k = this.files.length; k <= source; k++) {
      const described = this.reader.interfaces[k];
      this.files.push(this.readers.findIndex(({ interfaces }) => interfaces.some((each) => each === described)));
    }
    return this.files[source] ?? 0;
  }
  private readonly files: number[] = [];

  private judge(slab: Slab, stages: Stages): void {
    this.judging = this.judging.for(slab);
    const { columns, frames } = this.judging;
    this.parse(slab, this.judging, stages.judging);
    const { records } = slab;
    for (let i = 0; i < records.count; i++) {
      const source = records.source[i] as number;
      const frame = frames.next(this.fileIndex(source));
      const time = timeOf(slab, i);
      if (time > this.now) this.now = time;
      if (((columns.flags[i] as number) & FLAG_OUTGOING) !== 0) continue;
      this.incoming++;
      this.judgeRecord(slab, stages, i, source, frame, time);
    }
    stages.matcher.settle(this.now);
    stages.learner.forget(this.now - CLAIMS_STAY_MS);
  }

  private judgeRecord(slab: Slab, stages: Stages, i: number, source: number, frame: number, time: number): void {
    const { columns, results } = this.judging;
    const { engine, learner, matcher, findings, captured } = stages;
    const bytes = ipBytes(slab, columns, i);
    if (bytes === undefined) {
      engine.track(slab, columns, results, i, i + 1);
      return;
    }
    // Until tracking begins the slab has the packet as it came in; after it, as it leaves.
    const here = new Anatomy(bytes);
    learner.begin(here, time);
    const size = Math.min(KEPT_BYTES, here.bytes.length);
    this.scratch.set(here.bytes.subarray(0, size));
    engine.track(slab, columns, results, i, i + 1);
    const before = new Anatomy(this.scratch.subarray(0, size));
    const iface = results.ingress[i] as number;
    captured.note(iface);
    this.noteBeginning(before, stages, results.state[i] as number);
    const origin = { source, frame, time, iface };
    // Of a packet that is dropped these are the host's answers.
    const extras = engine.extras.splice(0).filter(() => results.verdict[i] !== VERDICT_DROP);
    for (const { output, frame: bytes } of extras) {
      const link = (columns.l3[i] as number) - (slab.records.frame[i] as number);
      if (output >= 0) this.predict(stages, i, origin, before, new Anatomy(bytes.subarray(link)), output);
    }
    const verdict = results.verdict[i];
    if (verdict === VERDICT_FORWARD && extras.length === 0)
      this.predict(stages, i, origin, before, here, results.egress[i] as number);
    if (verdict === VERDICT_FORWARD || (verdict === VERDICT_HELD && extras.length === 0)) return;
    const overheard = engine.reasons.words[results.why[i] as number] === 'other-host';
    if (!overheard && (verdict === VERDICT_LOCAL || verdict === VERDICT_DROP)) findings.keptByHost(before, time);
    matcher.addReceived(this.receivedOf(stages, i, origin, before, undefined, here));
  }

  /** Something leaves: `left`, by `egress`. */
  private predict(
    stages: Stages,
    i: number,
    origin: RecordOrigin,
    before: Anatomy,
    left: Anatomy,
    egress: number,
  ): void {
    const { learner, matcher, findings } = stages;
    this.predicted++;
    const sent = matcher.settlesAtOnce(left, egress, before);
    if (sent === undefined) {
      matcher.addReceived(this.receivedOf(stages, i, { ...origin, egress }, before, left.copy()));
    } else if (learner.kept !== undefined) {
      this.unforeseen(stages, i, { ...origin, egress }, before, sent, learner.kept);
    } else if (this.judging.results.state[i] === CT_NEW) {
      findings.agrees(before);
      if (learner.undrawn !== undefined && this.undrawn.length < MOST_UNDRAWN) {
        const received = this.receivedOf(stages, i, { ...origin, egress }, before, sent.packet);
        this.undrawn.push({ received, sent, chance: learner.undrawn });
      }
    }
  }

  private receivedOf(
    { engine }: Stages,
    i: number,
    origin: RecordOrigin & { readonly egress?: number },
    before: Anatomy,
    left: Anatomy | undefined,
    now?: Anatomy,
  ): Received {
    const { results } = this.judging;
    const names = (before.version === 6 ? engine.ipv6 : engine)?.counters.names ?? [];
    const rules = [results.dnatRule[i] as number, results.snatRule[i] as number].flatMap((rule) => names[rule] ?? []);
    // The scratch bytes are used for the next packet.
    const packet = before.copy();
    return {
      egress: NO_INTERFACE,
      ...origin,
      packet,
      verdict: VERDICT_NAMES[results.verdict[i] as number] ?? 'ignored',
      rule: results.nat[i] === 0 ? '' : rules.join('+'),
      why: engine.reasons.words[results.why[i] as number] ?? '',
      left,
      became: now === undefined || results.nat[i] === 0 ? undefined : beginning(now),
      used: false,
    };
  }

  /** The host gave the connection another port though these rules would have kept `kept`: told once, then followed. */
  private unforeseen(
    stages: Stages,
    i: number,
    origin: RecordOrigin & { readonly egress: number },
    before: Anatomy,
    sent: Sent,
    kept: number,
  ): void {
    const { matcher, findings } = stages;
    matcher.agreed--;
    const given = sent.packet.tuple();
    const name = given.protocol === PROTO_TCP ? 'tcp.sport' : given.protocol === PROTO_UDP ? 'udp.sport' : 'port';
    const fields = [{ field: name, kernel: String(given.sourcePort), predicted: String(kept) }];
    findings.differs(this.receivedOf(stages, i, origin, before, sent.packet), sent, fields);
  }

  /** Whether the connection began before the capture, as far as a packet of it tells. */
  private noteBeginning(packet: Anatomy, { engine, findings }: Stages, state: number): void {
    if (isSyn(packet)) {
      findings.begins(packet);
    } else if (packet.isTcp) {
      if (state === CT_NEW || (state === CT_NONE && !isTracked(engine, packet))) findings.beganBefore(packet);
    } else if (state === CT_NONE && packet.isIcmpError) {
      const about = packet.quoted();
      if (about !== undefined && !isTracked(engine, about)) findings.beganBefore(packet);
    }
  }

  private result(stages: Stages, elapsedSeconds: number, shortened: boolean): RecordedResult {
    const { matcher, findings, learner, host, rulesets } = stages;
    findings.ended = true;
    matcher.settle(Number.POSITIVE_INFINITY);
    const before = findings.counts.differs;
    findings.undrawn(this.undrawn, learner.counts.learnt);
    matcher.agreed -= findings.counts.differs - before;
    const { differs, missing, unexplained } = findings.counts;
    const ofReaders = this.reader.warnings.map(({ file, message }) => `${file}: ${message}`);
    return {
      answers: learner.answers,
      report: {
        captures: this.options.captures.map(({ path }) => path),
        records: this.incoming + this.outgoing,
        incoming: this.incoming,
        outgoing: this.outgoing,
        predicted: this.predicted,
        agreed: matcher.agreed,
        differing: differs,
        missing,
        unexplained,
        setAside: findings.setAside,
        ports: learner.counts,
        findings: findings.findings,
        omitted: findings.omitted,
        assumptions: host.assumptions,
        warnings: [...ofReaders, ...hostProblems(host, rulesets), ...(shortened ? [SHORTENED] : []), ...this.doubts()],
        elapsedSeconds,
      },
    };
  }

  private doubts(): string[] {
    if (this.outgoing > 0) return [];
    return [
      'no record in these captures was sent by the host, so nothing was compared: capture both directions (tcpdump -i any, or one file per interface), and let the host file have the MAC addresses',
    ];
  }
}

const SHORTENED =
  'the capture is so dense that it was looked at less than a second ahead: ports may not have been learnt for packets that queued for longer in the host';

/** A tuple outside is not another connection's for so long. */
const CLAIMS_STAY_MS = 3000;

/** Enough of the connections that kept their ports to tell whether that is chance. */
const MOST_UNDRAWN = 1000;

type RecordOrigin = Pick<Received, 'source' | 'frame' | 'time' | 'iface'>;

interface Stages {
  readonly host: Host;
  readonly rulesets: readonly Ruleset[];
  readonly captured: CapturedInterfaces;
  readonly findings: Findings;
  readonly matcher: Matcher;
  readonly learner: PortLearner;
  readonly engine: Engine;
  readonly arriving: IngressStage;
  readonly judging: IngressStage;
}

/** Enough of a packet to know it again, in memory of its own. */
const beginning = ({ bytes }: Anatomy): Anatomy => new Anatomy(Uint8Array.from(bytes.subarray(0, KEPT_BYTES)));

/** Whether the connection table has an entry for the packet, in whatever direction it is seen. */
function isTracked(engine: Engine, packet: Anatomy): boolean {
  const table = packet.version === 6 ? engine.ipv6?.table : engine.table;
  const tuple = packet.tuple();
  if (table === undefined || table.find(tuple) >= 0) return table !== undefined;
  const answer = answerTo(tuple);
  return answer !== undefined && table.find(answer) >= 0;
}
