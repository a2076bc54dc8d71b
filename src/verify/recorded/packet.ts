/**
 * A packet by itself, from its IP header on, and what of it NAT and routing leave alone: by that, an incoming packet and
 * what the host sent in its place find each other, whatever became of addresses and ports.
 */
import { invertTuple, readPorts } from '../../netfilter/conntrack/tuples.js';
import { IPV4_FLAGS_OFFSET, IPV4_MF, IPV4_MIN_HEADER, IPV4_OFFSET_MASK, IPV4_PROTOCOL } from '../../packet/ipv4.js';
import {
  IPV6_DESTINATION,
  IPV6_HEADER,
  IPV6_SOURCE,
  skipExtensionHeaders,
  type UpperLayer,
} from '../../packet/ipv6.js';
import {
  ICMP_HEADER,
  icmpIsError,
  PROTO_ICMP,
  PROTO_ICMPV6,
  PROTO_TCP,
  PROTO_UDP,
  TCP_ACK,
  TCP_CHECKSUM,
  TCP_FLAGS,
  TCP_MIN_HEADER,
  TCP_SYN,
  tcpHeaderLength,
  UDP_CHECKSUM,
  UDP_HEADER,
} from '../../packet/transport.js';
import { Tuple } from '../../packet/tuple.js';
import { tupleText } from '../../report/tupletext.js';
import { identificationAt } from '../fragmentid.js';

const upper: UpperLayer = { protocol: 0, offset: 0, fragmentOffset: 0, isFragment: false };

/** Where the parts of a packet are. Made from the bytes there are: a capture may hold less than the packet had. */
export class Anatomy {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly version: 4 | 6;
  /** Bytes of the packet on the wire, as its IP header states them. */
  readonly length: number;
  readonly protocol: number;
  /** Offset of layer 4; it may lie behind what was captured. */
  readonly l4: number;
  /** 0 for whole packets and first fragments. */
  readonly fragmentOffset: number;
  readonly isFragment: boolean;

  /** `bytes`: from the IP header on, not less than that header; link-layer padding may follow. */
  constructor(bytes: Uint8Array) {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    this.version = view.getUint8(0) >> 4 === 6 ? 6 : 4;
    this.length = statedLength(view, bytes.length);
    this.bytes = bytes.length > this.length ? bytes.subarray(0, this.length) : bytes;
    this.view = view;
    if (this.version === 4) {
      const fragment = view.getUint16(IPV4_FLAGS_OFFSET);
      this.protocol = view.getUint8(IPV4_PROTOCOL);
      this.l4 = (view.getUint8(0) & 15) * 4;
      this.fragmentOffset = (fragment & IPV4_OFFSET_MASK) * 8;
      this.isFragment = (fragment & (IPV4_MF | IPV4_OFFSET_MASK)) !== 0;
    } else {
      const known = skipExtensionHeaders(view, 0, this.bytes.length, upper);
      this.protocol = known ? upper.protocol : view.getUint8(6);
      this.l4 = known ? upper.offset : IPV6_HEADER;
      this.fragmentOffset = known ? upper.fragmentOffset : 0;
      this.isFragment = known && upper.isFragment;
    }
  }

  /** The capture's snaplen left less than the packet was. */
  get cut(): boolean {
    return this.bytes.length < this.length;
  }

  /** The same in memory of its own. */
  copy(): Anatomy {
    return new Anatomy(Uint8Array.from(this.bytes));
  }

  /** True if layer 4 begins here and its first `size` bytes were captured. */
  has(size: number): boolean {
    return this.fragmentOffset === 0 && this.l4 + size <= this.bytes.length;
  }

  get isTcp(): boolean {
    return this.protocol === PROTO_TCP && this.has(TCP_MIN_HEADER);
  }

  get isIcmpError(): boolean {
    if (!this.has(ICMP_HEADER)) return false;
    const type = this.view.getUint8(this.l4);
    return this.protocol === PROTO_ICMP ? icmpIsError(type) : this.protocol === PROTO_ICMPV6 && type < 128;
  }

  /** The packet that an ICMP error quotes, as far as it is there. */
  quoted(): Anatomy | undefined {
    if (!this.isIcmpError) return undefined;
    const from = this.bytes.subarray(this.l4 + ICMP_HEADER);
    return isIpPacket(from) ? new Anatomy(from) : undefined;
  }

