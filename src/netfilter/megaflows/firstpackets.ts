/**
 * First packets of connections that take a remembered way (megaflows.ts): TCP SYNs and UDP over IPv4, whose entry is made
 * without walking the chains. What is chosen anew for every connection is chosen as on the slow path: whether its
 * tuples are free, its port. Packets with anything out of the ordinary are left to the slow path, as are all that the
 * connection's later packets would be.
 *
 * Hot path of new connections.
 */
import type { Slab } from '../../capture/slab.js';
import { FLAG_CUT, KIND_IPV4_PORTS, type PacketColumns } from '../../packet/columns.js';
import { tupleHash } from '../../packet/hash.js';
import { IPV4_MIN_HEADER, IPV4_TTL } from '../../packet/ipv4.js';
import {
  PROTO_TCP,
  PROTO_UDP,
  TCP_FLAGS,
  TCP_MIN_HEADER,
  tcpHeaderLength,
  UDP_HEADER,
  UDP_LENGTH,
} from '../../packet/transport.js';
import { swap16, swap32 } from '../../packet/tuple.js';
import type { NatRange } from '../../rules/extension.js';
import type { CaptureClock } from '../clock.js';
import { type RuleCounterTable, TAINT_OPAQUE } from '../compile.js';
import type { Conntrack } from '../conntrack/conntrack.js';
import {
  CONFIRMED,
  DST_NAT,
  DST_NAT_DONE,
  FAST_ORIGINAL,
  META_PATH,
  META_STATE,
  ORIGINAL,
  REPLY,
  SRC_NAT_DONE,
  STATED_ORIGINAL,
} from '../conntrack/flowtable.js';
import { TRACK_ACCEPT } from '../conntrack/tcp.js';
import { noteWay } from '../entryway.js';
import { NOT_PLAIN } from '../fastpath.js';
import type { NatSetup } from '../nat/setup.js';
import { CT_NEW, type Packet } from '../packet.js';
import type { PacketPath } from '../path.js';
import type { PlainWays } from '../plainways.js';
import type { Random } from '../random.js';
import { INGRESS_LOCAL, VERDICT_FORWARD, VERDICT_LOCAL } from '../results.js';
import type { WalkTrace } from '../walk.js';
import { LOCAL_EGRESS, type Ways } from '../ways.js';
import { type PacketClasses, portClasses } from './classes.js';
import { KeyCache } from './keycache.js';
import { type Megaflow, NO_MEGAFLOW, type Translation } from './megaflows.js';

export interface FirstPacketParts {
  readonly classes: PacketClasses;
  readonly conntrack: Conntrack;
  /** Undefined: the rules have no nat table. */
  readonly nat: NatSetup | undefined;
  readonly clock: CaptureClock;
  readonly random: Random;
  readonly counters: RuleCounterTable;
  readonly path: PacketPath;
  readonly ways: Ways;
  readonly plain: PlainWays;
  /** Whether packets of that length may have to be cut or refused on the way. */
  readonly isNarrower: (egress: number, ingress: number) => boolean;
  /** One that nobody else uses. */
  readonly packet: Packet;
}

/** Of the flags of a SYN: ECE, CWR, PSH and URG may be there. */
const SYN_MASK = 0x17;
const SYN = 0x02;
/** Stated ingress, protocol and flags; classes of addresses and ports. */
const KEY_WORDS = 4;
/** Reasons of a drop that say nothing of the next packet. */
const PASSING = new Set(['no-free-tuple', 'table-full']);

export class FirstPackets {
  /** Connections made. */
  taken = 0;
  private readonly flows = new KeyCache<Megaflow | null>(KEY_WORDS);
  /** The packet last refused is one whose way is not known: `record` may note it. */
  private unknown = false;
  private created = 0;
  private evaluated = 0;
  private readonly trace: WalkTrace = { counted: [], translations: [], taint: 0 };

  constructor(private readonly parts: FirstPacketParts) {}

