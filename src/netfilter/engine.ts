/**
 * The tracker: packets in capture order, a slab at a time. Packets of connections whose way is known are answered from
 * one row of the flow table (fastpath.ts); all others take the kernel's path hook by hook (path.ts).
 */
import type { Slab } from '../capture/slab.js';
import type { ExtraRecord } from '../capture/types.js';
import { type Host, NO_INTERFACE } from '../host/types.js';
import {
  BROKEN_CHECKSUM,
  BROKEN_HEADER,
  BROKEN_LENGTH,
  BROKEN_OPTIONS,
  FLAG_BAD_CHECKSUM,
  FLAG_CUT,
  FLAG_OTHER_HOST,
  FLAG_OUTGOING,
  FLAG_TO_GROUP,
  KIND_CUT,
  KIND_IPV4,
  KIND_IPV4_BROKEN,
  KIND_IPV4_PORTS,
  KIND_IPV6,
  KIND_IPV6_BROKEN,
  OTHER_LINK_TYPE,
  type PacketColumns,
} from '../packet/columns.js';
import { ETHERNET_SENDER, exchangeEthernetAddresses } from '../packet/link.js';
import type { ChecksumMode } from '../packet/parse.js';
import type { StateSaver } from '../rules/extension.js';
import { SharedState } from '../rules/state/shared.js';
import type { Ruleset, TableName } from '../rules/types.js';
import type { Workspace } from '../workspace.js';
import type { HostAnswers } from './answers/answers.js';
import { Ipv4Answers } from './answers/answers4.js';
import { ExpiredAnswers } from './answers/expiredanswers.js';
import { Bridges, isPastHost, unseenEgress } from './bridges.js';
import { CaptureClock } from './clock.js';
import { compileRuleset, RuleCounterTable } from './compile.js';
import { Conntrack } from './conntrack/conntrack.js';
import { DST_NAT, FlowTable, META_DNAT_RULE, META_SNAT_RULE, SRC_NAT } from './conntrack/flowtable.js';
import { conntrackSettings } from './conntrack/timeouts.js';
import type { OutputFragment } from './defrag/fragment.js';
import { Fragments } from './defrag/fragments.js';
import { BATCH, FastPath, NOT_FAST } from './fastpath.js';
import { Ipv6Stack, statesIpv6 } from './ipv6stack.js';
import { BEGIN_AGAIN, BEGIN_SLOW, RememberedWays } from './megaflows/remembered.js';
import type { PortChooser } from './nat/portchoice.js';
import { NatSetup } from './nat/setup.js';
import { UnseenDraw } from './nat/unseendraw.js';
import { keptOfConnections, limitedTo, needsConntrack } from './needs.js';
import { Packet } from './packet.js';
import { PacketLogs, RuleLogs } from './packetlogs.js';
import { PacketPath } from './path.js';
import { plainWays } from './plainways.js';
import { Random } from './random.js';
import {
  EGRESS_REPLACED,
  INGRESS_LOCAL,
  INGRESS_UNKNOWN,
  NAT_DESTINATION,
  NAT_SOURCE,
  Reasons,
  type ResultColumns,
  VERDICT_DROP,
  VERDICT_FORWARD,
  VERDICT_HELD,
  VERDICT_IGNORED,
  VERDICT_LOCAL,
  VERDICT_OUTGOING,
} from './results.js';
import { RouteCache } from './routecache.js';
import { VlanTags } from './vlantags.js';
import { Ways } from './ways.js';

