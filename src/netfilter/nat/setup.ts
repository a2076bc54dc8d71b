/**
 * Choosing the mapping of a new connection (kernel: nf_nat_setup_info, get_unique_tuple). KERNEL.md chapter B.
 *
 * A mapping is a tuple in the original direction as it would look after translation; it is free when its reply is not
 * yet the tuple of another entry.
 */
import {
  PROTO_GRE,
  PROTO_ICMP,
  PROTO_ICMPV6,
  PROTO_SCTP,
  PROTO_TCP,
  PROTO_UDP,
  PROTO_UDPLITE,
} from '../../packet/transport.js';
import { copyAddress, sameAddress, Tuple } from '../../packet/tuple.js';
import type { NatRange } from '../../rules/extension.js';
import type { Conntrack } from '../conntrack/conntrack.js';
import {
  CONFIRMED,
  DST_NAT,
  DST_NAT_DONE,
  META_DNAT_RULE,
  META_SNAT_RULE,
  META_ZONE,
  ORIGINAL,
  REPLY,
  SRC_NAT,
  SRC_NAT_DONE,
  zoneOf,
} from '../conntrack/flowtable.js';
import { TCP_SYN_SENT, TCP_TIME_WAIT } from '../conntrack/timeouts.js';
import { invertTuple } from '../conntrack/tuples.js';
import type { Packet } from '../packet.js';
import type { Random } from '../random.js';
import { jhash2 } from './jhash.js';
import type { PortChoice, PortChooser } from './portchoice.js';
import { MOST_DRAWS, type UnseenDraw } from './unseendraw.js';

export type Manipulation = 'src' | 'dst';

/** Tries of the first search; each further one has half as many (kernel: NF_NAT_MAX_ATTEMPTS). */
const MAX_ATTEMPTS = 128;
const MIN_ATTEMPTS = 16;
/** So close to the end of a search a dying connection's tuple may be taken over (kernel: NF_NAT_HARDER_THRESH). */
const HARDER_FROM = 32;
/** Word of an entry's TCP state: highest sequence number sent in the original direction. */
const ORIGINAL_END = 0;

/** A range that keeps the address as it is. */
const nullRange = (address: Uint32Array): NatRange => ({
  minAddress: address,
  maxAddress: address,
  minPort: undefined,
  maxPort: undefined,
  basePort: undefined,
  random: false,
  randomFully: false,
  persistent: false,
});

export class NatSetup {
  /** Tuples looked up while searching, a deterministic figure. */
  attempts = 0;
  private readonly current = new Tuple();
  private readonly chosen = new Tuple();
  private readonly reply = new Tuple();
  private readonly candidate = new Tuple();
  private readonly other = new Tuple();
  /** The port that a search ends at for want of a free one, where that is known; else -1. */
  private lastTried = -1;
  private readonly nullRanges = new Map<Manipulation, NatRange>([
    ['src', nullRange(new Uint32Array(4))],
    ['dst', nullRange(new Uint32Array(4))],
  ]);

  constructor(
    private readonly conntrack: Conntrack,
    private readonly random: Random,
    private readonly chooser?: PortChooser | undefined,
    /** With a chooser that knows of drops. */
    readonly unseen?: UnseenDraw | undefined,
  ) {}

  /** True when this side of the connection's mapping is settled. */
  isDone(packet: Packet, manipulation: Manipulation): boolean {
    return (packet.status & (manipulation === 'src' ? SRC_NAT_DONE : DST_NAT_DONE)) !== 0;
  }

  /** No rule matched: the address stays, but the port may have to give way to another connection (KERNEL.md A5). */
  bindNull(packet: Packet, manipulation: Manipulation): void {
    const range = this.nullRanges.get(manipulation);
    if (range?.minAddress === undefined) return;
    const reply = this.conntrack.table.readTuple(packet.entry, REPLY, this.reply);
    copyAddress(manipulation === 'src' ? reply.destination : reply.source, range.minAddress);
    this.setUp(packet, range, manipulation, -1);
  }

