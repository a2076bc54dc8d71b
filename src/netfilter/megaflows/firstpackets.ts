/**
 * First packets of connections that take a remembered way (megaflows.ts): TCP SYNs and UDP over IPv4, whose entry is made
 * without walking the chains. What is chosen anew for every connection is chosen as on the slow path: whether its
 * tuples are free, its port. Packets with anything out of the ordinary are left to the slow path, as are all that the
 * connection's later packets would be.
 *
 * Hot path of new connections.
 */
import type { Slab } from '../../capture/slab.js';
import { fold, halves } from '../../packet/checksum.js';
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
import type { RuleCounterTable } from '../compile.js';
import type { Conntrack } from '../conntrack/conntrack.js';
import {
  CONFIRMED,
  DST_NAT_DONE,
  FAST_ORIGINAL,
  META_DELTA,
  META_PATH,
  META_STATE,
  ORIGINAL,
  REPLY,
  SRC_NAT_DONE,
  STATED_ORIGINAL,
} from '../conntrack/flowtable.js';
import { TRACK_ACCEPT } from '../conntrack/tcp.js';
import { NOT_PLAIN, PATH_LOCAL, TTL_DELTA } from '../fastpath.js';
import type { NatSetup } from '../nat/setup.js';
import { CT_NEW, type Packet } from '../packet.js';
import type { PacketPath } from '../path.js';
import type { Random } from '../random.js';
import { INGRESS_LOCAL, VERDICT_LOCAL } from '../results.js';
import type { WalkTrace } from '../walk.js';
import type { PacketClasses } from './classes.js';
import { type Megaflow, Megaflows, NO_MEGAFLOW, type Translation } from './megaflows.js';

export interface FirstPacketParts {
  readonly classes: PacketClasses;
  readonly conntrack: Conntrack;
  /** Undefined: the rules have no nat table. */
  readonly nat: NatSetup | undefined;
  readonly clock: CaptureClock;
  readonly random: Random;
  readonly counters: RuleCounterTable;
  readonly path: PacketPath;
  /** Policies that every packet on a plain way counts (FastCounters). */
  readonly policies: ReadonlySet<number>;
  /** One that nobody else uses. */
  readonly packet: Packet;
}

/** Of the flags of a SYN: ECE, CWR, PSH and URG may be there. */
const SYN_MASK = 0x17;
const SYN = 0x02;
/** Reasons of a drop that say nothing of the next packet. */
const PASSING = new Set(['no-free-tuple', 'table-full']);

export class FirstPackets {
  /** Connections made. */
  taken = 0;
  private readonly flows: Megaflows;
  /** The packet last refused is one whose way is not known: `record` may note it. */
  private unknown = false;
  private created = 0;
  private evaluated = 0;
  private readonly trace: WalkTrace = { counted: [], translations: [], opaque: false };

  constructor(private readonly parts: FirstPacketParts) {
    this.flows = new Megaflows(parts.classes);
  }

