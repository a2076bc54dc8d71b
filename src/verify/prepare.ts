/**
 * Packets as captured, made into packets as they were on the wire, so that a kernel can be asked about them: what the
 * snaplen cut off is filled with zeros, and checksums that the sender left to its network card are finished (the field then
 * holds the folded sum of the pseudo header, as CHECKSUM_PARTIAL has it). Both sides of a comparison get the same.
 */
import { IPV6_HEADER, skipExtensionHeaders, type UpperLayer } from '../packet/ipv6.js';
import {
  ICMP_CHECKSUM,
  ICMP_HEADER,
  PROTO_ICMP,
  PROTO_ICMPV6,
  PROTO_TCP,
  PROTO_UDP,
  TCP_CHECKSUM,
  TCP_MIN_HEADER,
  UDP_CHECKSUM,
  UDP_HEADER,
} from '../packet/transport.js';

export interface Prepared {
  readonly packet: Uint8Array;
  readonly filled: boolean;
  readonly checksumFinished: boolean;
}

interface Transport {
  readonly protocol: number;
  readonly offset: number;
  readonly fragment: boolean;
  /** End of the packet as its header states it. */
  readonly end: number;
}

/** Checksum field and least header of the protocols that have them. */
const CHECKED = new Map([
  [PROTO_TCP, { checksum: TCP_CHECKSUM, header: TCP_MIN_HEADER }],
  [PROTO_UDP, { checksum: UDP_CHECKSUM, header: UDP_HEADER }],
  [PROTO_ICMP, { checksum: ICMP_CHECKSUM, header: ICMP_HEADER }],
  [PROTO_ICMPV6, { checksum: ICMP_CHECKSUM, header: ICMP_HEADER }],
]);

/**
 * `captured`: from the IP header on, as much as there is, trailing padding included. `cut`: the snaplen took something off.
 * Undefined when so much is missing that nothing sensible could be sent. Sound packets are returned as they are.
 */
export function preparePacket(captured: Uint8Array, cut: boolean): Prepared | undefined {
  const asIs: Prepared = { packet: captured, filled: false, checksumFinished: false };
  const found = transportOf(captured);
  if (found === undefined) return cut ? undefined : asIs;
  const { protocol, offset, fragment, end } = found;
  const fields = CHECKED.get(protocol);
  if (cut && end > captured.length) {
    if (offset + (fragment ? 0 : (fields?.header ?? 0)) > captured.length) return undefined;
    const packet = new Uint8Array(end);
    packet.set(captured);
    const none = protocol === PROTO_UDP && readWord(packet, offset + UDP_CHECKSUM) === 0;
    if (fields !== undefined && !fragment && !none) finishChecksum(packet, found, fields.checksum);
    return { packet, filled: true, checksumFinished: false };
  }
  if (fragment || (protocol !== PROTO_TCP && protocol !== PROTO_UDP) || fields === undefined) return asIs;
  if (end > captured.length || offset + fields.header > end) return asIs;
  if (readWord(captured, offset + fields.checksum) !== fold(pseudoSum(captured, found))) return asIs;
  const packet = captured.slice();
  finishChecksum(packet, found, fields.checksum);
  return { packet, filled: false, checksumFinished: true };
}

/** Length of the longest packet that `preparePacket` would make of it. */
export function statedLength(captured: Uint8Array): number {
  return Math.max(captured.length, transportOf(captured)?.end ?? 0);
}

const upper: UpperLayer = { protocol: 0, offset: 0, fragmentOffset: 0, isFragment: false };

function transportOf(packet: Uint8Array): Transport | undefined {
  const version = (packet[0] ?? 0) >> 4;
  if (version === 4 && packet.length >= 20) {
    const offset = ((packet[0] ?? 0) & 15) * 4;
    const end = readWord(packet, 2);
    if (offset < 20 || end < offset || packet.length < offset) return undefined;
    return { protocol: packet[9] ?? 0, offset, fragment: (readWord(packet, 6) & 0x3fff) !== 0, end };
  }
  if (version !== 6 || packet.length < IPV6_HEADER) return undefined;
  const view = new DataView(packet.buffer, packet.byteOffset, packet.length);
  if (!skipExtensionHeaders(view, 0, packet.length, upper)) return undefined;
  const end = IPV6_HEADER + readWord(packet, 4);
  return { protocol: upper.protocol, offset: upper.offset, fragment: upper.isFragment, end };
}

function finishChecksum(packet: Uint8Array, transport: Transport, field: number): void {
  const { protocol, offset, end } = transport;
  const at = offset + field;
  packet[at] = 0;
  packet[at + 1] = 0;
  const pseudo = protocol === PROTO_ICMP ? 0 : pseudoSum(packet, transport);
  const checksum = ~fold(pseudo + sum(packet, offset, end)) & 0xffff;
  // RFC 768: a computed zero is sent as ffff.
  const sent = protocol === PROTO_UDP && checksum === 0 ? 0xffff : checksum;
  packet[at] = sent >> 8;
  packet[at + 1] = sent & 0xff;
}

function pseudoSum(packet: Uint8Array, { protocol, offset, end }: Transport): number {
  const addresses = (packet[0] ?? 0) >> 4 === 4 ? sum(packet, 12, 20) : sum(packet, 8, IPV6_HEADER);
  return addresses + protocol + (end - offset);
}

function sum(packet: Uint8Array, from: number, to: number): number {
  let total = 0;
  for (let at = from; at < to; at += 2) total += ((packet[at] ?? 0) << 8) + (at + 1 < to ? (packet[at + 1] ?? 0) : 0);
  return total;
}

function fold(total: number): number {
  let folded = total;
  while (folded > 0xffff) folded = (folded & 0xffff) + Math.floor(folded / 0x10000);
  return folded;
}

const readWord = (packet: Uint8Array, at: number): number => ((packet[at] ?? 0) << 8) | (packet[at + 1] ?? 0);