  /** Settles one side of an unconfirmed connection's mapping. `rule`: number of the rule that asked, -1 for none. */
  setUp(packet: Packet, range: NatRange, manipulation: Manipulation, rule: number): void {
    const { table } = this.conntrack;
    const { entry } = packet;
    const at = entry * table.entryWords + table.meta;
    if (((table.words[at] as number) & CONFIRMED) !== 0) return;
    invertTuple(table.readTuple(entry, REPLY, this.reply), this.current);
    this.chooseTuple(packet, range, manipulation);
    if (manipulation === 'src' && this.chooser?.overrule !== undefined) this.letOverrule(packet, this.chooser);
    this.settle(packet, manipulation, rule);
  }

  /** Goes back to where the packet's destination port was drawn, and takes another that may have been; false: none is left. */
  drawAgain(packet: Packet): boolean {
    const { table } = this.conntrack;
    const { unseen, chosen } = this;
    const rule = table.words[packet.entry * table.entryWords + table.meta + META_DNAT_RULE] as number;
    const port = unseen?.next(packet);
    if (unseen === undefined || port === undefined) return false;
    invertTuple(table.readTuple(packet.entry, REPLY, this.reply), this.current);
    chosen.copyFrom(unseen.mapping);
    setKey(chosen, 'dst', port);
    this.settle(packet, 'dst', rule);
    return true;
  }

  /** Writes `chosen`, which was `current`, into the connection. */
  private settle(packet: Packet, manipulation: Manipulation, rule: number): void {
    const { table } = this.conntrack;
    const { entry } = packet;
    const at = entry * table.entryWords + table.meta;
    let status = (table.words[at] as number) | (manipulation === 'src' ? SRC_NAT_DONE : DST_NAT_DONE);
    if (!this.chosen.equals(this.current)) {
      invertTuple(this.chosen, this.reply);
      table.writeTuple(entry, REPLY, this.reply);
      status |= manipulation === 'src' ? SRC_NAT : DST_NAT;
      packet.connectionChanged();
    }
    table.words[at] = status;
    if (rule >= 0) table.words[at + (manipulation === 'src' ? META_SNAT_RULE : META_DNAT_RULE)] = rule;
  }

  /** From `current` to `chosen` (kernel: get_unique_tuple). */
  private chooseTuple(packet: Packet, range: NatRange, manipulation: Manipulation): void {
    const { current, chosen } = this;
    const anyPort = range.random || range.randomFully;
    if (manipulation === 'src' && !anyPort) {
      if (inRange(current, range)) {
        if (!this.isTaken(current, packet) || this.meetsItsReverse(packet)) {
          chosen.copyFrom(current);
          return;
        }
      } else if (this.reuseMapping(packet, range) && !this.isTaken(chosen, packet)) {
        return;
      }
    }
    chosen.copyFrom(current);
    chooseAddress(chosen, range, manipulation, packet.zone & 0xffff);
    if (!anyPort && this.keepsPort(packet, range, manipulation)) return;
    this.searchPort(packet, range, manipulation);
  }

  /** Whether the chosen address goes with the port as it is. */
  private keepsPort(packet: Packet, range: NatRange, manipulation: Manipulation): boolean {
    const { chosen } = this;
    if (range.minPort === undefined) return !this.isTaken(chosen, packet);
    return (
      range.basePort === undefined &&
      portInRange(chosen, range, manipulation) &&
      (range.minPort === range.maxPort || !this.isTaken(chosen, packet))
    );
  }

  /** The mapping that another connection from the same source already has, into `chosen` (KERNEL.md B3). */
  private reuseMapping(packet: Packet, range: NatRange): boolean {
    const { current, chosen, other } = this;
    const { table } = this.conntrack;
    for (let entry = table.firstBySource(current); entry >= 0; entry = table.nextBySource(entry)) {
      table.readTuple(entry, ORIGINAL, other);
      const same =
        other.protocol === current.protocol &&
        other.sourcePort === current.sourcePort &&
        sameAddress(other.source, current.source) &&
        this.isInZone(entry, packet);
      if (!same || this.conntrack.isExpired(entry, packet.now)) continue;
      table.readTuple(entry, REPLY, other);
      chosen.copyFrom(current);
      copyAddress(other.destination, chosen.source);
      chosen.sourcePort = other.destinationPort;
      if (isIcmp(current.protocol)) chosen.sourcePort = other.sourcePort;
      if (inRange(chosen, range)) return true;
    }
    return false;
  }