  /**
   * Makes the connection of record i, if it is such a first packet, and returns its reference in the flow table: the
   * record is then to be rewritten and counted as any packet on the fast path. -1, with nothing changed but the clock, for
   * all others. `ingress`: as stated. The packet is known to be of no connection.
   */
  take(slab: Slab, columns: PacketColumns, i: number, ingress: number): number {
    this.unknown = false;
    if (columns.kind[i] !== KIND_IPV4_PORTS || ((columns.flags[i] as number) & (NOT_PLAIN | FLAG_CUT)) !== 0) return -1;
    if (ingress === INGRESS_LOCAL || !this.isFirst(slab.view, columns, i)) return -1;
    const flow = this.find(slab, columns, i, ingress);
    this.unknown = flow === undefined;
    if (flow === undefined || flow === NO_MEGAFLOW) return -1;
    const { clock, conntrack } = this.parts;
    clock.advance(slab.records.seconds[i] as number, slab.records.nanoseconds[i] as number);
    const { table } = conntrack;
    const source = columns.source[i] as number;
    const destination = columns.destination[i] as number;
    const protocol = columns.protocol[i] as number;
    const ports = columns.ports[i] as number;
    const entry = conntrack.allocateIfRoom();
    if (entry < 0) return -1;
    const base = entry * table.entryWords;
    const { words } = table;
    words[base] = source;
    words[base + 1] = destination;
    words[base + 2] = ports;
    words[base + 3] = destination;
    words[base + 4] = source;
    words[base + 5] = turned(ports);
    words[base + table.meta] = (words[base + table.meta] as number) | protocol;
    if (!this.follow(slab.view, columns, i, entry) || !this.link(flow, entry, protocol)) {
      table.release(entry);
      return -1;
    }
    this.taken++;
    this.count(flow, columns.totalLength[i] as number);
    this.noteWays(entry, flow);
    return entry * 2;
  }

  /** Leaves a packet to the slow path that begins no connection; nothing is to be learnt from it here. */
  refuse(): number {
    this.unknown = false;
    return -1;
  }

  /** To be called before the slow path judges the packet last refused. */
  beginRecord(): void {
    const { path, conntrack } = this.parts;
    if (!this.unknown) return;
    this.trace.counted.length = 0;
    this.trace.translations.length = 0;
    this.trace.taint = 0;
    this.created = conntrack.created;
    this.evaluated = path.walker.evaluated;
    path.walker.trace = this.trace;
  }

  /** To be called when the slow path is through with the packet: remembers the way it took. `ingress`: as it was found. */
  endRecord(packet: Packet, ingress: number): void {
    if (!this.unknown) return;
    this.unknown = false;
    const { path } = this.parts;
    path.walker.trace = undefined;
    if (PASSING.has(path.why)) return;
    this.flows.remember(this.wayOf(packet, ingress) ?? NO_MEGAFLOW);
  }

  /** Whether the packet can begin a connection in the ordinary way. */
  private isFirst(view: DataView, columns: PacketColumns, i: number): boolean {
    const l3 = columns.l3[i] as number;
    const l4 = columns.l4[i] as number;
    const end = columns.end[i] as number;
    if (l4 - l3 !== IPV4_MIN_HEADER || view.getUint8(l3 + IPV4_TTL) <= 1) return false;
    if (columns.source[i] === columns.destination[i]) return false;
    const length = l3 + (columns.totalLength[i] as number) - l4;
    if (columns.protocol[i] === PROTO_TCP) {
      if (l4 + TCP_MIN_HEADER > end || (view.getUint8(l4 + TCP_FLAGS) & SYN_MASK) !== SYN) return false;
      const header = tcpHeaderLength(view, l4);
      return header >= TCP_MIN_HEADER && header <= length;
    }
    if (columns.protocol[i] !== PROTO_UDP || l4 + UDP_HEADER > end) return false;
    const stated = view.getUint16(l4 + UDP_LENGTH);
    return stated >= UDP_HEADER && stated <= length;
  }

