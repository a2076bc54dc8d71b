/**
 * Connection tracking of one packet (kernel: nf_conntrack_in): finds its entry or makes one, follows the protocol,
 * and says how the packet stands to the connection. An entry made here is not linked until `confirm`.
 */
import {
  ICMP_HEADER,
  ICMP_TYPE,
  icmpIsError,
  PROTO_GRE,
  PROTO_ICMP,
  PROTO_ICMPV6,
  PROTO_SCTP,
  PROTO_TCP,
  PROTO_UDP,
  PROTO_UDPLITE,
  SCTP_HEADER,
  TCP_MIN_HEADER,
  tcpHeaderLength,
  UDP_CHECKSUM,
  UDP_HEADER,
  UDP_LENGTH,
} from '../../packet/transport.js';
import { copyAddress, Tuple } from '../../packet/tuple.js';
import { CT_ESTABLISHED, CT_NEW, CT_NONE, type Packet } from '../packet.js';
import {
  ASSURED,
  CONFIRMED,
  DYING,
  type FlowTable,
  IN_USE,
  META_EXPIRES,
  META_ZONE,
  ORIGINAL,
  REPLY,
  SEEN_REPLY,
} from './flowtable.js';
import { relateIcmpError } from './icmperror.js';
import { ICMPV6_GO_ON, ICMPV6_SETTLED, judgeIpv6 } from './icmpv6.js';
import { SctpTracker } from './sctp.js';
import { Accounts, Labels } from './sidetables.js';
import { TcpTracker, TRACK_ACCEPT, TRACK_ACCEPT_AND_DELETE, TRACK_INVALID, TRACK_REPEAT } from './tcp.js';
import { type ConntrackSettings, TCP_CLOSE } from './timeouts.js';
import { invertTuple, readPorts } from './tuples.js';

/** A UDP connection counts as a stream when it is still busy after this long (kernel: 2 * HZ). */
const UDP_STREAM_AFTER = 2000;
/** Highest ICMP type the kernel knows (NR_ICMP_TYPES); request types that may begin a connection. */
const ICMP_TYPES = 18;
const ICMP_REQUESTS = new Set([8, 13, 15, 17]);
const ICMPV6_REQUESTS = new Set([128, 139]);
/** Expired entries are looked for this many at a time, whenever a connection is made. */
const SWEEP_STEP = 4;
/** Of a full table everything that has expired is removed this often at the most, milliseconds. */
const COLLECT_EVERY = 1000;
/** Buckets that are searched for an entry to give up (kernel: NF_CT_EVICTION_RANGE). */
const EVICTION_RANGE = 8;

/** Why a packet is INVALID, for the log. */
export type InvalidReason =
  | 'invalid-checksum'
  | 'invalid-header'
  | 'invalid-tcp'
  | 'invalid-sctp'
  | 'invalid-icmp'
  | 'invalid-icmp-error'
  | 'invalid-tuple'
  | 'table-full';

export class Conntrack {
  readonly tcp: TcpTracker;
  readonly sctp: SctpTracker;
  created = 0;
  expired = 0;
  /** Entries that had to make room for others. */
  evicted = 0;
  /** What each connection has carried, and its labels; undefined where no rule asks. */
  accounts: Accounts | undefined;
  labels: Labels | undefined;
  /** Why the packet last tracked is INVALID. */
  reason: InvalidReason | undefined;
  private readonly tuple = new Tuple();
  private readonly inverse = new Tuple();
  private sweepAt = 0;
  private collectedAt = 0;
  /** All that share the limit with this one, itself among them. */
  private readonly together: Conntrack[] = [this];

  constructor(
    readonly table: FlowTable,
    readonly settings: ConntrackSettings,
  ) {
    this.tcp = new TcpTracker(table, settings);
    this.sctp = new SctpTracker(table, settings);
  }

  /** Counts and labels what it tracks from now on. */
  keep(what: { readonly accounts: boolean; readonly labels: boolean }): void {
    if (what.accounts) this.accounts = new Accounts();
    if (what.labels) this.labels = new Labels();
  }

  /** Both families' entries are one number, and give up their places for each other (kernel: struct nf_conntrack_net). */
  shareLimitWith(other: Conntrack): void {
    this.together.push(other);
    other.together.push(this);
  }

