/**
 * The packet in hand on its way through the host: what matches may ask (PacketContext) and what the path keeps of it.
 * One object, filled anew for every packet that takes the slow path.
 */
import type { Family, Host, InterfaceIndex } from '../host/types.js';
import { NO_INTERFACE } from '../host/types.js';
import {
  IPV4_DESTINATION,
  IPV4_PROTOCOL,
  IPV4_SOURCE,
  ipv4FragmentOffset,
  ipv4HeaderLength,
  ipv4IsFragment,
  ipv4TotalLength,
} from '../packet/ipv4.js';
import {
  IPV6_DESTINATION,
  IPV6_SOURCE,
  isExtensionHeader,
  skipExtensionHeaders,
  type UpperLayer,
} from '../packet/ipv6.js';
import { Tuple } from '../packet/tuple.js';
import {
  type ConnectionCounters,
  type ConnectionLabels,
  type ConnectionTable,
  type ConnectionView,
  type PacketContext,
  STATE_DNAT,
  STATE_ESTABLISHED,
  STATE_INVALID,
  STATE_NEW,
  STATE_RELATED,
  STATE_SNAT,
  STATE_UNTRACKED,
} from '../rules/context.js';
import type { BuiltinChain } from '../rules/types.js';
import type { Conntrack } from './conntrack/conntrack.js';
import {
  ASSURED,
  CONFIRMED,
  DST_NAT,
  DYING,
  type FlowTable,
  META_EXPIRES,
  META_MARK,
  ORIGINAL,
  REPLY,
  SEEN_REPLY,
  SRC_NAT,
} from './conntrack/flowtable.js';
import { ConnectionStandings } from './conntrack/standing.js';
import { type CompiledOptions, NO_OPTIONS } from './ipoptions.js';
import { CT_ESTABLISHED, CT_NEW, CT_NONE, CT_OFF, CT_RELATED, CT_UNTRACKED } from './results.js';

export { CT_ESTABLISHED, CT_NEW, CT_NONE, CT_OFF, CT_RELATED, CT_UNTRACKED };

/** Reads one entry of the flow table for matches. */
class EntryView implements ConnectionView {
  private readonly tuples = [new Tuple(), new Tuple()] as const;
  private loaded = -1;

  constructor(private readonly packet: Packet) {}

  /** The tuples are read at the first question; `forget` when the entry or its tuples changed. */
  forget(): void {
    this.loaded = -1;
  }

  private tuple(direction: 0 | 1): Tuple {
    const { table, entry } = this.packet;
    if (this.loaded !== entry) {
      table.readTuple(entry, ORIGINAL, this.tuples[0]);
      table.readTuple(entry, REPLY, this.tuples[1]);
      this.loaded = entry;
    }
    return this.tuples[direction];
  }

  get mark(): number {
    const { table, entry } = this.packet;
    return (table.words[entry * table.entryWords + table.meta + META_MARK] as number) >>> 0;
  }
  setMark(value: number): void {
    const { table, entry } = this.packet;
    table.words[entry * table.entryWords + table.meta + META_MARK] = value;
  }
  get original(): boolean {
    return this.packet.direction === ORIGINAL;
  }
  get protocol(): number {
    return this.packet.status & 0xff;
  }
  get originalSource(): Uint32Array {
    return this.tuple(0).source;
  }
  get originalDestination(): Uint32Array {
    return this.tuple(0).destination;
  }
  get originalSourcePort(): number {
    return this.tuple(0).sourcePort;
  }
  get originalDestinationPort(): number {
    return this.tuple(0).destinationPort;
  }
  get replySource(): Uint32Array {
    return this.tuple(1).source;
  }
  get replyDestination(): Uint32Array {
    return this.tuple(1).destination;
  }
  get replySourcePort(): number {
    return this.tuple(1).sourcePort;
  }
  get replyDestinationPort(): number {
    return this.tuple(1).destinationPort;
  }
  get seenReply(): boolean {
    return (this.packet.status & SEEN_REPLY) !== 0;
  }
  get assured(): boolean {
    return (this.packet.status & ASSURED) !== 0;
  }
  /** An entry that its own packet has just ended was confirmed, and says so as long as the packet has it. */
  get confirmed(): boolean {
    return (this.packet.status & (CONFIRMED | DYING)) !== 0;
  }
  get expiresIn(): number {
    const { table, entry, now } = this.packet;
    const expires = table.words[entry * table.entryWords + table.meta + META_EXPIRES] as number;
    return Math.max(0, Math.floor(((expires - now) | 0) / 1000));
  }
  get counters(): ConnectionCounters | undefined {
    const { entry, tracker } = this.packet;
    const accounts = tracker?.accounts;
    if (accounts === undefined) return undefined;
    return {
      packets: (direction) => accounts.packets(entry, direction),
      bytes: (direction) => accounts.bytes(entry, direction),
    };
  }
  get labels(): ConnectionLabels | undefined {
    const { entry, tracker } = this.packet;
    const labels = tracker?.labels;
    if (labels === undefined) return undefined;
    return { has: (label) => labels.has(entry, label), set: (label, on) => labels.set(entry, label, on) };
  }
}

