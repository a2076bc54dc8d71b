/**
 * What an engine has for IPv6, apart from IPv4's as in the kernel: a rule set with its counters, a connection table, a
 * path. Clock, random numbers and reasons are the engine's. Every packet takes the slow path.
 */
import type { Slab } from '../capture/slab.js';
import type { Host } from '../host/types.js';
import { FLAG_BAD_CHECKSUM, FLAG_CUT, FLAG_TO_GROUP, type PacketColumns } from '../packet/columns.js';
import type { StateSaver } from '../rules/extension.js';
import type { SharedState } from '../rules/state/shared.js';
import type { Ruleset, TableName } from '../rules/types.js';
import { Ipv6Answers } from './answers/answers6.js';
import type { Answering } from './answers/expiredanswers.js';
import { type Bridges, isPastHost } from './bridges.js';
import { compileRuleset, RuleCounterTable } from './compile.js';
import { Conntrack } from './conntrack/conntrack.js';
import { DST_NAT, FlowTable, META_DNAT_RULE, META_SNAT_RULE, SRC_NAT } from './conntrack/flowtable.js';
import { conntrackSettings } from './conntrack/timeouts.js';
import type { Fragments } from './defrag/fragments.js';
import type { GatherFault } from './defrag/ipv4.js';
import type { PortChooser } from './nat/portchoice.js';
import { NatSetup } from './nat/setup.js';
import { UnseenDraw } from './nat/unseendraw.js';
import { limitedTo, needsConntrack } from './needs.js';
import { CT_UNTRACKED, Packet } from './packet.js';
import { PacketPath6 } from './path6.js';
import type { Random } from './random.js';
import {
  INGRESS_LOCAL,
  INGRESS_UNKNOWN,
  NAT_DESTINATION,
  NAT_SOURCE,
  type ResultColumns,
  VERDICT_DROP,
  VERDICT_HELD,
} from './results.js';
import { RouteCache } from './routecache.js';

export interface Ipv6Parts {
  readonly host: Host;
  readonly random: Random;
  readonly fragments: Fragments;
  readonly bridges: Bridges | undefined;
  readonly keepCounters: boolean;
  /** The only tables to be evaluated; undefined: all. */
  readonly tables: readonly TableName[] | undefined;
  readonly portChooser: PortChooser | undefined;
  readonly backend: 'legacy' | 'nft' | undefined;
  /** What rules of both families share. */
  readonly shared: SharedState;
  /** What is to be known of connections. */
  readonly kept: { readonly accounts: boolean; readonly labels: boolean };
  /** The host's own answers are to be made; their flow labels come from it. */
  readonly answersSeed: number | undefined;
}

/** Whether anything is said of the host's IPv6: without, its IPv6 packets are nobody's business. */
export function statesIpv6(host: Host): boolean {
  return host.interfaces.some(({ loopback, addresses }) => !loopback && addresses.some(({ family }) => family === 6));
}

export class Ipv6Stack {
  readonly counters = new RuleCounterTable();
  readonly table = new FlowTable(4);
  readonly conntrack: Conntrack | undefined;
  readonly path: PacketPath6;
  readonly packet: Packet;
  readonly answers: Ipv6Answers | undefined;
  /** The same, with a packet beside the one in hand. */
  readonly answering: Answering | undefined;