  /**
   * Sets `packet.entry`, `direction` and `info`. `incoming`: the packet is at PREROUTING, where checksums are verified
   * (on the way out they are trusted).
   */
  track(packet: Packet, incoming: boolean): void {
    this.reason = undefined;
    packet.info = CT_NONE;
    packet.entry = -1;
    // Each ICMP belongs to one version of IP; the kernel has no use for it in the other.
    if (packet.protocol === (packet.family === 4 ? PROTO_ICMPV6 : PROTO_ICMP)) {
      this.invalid(packet, 'invalid-icmp');
      return;
    }
    if (packet.protocol === PROTO_ICMP && packet.family === 4) {
      if (!this.icmpSound(packet, incoming)) return;
      if (icmpIsError(packet.view.getUint8(packet.l4 + ICMP_TYPE))) {
        if (!relateIcmpError(this, packet)) this.invalid(packet, 'invalid-icmp-error');
        return;
      }
    }
    if (packet.family === 6) {
      const judged = judgeIpv6(this, packet, incoming);
      if (judged !== ICMPV6_GO_ON) {
        if (judged !== ICMPV6_SETTLED) this.invalid(packet, judged);
        return;
      }
    }
    const { tuple } = this;
    tuple.family = packet.family;
    tuple.protocol = packet.protocol;
    copyAddress(packet.source, tuple.source);
    copyAddress(packet.destination, tuple.destination);
    if (!readPorts(tuple, packet.view, packet.l4, packet.end)) {
      this.invalid(packet, 'invalid-tuple');
      return;
    }
    for (;;) {
      const reference = this.lookup(tuple, packet.now, packet.zone);
      if (!this.attach(packet, reference)) return;
      const result = this.follow(packet, incoming);
      if (result === TRACK_REPEAT) {
        this.remove(packet.entry);
        packet.entry = -1;
        continue;
      }
      this.conclude(packet, result);
      return;
    }
  }

  /** What follows from the protocol's word on the packet. Also for packets that the fast path followed itself. */
  conclude(packet: Packet, result: number): void {
    const { entry, table } = packet;
    const at = entry * table.entryWords + table.meta;
    const status = table.words[at] as number;
    if (result === TRACK_INVALID) {
      if ((status & CONFIRMED) === 0) table.release(entry);
      packet.entry = -1;
      packet.info = CT_NONE;
      return;
    }
    // What leaves the entry's lifetime alone is not counted either (nf_ct_refresh_acct).
    if (this.accounts !== undefined && (packet.protocol !== PROTO_TCP || this.tcp.refreshed))
      this.accounts.add(entry, packet.direction, packet.totalLength);
    packet.info = packet.direction === REPLY || (status & SEEN_REPLY) !== 0 ? CT_ESTABLISHED : CT_NEW;
    if (packet.direction === REPLY) table.words[at] = status | SEEN_REPLY;
    // The packet still passes by the entry; it is gone once the packet is through (`finish`).
    if (result === TRACK_ACCEPT_AND_DELETE) {
      table.words[at] = (table.words[at] as number) | DYING;
      if ((status & CONFIRMED) !== 0) table.unlink(entry);
    }
  }

  /**
   * For a packet that the fast path has followed with another result than TRACK_ACCEPT: false when that settles how it
   * stands to its connection; true when the entry is gone and the packet is to be tracked anew.
   */
  concludeEarly(packet: Packet, result: number): boolean {
    if (result === TRACK_REPEAT) {
      this.remove(packet.entry);
      packet.entry = -1;
      return true;
    }
    this.reason = result === TRACK_INVALID ? 'invalid-tcp' : undefined;
    this.conclude(packet, result);
    return false;
  }

  /** Reference of a live entry for the tuple, -1 if none; an expired one is removed on the way. `zone`: a zone word. */
  lookup(tuple: Tuple, now: number, zone: number): number {
    for (;;) {
      const reference = this.table.find(tuple, zone);
      if (reference < 0) return reference;
      if (!this.isExpired(reference >> 1, now)) return reference;
      this.expire(reference >> 1);
    }
  }

