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
import {
  FLAG_BAD_CHECKSUM,
  FLAG_OTHER_HOST,
  FLAG_OUTGOING,
  FLAG_TO_GROUP,
  KIND_IPV4_PORTS,
  type PacketColumns,
} from '../packet/columns.js';
import { IPV4_CHECKSUM, IPV4_DESTINATION, IPV4_SOURCE, IPV4_TTL } from '../packet/ipv4.js';
import { PROTO_TCP, TCP_CHECKSUM, TCP_MIN_HEADER, UDP_CHECKSUM } from '../packet/transport.js';
import type { CaptureClock } from './clock.js';
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
  STATED_ORIGINAL,
} from './conntrack/flowtable.js';
import { TRACK_ACCEPT } from './conntrack/tcp.js';
import { CT_ESTABLISHED, CT_NEW } from './packet.js';
import {
  INGRESS_UNKNOWN,
  NAT_DESTINATION,
  NAT_SOURCE,
  type ResultColumns,
  VERDICT_FORWARD,
  VERDICT_LOCAL,
} from './results.js';
import { LOCAL_EGRESS, type Ways } from './ways.js';

/** Packets that go through the passes together. */
export const BATCH = 128;
/** Outcome of `follow`: the packet has to take the slow path, untouched. */
export const NOT_FAST = 0;
/** Flags of packets that the fast path must not see. */
export const NOT_PLAIN = FLAG_OUTGOING | FLAG_OTHER_HOST | FLAG_BAD_CHECKSUM | FLAG_TO_GROUP;

export class FastPath {
  /** Reference of each packet of the batch, -1 without one. */
  private readonly references = new Int32Array(BATCH);
  private readonly slots = new Int32Array(BATCH);
  /** Links and unlinks of the table when the references were looked up. */
  private links = 0;
  private unlinks = 0;
  /** What became of the record that `follow` stopped at. */
  outcome = NOT_FAST;
  /** Of no meaning, but it keeps the reads that touch cache lines from being optimised away. */
  touched = 0;