  get tcpFlags(): number {
    return this.view.getUint8(this.l4 + TCP_FLAGS);
  }

  /** Where TCP's data begins. */
  get tcpPayload(): number {
    return this.l4 + tcpHeaderLength(this.view, this.l4);
  }

  /** Addresses, and ports if they were captured. */
  tuple(into = new Tuple()): Tuple {
    const { view } = this;
    into.family = this.version;
    into.protocol = this.protocol;
    into.sourcePort = 0;
    into.destinationPort = 0;
    into.source.fill(0);
    into.destination.fill(0);
    const [source, destination, words] = this.version === 4 ? [12, 16, 1] : [IPV6_SOURCE, IPV6_DESTINATION, 4];
    for (let k = 0; k < words; k++) {
      into.source[k] = view.getUint32(source + 4 * k);
      into.destination[k] = view.getUint32(destination + 4 * k);
    }
    if (this.fragmentOffset === 0) readPorts(into, view, this.l4, this.bytes.length);
    return into;
  }

  /** `tcp 198.51.100.7:40000 > 192.0.2.1:8799`. */
  get text(): string {
    return tupleText(this.tuple(), this.has(4));
  }
}

function statedLength(view: DataView, captured: number): number {
  if (view.getUint8(0) >> 4 === 6) return IPV6_HEADER + view.getUint16(4);
  // 0 where segmentation offload made the packet larger than the field can say (BIG TCP).
  return view.getUint16(2) === 0 ? captured : view.getUint16(2);
}

/** Bytes that `Anatomy` can be made of. */
export function isIpPacket(bytes: Uint8Array): boolean {
  const version = (bytes[0] ?? 0) >> 4;
  return version === 4 ? bytes.length >= IPV4_MIN_HEADER : version === 6 && bytes.length >= IPV6_HEADER;
}

/**
 * Key under which a packet and its translation are the same, and few others are. TCP: both sequence numbers, so that
 * the segments of one large packet can be found too; others: lengths and the first bytes that are no ports.
 */
export function identityOf(packet: Anatomy): string {
  const { view, protocol, length, l4 } = packet;
  // All fragments of a datagram, so that one that is predicted whole can be found in pieces.
  if (packet.isFragment) return packet.version === 4 ? fragmentKey(packet) : pieceKey(packet);
  if (packet.isTcp) return `6 ${view.getUint32(l4 + 4)} ${view.getUint32(l4 + 8)}`;
  if (protocol === PROTO_ICMP || protocol === PROTO_ICMPV6)
    return `i${word(packet, 0) & 0xffff0000} ${length} ${word(packet, 4) & 0xffff} ${word(packet, 8)} ${word(packet, 12)}`;
  const from = protocol === PROTO_UDP ? UDP_HEADER : 0;
  return `${protocol} ${length} ${word(packet, from)} ${word(packet, from + 4)}`;
}

/** The same for all fragments of a datagram. */
export const fragmentKey = (packet: Anatomy): string => `f${packet.version} ${packet.protocol} ${ipId(packet)}`;

/** One fragment of an IPv6 datagram: the host gives datagrams that it tracks another identification. */
function pieceKey(packet: Anatomy): string {
  const { protocol, fragmentOffset, length } = packet;
  const from = fragmentOffset > 0 ? 0 : (PIECE_WORDS.get(protocol) ?? 0);
  return `p${protocol} ${fragmentOffset} ${length} ${word(packet, from)} ${word(packet, from + 4)}`;
}

/** First bytes of layer 4 that are no ports, ids or checksums. */
const PIECE_WORDS = new Map([
  [PROTO_TCP, 4],
  [PROTO_UDP, UDP_HEADER],
  [PROTO_ICMPV6, ICMP_HEADER],
]);

/** 32 bits of layer 4; what was not captured counts as zero. */
function word({ view, l4, bytes }: Anatomy, at: number): number {
  return l4 + at + 4 <= bytes.length ? view.getUint32(l4 + at) : 0;
}

