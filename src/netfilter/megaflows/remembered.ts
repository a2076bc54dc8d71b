/**
 * What the slow path learns of the ways of packets, so that others need not walk: opens the fast path for connections, and
 * begins connections whose way is known.
 */
import type { Slab } from '../../capture/slab.js';
import type { Host } from '../../host/types.js';
import { KIND_IPV4_PORTS, type PacketColumns } from '../../packet/columns.js';
import { swap32 } from '../../packet/tuple.js';
import type { Ruleset } from '../../rules/types.js';
import type { CaptureClock } from '../clock.js';
import type { RuleCounterTable } from '../compile.js';
import type { Conntrack } from '../conntrack/conntrack.js';
import { CONFIRMED, ORIGINAL, REPLY } from '../conntrack/flowtable.js';
import { noteWay, openWay } from '../entryway.js';
import type { NatSetup } from '../nat/setup.js';
import { CT_ESTABLISHED, CT_NEW, Packet } from '../packet.js';
import type { PacketPath } from '../path.js';
import type { PlainWays } from '../plainways.js';
import type { Random } from '../random.js';
import { VERDICT_FORWARD, VERDICT_LOCAL } from '../results.js';
import type { RouteCache } from '../routecache.js';
import { newRouting } from '../routing.js';
import { LOCAL_EGRESS, type Ways } from '../ways.js';
import { packetClasses } from './classes.js';
import { EstablishedWays } from './established.js';
import { FirstPackets } from './firstpackets.js';

export interface RememberedParts {
  readonly host: Host;
  readonly routes: RouteCache;
  readonly conntrack: Conntrack;
  readonly nat: NatSetup | undefined;
  readonly clock: CaptureClock;
  readonly random: Random;
  readonly counters: RuleCounterTable;
  readonly path: PacketPath;
  readonly ways: Ways;
  readonly plain: PlainWays;
  /** The host answers packets that it refuses, or redirects. */
  readonly answers: boolean;
  /** Rules whose first and established packets' ways may be remembered; undefined: each is looked at. */
  readonly ruleset: Ruleset | undefined;
}

/** Results of `begin`: the slow path has to see the record; the fast path can take it now. */
export const BEGIN_SLOW = -1;
export const BEGIN_AGAIN = -2;

export class RememberedWays {
  private readonly first: FirstPackets | undefined;
  private readonly established: EstablishedWays | undefined;
  private readonly routing = newRouting();
  private readonly address = new Uint32Array(4);
  private readonly from = new Uint32Array(4);

  constructor(private readonly parts: RememberedParts) {
    const { ruleset, host, routes, conntrack } = parts;
    const classes = ruleset === undefined || routes.dependsOn.any ? undefined : packetClasses(ruleset, host);
    if (classes === undefined) return;
    const isNarrower = (egress: number, ingress: number): boolean => this.isNarrower(egress, ingress);
    const towards = (address: number): number => this.towards(address);
    this.first = new FirstPackets({ ...parts, classes, isNarrower, packet: new Packet(host, conntrack.table) });
    this.established = new EstablishedWays({ ...parts, classes, isNarrower, towards });
  }

  /** Connections begun without walking the chains. */
  get taken(): number {
    return this.first?.taken ?? 0;
  }

  /**
   * Begins a connection with record i, if its way is known: its reference in the flow table, by which it is to be
   * finished; or BEGIN_*. `ingress`: as stated.
   */
  begin(slab: Slab, columns: PacketColumns, i: number, ingress: number): number {
    const { first, established } = this;
    if (first === undefined || established === undefined || columns.kind[i] !== KIND_IPV4_PORTS) return BEGIN_SLOW;
    const source = columns.source[i] as number;
    const destination = columns.destination[i] as number;
    const ports = columns.ports[i] as number;
    const protocol = columns.protocol[i] as number;
    const { table } = this.parts.conntrack;
    const reference =
      source === destination ? -1 : table.find4(source, destination, ports, protocol, columns.hash[i] as number);
    if (established.open(columns, i, reference, ingress)) return BEGIN_AGAIN;
    return reference < 0 ? first.take(slab, columns, i, ingress) : first.refuse();
  }

