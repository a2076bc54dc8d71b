/**
 * The fast path: packets of connections whose way through the host is known are answered from one row of the flow table.
 *
 * Passes over a batch, each a small loop: touch the index, touch the entries, look up, follow the protocol, rewrite.
 * The cache misses of a pass wait together instead of one after the other, and the loops stay simple enough to be
 * compiled well. Rewriting waits until a packet needs the slow path (which may change entries) or the batch ends.
 *
 * Hot path: no allocation.
 */
import type { Slab } from '../capture/slab.js';
import { applyDelta } from '../packet/checksum.js';
import { KIND_IPV4_PORTS, type PacketColumns } from '../packet/columns.js';
import { IPV4_CHECKSUM, IPV4_DESTINATION, IPV4_SOURCE, IPV4_TTL } from '../packet/ipv4.js';
import { PROTO_TCP, TCP_CHECKSUM, TCP_MIN_HEADER, UDP_CHECKSUM } from '../packet/transport.js';
import type { Conntrack } from './conntrack/conntrack.js';
import {
  DST_NAT,
  ENTRY4_SHIFT,
  FAST_ORIGINAL,
  type FlowTable,
  META_DELTA,
  META_DNAT_RULE,
  META_EXPIRES,
  META_PATH,
  META_SNAT_RULE,
  REPLY,
  SEEN_REPLY,
  SRC_NAT,
} from './conntrack/flowtable.js';
import { TRACK_ACCEPT } from './conntrack/tcp.js';
import type { FastCounters } from './fastcounters.js';
import { CT_ESTABLISHED, CT_NEW } from './packet.js';
import {
  INGRESS_UNKNOWN,
  NAT_DESTINATION,
  NAT_SOURCE,
  type ResultColumns,
  VERDICT_FORWARD,
  VERDICT_LOCAL,
} from './results.js';

/** Packets that go through the passes together. */
export const BATCH = 128;
/** Half of META_PATH that stands for delivery to the host. */
export const PATH_LOCAL = 0xffff;
/** Answer of `follow` to a packet that has to take the slow path, untouched. */
export const NOT_FAST = 0;

export class FastPath {
  /** Reference of each packet of the batch, -1 without one. */
  private readonly references = new Int32Array(BATCH);
  private readonly slots = new Int32Array(BATCH);
  /** Links and unlinks of the table when the references were looked up. */
  private links = 0;
  private unlinks = 0;
  /** Of no meaning, but it keeps the reads that touch cache lines from being optimised away. */
  touched = 0;

  constructor(
    private readonly table: FlowTable,
    private readonly conntrack: Conntrack,
    private readonly counters: FastCounters,
  ) {}

  /** Looks up the TCP and UDP packets of the batch `from`..`to` (at most BATCH records). */
  lookUp(columns: PacketColumns, from: number, to: number): void {
    this.touch(columns, from, to);
    for (let i = from; i < to; i++) this.references[i - from] = this.find(columns, i);
    this.links = this.table.links;
    this.unlinks = this.table.unlinks;
  }

  /** Brings the references of `next`..`to` up to date after the table may have changed. */
  lookUpAgain(columns: PacketColumns, from: number, next: number, to: number): void {
    const { table, references } = this;
    if (table.links === this.links && table.unlinks === this.unlinks) return;
    const anyMayBeGone = table.unlinks !== this.unlinks;
    for (let i = next; i < to; i++) {
      if (anyMayBeGone || (references[i - from] as number) < 0) references[i - from] = this.find(columns, i);
    }
    this.links = table.links;
    this.unlinks = table.unlinks;
  }

  /** Reference (entry * 2 + direction) of record i, -1 without one. */
  reference(from: number, i: number): number {
    return this.references[i - from] as number;
  }

  private touch(columns: PacketColumns, from: number, to: number): void {
    const { slots, table } = this;
    const { kind, hash } = columns;
    for (let i = from; i < to; i++)
      slots[i - from] = kind[i] === KIND_IPV4_PORTS ? table.touchIndex(hash[i] as number) : 0;
    let sum = 0;
    for (let k = 0; k < to - from; k++) sum ^= table.touchEntry(slots[k] as number);
    this.touched = sum;
  }

  private find(columns: PacketColumns, i: number): number {
    const source = columns.source[i] as number;
    const destination = columns.destination[i] as number;
    // A packet from an address to itself may belong to either direction: the slow path decides.
    if (columns.kind[i] !== KIND_IPV4_PORTS || source === destination) return -1;
    return this.table.find4(
      source,
      destination,
      columns.ports[i] as number,
      columns.protocol[i] as number,
      columns.hash[i] as number,
    );
  }

