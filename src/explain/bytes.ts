/** Packets as bytes, from the IP header on, with right checksums (RFC 791, 8200, 9293, 768, 792, 4443, 9260). */
import { fold, sumBytes } from '../packet/checksum.js';
import { sctpChecksum } from '../packet/crc32c.js';
import {
  ICMP_CHECKSUM,
  PROTO_GRE,
  PROTO_ICMP,
  PROTO_ICMPV6,
  PROTO_SCTP,
  PROTO_TCP,
  PROTO_UDP,
  SCTP_CHECKSUM,
  TCP_ACK,
  TCP_CHECKSUM,
  UDP_CHECKSUM,
} from '../packet/transport.js';
import type { PacketSpec } from './packettext.js';

/** Who is who at the IP layer. */
export interface Envelope {
  readonly family: 4 | 6;
  readonly protocol: number;
  readonly source: Uint32Array;
  readonly destination: Uint32Array;
  readonly ttl: number;
  readonly tos: number;
}

/** Sequence numbers of a TCP segment. Of SCTP `seq` is the sender's own tag, `ack` the other's, 0 before it is known. */
export interface Numbers {
  readonly seq: number;
  readonly ack: number;
}

const WINDOW = 64240;
const FILLER = 'natreplay';

/** The packet, with these TCP flags. */
export function buildPacket(spec: PacketSpec, flags: number, numbers: Numbers): Uint8Array {
  return ipPacket(spec, transportOf(spec, flags, numbers));
}

function transportOf(spec: PacketSpec, flags: number, { seq, ack }: Numbers): Uint8Array {
  const { protocol, sourcePort, destinationPort } = spec;
  const payload = filler(spec.payload);
  switch (protocol) {
    case PROTO_TCP:
      return tcpSegment({ sourcePort, destinationPort, seq, ack: (flags & TCP_ACK) === 0 ? 0 : ack, flags, payload });
    case PROTO_UDP:
      return udpDatagram(sourcePort, destinationPort, payload);
    case PROTO_ICMP:
    case PROTO_ICMPV6:
      return icmpMessage(spec.icmpType, spec.icmpCode, spec.icmpId, payload);
    case PROTO_SCTP:
      if (ack === 0) return sctpPacket(sourcePort, destinationPort, 0, sctpInit(SCTP_INIT, seq));
      return sctpPacket(sourcePort, destinationPort, ack, sctpCookie(SCTP_COOKIE_ECHO));
    case PROTO_GRE:
      return concat(Uint8Array.of(0, 0, 8, 0, 0, 0, 0, 0), payload);
    default:
      return payload;
  }
}

export function filler(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, k) => FILLER.charCodeAt(k % FILLER.length));
}

export interface TcpFields {
  readonly sourcePort: number;
  readonly destinationPort: number;
  readonly seq: number;
  readonly ack: number;
  readonly flags: number;
  readonly payload: Uint8Array;
}

export function tcpSegment({ sourcePort, destinationPort, seq, ack, flags, payload }: TcpFields): Uint8Array {
  const header = new DataView(new ArrayBuffer(20));
  header.setUint16(0, sourcePort);
  header.setUint16(2, destinationPort);
  header.setUint32(4, seq);
  header.setUint32(8, ack);
  header.setUint16(12, (5 << 12) | flags);
  header.setUint16(14, WINDOW);
  return concat(new Uint8Array(header.buffer), payload);
}

export function udpDatagram(sourcePort: number, destinationPort: number, payload: Uint8Array): Uint8Array {
  const header = new DataView(new ArrayBuffer(8));
  header.setUint16(0, sourcePort);
  header.setUint16(2, destinationPort);
  header.setUint16(4, 8 + payload.length);
  return concat(new Uint8Array(header.buffer), payload);
}

export function icmpMessage(type: number, code: number, id: number, payload: Uint8Array): Uint8Array {
  return concat(Uint8Array.of(type, code, 0, 0, id >> 8, id & 0xff, 0, 1), payload);
}

export const SCTP_INIT = 1;
export const SCTP_INIT_ACK = 2;
export const SCTP_COOKIE_ECHO = 10;
export const SCTP_COOKIE_ACK = 11;