  /** Original packets of the entry belong to the packet's zone. */
  private isInZone(entry: number, packet: Packet): boolean {
    const { words, entryWords, meta } = this.conntrack.table;
    const zone = words[entry * entryWords + meta + META_ZONE] as number;
    return zone === packet.zone || zoneOf(zone, ORIGINAL) === zoneOf(packet.zone, ORIGINAL);
  }

  /** Looks for a free port (kernel: nf_nat_l4proto_unique_tuple); `chosen` ends at the last one tried. */
  private searchPort(packet: Packet, range: NatRange, manipulation: Manipulation): void {
    const { chosen } = this;
    if (!isPortProtocol(chosen.protocol)) return;
    if (range.minPort === undefined && manipulation === 'dst' && !isIcmp(chosen.protocol)) return;
    const own = keyOf(chosen, manipulation);
    const [min, size] = portClass(chosen.protocol, own, range);
    let offset = 0;
    this.lastTried = -1;
    if (range.basePort !== undefined) offset = (own - range.basePort) & 0xffff;
    else if (range.randomFully || range.random || manipulation === 'src') {
      if (this.takesKnownPort(packet, manipulation, min, size)) return;
      if (manipulation === 'dst' && this.takesUnseenPort(packet, min, size)) return;
      offset = this.random.next16();
    }
    let attempts = Math.min(size, MAX_ATTEMPTS);
    for (;;) {
      for (let i = 0; i < attempts; i++, offset = (offset + 1) & 0xffff) {
        setKey(chosen, manipulation, (min + (offset % size)) & 0xffff);
        if (!this.isTakenHard(packet, attempts - i)) return;
      }
      if (attempts >= size || attempts < MIN_ATTEMPTS) {
        // It may be any of them; the connection then needs another port of its own.
        if (this.lastTried >= 0) setKey(chosen, manipulation, this.lastTried);
        return;
      }
      attempts = Math.floor(attempts / 2);
      offset = this.random.next16();
    }
  }

  /** Asks the chooser, if there is one; true when `chosen` has the port it named. */
  private takesKnownPort(packet: Packet, manipulation: Manipulation, first: number, count: number): boolean {
    const { chooser, chosen } = this;
    if (chooser === undefined) return false;
    const own = keyOf(chosen, manipulation);
    const { table } = this.conntrack;
    const original = table.readTuple(packet.entry, ORIGINAL, this.other);
    const choice: PortChoice = { manipulation, original, mapping: chosen, first, count };
    const port = chooser.choose(choice);
    if (port === undefined) return false;
    const permitted = ((port - first) & 0xffff) < count;
    if (permitted) {
      setKey(chosen, manipulation, port);
      // How long the kernel searched is not known: it may have come to where dying connections make room.
      if (!this.isTakenHard(packet, HARDER_FROM)) return true;
      setKey(chosen, manipulation, own);
      this.lastTried = port;
    }
    chooser.refused?.(choice, port, permitted ? 'taken' : 'range');
    return false;
  }

  /** Any of the ports that the kernel may have drawn for a packet of which nothing was seen; the others can follow. */
  private takesUnseenPort(packet: Packet, first: number, count: number): boolean {
    const { unseen, chosen } = this;
    if (unseen === undefined || this.chooser?.dropped?.() !== true) return false;
    const own = keyOf(chosen, 'dst');
    const all = Array.from({ length: Math.min(count, MOST_DRAWS) }, (_, k) => (first + k) & 0xffff);
    const free = all.filter((port) => {
      setKey(chosen, 'dst', port);
      return !this.isTaken(chosen, packet);
    });
    setKey(chosen, 'dst', own);
    // Where none is free the search ends at one that is taken, whichever it is.
    const permitted = free.length > 0 ? free : all;
    const start = this.random.next16() % permitted.length;
    const ports = [...permitted.slice(start), ...permitted.slice(0, start)];
    unseen.begin(packet, chosen, ports);
    setKey(chosen, 'dst', ports[0] ?? own);
    return true;
  }