export interface EngineOptions {
  readonly seed: number;
  /** Counters start at what the rules state instead of 0. */
  readonly keepCounters?: boolean;
  /** False sends every packet hook by hook: slow, with the same outcome; tests hold the one against the other. */
  readonly fastPath?: boolean;
  /** Knows ports that a real host drew at random. */
  readonly portChooser?: PortChooser | undefined;
  /** Which iptables the host has: iptables-nft lets packets pass whose transport header is too short to be matched. */
  readonly backend?: 'legacy' | 'nft' | undefined;
  /** For datagrams put together from fragments; default `offload`, as the parser's. */
  readonly checksums?: ChecksumMode | undefined;
  /** Make the host's own answers to packets that it refuses; they come as `extras`. */
  readonly hostPackets?: boolean | undefined;
  /** The only tables to be evaluated, of both families; undefined: all. */
  readonly tables?: readonly TableName[] | undefined;
  /** The host's IPv6 rules; undefined: IPv6 packets are only routed. */
  readonly rules6?: Ruleset | undefined;
  /** Keep what rules log (LOG, NFLOG, TRACE) of each record, for whoever writes a packet log. */
  readonly packetLogs?: boolean | undefined;
  /** Where the IPv4 flow table lies, if WebAssembly is to see it. */
  readonly workspace?: Workspace | undefined;
}

export class Engine {
  readonly counters = new RuleCounterTable();
  readonly reasons = new Reasons();
  readonly table: FlowTable;
  readonly conntrack: Conntrack | undefined;
  readonly path: PacketPath;
  readonly fragments: Fragments;
  /**
   * What leaves, or is delivered, instead of records of the slab: fragments and reassembled datagrams, `after` the record
   * that caused them. Grows with `track`; whoever takes them empties it. `output` is the egress interface's index, -1
   * for what is delivered to the host.
   */
  readonly extras: ExtraRecord[] = [];
  /** Undefined: nobody reads what rules log. */
  readonly packetLogs: PacketLogs | undefined;
  readonly clock: CaptureClock;
  /** Where packets of known connections leave, and what they count. */
  readonly ways: Ways;
  /** Made with the rules it has, or by the first IPv6 packet. */
  private ipv6Stack: Ipv6Stack | undefined;
  private readonly makeIpv6: () => Ipv6Stack;
  private readonly knowsIpv6: boolean;
  private readonly routes: RouteCache;
  /** Undefined for a host without VLAN devices. */
  private readonly vlans: VlanTags | undefined;
  /** Undefined for a host without bridges. */
  private readonly bridges: Bridges | undefined;
  private readonly packet: Packet;
  private readonly answers: HostAnswers | undefined;
  /** Undefined without answers. */
  private readonly expired: ExpiredAnswers | undefined;
  private readonly fastPath: FastPath | undefined;
  private readonly remembered: RememberedWays | undefined;