/** The identification, of IPv4's header or an IPv6 fragment's; 0 for other IPv6 packets, which have none. */
export function ipId({ version, view, bytes, isFragment }: Anatomy): number {
  if (version === 4) return view.getUint16(4);
  const at = isFragment ? identificationAt(bytes) : undefined;
  return at === undefined ? 0 : view.getUint32(at);
}

/** TTL, or hop limit. */
export const hopLimit = ({ version, view }: Anatomy): number => view.getUint8(version === 4 ? 8 : 7);

/**
 * True when `a` may be `b` translated: everything is the same, as far as both were captured, but for addresses, ports
 * and ids, checksums, and what routers and rules change on the way (TTL, TOS, TCP options).
 */
export function sameContent(a: Anatomy, b: Anatomy): boolean {
  if (a.version !== b.version || a.protocol !== b.protocol || a.length !== b.length) return false;
  if (a.fragmentOffset !== b.fragmentOffset || a.isFragment !== b.isFragment) return false;
  if (a.fragmentOffset > 0) return sameBytes(a, a.l4, b, b.l4);
  switch (a.protocol) {
    case PROTO_TCP: {
      if (!a.isTcp || !b.isTcp) return sameRange(a, b, 4, 12);
      // Data offset and flags, window; then the data.
      return sameRange(a, b, 4, TCP_CHECKSUM) && sameBytes(a, a.tcpPayload, b, b.tcpPayload);
    }
    case PROTO_UDP:
      return sameRange(a, b, 4, UDP_CHECKSUM) && sameBytes(a, a.l4 + UDP_HEADER, b, b.l4 + UDP_HEADER);
    case PROTO_ICMP:
    case PROTO_ICMPV6:
      if (a.isIcmpError) return sameRange(a, b, 0, 2) && quoteSame(a, b);
      return sameRange(a, b, 0, 2) && sameBytes(a, a.l4 + 6, b, b.l4 + 6);
    default:
      return sameBytes(a, a.l4, b, b.l4);
  }
}

function quoteSame(a: Anatomy, b: Anatomy): boolean {
  const x = a.quoted();
  const y = b.quoted();
  if (x === undefined || y === undefined) return x === y;
  return x.protocol === y.protocol && x.length === y.length && ipId(x) === ipId(y);
}

/** Bytes `from` to `to` of layer 4. */
function sameRange(a: Anatomy, b: Anatomy, from: number, to: number): boolean {
  const size = Math.min(to, a.bytes.length - a.l4, b.bytes.length - b.l4);
  for (let k = from; k < size; k++) if (a.bytes[a.l4 + k] !== b.bytes[b.l4 + k]) return false;
  return true;
}

/** Everything behind two places, as far as both have it. */
function sameBytes(a: Anatomy, fromA: number, b: Anatomy, fromB: number): boolean {
  const size = Math.max(0, Math.min(a.bytes.length - fromA, b.bytes.length - fromB));
  return Buffer.compare(a.bytes.subarray(fromA, fromA + size), b.bytes.subarray(fromB, fromB + size)) === 0;
}

/** The first packet of a TCP connection. */
export const isSyn = (packet: Anatomy): boolean => packet.isTcp && (packet.tcpFlags & (TCP_SYN | TCP_ACK)) === TCP_SYN;

const answer = new Tuple();

/**
 * A connection by its two ends, the same for both directions; an ICMP error belongs to the connection of the packet
 * that it quotes.
 */
export function connectionKey(packet: Anatomy): string {
  const about = packet.quoted() ?? packet;
  return tupleKey(about.tuple());
}

export function tupleKey(tuple: Tuple): string {
  const { protocol, source, destination } = tuple;
  const port = protocol === PROTO_ICMP || protocol === PROTO_ICMPV6 ? tuple.sourcePort : undefined;
  const a = `${source.join('.')}:${port ?? tuple.sourcePort}`;
  const b = `${destination.join('.')}:${port ?? tuple.destinationPort}`;
  return a < b ? `${protocol} ${a} ${b}` : `${protocol} ${b} ${a}`;
}

/** The tuple an answer to `tuple` has; undefined for ICMP types that have none. The same object every time. */
export const answerTo = (tuple: Tuple): Tuple | undefined => (invertTuple(tuple, answer) ? answer : undefined);