  /**
   * Follows record i of a known reference. TRACK_ACCEPT: it is answered, `rewrite` is to finish it. NOT_FAST: it is
   * untouched. Else a TRACK_* that the slow path has to deal with.
   */
  follow(
    slab: Slab,
    columns: PacketColumns,
    results: ResultColumns,
    i: number,
    reference: number,
    now: number,
  ): number {
    const { words, meta } = this.table;
    const entry = reference >> 1;
    const direction = reference & 1;
    const at = (entry << ENTRY4_SHIFT) + meta;
    const status = words[at] as number;
    const stated = results.ingress[i] as number;
    const { view } = slab;
    const ip = columns.l3[i] as number;
    if (
      (status & (FAST_ORIGINAL << direction)) === 0 ||
      (((words[at + META_EXPIRES] as number) - now) | 0) <= 0 ||
      (stated !== INGRESS_UNKNOWN && stated !== ((words[at + META_PATH + direction] as number) & 0xffff)) ||
      view.getUint8(ip + IPV4_TTL) <= 1
    )
      return NOT_FAST;
    if (columns.protocol[i] === PROTO_TCP) {
      const l4 = columns.l4[i] as number;
      const length = ip + (columns.totalLength[i] as number) - l4;
      const result = this.conntrack.tcp.packet(entry, direction, view, l4, length, columns.end[i] as number, now);
      if (result !== TRACK_ACCEPT) return result;
    } else {
      this.conntrack.followUdp(entry, now);
    }
    results.state[i] = direction === REPLY || (status & SEEN_REPLY) !== 0 ? CT_ESTABLISHED : CT_NEW;
    if (direction === REPLY && (status & SEEN_REPLY) === 0) words[at] = (words[at] as number) | SEEN_REPLY;
    return TRACK_ACCEPT;
  }

  /** Rewrites records `start`..`end`, all of them followed, and notes what became of them. `from`: start of the batch. */
  rewrite(
    view: DataView,
    columns: PacketColumns,
    results: ResultColumns,
    from: number,
    start: number,
    end: number,
  ): void {
    const { references } = this;
    const { words, meta } = this.table;
    for (let i = start; i < end; i++) {
      const reference = references[i - from] as number;
      const direction = reference & 1;
      const entry = (reference >> 1) << ENTRY4_SHIFT;
      const at = entry + meta;
      const nat = natBits(words[at] as number);
      const path = words[at + META_PATH + direction] as number;
      const egress = path >>> 16;
      const local = egress === PATH_LOCAL;
      results.ingress[i] = path & 0xffff;
      results.egress[i] = local ? -1 : egress;
      results.verdict[i] = local ? VERDICT_LOCAL : VERDICT_FORWARD;
      results.nat[i] = nat;
      results.dnatRule[i] = words[at + META_DNAT_RULE] as number;
      results.snatRule[i] = words[at + META_SNAT_RULE] as number;
      this.counters.count(local, columns.totalLength[i] as number);
      const ip = columns.l3[i] as number;
      const delta = words[at + META_DELTA + direction] as number;
      if (!local) forwardHeader(view, ip, delta & 0xffff);
      else if (nat !== 0) changeHeader(view, ip, delta & 0xffff);
      if (nat !== 0) {
        const other = entry + (direction === 0 ? 3 : 0);
        view.setInt32(ip + IPV4_SOURCE, words[other + 1] as number, true);
        view.setInt32(ip + IPV4_DESTINATION, words[other] as number, true);
        rewritePorts(view, columns, i, words[other + 2] as number, delta >>> 16);
      }
    }
  }
}

function natBits(status: number): number {
  return ((status & SRC_NAT) !== 0 ? NAT_SOURCE : 0) | ((status & DST_NAT) !== 0 ? NAT_DESTINATION : 0);
}

function forwardHeader(view: DataView, ip: number, delta: number): void {
  view.setUint8(ip + IPV4_TTL, view.getUint8(ip + IPV4_TTL) - 1);
  changeHeader(view, ip, delta);
}

function changeHeader(view: DataView, ip: number, delta: number): void {
  view.setUint16(ip + IPV4_CHECKSUM, applyDelta(view.getUint16(ip + IPV4_CHECKSUM, true), delta), true);
}

/** `otherPorts`: ports of the other direction's tuple; turned round they are the packet's. */
function rewritePorts(view: DataView, columns: PacketColumns, i: number, otherPorts: number, delta: number): void {
  const l4 = columns.l4[i] as number;
  view.setInt32(l4, (otherPorts << 16) | (otherPorts >>> 16), true);
  if (columns.protocol[i] === PROTO_TCP) {
    if (l4 + TCP_MIN_HEADER > (columns.end[i] as number)) return;
    view.setUint16(l4 + TCP_CHECKSUM, applyDelta(view.getUint16(l4 + TCP_CHECKSUM, true), delta), true);
    return;
  }
  const stored = view.getUint16(l4 + UDP_CHECKSUM, true);
  // 0 means that the sender made none (RFC 768).
  if (stored === 0) return;
  const changed = applyDelta(stored, delta);
  view.setUint16(l4 + UDP_CHECKSUM, changed === 0 ? 0xffff : changed, true);
}