  constructor(
    host: Host,
    readonly ruleset: Ruleset | undefined,
    options: EngineOptions,
  ) {
    if (options.packetLogs === true) this.packetLogs = new PacketLogs();
    this.routes = new RouteCache(host);
    this.bridges = Bridges.of(host);
    this.vlans = VlanTags.of(host);
    const random = new Random(options.seed);
    this.clock = new CaptureClock((now) => {
      this.conntrack?.sweepAll(now);
      this.ipv6?.conntrack?.sweepAll(now);
    }, options.workspace);
    this.table = new FlowTable(1, options.workspace);
    this.ways = new Ways(options.workspace);
    const evaluated = ruleset === undefined ? undefined : limitedTo(ruleset, options.tables);
    const savers: StateSaver[] | undefined = options.portChooser?.dropped === undefined ? undefined : [];
    const shared = new SharedState(host);
    const kept = keptOfConnections([evaluated, options.rules6]);
    const tables =
      evaluated === undefined
        ? new Map()
        : compileRuleset(
            evaluated,
            { host, family: 4, backend: options.backend, random32: () => random.next32(), savers, shared },
            this.counters,
            options.keepCounters ?? false,
          );
    savers?.push(() => shared.journal.save());
    if (evaluated !== undefined && needsConntrack(evaluated)) {
      this.conntrack = new Conntrack(this.table, conntrackSettings(host));
      this.conntrack.keep(kept);
    }
    const nat =
      this.conntrack !== undefined && tables.has('nat')
        ? new NatSetup(
            this.conntrack,
            random,
            options.portChooser,
            savers && new UnseenDraw(this.conntrack, this.counters, savers),
          )
        : undefined;
    this.fragments = new Fragments(host, options.checksums ?? 'offload', options.seed);
    const { rules6, portChooser, backend, tables: limit, keepCounters = false } = options;
    this.makeIpv6 = () => {
      const stack = new Ipv6Stack(
        {
          host,
          random,
          fragments: this.fragments,
          bridges: this.bridges,
          keepCounters,
          tables: limit,
          portChooser,
          backend,
          shared,
          kept,
          answersSeed: options.hostPackets === true ? options.seed : undefined,
        },
        rules6,
      );
      if (stack.conntrack !== undefined) this.conntrack?.shareLimitWith(stack.conntrack);
      if (this.packetLogs !== undefined && rules6 !== undefined)
        stack.path.walker.logs = new RuleLogs(this.packetLogs, rules6, stack.counters);
      return stack;
    };
    if (rules6 !== undefined) this.ipv6Stack = this.makeIpv6();
    this.knowsIpv6 = rules6 !== undefined || statesIpv6(host);
    // Numbers of their own, so that what is forwarded is the same with them and without.
    if (options.hostPackets === true)
      this.answers = new Ipv4Answers(host, this.table, this.routes, new Random(~options.seed));
    this.path = new PacketPath({
      host,
      routes: this.routes,
      tables,
      counters: this.counters,
      conntrack: this.conntrack,
      nat,
      fragments: this.fragments,
      answers: this.answers,
    });
    if (this.packetLogs !== undefined && evaluated !== undefined)
      this.path.walker.logs = new RuleLogs(this.packetLogs, evaluated, this.counters);
    this.packet = new Packet(host, this.table, this.conntrack);
    const { answers } = this;
    if (answers !== undefined) {
      const ipv4 = { answers, packet: new Packet(host, this.table), router: this.path.router };
      this.expired = new ExpiredAnswers(this.fragments, ipv4, () => this.ipv6Stack?.answering);
    }
    // The fast path does not count what a connection carries.
    if (this.conntrack !== undefined && !kept.accounts && options.fastPath !== false) {
      this.fastPath = new FastPath(this.table, this.conntrack, this.ways);
      // Where a real host's choices are followed, or the host answers, each packet is looked at.
      const each = portChooser !== undefined || options.hostPackets === true;
      this.remembered = new RememberedWays({
        host,
        routes: this.routes,
        conntrack: this.conntrack,
        nat,
        clock: this.clock,
        random,
        counters: this.counters,
        path: this.path,
        ways: this.ways,
        plain: plainWays(tables),
        answers: this.answers !== undefined,
        ruleset: each ? undefined : evaluated,
      });
    }
  }

  /** IPv6's own rules, counters and connections; undefined before the first IPv6 packet where there are no rules. */
  get ipv6(): Ipv6Stack | undefined {
    return this.ipv6Stack;
  }

  /** Connections that were begun on a remembered way instead of walking the chains. */
  get begunByMemory(): number {
    return this.remembered?.taken ?? 0;
  }

  /** Now, in milliseconds since the first packet, as the flow table keeps it. */
  get now(): number {
    return this.clock.now;
  }

  /** Whether packets of known connections need no walk through the hooks: the condition of any hot path. */
  get hasFastPath(): boolean {
    return this.fastPath !== undefined && this.vlans === undefined;
  }

  /**
   * Begins a connection with record i, if its way is known before it takes it: its reference in the flow table, by which
   * it is to be finished. Else BEGIN_AGAIN, if the fast path can take the record now, or BEGIN_SLOW: it is for
   * `trackHookByHook`. `ingress`: as stated.
   */
  begin(slab: Slab, columns: PacketColumns, i: number, ingress: number): number {
    if (this.remembered === undefined || this.bridges?.isBridged(ingress) === true) return BEGIN_SLOW;
    return this.remembered.begin(slab, columns, i, ingress);
  }