  private find(slab: Slab, columns: PacketColumns, i: number, ingress: number): Megaflow | null | undefined {
    const protocol = columns.protocol[i] as number;
    const ports = columns.ports[i] as number;
    const { classes } = this.parts;
    const { key } = this.flows;
    const isTcp = protocol === PROTO_TCP && classes.tcpFlags;
    const flags = isTcp ? slab.view.getUint8((columns.l4[i] as number) + TCP_FLAGS) : 0;
    key[0] = ((ingress & 0xffff) << 16) | (protocol << 8) | flags;
    key[1] = classes.sources.classOf(swap32(columns.source[i] as number) >>> 0);
    key[2] = classes.destinations.classOf(swap32(columns.destination[i] as number) >>> 0);
    key[3] = portClasses(classes, swap16(ports & 0xffff), swap16(ports >>> 16));
    return this.flows.find();
  }

  private follow(view: DataView, columns: PacketColumns, i: number, entry: number): boolean {
    const { conntrack, clock } = this.parts;
    if (columns.protocol[i] === PROTO_UDP) {
      conntrack.followUdp(entry, clock.now);
      return true;
    }
    const l4 = columns.l4[i] as number;
    const length = (columns.l3[i] as number) + (columns.totalLength[i] as number) - l4;
    const end = columns.end[i] as number;
    return conntrack.tcp.packet(entry, ORIGINAL, view, l4, length, end, clock.now) === TRACK_ACCEPT;
  }

  /**
   * Settles the mapping and links the entry. False when its tuples are not to be had, or rules might see by its NAT that it
   * is not like the others; with everything as it was.
   */
  private link(flow: Megaflow, entry: number, protocol: number): boolean {
    const { conntrack, nat, packet, random, clock } = this.parts;
    packet.entry = entry;
    packet.direction = ORIGINAL;
    packet.now = clock.now;
    packet.connectionChanged();
    if (nat === undefined) return this.isFree(entry, protocol) ? this.confirmFree(entry) : conntrack.confirm(packet);
    const { attempts } = nat;
    const drawn = random.save();
    if (this.settle(flow, entry, protocol, nat)) return true;
    nat.attempts = attempts;
    random.restore(drawn);
    return false;
  }

  private settle({ dnat, snat, hasDnat }: Megaflow, entry: number, protocol: number, nat: NatSetup): boolean {
    const { conntrack, packet } = this.parts;
    const { table } = conntrack;
    const at = entry * table.entryWords + table.meta + META_STATE;
    // A destination that no rule translates stays what it is, taken or not; the slow path looks all the same.
    if (dnat !== undefined) {
      nat.setUp(packet, dnat.range, 'dst', dnat.rule);
      if (((table.words[at] as number) & DST_NAT) !== hasDnat) return false;
    } else {
      nat.attempts++;
      table.words[at] = (table.words[at] as number) | DST_NAT_DONE;
    }
    if (snat === undefined && this.isFree(entry, protocol)) {
      nat.attempts++;
      table.words[at] = (table.words[at] as number) | SRC_NAT_DONE;
      return this.confirmFree(entry);
    }
    if (snat !== undefined) nat.setUp(packet, snat.range, 'src', snat.rule);
    else nat.bindNull(packet, 'src');
    return conntrack.confirm(packet);
  }

  private confirmFree(entry: number): boolean {
    const { conntrack, clock } = this.parts;
    conntrack.linkFree(entry, clock.now);
    return true;
  }

  /** Whether no entry has the reply tuple, dead ones among them. */
  private isFree(entry: number, protocol: number): boolean {
    const { table } = this.parts.conntrack;
    const { words } = table;
    const at = entry * table.entryWords + table.tupleWords;
    const source = words[at] as number;
    const destination = words[at + 1] as number;
    const ports = words[at + 2] as number;
    return table.find4(source, destination, ports, protocol, tupleHash(source, destination, ports, protocol)) < 0;
  }