  /**
   * Makes the connection of record i, if it is such a first packet, and returns its reference in the flow table: the
   * record is then to be rewritten and counted as any packet on the fast path. -1, with nothing changed but the clock, for
   * all others. `ingress`: as stated.
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
    if (table.find4(source, destination, ports, protocol, columns.hash[i] as number) >= 0) return -1;
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
    words[base + table.meta] = (words[base + table.meta] as number) | flow.stated;
    this.setWay(ORIGINAL, base, flow.ingress, flow.egress);
    if (flow.answers >= 0) this.setWay(REPLY, base, flow.egress, flow.answers);
    return entry * 2;
  }

  /** To be called before the slow path judges the packet last refused. */
  beginRecord(): void {
    const { path, conntrack } = this.parts;
    if (!this.unknown) return;
    this.trace.counted.length = 0;
    this.trace.translations.length = 0;
    this.trace.opaque = false;
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
    return this.flows.find(
      ingress,
      protocol,
      swap32(columns.source[i] as number) >>> 0,
      swap32(columns.destination[i] as number) >>> 0,
      swap16(ports & 0xffff),
      swap16(ports >>> 16),
      protocol === PROTO_TCP ? slab.view.getUint8((columns.l4[i] as number) + TCP_FLAGS) : 0,
    );
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

  /** Settles the mapping and links the entry. False when its tuples are not to be had, with everything as it was. */
  private link({ dnat, snat }: Megaflow, entry: number, protocol: number): boolean {
    const { conntrack, nat, packet, random, clock } = this.parts;
    const { table } = conntrack;
    packet.entry = entry;
    packet.direction = ORIGINAL;
    packet.now = clock.now;
    packet.connectionChanged();
    if (nat === undefined) return this.isFree(entry, protocol) ? this.confirmFree(entry) : conntrack.confirm(packet);
    const at = entry * table.entryWords + table.meta + META_STATE;
    const { attempts } = nat;
    const drawn = random.save();
    // A destination that no rule translates stays what it is, taken or not; the slow path looks all the same.
    if (dnat !== undefined) nat.setUp(packet, dnat.range, 'dst', dnat.rule);
    else {
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
    if (conntrack.confirm(packet)) return true;
    nat.attempts = attempts;
    random.restore(drawn);
    return false;
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

  /** Notes way and checksum deltas of one direction of the entry at `base`, whose tuple becomes the other's turned round. */
  private setWay(direction: number, base: number, ingress: number, egress: number): void {
    const { words, meta, tupleWords } = this.parts.conntrack.table;
    const from = base + direction * tupleWords;
    const to = base + (1 - direction) * tupleWords;
    const addresses = fold(
      halves(~(words[from] as number)) +
        halves(words[to + 1] as number) +
        halves(~(words[from + 1] as number)) +
        halves(words[to] as number),
    );
    const ports = halves(~(words[from + 2] as number)) + halves(words[to + 2] as number);
    const header = egress === PATH_LOCAL ? addresses : fold(addresses + TTL_DELTA);
    const at = base + meta;
    words[at + META_PATH + direction] = ingress | (egress << 16);
    words[at + META_DELTA + direction] = header | (fold(addresses + ports) << 16);
    words[at] = (words[at] as number) | (FAST_ORIGINAL << direction);
  }

  /** The way that the slow path has just taken with a packet; undefined when it is none to be remembered. */
  private wayOf(packet: Packet, ingress: number): Megaflow | undefined {
    const { conntrack, path, policies } = this.parts;
    const { table } = conntrack;
    const { trace } = this;
    if (trace.opaque || packet.info !== CT_NEW || packet.entry < 0 || conntrack.created === this.created)
      return undefined;
    const at = packet.entry * table.entryWords + table.meta;
    const status = table.words[at] as number;
    if ((status & CONFIRMED) === 0 || (status & FAST_ORIGINAL) === 0) return undefined;
    let dnat: Translation | undefined;
    let snat: Translation | undefined;
    for (const { range, rule, hook } of trace.translations) {
      if (range === undefined) return undefined;
      if (hook === 'PREROUTING') dnat = { range, rule };
      else snat = { range, rule };
    }
    if (dnat !== undefined && !isOneAddress(dnat.range)) return undefined;
    return {
      ingress,
      egress: path.verdict === VERDICT_LOCAL ? PATH_LOCAL : path.egress,
      stated: status & (STATED_ORIGINAL | (STATED_ORIGINAL << REPLY)),
      answers: (status & (FAST_ORIGINAL << REPLY)) === 0 ? -1 : (table.words[at + META_PATH + REPLY] as number) >>> 16,
      counted: Int32Array.from(trace.counted.filter((id) => !policies.has(id))),
      evaluated: path.walker.evaluated - this.evaluated,
      dnat,
      snat,
    };
  }
}

/** Nothing is left to choose: what comes behind sees the same destination for every connection. */
function isOneAddress({ minAddress, maxAddress, minPort, maxPort, basePort }: NatRange): boolean {
  if (basePort !== undefined || minPort !== maxPort) return false;
  return minAddress === undefined || maxAddress === undefined || minAddress[0] === maxAddress[0];
}

/** Two ports exchanged. */
const turned = (ports: number): number => (ports << 16) | (ports >>> 16);