  /** Judges record i without a look at the fast path, which can't take it; `begin` may have refused it. */
  trackHookByHook(slab: Slab, columns: PacketColumns, results: ResultColumns, i: number): void {
    results.clear(i, i + 1);
    this.one(slab, columns, results, i);
  }

  /** Goes on with record i of a known connection, whose segment TCP tracking has judged (TRACK_*, not ACCEPT). */
  trackJudged(
    slab: Slab,
    columns: PacketColumns,
    results: ResultColumns,
    i: number,
    reference: number,
    result: number,
  ): void {
    results.clear(i, i + 1);
    this.resume(slab, columns, results, i, reference, result);
  }

  /** Packets that take the slow path from now on come with this mark. */
  arriveWith(mark: number): void {
    this.packet.arrivesWith = mark;
    if (this.ipv6Stack !== undefined) this.ipv6Stack.packet.arrivesWith = mark;
  }

  /** Brings the rules' counters up to date. */
  flushCounters(): void {
    this.ways.flush(this.counters, this.path.walker);
  }

  /** Connections alive at the last packet's time. */
  liveConnections(): number {
    let live = 0;
    for (const conntrack of [this.conntrack, this.ipv6?.conntrack])
      for (const _ of conntrack?.live(this.now) ?? []) live++;
    return live;
  }

  /**
   * Judges and rewrites records `start` to `end` of a slab (all of it if not given); `results.ingress` holds what the
   * capture states.
   */
  track(slab: Slab, columns: PacketColumns, results: ResultColumns, start = 0, end = slab.records.count): void {
    for (let from = start; from < end; from += BATCH) {
      const to = Math.min(from + BATCH, end);
      results.clear(from, to);
      if (this.fastPath === undefined) this.trackSlowly(slab, columns, results, from, to);
      else this.trackBatch(slab, columns, results, this.fastPath, from, to);
    }
    this.vlans?.run(slab, columns, results, start, end, this.extras);
  }

  private trackSlowly(slab: Slab, columns: PacketColumns, results: ResultColumns, from: number, to: number): void {
    for (let i = from; i < to; i++) this.one(slab, columns, results, i);
  }

  private trackBatch(
    slab: Slab,
    columns: PacketColumns,
    results: ResultColumns,
    fast: FastPath,
    from: number,
    to: number,
  ): void {
    fast.lookUp(columns, from, to);
    for (let i = from; i < to; i++) {
      const next = fast.follow(slab, columns, results, this.clock, from, i, to);
      fast.rewrite(slab.view, columns, results, from, i, next);
      if (next === to) return;
      if (fast.outcome === NOT_FAST) {
        // The record is for the fast path now.
        if (this.beginOrTrack(slab, columns, results, fast, from, next) === BEGIN_AGAIN) {
          i = next - 1;
          continue;
        }
      } else this.resume(slab, columns, results, next, fast.reference(from, next), fast.outcome);
      fast.lookUpAgain(columns, from, next + 1, to);
      i = next;
    }
  }

  private beginOrTrack(
    slab: Slab,
    columns: PacketColumns,
    results: ResultColumns,
    fast: FastPath,
    from: number,
    i: number,
  ): number {
    const begun = this.begin(slab, columns, i, results.ingress[i] as number);
    if (begun === BEGIN_SLOW) this.one(slab, columns, results, i);
    else if (begun !== BEGIN_AGAIN) fast.begin(slab.view, columns, results, from, i, begun);
    return begun;
  }

