import { FLAG_CUT, KIND_IPV4_PORTS, type PacketColumns } from '../../packet/columns.js';
import { swap16, swap32 } from '../../packet/tuple.js';
import type { Conntrack } from '../conntrack/conntrack.js';
import { CONFIRMED, DST_NAT, FAST_ORIGINAL, REPLY, SEEN_REPLY, SRC_NAT } from '../conntrack/flowtable.js';
import { noteWay, openWay } from '../entryway.js';
import { NOT_PLAIN } from '../fastpath.js';
import { CT_ESTABLISHED, type Packet } from '../packet.js';
import type { PacketPath } from '../path.js';
import { INGRESS_LOCAL, INGRESS_UNKNOWN, VERDICT_FORWARD, VERDICT_LOCAL } from '../results.js';
import type { WalkTrace } from '../walk.js';
import { LOCAL_EGRESS, type Ways } from '../ways.js';
import { type PacketClasses, portClasses } from './classes.js';
import { KeyCache } from './keycache.js';
import { type EstablishedFlow, NO_MEGAFLOW } from './megaflows.js';

export interface EstablishedParts {
  readonly classes: PacketClasses;
  readonly conntrack: Conntrack;
  readonly path: PacketPath;
  readonly ways: Ways;
  /** Whether packets of that length may have to be cut or refused on the way. */
  readonly isNarrower: (egress: number, ingress: number) => boolean;
  /** Interface towards an address, in host order. */
  readonly towards: (address: number) => number;
}

/** Ingress, protocol, direction and NAT bits; the classes of the packet as it comes, and of what becomes of it. */
const KEY_WORDS = 7;

export class EstablishedWays {
  private readonly flows = new KeyCache<EstablishedFlow | null>(KEY_WORDS);
  /** The packet last refused is one whose way is not known. */
  private unknown = false;
  private evaluated = 0;
  private readonly trace: WalkTrace = { counted: [], translations: [], taint: 0 };

  constructor(private readonly parts: EstablishedParts) {}

  /**
   * Opens the fast path for record i's direction of the entry that it belongs to, if the way is known; false, with nothing
   * changed, otherwise. `ingress`: as stated.
   */
  open(columns: PacketColumns, i: number, reference: number, ingress: number): boolean {
    this.unknown = false;
    if (reference < 0 || ingress === INGRESS_LOCAL || columns.kind[i] !== KIND_IPV4_PORTS) return false;
    if (((columns.flags[i] as number) & (NOT_PLAIN | FLAG_CUT)) !== 0) return false;
    const { table } = this.parts.conntrack;
    const direction = reference & 1;
    const at = (reference >> 1) * table.entryWords + table.meta;
    const status = table.words[at] as number;
    const isEstablished = direction === REPLY || (status & SEEN_REPLY) !== 0;
    if (!isEstablished || (status & (FAST_ORIGINAL << direction)) !== 0) return false;
    this.setKey(reference, ingress);
    const flow = this.flows.find();
    this.unknown = flow === undefined;
    if (flow === undefined || flow === NO_MEGAFLOW) return false;
    this.give(reference, flow);
    return true;
  }

  /** To be called before the slow path judges the packet last refused. */
  beginRecord(): void {
    if (!this.unknown) return;
    const { walker } = this.parts.path;
    this.trace.counted.length = 0;
    this.trace.translations.length = 0;
    this.trace.taint = 0;
    this.evaluated = walker.evaluated;
    walker.trace = this.trace;
  }

  /** To be called when the slow path is through with it. `ingress`: as it was found. */
  endRecord(packet: Packet, ingress: number, isWhole: boolean): void {
    if (!this.unknown) return;
    this.unknown = false;
    const { path } = this.parts;
    path.walker.trace = undefined;
    // Of a packet that is no part of its connection, or the first of another, nothing follows for others.
    if (packet.info !== CT_ESTABLISHED || packet.entry < 0) return;
    const flow = isWhole ? this.flowOf(packet, ingress) : undefined;
    this.flows.remember(flow ?? NO_MEGAFLOW);
    if (flow !== undefined) this.give(packet.entry * 2 + packet.direction, flow);
  }

  private setKey(reference: number, ingress: number): void {
    const { classes, conntrack } = this.parts;
    const { words, entryWords, meta, tupleWords } = conntrack.table;
    const base = (reference >> 1) * entryWords;
    const direction = reference & 1;
    const status = words[base + meta] as number;
    const own = base + direction * tupleWords;
    const other = base + (1 - direction) * tupleWords;
    const { key } = this.flows;
    const nat = ((status & SRC_NAT) !== 0 ? 1 : 0) | ((status & DST_NAT) !== 0 ? 2 : 0);
    key[0] = ((ingress & 0xffff) << 16) | ((status & 0xff) << 3) | (direction << 2) | nat;
    key[1] = classes.sources.classOf(swap32(words[own] as number) >>> 0);
    key[2] = classes.destinations.classOf(swap32(words[own + 1] as number) >>> 0);
    key[3] = this.ports(words[own + 2] as number);
    // What it becomes is the other direction's tuple turned round.
    key[4] = classes.sources.classOf(swap32(words[other + 1] as number) >>> 0);
    key[5] = classes.destinations.classOf(swap32(words[other] as number) >>> 0);
    key[6] = this.ports(((words[other + 2] as number) << 16) | ((words[other + 2] as number) >>> 16));
  }

  /** `ports`: as they lie in the packet. */
  private ports(ports: number): number {
    return portClasses(this.parts.classes, swap16(ports & 0xffff), swap16(ports >>> 16));
  }

  private give(reference: number, { ingress, way, stated }: EstablishedFlow): void {
    const { ways, conntrack } = this.parts;
    const entry = reference >> 1;
    noteWay(conntrack.table, entry, reference & 1, ingress, way, ways.egress(way) === LOCAL_EGRESS);
    openWay(conntrack.table, entry, reference & 1, stated);
  }

  private flowOf(packet: Packet, ingress: number): EstablishedFlow | undefined {
    const { path, conntrack, ways, isNarrower, towards } = this.parts;
    const { table } = conntrack;
    if (this.trace.taint !== 0 || this.trace.translations.length > 0 || path.bridged || ingress < 0) return undefined;
    if (ingress === INGRESS_LOCAL || ingress === INGRESS_UNKNOWN) return undefined;
    const base = packet.entry * table.entryWords;
    if (((table.words[base + table.meta] as number) & CONFIRMED) === 0) return undefined;
    const local = path.verdict === VERDICT_LOCAL;
    if (!local && (path.verdict !== VERDICT_FORWARD || isNarrower(path.egress, ingress))) return undefined;
    const evaluated = path.walker.evaluated - this.evaluated;
    const way = ways.number(local ? LOCAL_EGRESS : path.egress, this.trace.counted, evaluated);
    if (way < 0) return undefined;
    const sender = swap32(table.words[base + packet.direction * table.tupleWords] as number) >>> 0;
    return { ingress, way, stated: towards(sender) !== ingress };
  }
}