  private count({ counted, evaluated }: Megaflow, bytes: number): void {
    const { counters, path } = this.parts;
    for (let k = 0; k < counted.length; k++) {
      const id = counted[k] as number;
      counters.packets[id] = (counters.packets[id] as number) + 1;
      counters.bytes[id] = (counters.bytes[id] as number) + bytes;
    }
    path.walker.evaluated += evaluated;
  }

  private noteWays(entry: number, { ingress, way, fast, answers, stated }: Megaflow): void {
    const { conntrack, ways } = this.parts;
    const { table } = conntrack;
    noteWay(table, entry, ORIGINAL, ingress, way, ways.egress(way) === LOCAL_EGRESS);
    if (answers !== undefined) noteWay(table, entry, REPLY, answers.ingress, answers.way, false);
    const open = (fast ? FAST_ORIGINAL : 0) | (answers === undefined ? 0 : FAST_ORIGINAL << REPLY);
    const at = entry * table.entryWords + table.meta;
    table.words[at] = (table.words[at] as number) | stated | open;
  }

  /** The way that the slow path has just taken with a packet; undefined when it is none to be remembered. */
  private wayOf(packet: Packet, ingress: number): Megaflow | undefined {
    const { conntrack, path, ways, plain, isNarrower } = this.parts;
    const { table } = conntrack;
    const { trace } = this;
    if ((trace.taint & TAINT_OPAQUE) !== 0 || packet.info !== CT_NEW || packet.entry < 0) return undefined;
    if (conntrack.created === this.created || ingress < 0 || path.bridged) return undefined;
    // Forwarded, but something is to be said of it: a program of the host was asked.
    if (path.why !== '') return undefined;
    const local = path.verdict === VERDICT_LOCAL;
    if (!local && (path.verdict !== VERDICT_FORWARD || isNarrower(path.egress, ingress))) return undefined;
    const at = packet.entry * table.entryWords + table.meta;
    const status = table.words[at] as number;
    if ((status & CONFIRMED) === 0) return undefined;
    const policies = (local ? plain.input : plain.forward) ?? [];
    const way = ways.number(local ? LOCAL_EGRESS : path.egress, policies);
    const translations = this.translations();
    if (way < 0 || translations === undefined) return undefined;
    const answers =
      (status & (FAST_ORIGINAL << REPLY)) === 0 ? undefined : (table.words[at + META_PATH + REPLY] as number);
    return {
      ingress,
      way,
      fast: (status & FAST_ORIGINAL) !== 0,
      stated: status & (STATED_ORIGINAL | (STATED_ORIGINAL << REPLY)),
      answers: answers === undefined ? undefined : { ingress: answers & 0xffff, way: answers >>> 16 },
      counted: Int32Array.from(trace.counted.filter((id) => !policies.includes(id))),
      evaluated: path.walker.evaluated - this.evaluated,
      hasDnat: status & DST_NAT,
      ...translations,
    };
  }

  /** What the rules translated; undefined where another packet may be translated otherwise. */
  private translations(): { dnat: Translation | undefined; snat: Translation | undefined } | undefined {
    let dnat: Translation | undefined;
    let snat: Translation | undefined;
    for (const { range, rule, hook } of this.trace.translations) {
      if (range === undefined) return undefined;
      if (hook === 'PREROUTING') dnat = { range, rule };
      else snat = { range, rule };
    }
    return dnat === undefined || isOneAddress(dnat.range) ? { dnat, snat } : undefined;
  }
}

/** Nothing is left to choose: what comes behind sees the same destination for every connection. */
function isOneAddress({ minAddress, maxAddress, minPort, maxPort, basePort }: NatRange): boolean {
  if (basePort !== undefined || minPort !== maxPort) return false;
  return minAddress === undefined || maxAddress === undefined || minAddress[0] === maxAddress[0];
}

/** Two ports exchanged. */
const turned = (ports: number): number => (ports << 16) | (ports >>> 16);