  /** A record on the slow path, or past all paths. */
  private one(slab: Slab, columns: PacketColumns, results: ResultColumns, i: number): void {
    this.packetLogs?.begin(i);
    const kind = columns.kind[i] as number;
    if (((columns.flags[i] as number) & (FLAG_OUTGOING | FLAG_OTHER_HOST)) !== 0) {
      this.notForHost(columns, results, i);
    } else if (kind === KIND_IPV4_PORTS || kind === KIND_IPV4) {
      this.clock.advance(slab.records.seconds[i] as number, slab.records.nanoseconds[i] as number);
      this.expired?.tell(slab, columns, i, this.clock);
      this.slow(slab, columns, results, i, false);
      this.expired?.takeInto(this.extras);
    } else if (kind === KIND_IPV6 && this.knowsIpv6) {
      this.clock.advance(slab.records.seconds[i] as number, slab.records.nanoseconds[i] as number);
      this.ipv6Stack ??= this.makeIpv6();
      this.fragments.now = this.clock.time;
      this.expired?.tell(slab, columns, i, this.clock);
      const { ipv6Stack } = this;
      const why = ipv6Stack.judge(slab, columns, results, i, this.clock.now);
      if (why !== '') this.note(results, i, why);
      const { cuts, egress, verdict } = ipv6Stack.path;
      if (cuts !== undefined) this.replace(slab, columns, results, i, egress, cuts);
      else if (ipv6Stack.packet.bytes !== slab.bytes && verdict === VERDICT_LOCAL)
        this.deliver(slab, columns, results, i, ipv6Stack.packet);
      else if (ipv6Stack.packet.bytes !== slab.bytes && verdict === VERDICT_FORWARD)
        this.replace(slab, columns, results, i, egress, [whole(ipv6Stack.packet)]);
      if (ipv6Stack.path.looped !== undefined)
        this.deliverCopy(slab, columns, results, i, ipv6Stack.path, ipv6Stack.packet);
      this.addAnswers(slab, columns, i, ipv6Stack.answers);
      this.expired?.takeInto(this.extras);
    } else {
      this.passBy(slab, columns, results, i, kind);
    }
  }

  /** The slow path with an entry and TRACK_* result in hand. */
  private resume(
    slab: Slab,
    columns: PacketColumns,
    results: ResultColumns,
    i: number,
    reference: number,
    result: number,
  ): void {
    const { packet, conntrack } = this;
    this.packetLogs?.begin(i);
    this.load(slab, columns, i);
    packet.entry = reference >> 1;
    packet.direction = reference & 1;
    const again = conntrack?.concludeEarly(packet, result) ?? true;
    this.slow(slab, columns, results, i, !again);
  }

  private load(slab: Slab, columns: PacketColumns, i: number): void {
    const { packet } = this;
    const flags = columns.flags[i] as number;
    packet.loadIpv4(slab.bytes, slab.view, columns.l3[i] as number, columns.end[i] as number);
    packet.now = this.clock.now;
    packet.seconds = slab.records.seconds[i] as number;
    packet.nanoseconds = slab.records.nanoseconds[i] as number;
    packet.badChecksum = (flags & FLAG_BAD_CHECKSUM) !== 0;
    packet.cut = (flags & FLAG_CUT) !== 0;
    packet.sourceMac = columns.sender[i] as number;
    packet.toGroup = flags & FLAG_TO_GROUP;
  }

  private slow(slab: Slab, columns: PacketColumns, results: ResultColumns, i: number, tracked: boolean): void {
    const { packet, path, fragments } = this;
    if (!tracked) this.load(slab, columns, i);
    let ingress = results.ingress[i] as number;
    if (ingress === INGRESS_UNKNOWN) ingress = this.inferIngress();
    results.ingress[i] = ingress;
    fragments.layout = undefined;
    const { bridges } = this;
    const entry = bridges?.isBridged(ingress) ? bridges.entry(slab, columns, i, ingress, packet) : undefined;
    const gathers = packet.isFragment && (entry === undefined || !isPastHost(entry));
    if (gathers && !this.gather(results, i, ingress)) return;
    if (!tracked) this.remembered?.beginRecord();
    if (ingress === INGRESS_LOCAL) path.send(packet);
    else if (bridges !== undefined && entry !== undefined) path.receiveOnBridge(packet, entry, bridges, tracked);
    else path.receive(packet, ingress, tracked);
    results.verdict[i] = path.verdict;
    results.egress[i] = path.egress;
    results.state[i] = packet.info;
    this.noteTranslation(results, i);
    if (path.why !== '') this.note(results, i, path.why);
    if (path.cuts !== undefined) this.replace(slab, columns, results, i, path.egress, path.cuts);
    else if ((fragments.layout !== undefined || packet.bytes !== slab.bytes) && path.verdict === VERDICT_LOCAL)
      this.deliver(slab, columns, results, i, packet);
    // A rule made it longer than its record has room for.
    else if (packet.bytes !== slab.bytes && path.verdict === VERDICT_FORWARD)
      this.replace(slab, columns, results, i, path.egress, [whole(packet)]);
    if (path.looped !== undefined) this.deliverCopy(slab, columns, results, i, path, packet);
    this.addAnswers(slab, columns, i, this.answers);
    const isWhole = path.cuts === undefined && path.why === '' && packet.bytes === slab.bytes;
    this.remembered?.endRecord(columns, i, packet, ingress, isWhole, !tracked);
    path.finish(packet);
  }

