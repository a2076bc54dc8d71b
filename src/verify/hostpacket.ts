/** Packets of the host's own, as a raw socket with IP_HDRINCL sends them (kernel: raw_send_hdrinc, rawv6_send_hdrinc). */
import { IPV6_HEADER } from '../packet/ipv6.js';

const IPV4_HEADER = 20;
const DF = 0x4000;

/**
 * The packet (from its IP header on, padding included) with what the socket fills in: the length, the header checksum, and
 * of one without identification that may be cut an identification, 1 here. Undefined: it would send another packet or
 * none, for a source address that is missing or a group's, or an IPv6 address that means nothing without an interface.
 */
export function asHostSends(packet: Uint8Array): Uint8Array | undefined {
  return (packet[0] ?? 0) >> 4 === 6 ? ipv6(packet) : ipv4(packet);
}

function ipv4(packet: Uint8Array): Uint8Array | undefined {
  const headerLength = ((packet[0] ?? 0) & 15) * 4;
  const first = packet[12] ?? 0;
  if ((packet[0] ?? 0) >> 4 !== 4 || headerLength < IPV4_HEADER || packet.length < headerLength) return undefined;
  const isMissing = packet.subarray(12, 16).every((byte) => byte === 0);
  if (isMissing || first >= 0xe0 || packet.subarray(16, 20).every((byte) => byte === 0)) return undefined;
  const view = new DataView(packet.buffer, packet.byteOffset, packet.length);
  const length = view.getUint16(2);
  if (length < headerLength || length > packet.length) return undefined;
  const sent = packet.slice(0, length);
  if (view.getUint16(4) === 0 && (view.getUint16(6) & DF) === 0) writeWord(sent, 4, 1);
  writeWord(sent, 10, 0);
  writeWord(sent, 10, headerChecksum(sent, headerLength));
  return sent;
}

function ipv6(packet: Uint8Array): Uint8Array | undefined {
  const length = IPV6_HEADER + (((packet[4] ?? 0) << 8) | (packet[5] ?? 0));
  if (packet.length < IPV6_HEADER || length > packet.length) return undefined;
  if ([8, 24].some((at) => needsInterface(packet.subarray(at, at + 16)))) return undefined;
  return packet.slice(0, length);
}

/** The unspecified address, link-local ones and groups. */
function needsInterface(address: Uint8Array): boolean {
  const [a = 0, b = 0] = address;
  return a === 0xff || (a === 0xfe && (b & 0xc0) === 0x80) || address.every((byte) => byte === 0);
}

function writeWord(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >> 8;
  bytes[at + 1] = value & 0xff;
}

function headerChecksum(bytes: Uint8Array, length: number): number {
  let sum = 0;
  for (let at = 0; at < length; at += 2) sum += ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}