/** An INIT or INIT ACK chunk with its initiate tag; the latter with a cookie. */
export function sctpInit(type: number, tag: number): Uint8Array {
  const cookie = type === SCTP_INIT_ACK ? Uint8Array.of(0, 7, 0, 8, 1, 2, 3, 4) : new Uint8Array(0);
  const chunk = new DataView(new ArrayBuffer(20));
  chunk.setUint8(0, type);
  chunk.setUint16(2, 20 + cookie.length);
  chunk.setUint32(4, tag);
  chunk.setUint32(8, 65536);
  chunk.setUint16(12, 1);
  chunk.setUint16(14, 1);
  chunk.setUint32(16, tag);
  return concat(new Uint8Array(chunk.buffer), cookie);
}

/** A COOKIE ECHO or COOKIE ACK chunk. */
export function sctpCookie(type: number): Uint8Array {
  return type === SCTP_COOKIE_ECHO ? Uint8Array.of(type, 0, 0, 8, 1, 2, 3, 4) : Uint8Array.of(type, 0, 0, 4);
}

export function sctpPacket(sourcePort: number, destinationPort: number, tag: number, chunk: Uint8Array): Uint8Array {
  const header = new DataView(new ArrayBuffer(12));
  header.setUint16(0, sourcePort);
  header.setUint16(2, destinationPort);
  header.setUint32(4, tag);
  return concat(new Uint8Array(header.buffer), chunk);
}

/** An IP packet around what it carries, whose checksum is filled in. */
export function ipPacket(envelope: Envelope, transport: Uint8Array): Uint8Array {
  const { family, protocol, source, destination, ttl, tos } = envelope;
  const headerLength = family === 4 ? 20 : 40;
  const bytes = concat(new Uint8Array(headerLength), transport);
  const view = new DataView(bytes.buffer);
  if (family === 4) {
    view.setUint8(0, 0x45);
    view.setUint8(1, tos);
    view.setUint16(2, bytes.length);
    view.setUint16(4, 1);
    view.setUint16(6, 0x4000);
    view.setUint8(8, ttl);
    view.setUint8(9, protocol);
    view.setUint32(12, source[0] ?? 0);
    view.setUint32(16, destination[0] ?? 0);
    view.setUint16(10, ~fold(sumBytes(view, 0, 20)) & 0xffff, true);
  } else {
    view.setUint32(0, (6 << 28) | (tos << 20));
    view.setUint16(4, transport.length);
    view.setUint8(6, protocol);
    view.setUint8(7, ttl);
    source.forEach((word, k) => {
      view.setUint32(8 + 4 * k, word);
    });
    destination.forEach((word, k) => {
      view.setUint32(24 + 4 * k, word);
    });
  }
  setTransportChecksum(view, headerLength, envelope);
  return bytes;
}

function setTransportChecksum(view: DataView, l4: number, envelope: Envelope): void {
  const { protocol } = envelope;
  if (protocol === PROTO_SCTP) {
    view.setUint32(l4 + SCTP_CHECKSUM, sctpChecksum(view, l4, view.byteLength), true);
    return;
  }
  const at = CHECKSUM_AT.get(protocol);
  if (at === undefined) return;
  const length = view.byteLength - l4;
  const pseudo = protocol === PROTO_ICMP ? 0 : pseudoSum(envelope, length);
  const sum = ~fold(sumBytes(view, l4, length) + pseudo) & 0xffff;
  // A checksum of 0 says that there is none (RFC 768).
  view.setUint16(l4 + at, protocol === PROTO_UDP && sum === 0 ? 0xffff : sum, true);
}

const CHECKSUM_AT = new Map([
  [PROTO_TCP, TCP_CHECKSUM],
  [PROTO_UDP, UDP_CHECKSUM],
  [PROTO_ICMP, ICMP_CHECKSUM],
  [PROTO_ICMPV6, ICMP_CHECKSUM],
]);

function pseudoSum({ family, protocol, source, destination }: Envelope, length: number): number {
  const words = family === 4 ? 1 : 4;
  const view = new DataView(new ArrayBuffer(8 * words + 8));
  for (let k = 0; k < words; k++) {
    view.setUint32(4 * k, source[k] ?? 0);
    view.setUint32(4 * (words + k), destination[k] ?? 0);
  }
  view.setUint32(8 * words, length);
  view.setUint32(8 * words + 4, protocol);
  return fold(sumBytes(view, 0, view.byteLength));
}

function concat(...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const joined = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}