  /** Fragments are gathered before any rule sees them, where connections are tracked. False: the packet waits, or is gone. */
  private gather(results: ResultColumns, i: number, ingress: number): boolean {
    this.fragments.now = this.clock.time;
    if (this.conntrack === undefined) return true;
    this.packet.inInterface = ingress;
    const fault = this.fragments.gather(this.packet, ingress === INGRESS_LOCAL ? 'output' : 'prerouting');
    if (fault === undefined) return true;
    results.verdict[i] = fault === 'held' ? VERDICT_HELD : VERDICT_DROP;
    if (fault !== 'held') this.note(results, i, fault);
    return false;
  }

  /** What the host said about record i follows it, in a frame like its own that goes back to where it came from. */
  private addAnswers(slab: Slab, columns: PacketColumns, i: number, answers: HostAnswers | undefined): void {
    if (answers === undefined || answers.sent.length === 0) return;
    const { records } = slab;
    const from = records.frame[i] as number;
    const link = Uint8Array.from(slab.bytes.subarray(from, columns.l3[i] as number));
    if ((columns.sender[i] as number) - from === ETHERNET_SENDER) exchangeEthernetAddresses(link);
    for (const { bytes, egress } of answers.sent.splice(0)) {
      const frame = new Uint8Array(link.length + bytes.length);
      frame.set(link);
      frame.set(bytes, link.length);
      this.extras.push({
        after: i,
        output: egress,
        source: records.source[i] as number,
        seconds: records.seconds[i] as number,
        nanoseconds: records.nanoseconds[i] as number,
        wireLength: frame.length,
        frame,
      });
    }
  }

  /** Fragments go out instead of record i, in frames like its own. */
  private replace(
    slab: Slab,
    columns: PacketColumns,
    results: ResultColumns,
    i: number,
    egress: number,
    cuts: readonly OutputFragment[],
  ): void {
    results.egress[i] = EGRESS_REPLACED;
    const { records } = slab;
    const from = records.frame[i] as number;
    const link = slab.bytes.subarray(from, columns.l3[i] as number);
    for (const { bytes, length } of cuts) {
      const frame = new Uint8Array(link.length + bytes.length);
      frame.set(link);
      frame.set(bytes, link.length);
      this.extras.push({
        after: i,
        output: egress,
        source: records.source[i] as number,
        seconds: records.seconds[i] as number,
        nanoseconds: records.nanoseconds[i] as number,
        wireLength: link.length + length,
        frame,
      });
    }
  }

  /** The host gets a datagram in one piece. */
  private deliver(slab: Slab, columns: PacketColumns, results: ResultColumns, i: number, packet: Packet): void {
    this.replace(slab, columns, results, i, -1, [whole(packet)]);
  }

  /** A broadcast that left, if it did, and what the host got of it: one of its own, or one that a bridge sent on. */
  private deliverCopy(
    slab: Slab,
    columns: PacketColumns,
    results: ResultColumns,
    i: number,
    path: PacketPath,
    packet: Packet,
  ): void {
    const { looped } = path;
    if (looped === undefined) return;
    if (path.verdict !== VERDICT_FORWARD) results.verdict[i] = VERDICT_LOCAL;
    else if (results.egress[i] !== EGRESS_REPLACED)
      this.replace(slab, columns, results, i, path.egress, [whole(packet)]);
    this.replace(slab, columns, results, i, -1, [{ bytes: looped, length: packet.totalLength }]);
  }