  /** As `lookup` on one side alone: whether a new entry that has the tuple in that direction would collide. */
  lookupOnSide(tuple: Tuple, now: number, zone: number, direction: number): number {
    for (;;) {
      const reference = this.table.findOnSide(tuple, zone, direction);
      if (reference < 0 || !this.isExpired(reference >> 1, now)) return reference;
      this.expire(reference >> 1);
    }
  }

  isExpired(entry: number, now: number): boolean {
    const { words, entryWords, meta } = this.table;
    return (((words[entry * entryWords + meta + META_EXPIRES] as number) - now) | 0) <= 0;
  }

  expire(entry: number): void {
    this.expired++;
    this.remove(entry);
  }

  /** Takes a confirmed entry out of the table. */
  remove(entry: number): void {
    this.table.unlink(entry);
    this.table.release(entry);
  }

  /**
   * Links an entry that its first packet has brought through the host (kernel: __nf_conntrack_confirm). False when a
   * tuple of it is taken by now: the packet is dropped.
   */
  confirm(packet: Packet): boolean {
    const { table, tuple } = this;
    const { entry, now, zone } = packet;
    if (this.lookupOnSide(table.readTuple(entry, ORIGINAL, tuple), now, zone, ORIGINAL) >= 0) return false;
    if (this.lookupOnSide(table.readTuple(entry, REPLY, tuple), now, zone, REPLY) >= 0) return false;
    table.link(entry);
    this.created++;
    this.sweep(packet.now);
    return true;
  }

  /** Takes back `confirm`, if it has been: the entry is its packet's alone again. */
  withdraw(entry: number): void {
    const { table } = this;
    if (((table.words[entry * table.entryWords + table.meta] as number) & CONFIRMED) === 0) return;
    table.unlink(entry);
    this.created--;
  }

  /** A fresh entry, or -1 where one could be had only by giving up another. */
  allocateIfRoom(): number {
    const { max } = this.settings;
    const entry = max !== 0 && this.countTogether() >= max ? -1 : this.table.allocate();
    if (entry >= 0) this.labels?.reset(entry);
    return entry;
  }

  /** As `confirm` for an entry whose tuples are known to be free. */
  linkFree(entry: number, now: number): void {
    this.table.link(entry);
    this.created++;
    this.sweep(now);
  }

  /**
   * The host resets the packet's connection itself. One that is not confirmed, or is closed already, stays what it is
   * (kernel: nf_conntrack_tcp_set_closing).
   */
  closeTcp(packet: Packet): void {
    const { words, entryWords, meta } = this.table;
    const at = packet.entry * entryWords + meta;
    const status = words[at] as number;
    if ((status & CONFIRMED) === 0 || ((status >>> 8) & 0xff) === TCP_CLOSE) return;
    words[at] = (status & ~0xff00) | (TCP_CLOSE << 8);
    words[at + META_EXPIRES] = packet.now + (this.settings.tcp[TCP_CLOSE] as number);
  }

  /** Called when the packet is through, whatever became of it: what it leaves unconfirmed or dying is given back. */
  finish(packet: Packet): void {
    const { entry, table } = packet;
    if (entry < 0) return;
    const status = table.words[entry * table.entryWords + table.meta] as number;
    if ((status & IN_USE) !== 0 && (status & CONFIRMED) === 0) table.release(entry);
  }

  /** Every entry that is alive at `now`, oldest memory first. */
  *live(now: number): Generator<number> {
    const { table } = this;
    for (let entry = 0; entry < table.used; entry++) {
      const status = table.words[entry * table.entryWords + table.meta] as number;
      if ((status & CONFIRMED) !== 0 && !this.isExpired(entry, now)) yield entry;
    }
  }

  /** Removes every entry that has expired: before a leap in time that the wrapping clock could not show. */
  sweepAll(now: number): void {
    const { table } = this;
    for (let entry = 0; entry < table.used; entry++) this.sweepOne(entry, now);
  }

  private sweep(now: number): void {
    const { table } = this;
    for (let step = 0; step < SWEEP_STEP; step++) {
      this.sweepAt = this.sweepAt + 1 < table.used ? this.sweepAt + 1 : 0;
      this.sweepOne(this.sweepAt, now);
    }
  }