  constructor(
    private readonly parts: Ipv6Parts,
    readonly ruleset: Ruleset | undefined,
  ) {
    const { host, random, fragments, keepCounters, portChooser, backend, shared } = parts;
    const random32 = (): number => random.next32();
    const savers: StateSaver[] | undefined = portChooser?.dropped === undefined ? undefined : [];
    const evaluated = ruleset === undefined ? undefined : limitedTo(ruleset, parts.tables);
    const tables =
      evaluated === undefined
        ? new Map()
        : compileRuleset(
            evaluated,
            { host, family: 6, backend, random32, savers, shared },
            this.counters,
            keepCounters,
          );
    savers?.push(() => shared.journal.save());
    if (evaluated !== undefined && needsConntrack(evaluated)) {
      this.conntrack = new Conntrack(this.table, conntrackSettings(host));
      this.conntrack.keep(parts.kept);
    }
    const { conntrack } = this;
    const nat =
      conntrack !== undefined && tables.has('nat')
        ? new NatSetup(conntrack, random, portChooser, savers && new UnseenDraw(conntrack, this.counters, savers))
        : undefined;
    const routes = new RouteCache(host);
    if (parts.answersSeed !== undefined) this.answers = new Ipv6Answers(host, this.table, parts.answersSeed);
    const { counters, answers } = this;
    if (answers !== undefined) this.answering = { answers, packet: new Packet(host, this.table) };
    this.path = new PacketPath6({ host, routes, tables, counters, conntrack, nat, fragments, answers });
    this.packet = new Packet(host, this.table, conntrack);
  }

  /** Judges and rewrites record i, sound IPv6. Returns why it was dropped or went past NAT, '' if nothing is to be said. */
  judge(slab: Slab, columns: PacketColumns, results: ResultColumns, i: number, now: number): string {
    const { packet, path } = this;
    const { bridges } = this.parts;
    this.load(slab, columns, i, now);
    let ingress = results.ingress[i] as number;
    if (ingress === INGRESS_UNKNOWN) ingress = this.inferIngress();
    results.ingress[i] = ingress;
    const { fragments } = this.parts;
    fragments.layout = undefined;
    path.cuts = undefined;
    const entry = bridges?.isBridged(ingress) ? bridges.entry(slab, columns, i, ingress, packet) : undefined;
    const isSeen = this.conntrack !== undefined && (entry === undefined || !isPastHost(entry));
    if (packet.isFragment && isSeen) {
      packet.inInterface = ingress;
      const fault = fragments.gather6(packet, ingress === INGRESS_LOCAL ? 'output' : 'prerouting');
      if (fault !== undefined) return this.stop(results, i, fault);
    }
    // A later fragment that the kernel does not gather, for its odd length, belongs to no connection.
    const passedBy = packet.fragmentOffset !== 0 && isSeen;
    if (passedBy) packet.info = CT_UNTRACKED;
    if (ingress === INGRESS_LOCAL) path.send(packet);
    else if (bridges !== undefined && entry !== undefined) path.receiveOnBridge(packet, entry, bridges, false);
    else path.receive(packet, ingress);
    results.verdict[i] = path.verdict;
    results.egress[i] = path.egress;
    results.state[i] = packet.info;
    this.noteTranslation(results, i);
    path.finish(packet);
    return passedBy && path.why === 'untracked' ? 'fragment' : path.why;
  }

  /** A fragment that waits, or is gone, before any rule. */
  private stop(results: ResultColumns, i: number, fault: GatherFault): string {
    this.path.verdict = fault === 'held' ? VERDICT_HELD : VERDICT_DROP;
    results.verdict[i] = this.path.verdict;
    return fault === 'held' ? '' : fault;
  }

  private load(slab: Slab, columns: PacketColumns, i: number, now: number): void {
    const { packet } = this;
    const flags = columns.flags[i] as number;
    packet.loadIpv6(
      slab.bytes,
      slab.view,
      columns.l3[i] as number,
      columns.end[i] as number,
      columns.totalLength[i] as number,
    );
    packet.now = now;
    packet.seconds = slab.records.seconds[i] as number;
    packet.nanoseconds = slab.records.nanoseconds[i] as number;
    packet.badChecksum = (flags & FLAG_BAD_CHECKSUM) !== 0;
    packet.cut = (flags & FLAG_CUT) !== 0;
    packet.sourceMac = columns.sender[i] as number;
    packet.toGroup = flags & FLAG_TO_GROUP;
  }

  /** The interface towards the sender, or the host itself if the address is its own (DESIGN: "Where a packet came in"). */
  private inferIngress(): number {
    const route = this.parts.host.route(6, this.packet.source);
    if (route === undefined) return INGRESS_UNKNOWN;
    return route.type === 'local' ? INGRESS_LOCAL : route.iface;
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
}