  private noteTranslation(results: ResultColumns, i: number): void {
    const { packet, table } = this;
    if (packet.entry < 0) return;
    const { status } = packet;
    const at = packet.entry * table.entryWords + table.meta;
    results.nat[i] = ((status & SRC_NAT) !== 0 ? NAT_SOURCE : 0) | ((status & DST_NAT) !== 0 ? NAT_DESTINATION : 0);
    results.dnatRule[i] = table.words[at + META_DNAT_RULE] as number;
    results.snatRule[i] = table.words[at + META_SNAT_RULE] as number;
  }

  /** The interface towards the sender, or the host itself if the address is its own (DESIGN: "Where a packet came in"). */
  private inferIngress(): number {
    return this.routes.towards(this.packet.source);
  }

  /** Frames that the host sent itself, or that it overheard: the kernel drops those before any hook. */
  private notForHost(columns: PacketColumns, results: ResultColumns, i: number): void {
    const outgoing = ((columns.flags[i] as number) & FLAG_OUTGOING) !== 0;
    results.verdict[i] = outgoing ? VERDICT_OUTGOING : VERDICT_DROP;
    if (!outgoing) this.note(results, i, 'other-host');
  }

  /** Packets that no hook sees. */
  private passBy(slab: Slab, columns: PacketColumns, results: ResultColumns, i: number, kind: number): void {
    const broken = kind === KIND_IPV4_BROKEN || (kind === KIND_IPV6_BROKEN && this.knowsIpv6);
    if (broken && this.bridgeBroken(slab, columns, results, i, kind)) return;
    results.verdict[i] = broken ? VERDICT_DROP : VERDICT_IGNORED;
    if (broken) this.note(results, i, BROKEN_REASONS.get(columns.reason[i] as number) ?? 'bad-header');
    else if (kind === KIND_IPV6 || kind === KIND_IPV6_BROKEN) this.note(results, i, 'ipv6-not-stated');
    else if (kind === KIND_CUT) this.note(results, i, 'cut-by-snaplen');
    else this.note(results, i, columns.reason[i] === OTHER_LINK_TYPE ? 'unknown-link-type' : 'not-ip');
  }

  /** A bridge that iptables does not see never asks whether what it passes on is sound. */
  private bridgeBroken(slab: Slab, columns: PacketColumns, results: ResultColumns, i: number, kind: number): boolean {
    const { bridges } = this;
    const ingress = results.ingress[i] as number;
    if (bridges?.isBridged(ingress) !== true) return false;
    const toGroup = (columns.flags[i] as number) & FLAG_TO_GROUP;
    const entry = bridges.entry(slab, columns, i, ingress, { family: kind === KIND_IPV4_BROKEN ? 4 : 6, toGroup });
    const egress = entry.filtered ? NO_INTERFACE : unseenEgress(entry);
    if (egress < 0) return false;
    results.verdict[i] = VERDICT_FORWARD;
    results.egress[i] = egress;
    return true;
  }

  private note(results: ResultColumns, i: number, why: string): void {
    const number = this.reasons.number(why);
    results.why[i] = number;
    this.reasons.count(number);
  }
}

/** A datagram in one piece, as far as it was captured. */
const whole = ({ bytes, l3, end, totalLength }: Packet): OutputFragment => ({
  bytes: bytes.subarray(l3, end),
  length: totalLength,
});

const BROKEN_REASONS = new Map([
  [BROKEN_HEADER, 'bad-ip-header'],
  [BROKEN_CHECKSUM, 'bad-ip-checksum'],
  [BROKEN_LENGTH, 'bad-ip-length'],
  [BROKEN_OPTIONS, 'bad-hop-by-hop-options'],
]);