  constructor(
    private readonly table: FlowTable,
    private readonly conntrack: Conntrack,
    private readonly ways: Ways,
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

  /** Takes record i for a packet of the connection that it has just begun, and finishes it. `from`: start of the batch. */
  begin(
    view: DataView,
    columns: PacketColumns,
    results: ResultColumns,
    from: number,
    i: number,
    reference: number,
  ): void {
    this.references[i - from] = reference;
    results.state[i] = CT_NEW;
    this.rewrite(view, columns, results, from, i, i + 1);
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
   * Follows records from `start` on, up to the first that the slow path has to see, and returns its number (`end` if
   * there is none); `outcome` then says whether it is untouched (NOT_FAST) or what tracking made of it (TRACK_*). The
   * records before it are for `rewrite` to finish. `from`: start of the batch.
   */
  follow(
    slab: Slab,
    columns: PacketColumns,
    results: ResultColumns,
    clock: CaptureClock,
    from: number,
    start: number,
    end: number,
  ): number {
    const { references, conntrack } = this;
    const tracker = conntrack.tcp;
    const { words, meta } = this.table;
    const { flags, l3, l4, protocol, totalLength, end: packetEnd } = columns;
    const { ingress, state } = results;
    const { view } = slab;
    const { seconds, nanoseconds } = slab.records;
    this.outcome = NOT_FAST;
    for (let i = start; i < end; i++) {
      const reference = references[i - from] as number;
      if (reference < 0 || ((flags[i] as number) & NOT_PLAIN) !== 0) return i;
      // The records before this one are not rewritten yet, which takes their entries.
      if (!clock.advanceWithoutSweep(seconds[i] as number, nanoseconds[i] as number)) return i;
      const now = clock.time | 0;
      const direction = reference & 1;
      const at = ((reference >> 1) << ENTRY4_SHIFT) + meta;
      const status = words[at] as number;
      const stated = ingress[i] as number;
      const ip = l3[i] as number;
      if (
        (status & (FAST_ORIGINAL << direction)) === 0 ||
        (((words[at + META_EXPIRES] as number) - now) | 0) <= 0 ||
        (stated === INGRESS_UNKNOWN
          ? (status & (STATED_ORIGINAL << direction)) !== 0
          : stated !== ((words[at + META_PATH + direction] as number) & 0xffff)) ||
        view.getUint8(ip + IPV4_TTL) <= 1
      )
        return i;
      if (protocol[i] === PROTO_TCP) {
        const tcp = l4[i] as number;
        const length = ip + (totalLength[i] as number) - tcp;
        const last = packetEnd[i] as number;
        if (!tracker.established(reference >> 1, direction, view, tcp, length, last, now)) {
          const result = tracker.packet(reference >> 1, direction, view, tcp, length, last, now);
          if (result !== TRACK_ACCEPT) {
            this.outcome = result;
            return i;
          }
        }
      } else {
        conntrack.followUdp(reference >> 1, now);
      }
      state[i] = direction === REPLY || (status & SEEN_REPLY) !== 0 ? CT_ESTABLISHED : CT_NEW;
      if (direction === REPLY && (status & SEEN_REPLY) === 0) words[at] = (words[at] as number) | SEEN_REPLY;
    }
    return end;
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
    const { ways } = this;
    const { l3, l4, protocol, totalLength, end: packetEnd } = columns;
    const { ingress, egress, verdict, nat, dnatRule, snatRule } = results;
    for (let i = start; i < end; i++) {
      const reference = references[i - from] as number;
      const direction = reference & 1;
      const entry = (reference >> 1) << ENTRY4_SHIFT;
      const at = entry + meta;
      const bits = natBits(words[at] as number);
      const path = words[at + META_PATH + direction] as number;
      const out = ways.egress(path >>> 16);
      const local = out === LOCAL_EGRESS;
      ways.count(path >>> 16, totalLength[i] as number);
      ingress[i] = path & 0xffff;
      egress[i] = out;
      verdict[i] = local ? VERDICT_LOCAL : VERDICT_FORWARD;
      nat[i] = bits;
      dnatRule[i] = words[at + META_DNAT_RULE] as number;
      snatRule[i] = words[at + META_SNAT_RULE] as number;
      const ip = l3[i] as number;
      const delta = words[at + META_DELTA + direction] as number;
      if (!local) view.setUint8(ip + IPV4_TTL, view.getUint8(ip + IPV4_TTL) - 1);
      if (!local || bits !== 0)
        view.setUint16(ip + IPV4_CHECKSUM, applyDelta(view.getUint16(ip + IPV4_CHECKSUM, true), delta & 0xffff), true);
      if (bits !== 0) {
        const other = entry + (direction === 0 ? 3 : 0);
        view.setInt32(ip + IPV4_SOURCE, words[other + 1] as number, true);
        view.setInt32(ip + IPV4_DESTINATION, words[other] as number, true);
        const ports = words[other + 2] as number;
        const header = l4[i] as number;
        // The other direction's ports, turned round.
        view.setInt32(header, (ports << 16) | (ports >>> 16), true);
        if (protocol[i] !== PROTO_TCP) changeUdpChecksum(view, header + UDP_CHECKSUM, delta >>> 16);
        else if (header + TCP_MIN_HEADER <= (packetEnd[i] as number))
          view.setUint16(
            header + TCP_CHECKSUM,
            applyDelta(view.getUint16(header + TCP_CHECKSUM, true), delta >>> 16),
            true,
          );
      }
    }
  }
}

function natBits(status: number): number {
  return ((status & SRC_NAT) !== 0 ? NAT_SOURCE : 0) | ((status & DST_NAT) !== 0 ? NAT_DESTINATION : 0);
}

function changeUdpChecksum(view: DataView, at: number, delta: number): void {
  const stored = view.getUint16(at, true);
  // 0 means that the sender made none (RFC 768).
  if (stored === 0) return;
  const changed = applyDelta(stored, delta);
  view.setUint16(at, changed === 0 ? 0xffff : changed, true);
}