/**
 * What the rules of raw see behind one that says how to track the packet: the template that is attached to it, with
 * nothing in it, is a connection to them (kernel: nf_ct_tmpl_alloc).
 */
const NOBODY = new Uint32Array(4);
const TEMPLATE: ConnectionView = {
  mark: 0,
  setMark: () => {},
  original: true,
  protocol: 0,
  originalSource: NOBODY,
  originalDestination: NOBODY,
  originalSourcePort: 0,
  originalDestinationPort: 0,
  replySource: NOBODY,
  replyDestination: NOBODY,
  replySourcePort: 0,
  replyDestinationPort: 0,
  seenReply: false,
  assured: false,
  confirmed: true,
  expiresIn: 0,
};

const upper: UpperLayer = { protocol: 0, offset: 0, fragmentOffset: 0, isFragment: false };

/** Bit of `Packet.zone` beside the zone word. */
export const ZONE_MARK = 1 << 18;

export class Packet implements PacketContext {
  family: Family = 4;
  hook: BuiltinChain = 'PREROUTING';
  inInterface: InterfaceIndex = NO_INTERFACE;
  outInterface: InterfaceIndex = NO_INTERFACE;
  /** Ports of a bridge (`-m physdev`): that it came in by, if iptables saw it on the bridge; that it is bridged to. */
  bridgeIn: InterfaceIndex = NO_INTERFACE;
  bridgeOut: InterfaceIndex = NO_INTERFACE;
  readonly source = new Uint32Array(4);
  readonly destination = new Uint32Array(4);
  /** Of IPv6 that of the upper layer; -1 where the extension headers can't be followed to it. */
  protocol = 0;
  bytes: Uint8Array = new Uint8Array(0);
  view: DataView = new DataView(new ArrayBuffer(0));
  l3 = 0;
  l4 = 0;
  end = 0;
  totalLength = 0;
  fragmentOffset = 0;
  isFragment = false;
  /** IPv4 options as they were read behind routing. */
  options: CompiledOptions = NO_OPTIONS;
  mark = 0;
  /** The mark that packets come with: nothing else has marked them, unless somebody says so. */
  arrivesWith = 0;
  seconds = 0;
  nanoseconds = 0;
  /** Next hop of the route the packet takes: its gateway, or its destination. */
  nextHop: Uint32Array | undefined;
  /** Milliseconds of capture time, wrapping. */
  now = 0;
  /** A layer-4 checksum was verified and is wrong. */
  badChecksum = false;
  /** Offset of the sender's MAC, -1 if the link layer has none. */
  sourceMac = -1;
  /** FLAG_BROADCAST or FLAG_MULTICAST if its frame was for more than the host (skb->pkt_type), else 0. */
  toGroup = 0;
  /** The capture's snaplen cut the packet: checksums and what lies behind `end` are not known. */
  cut = false;
  /** Entry in the flow table, -1 without one. */
  entry = -1;
  direction = 0;
  info = CT_OFF;
  /** Zone that a rule chose (zone word of flowtable.ts), ZONE_MARK with it where the mark is to be the number. */
  zone = 0;
  /** A rule has said how to track the packet (kernel: a template is attached); no later one is asked. */
  hasTemplate = false;
  dropped = false;
  /** What other connections can be asked about by; undefined where nothing is tracked. */
  connections: ConnectionTable | undefined;
  private readonly entryView: EntryView;

  constructor(
    readonly host: Host,
    readonly table: FlowTable,
    readonly tracker?: Conntrack | undefined,
  ) {
    this.entryView = new EntryView(this);
    if (tracker !== undefined) this.connections = new ConnectionStandings(tracker, this);
  }

  /** Takes in the IPv4 packet whose sound header is at `l3`; `end`: past its last captured byte. */
  loadIpv4(bytes: Uint8Array, view: DataView, l3: number, end: number): void {
    this.family = 4;
    this.bytes = bytes;
    this.view = view;
    this.l3 = l3;
    this.l4 = l3 + ipv4HeaderLength(view, l3);
    this.end = end;
    this.totalLength = ipv4TotalLength(view, l3);
    this.protocol = view.getUint8(l3 + IPV4_PROTOCOL);
    this.fragmentOffset = ipv4FragmentOffset(view, l3);
    this.isFragment = ipv4IsFragment(view, l3);
    this.start();
  }