  private sweepOne(entry: number, now: number): void {
    const { table } = this;
    const status = table.words[entry * table.entryWords + table.meta] as number;
    if ((status & CONFIRMED) !== 0 && this.isExpired(entry, now)) this.expire(entry);
  }

  /** Gives the packet the entry found, or a new one. False when it can have none. */
  private attach(packet: Packet, reference: number): boolean {
    if (reference >= 0) {
      packet.entry = reference >> 1;
      packet.direction = reference & 1;
      return true;
    }
    if (!invertTuple(this.tuple, this.inverse)) {
      this.invalid(packet, 'invalid-icmp');
      return false;
    }
    const entry = this.isFull(packet.now) ? -1 : this.table.allocate();
    if (entry < 0) {
      // The kernel drops what it can't track for want of room (nf_conntrack: table full).
      packet.dropped = true;
      this.reason = 'table-full';
      return false;
    }
    const { table } = this;
    this.accounts?.reset(entry);
    this.labels?.reset(entry);
    table.writeTuple(entry, ORIGINAL, this.tuple);
    table.writeTuple(entry, REPLY, this.inverse);
    const at = entry * table.entryWords + table.meta;
    table.words[at] = (table.words[at] as number) | packet.protocol;
    table.words[at + META_ZONE] = packet.zone;
    packet.entry = entry;
    packet.direction = ORIGINAL;
    packet.connectionChanged();
    return true;
  }

  /**
   * nf_conntrack_max entries are there and none of them could be given up for a new one (kernel: early_drop). Which ones
   * can, the kernel leaves to its secret hash: those not assured in the first of eight buckets, from the new tuple's on,
   * that has any. The buckets here are as many and as full, but not the same ones.
   */
  private isFull(now: number): boolean {
    const { max, buckets } = this.settings;
    if (max === 0 || this.countTogether() < max) return false;
    // The kernel's collector comes by every now and then.
    if (((now - this.collectedAt) | 0) >= COLLECT_EVERY) {
      this.collectedAt = now;
      for (const one of this.together) one.sweepAll(now);
      if (this.countTogether() < max) return false;
    }
    const first = this.table.bucket(this.tuple, buckets);
    for (let i = 0; i < EVICTION_RANGE; i++) {
      let evicted = 0;
      for (const one of this.together) evicted += one.evict((first + i) % buckets);
      if (evicted > 0) return false;
    }
    return true;
  }

  private countTogether(): number {
    let count = 0;
    for (const { table } of this.together) count += table.count;
    return count;
  }

  /** Removes every entry of a bucket that is not assured; how many there were. */
  private evict(bucket: number): number {
    const { table } = this;
    let evicted = 0;
    for (const entry of new Set(table.inBucket(bucket, this.settings.buckets))) {
      if (((table.words[entry * table.entryWords + table.meta] as number) & ASSURED) !== 0) continue;
      this.remove(entry);
      evicted++;
    }
    this.evicted += evicted;
    return evicted;
  }

  private follow(packet: Packet, incoming: boolean): number {
    switch (packet.protocol) {
      case PROTO_TCP:
        return this.followTcp(packet, incoming);
      case PROTO_UDP:
      case PROTO_UDPLITE:
        return this.followUdpPacket(packet, incoming);
      case PROTO_ICMP:
      case PROTO_ICMPV6:
        return this.followIcmp(packet);
      case PROTO_GRE:
        return this.followGre(packet);
      case PROTO_SCTP:
        return this.followSctp(packet, incoming);
      default:
        this.refresh(packet, this.settings.generic);
        return TRACK_ACCEPT;
    }
  }

  private followTcp(packet: Packet, incoming: boolean): number {
    const { view, l4, end } = packet;
    const length = packet.wireEnd - l4;
    if (l4 + TCP_MIN_HEADER > end) return this.fail('invalid-header');
    const headerLength = tcpHeaderLength(view, l4);
    if (headerLength < TCP_MIN_HEADER || headerLength > length) return this.fail('invalid-header');
    if (incoming && packet.badChecksum && this.settings.checksum) return this.fail('invalid-checksum');
    const { entry, direction, now } = packet;
    this.tcp.refreshed = true;
    if (this.tcp.established(entry, direction, view, l4, length, end, now)) return TRACK_ACCEPT;
    const result = this.tcp.packet(entry, direction, view, l4, length, end, now);
    if (result === TRACK_INVALID) this.reason = 'invalid-tcp';
    return result;
  }