  /** Gives `chosen` the source port that the real host is known to have given the connection. */
  private letOverrule(packet: Packet, chooser: PortChooser): void {
    const { chosen } = this;
    if (!isPortProtocol(chosen.protocol)) return;
    const own = chosen.sourcePort;
    const original = this.conntrack.table.readTuple(packet.entry, ORIGINAL, this.other);
    const port = chooser.overrule?.({ manipulation: 'src', original, mapping: chosen, first: 0, count: 0x10000 });
    if (port === undefined || port === own) return;
    chosen.sourcePort = port;
    if (this.isTaken(chosen, packet)) chosen.sourcePort = own;
  }

  /**
   * `current` is taken by a connection that began in the other direction, without NAT on either side. The kernel takes the
   * two for one that both ends opened at once, and leaves it to `confirm`, where they collide (nf_nat_used_tuple_new).
   */
  private meetsItsReverse(packet: Packet): boolean {
    const { current, other, candidate, conntrack } = this;
    if (current.protocol !== PROTO_UDP && current.protocol !== PROTO_UDPLITE) return false;
    const { table } = conntrack;
    let reference = conntrack.lookup(current, packet.now, packet.zone);
    invertTuple(current, candidate);
    if (reference < 0) reference = conntrack.lookup(candidate, packet.now, packet.zone);
    if (reference < 0) return true;
    const entry = reference >> 1;
    const status = table.words[entry * table.entryWords + table.meta] as number;
    return (
      (status & (SRC_NAT | DST_NAT)) === 0 &&
      table.readTuple(entry, ORIGINAL, other).equals(candidate) &&
      table.readTuple(packet.entry, ORIGINAL, other).equals(current)
    );
  }

  /** True when another live entry has the reply tuple of this mapping. */
  private isTaken(mapping: Tuple, packet: Packet): boolean {
    this.attempts++;
    if (!invertTuple(mapping, this.candidate)) return false;
    return this.conntrack.lookupOnSide(this.candidate, packet.now, packet.zone, REPLY) >= 0;
  }

  /** As isTaken for `chosen`, but near the end of a search a closed connection must make room (KERNEL.md B5). */
  private isTakenHard(packet: Packet, attemptsLeft: number): boolean {
    const { chosen, candidate } = this;
    if (attemptsLeft > HARDER_FROM || chosen.protocol !== PROTO_TCP || tcpState(packet.status) !== TCP_SYN_SENT)
      return this.isTaken(chosen, packet);
    this.attempts++;
    invertTuple(chosen, candidate);
    const reference = this.conntrack.lookupOnSide(candidate, packet.now, packet.zone, REPLY);
    if (reference < 0) return false;
    const entry = reference >> 1;
    const { table } = this.conntrack;
    const status = table.words[entry * table.entryWords + table.meta] as number;
    if ((reference & 1) === ORIGINAL || tcpState(status) < TCP_TIME_WAIT || (status & SRC_NAT) === 0) return true;
    const advance =
      (table.words[table.stateAt(packet.entry) + ORIGINAL_END] as number) -
      (table.words[table.stateAt(entry) + ORIGINAL_END] as number);
    if ((advance | 0) <= 0) return true;
    this.conntrack.remove(entry);
    return false;
  }
}

const tcpState = (status: number): number => (status >>> 8) & 0xff;

const isIcmp = (protocol: number): boolean => protocol === PROTO_ICMP || protocol === PROTO_ICMPV6;

const isPortProtocol = (protocol: number): boolean =>
  protocol === PROTO_TCP ||
  protocol === PROTO_UDP ||
  isIcmp(protocol) ||
  protocol === PROTO_SCTP ||
  protocol === PROTO_UDPLITE;

