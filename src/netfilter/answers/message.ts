/** The packets by which a host says that it refused one: ICMP errors (RFC 792, RFC 1812 section 4.3) and TCP resets. */
import { fold, ipv4PseudoSum, sumBytes } from '../../packet/checksum.js';
import {
  IPV4_CHECKSUM,
  IPV4_DESTINATION,
  IPV4_DF,
  IPV4_FLAGS_OFFSET,
  IPV4_MIN_HEADER,
  IPV4_PROTOCOL,
  IPV4_SOURCE,
  IPV4_TOTAL_LENGTH,
  IPV4_TTL,
} from '../../packet/ipv4.js';
import {
  ICMP_CHECKSUM,
  ICMP_CODE,
  ICMP_HEADER,
  ICMP_TYPE,
  PORT_DESTINATION,
  PORT_SOURCE,
  PROTO_ICMP,
  PROTO_TCP,
  TCP_ACK,
  TCP_ACKNOWLEDGEMENT,
  TCP_CHECKSUM,
  TCP_DATA_OFFSET,
  TCP_FIN,
  TCP_FLAGS,
  TCP_MIN_HEADER,
  TCP_RST,
  TCP_SEQUENCE,
  TCP_SYN,
  tcpHeaderLength,
} from '../../packet/transport.js';

/** The packet that is answered, as it is where it was refused. */
export interface Refused {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly l3: number;
  readonly l4: number;
  readonly end: number;
  readonly totalLength: number;
}

/** An error carries as much of the packet as makes 576 bytes in all (RFC 1812 section 4.3.2.3), or the MTU. */
const LONGEST_ERROR = 576;
const TOS = 1;
const ID = 4;
/** Precedence of internetwork control (RFC 1812 section 4.3.2.5); the rest of the byte is the packet's but for its lowest bit. */
const INTERNETWORK_CONTROL = 0xc0;
const TOS_KEPT = 0x1e;
/** Where an error has its next-hop MTU and the like. */
const ICMP_INFO = 4;

export interface IcmpError {
  readonly type: number;
  readonly code: number;
  /** Second word of the message: the MTU of "fragmentation needed", the gateway of a redirect, where the fault lies of a parameter problem, else 0. */
  readonly info: number;
}

interface Header {
  /** Host order. */
  readonly source: number;
  readonly ttl: number;
}

/**
 * The ICMP error from its IP header on. `id`: the IPv4 identification, which the kernel draws; `options`: of its header, a
 * multiple of four bytes.
 */
export function icmpError(
  refused: Refused,
  error: IcmpError,
  header: Header & { id: number; mtu: number; options: Uint8Array },
): Uint8Array {
  const icmp = IPV4_MIN_HEADER + header.options.length;
  const overhead = icmp + ICMP_HEADER;
  const room = Math.min(header.mtu, LONGEST_ERROR) - overhead;
  const quoted = Math.min(room, refused.end - refused.l3);
  const bytes = new Uint8Array(overhead + quoted);
  const view = new DataView(bytes.buffer);
  bytes.set(refused.bytes.subarray(refused.l3, refused.l3 + quoted), overhead);
  bytes.set(header.options, IPV4_MIN_HEADER);
  view.setUint8(icmp + ICMP_TYPE, error.type);
  view.setUint8(icmp + ICMP_CODE, error.code);
  view.setUint32(icmp + ICMP_INFO, error.info);
  const sum = fold(sumBytes(view, icmp, bytes.length - icmp));
  view.setUint16(icmp + ICMP_CHECKSUM, ~sum & 0xffff, true);
  view.setUint8(TOS, (refused.view.getUint8(refused.l3 + TOS) & TOS_KEPT) | INTERNETWORK_CONTROL);
  view.setUint16(ID, header.id);
  writeHeader(view, refused, PROTO_ICMP, header, icmp);
  return bytes;
}

/** The reset that refuses a TCP segment, from its IP header on (kernel: nf_reject_ip_tcphdr_put; RFC 9293 section 3.10.7.1). */
export function tcpReset(refused: Refused, header: Header): Uint8Array {
  const bytes = new Uint8Array(IPV4_MIN_HEADER + TCP_MIN_HEADER);
  const view = new DataView(bytes.buffer);
  const tcp = IPV4_MIN_HEADER;
  writeReset(view, tcp, refused);
  view.setUint16(IPV4_FLAGS_OFFSET, IPV4_DF);
  writeHeader(view, refused, PROTO_TCP, header);
  const pseudo = ipv4PseudoSum(
    view.getInt32(IPV4_SOURCE, true),
    view.getInt32(IPV4_DESTINATION, true),
    PROTO_TCP,
    TCP_MIN_HEADER,
  );
  view.setUint16(tcp + TCP_CHECKSUM, ~fold(pseudo + sumBytes(view, tcp, TCP_MIN_HEADER)) & 0xffff, true);
  return bytes;
}

/** The reset's segment at `tcp`, without its checksum; nothing else has been written there. */
export function writeReset(view: DataView, tcp: number, { view: from, l3, l4, totalLength }: Refused): void {
  view.setUint16(tcp + PORT_SOURCE, from.getUint16(l4 + PORT_DESTINATION));
  view.setUint16(tcp + PORT_DESTINATION, from.getUint16(l4 + PORT_SOURCE));
  view.setUint8(tcp + TCP_DATA_OFFSET, (TCP_MIN_HEADER / 4) << 4);
  const flags = from.getUint8(l4 + TCP_FLAGS);
  if ((flags & TCP_ACK) !== 0) {
    view.setUint32(tcp + TCP_SEQUENCE, from.getUint32(l4 + TCP_ACKNOWLEDGEMENT));
    view.setUint8(tcp + TCP_FLAGS, TCP_RST);
  } else {
    const data = totalLength - (l4 - l3) - tcpHeaderLength(from, l4);
    const length = data + ((flags & TCP_SYN) !== 0 ? 1 : 0) + ((flags & TCP_FIN) !== 0 ? 1 : 0);
    view.setUint32(tcp + TCP_ACKNOWLEDGEMENT, (from.getUint32(l4 + TCP_SEQUENCE) + length) >>> 0);
    view.setUint8(tcp + TCP_FLAGS, TCP_RST | TCP_ACK);
  }
}

/** To the sender of the packet. TOS, id and flags are there already. */
function writeHeader(
  view: DataView,
  refused: Refused,
  protocol: number,
  { source, ttl }: Header,
  length = IPV4_MIN_HEADER,
): void {
  view.setUint8(0, 0x40 | (length / 4));
  view.setUint16(IPV4_TOTAL_LENGTH, view.byteLength);
  view.setUint8(IPV4_TTL, ttl);
  view.setUint8(IPV4_PROTOCOL, protocol);
  view.setUint32(IPV4_SOURCE, source);
  view.setUint32(IPV4_DESTINATION, refused.view.getUint32(refused.l3 + IPV4_SOURCE));
  view.setUint16(IPV4_CHECKSUM, ~fold(sumBytes(view, 0, length)) & 0xffff, true);
}