  /** Takes in the IPv6 packet at `l3`; `end`: past its last captured byte, `totalLength`: with the fixed header. */
  loadIpv6(bytes: Uint8Array, view: DataView, l3: number, end: number, totalLength: number): void {
    this.family = 6;
    this.bytes = bytes;
    this.view = view;
    this.l3 = l3;
    this.end = end;
    this.totalLength = totalLength;
    const found = skipExtensionHeaders(view, l3, end, upper);
    this.l4 = found ? upper.offset : end;
    this.fragmentOffset = upper.fragmentOffset;
    this.isFragment = upper.isFragment;
    // ipv6_find_hdr gives up on a later fragment behind which another extension header is announced.
    const lost = !found || (upper.fragmentOffset !== 0 && isExtensionHeader(upper.protocol));
    this.protocol = lost ? -1 : upper.protocol;
    this.start();
  }

  /** What every packet begins with. */
  private start(): void {
    this.inInterface = NO_INTERFACE;
    this.outInterface = NO_INTERFACE;
    this.bridgeIn = NO_INTERFACE;
    this.bridgeOut = NO_INTERFACE;
    this.nextHop = undefined;
    this.options = NO_OPTIONS;
    this.mark = this.arrivesWith;
    this.entry = -1;
    this.direction = 0;
    this.info = CT_OFF;
    this.zone = 0;
    this.hasTemplate = false;
    this.toGroup = 0;
    this.dropped = false;
    this.entryView.forget();
    this.loadAddresses();
  }

  /** Reads the addresses again after a translation. */
  loadAddresses(): void {
    if (this.family === 6) {
      for (let k = 0; k < 4; k++) {
        this.source[k] = this.view.getUint32(this.l3 + IPV6_SOURCE + 4 * k);
        this.destination[k] = this.view.getUint32(this.l3 + IPV6_DESTINATION + 4 * k);
      }
      return;
    }
    this.source[0] = this.view.getUint32(this.l3 + IPV4_SOURCE);
    this.destination[0] = this.view.getUint32(this.l3 + IPV4_DESTINATION);
  }

  /** Past the packet's last byte on the wire, which may lie behind what was captured. */
  get wireEnd(): number {
    return this.l3 + this.totalLength;
  }

  /** Protocol, TCP state and status bits of the entry; 0 without one. */
  get status(): number {
    return this.entry < 0 ? 0 : (this.table.words[this.entry * this.table.entryWords + this.table.meta] as number);
  }

  get state(): number {
    switch (this.info) {
      case CT_NEW:
        return STATE_NEW | this.natBits();
      case CT_ESTABLISHED:
        return STATE_ESTABLISHED | this.natBits();
      case CT_RELATED:
        return STATE_RELATED | this.natBits();
      case CT_UNTRACKED:
        return STATE_UNTRACKED;
      default:
        return this.showsTemplate ? STATE_NEW : STATE_INVALID;
    }
  }

  /** In raw, behind a rule with CT. */
  private get showsTemplate(): boolean {
    return this.hasTemplate && this.info === CT_OFF;
  }

  private natBits(): number {
    const { status } = this;
    return ((status & SRC_NAT) !== 0 ? STATE_SNAT : 0) | ((status & DST_NAT) !== 0 ? STATE_DNAT : 0);
  }

  get connection(): ConnectionView | undefined {
    if (this.entry >= 0) return this.entryView;
    return this.showsTemplate ? TEMPLATE : undefined;
  }

  /** To be called when the entry's tuples were changed. */
  connectionChanged(): void {
    this.entryView.forget();
  }

  setMark(value: number): void {
    this.mark = value >>> 0;
  }

  /** Copies the packet, its Ethernet sender included: the slab it lies in has no room. */
  insert(at: number, count: number): void {
    const { bytes, end } = this;
    const from = this.sourceMac >= 0 && this.sourceMac < this.l3 ? this.sourceMac : this.l3;
    const longer = new Uint8Array(end - from + count);
    longer.set(bytes.subarray(from, at));
    longer.set(bytes.subarray(at, end), at - from + count);
    this.bytes = longer;
    this.view = new DataView(longer.buffer);
    if (this.sourceMac >= 0) this.sourceMac = 0;
    this.l3 -= from;
    this.l4 -= from;
    this.end += count - from;
    this.totalLength += count;
  }

  hotDrop(): void {
    this.dropped = true;
  }
}