/** The port that a manipulation changes; ICMP has one id for both. */
function keyOf(tuple: Tuple, manipulation: Manipulation): number {
  return manipulation === 'src' || isIcmp(tuple.protocol) ? tuple.sourcePort : tuple.destinationPort;
}

function setKey(tuple: Tuple, manipulation: Manipulation, port: number): void {
  if (manipulation === 'src' || isIcmp(tuple.protocol)) tuple.sourcePort = port;
  else tuple.destinationPort = port;
}

/** First port and number of ports to search: the rule's range, or the class of the own port (KERNEL.md B2). */
function portClass(protocol: number, own: number, range: NatRange): readonly [number, number] {
  if (range.minPort !== undefined) {
    const max = range.maxPort ?? range.minPort;
    const low = Math.min(range.minPort, max);
    return [low, Math.max(range.minPort, max) - low + 1];
  }
  if (isIcmp(protocol)) return [0, 65536];
  if (own < 512) return [1, 511];
  return own < 1024 ? [600, 424] : [1024, 64512];
}

/** Whether a source mapping satisfies the rule as it is (kernel: nf_in_range). */
function inRange(tuple: Tuple, range: NatRange): boolean {
  if (range.minAddress !== undefined) {
    const { minAddress, maxAddress } = range;
    if (compareAddress(tuple.source, minAddress) < 0) return false;
    if (compareAddress(tuple.source, maxAddress ?? minAddress) > 0) return false;
  }
  return range.minPort === undefined || portInRange(tuple, range, 'src');
}

function portInRange(tuple: Tuple, range: NatRange, manipulation: Manipulation): boolean {
  if (!isPortProtocol(tuple.protocol) && tuple.protocol !== PROTO_GRE) return true;
  const port = keyOf(tuple, manipulation);
  return port >= (range.minPort ?? 0) && port <= (range.maxPort ?? 0xffff);
}

function compareAddress(a: Uint32Array, b: Uint32Array): number {
  for (let k = 0; k < 4; k++) {
    const difference = (a[k] ?? 0) - (b[k] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

const hashInput = new Uint32Array(4);

/** The address of the range: the only one, or one chosen by hash (kernel: find_best_ips_proto; KERNEL.md B7). */
function chooseAddress(tuple: Tuple, range: NatRange, manipulation: Manipulation, zone: number): void {
  const { minAddress } = range;
  if (minAddress === undefined) return;
  const maxAddress = range.maxAddress ?? minAddress;
  const field = manipulation === 'src' ? tuple.source : tuple.destination;
  if (compareAddress(minAddress, maxAddress) === 0) {
    copyAddress(minAddress, field);
    return;
  }
  const words = tuple.family === 4 ? 1 : 4;
  for (let k = 0; k < 4; k++) hashInput[k] = networkWord(tuple.source[k] ?? 0);
  const last = tuple.destination[words - 1] ?? 0;
  let hash = jhash2(hashInput, 4, range.persistent ? 0 : (networkWord(last) ^ zone) >>> 0);
  let full = false;
  for (let k = 0; k < words; k++) {
    const min = full ? 0 : (minAddress[k] ?? 0);
    const span = full ? 0xffffffff : ((maxAddress[k] ?? 0) - min + 1) >>> 0;
    // reciprocal_scale: the upper 32 bits of the product.
    const chosen = min + Number((BigInt(hash) * BigInt(span)) >> 32n);
    field[k] = chosen;
    // Of a destination being chosen this is the new one already, as in the kernel.
    const destination = networkWord(tuple.destination[k] ?? 0);
    if (field[k] !== maxAddress[k]) full = true;
    if (!range.persistent) hash = (hash ^ destination) >>> 0;
  }
}

/** A word in the byte order in which the kernel hashes it: as it lies in the packet, read little-endian. */
const networkWord = (word: number): number =>
  ((word << 24) | ((word & 0xff00) << 8) | ((word >>> 8) & 0xff00) | (word >>> 24)) >>> 0;