  /** To be called before the slow path judges a packet that `begin` may have refused. */
  beginRecord(): void {
    this.first?.beginRecord();
    this.established?.beginRecord();
  }

  /**
   * To be called when the slow path is through with it: lets later packets of the same direction take the fast path, if
   * nothing on their way depends on the packet. `ingress`: as it was found; `isWhole`: what left is the record itself;
   * `recorded`: `beginRecord` was called.
   */
  endRecord(
    columns: PacketColumns,
    i: number,
    packet: Packet,
    ingress: number,
    isWhole: boolean,
    recorded: boolean,
  ): void {
    if (columns.kind[i] === KIND_IPV4_PORTS) this.rememberPlain(packet, ingress);
    if (!recorded) return;
    this.first?.endRecord(packet, ingress);
    this.established?.endRecord(packet, ingress, isWhole);
  }

  private rememberPlain(packet: Packet, ingress: number): void {
    const { path, plain, ways, conntrack, routes } = this.parts;
    if (packet.entry < 0 || ingress < 0 || (packet.info !== CT_NEW && packet.info !== CT_ESTABLISHED)) return;
    if (path.bridged || (routes.dependsOn.any && this.routeVaries(packet))) return;
    const local = path.verdict === VERDICT_LOCAL;
    const policies = local ? plain.input : plain.forward;
    if (policies === undefined || !(local || path.verdict === VERDICT_FORWARD)) return;
    const { table } = conntrack;
    const status = table.words[packet.entry * table.entryWords + table.meta] as number;
    if ((status & CONFIRMED) === 0) return;
    const egress = local ? LOCAL_EGRESS : path.egress;
    this.setPlain(packet.entry, packet.direction, ingress, egress, ways.number(egress, policies));
    if (packet.info === CT_NEW && !local && !routes.dependsOn.any)
      this.foreseeReply(packet.entry, path.egress, policies);
  }

  /** Whether another packet of the connection may be routed elsewhere. One that no rule marks has mark 0. */
  private routeVaries(packet: Packet): boolean {
    const { tos, mark } = this.parts.routes.dependsOn;
    return tos || (mark && packet.mark !== 0);
  }

  /**
   * Where the first answer will go is known before it comes: it is routed by the two addresses alone. It saves a walk
   * for every new connection. An answer that comes in elsewhere than foreseen takes the slow path as any other.
   */
  private foreseeReply(entry: number, ingress: number, policies: readonly number[]): void {
    const { routing, address, from } = this;
    address[0] = this.sender(entry, REPLY);
    from[0] = this.sender(entry, ORIGINAL);
    this.parts.path.router.route(address, from, ingress, routing);
    if (routing.kind !== 'forward') return;
    this.setPlain(entry, REPLY, ingress, routing.iface, this.parts.ways.number(routing.iface, policies));
  }

  private setPlain(entry: number, direction: number, ingress: number, egress: number, way: number): void {
    const { conntrack, answers } = this.parts;
    const local = egress === LOCAL_EGRESS;
    // What goes back where it came from may have to be answered with a redirect.
    if (way < 0 || (answers && egress === ingress) || (!local && this.isNarrower(egress, ingress))) return;
    noteWay(conntrack.table, entry, direction, ingress, way, local);
    openWay(conntrack.table, entry, direction, this.towards(this.sender(entry, direction)) !== ingress);
  }

  /** Source address of a direction's packets, in host order. */
  private sender(entry: number, direction: number): number {
    const { words, entryWords, tupleWords } = this.parts.conntrack.table;
    return swap32(words[entry * entryWords + direction * tupleWords] as number) >>> 0;
  }

  /** The interface towards an address, as the ingress of packets from there that state none. */
  private towards(address: number): number {
    this.address[0] = address;
    return this.parts.routes.towards(this.address);
  }

  /** On a narrower link each packet's size has to be looked at. */
  private isNarrower(egress: number, ingress: number): boolean {
    const { interfaces } = this.parts.host;
    return (interfaces[egress]?.mtu ?? 0) < (interfaces[ingress]?.mtu ?? 0);
  }
}