  private followUdpPacket(packet: Packet, incoming: boolean): number {
    const { view, l4, end } = packet;
    if (l4 + UDP_HEADER > end) return this.fail('invalid-header');
    const length = view.getUint16(l4 + UDP_LENGTH);
    // UDP-Lite has its coverage there, in which 0 stands for everything, and must have a checksum (RFC 3828 section 3.1).
    const lite = packet.protocol === PROTO_UDPLITE;
    if (!(lite && length === 0) && (length < UDP_HEADER || l4 + length > packet.wireEnd))
      return this.fail('invalid-header');
    if (lite && view.getUint16(l4 + UDP_CHECKSUM) === 0) return this.fail('invalid-checksum');
    if (incoming && packet.badChecksum && this.settings.checksum) return this.fail('invalid-checksum');
    this.followUdp(packet.entry, packet.now);
    return TRACK_ACCEPT;
  }

  /** Timeouts of a UDP connection (kernel: nf_conntrack_udp_packet). Hot path. */
  followUdp(entry: number, now: number): void {
    const { words, entryWords, meta } = this.table;
    const since = this.table.stateAt(entry);
    const at = entry * entryWords + meta;
    const status = words[at] as number;
    let timeout = this.settings.udp;
    if ((status & CONFIRMED) === 0) words[since] = now + UDP_STREAM_AFTER;
    if ((status & SEEN_REPLY) !== 0) {
      if ((status & ASSURED) !== 0) {
        timeout = this.settings.udpStream;
      } else if (((now - (words[since] as number)) | 0) > 0) {
        timeout = this.settings.udpStream;
        words[at] = status | ASSURED;
      }
    }
    words[at + META_EXPIRES] = now + timeout;
  }

  private followIcmp(packet: Packet): number {
    const original = this.table.readTuple(packet.entry, ORIGINAL, this.inverse);
    const requests = packet.family === 4 ? ICMP_REQUESTS : ICMPV6_REQUESTS;
    if (!requests.has(original.destinationPort >> 8)) return this.fail('invalid-icmp');
    this.refresh(packet, packet.family === 4 ? this.settings.icmp : this.settings.icmpv6);
    return TRACK_ACCEPT;
  }

  private followGre(packet: Packet): number {
    const at = packet.entry * this.table.entryWords + this.table.meta;
    const replied = ((this.table.words[at] as number) & SEEN_REPLY) !== 0;
    this.refresh(packet, replied ? this.settings.greStream : this.settings.gre);
    if (replied) this.table.words[at] = (this.table.words[at] as number) | ASSURED;
    return TRACK_ACCEPT;
  }

  private followSctp(packet: Packet, incoming: boolean): number {
    if (packet.l4 + SCTP_HEADER > packet.end) return this.fail('invalid-header');
    if (incoming && packet.badChecksum && this.settings.checksum) return this.fail('invalid-checksum');
    const result = this.sctp.packet(packet);
    if (result === TRACK_INVALID) this.reason = 'invalid-sctp';
    return result;
  }

  private refresh(packet: Packet, timeout: number): void {
    const { words, entryWords, meta } = this.table;
    words[packet.entry * entryWords + meta + META_EXPIRES] = packet.now + timeout;
  }

  private fail(reason: InvalidReason): number {
    this.reason = reason;
    return TRACK_INVALID;
  }

  private invalid(packet: Packet, reason: InvalidReason): void {
    this.reason = reason;
    packet.entry = -1;
    packet.info = CT_NONE;
  }

  /** Length, checksum and type of an ICMP message (kernel: nf_conntrack_icmpv4_error). */
  private icmpSound(packet: Packet, incoming: boolean): boolean {
    const { view, l4, end } = packet;
    let reason: InvalidReason | undefined;
    if (l4 + ICMP_HEADER > end) reason = 'invalid-header';
    else if (incoming && this.settings.checksum && packet.badChecksum) reason = 'invalid-checksum';
    else if (view.getUint8(l4 + ICMP_TYPE) > ICMP_TYPES) reason = 'invalid-icmp';
    if (reason !== undefined) this.invalid(packet, reason);
    return reason === undefined;
  }
}
