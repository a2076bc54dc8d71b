/**
 * Writing a mapping into the packet, one side at a time (kernel: nf_nat_packet, nf_nat_manip_pkt), and into the packet
 * that an ICMP error carries (nf_nat_icmp_reply_translation). Checksums change incrementally (RFC 1624), so a wrong one
 * stays wrong, but for the outer checksum of an ICMP error, which is reckoned anew.
 *
 * The capture may hold less of the packet than there was: what lies behind `packet.end` is not written.
 */
import { applyDelta, fold, sumBytes, wordDelta } from '../../packet/checksum.js';
import { sctpChecksum } from '../../packet/crc32c.js';
import { IPV4_CHECKSUM, IPV4_DESTINATION, IPV4_PROTOCOL, IPV4_SOURCE, ipv4HeaderLength } from '../../packet/ipv4.js';
import {
  IPV6_DESTINATION,
  IPV6_SOURCE,
  NEXTHDR_NONE,
  skipExtensionHeaders,
  type UpperLayer,
} from '../../packet/ipv6.js';
import { ipv6PseudoSum } from '../../packet/parse6.js';
import {
  ICMP_CHECKSUM,
  ICMP_HEADER,
  ICMP_ID,
  ICMP_REDIRECT,
  ICMP_TYPE,
  ICMPV6_ECHO,
  ICMPV6_ECHO_REPLY,
  ICMPV6_REDIRECT,
  PORT_DESTINATION,
  PORT_SOURCE,
  PROTO_GRE,
  PROTO_ICMP,
  PROTO_ICMPV6,
  PROTO_SCTP,
  PROTO_TCP,
  PROTO_UDP,
  PROTO_UDPLITE,
  SCTP_CHECKSUM,
  SCTP_HEADER,
  TCP_CHECKSUM,
  TCP_MIN_HEADER,
  UDP_CHECKSUM,
  UDP_HEADER,
} from '../../packet/transport.js';
import { swap16, swap32, Tuple } from '../../packet/tuple.js';
import { DST_NAT, DST_NAT_DONE, SRC_NAT, SRC_NAT_DONE } from '../conntrack/flowtable.js';
import { invertTuple } from '../conntrack/tuples.js';
import type { Packet } from '../packet.js';
import type { Manipulation } from './setup.js';

/** Bytes of layer 4 that translating needs (kernel: 8 for TCP, UDP and GRE). */
const L4_NEEDED = 8;
/** Version field, in the second byte of a GRE header (RFC 2784 section 2.1). */
const GRE_VERSION = 7;

const upper: UpperLayer = { protocol: 0, offset: 0, fragmentOffset: 0, isFragment: false };
const other = new Tuple();
const target = new Tuple();

/** True when this side of the mapping concerns packets of the packet's direction. */
function concerns(packet: Packet, manipulation: Manipulation): boolean {
  const wanted = (manipulation === 'src') === (packet.direction === 0) ? SRC_NAT : DST_NAT;
  return (packet.status & wanted) !== 0;
}

/** Translates one side of a packet that belongs to its connection. False: the packet is to be dropped. */
export function translate(packet: Packet, manipulation: Manipulation): boolean {
  if (!concerns(packet, manipulation)) return true;
  packet.table.readTuple(packet.entry, 1 - packet.direction, other);
  invertTuple(other, target);
  const done = rewriteHeader(packet, packet.l3, target, manipulation);
  packet.loadAddresses();
  return done;
}

/** Translates an ICMP error and what it carries. False: the packet is to be dropped. */
export function translateIcmpError(packet: Packet, manipulation: Manipulation): boolean {
  const { view, l4, status } = packet;
  if (packet.badChecksum) return false;
  const bothDone = SRC_NAT_DONE | DST_NAT_DONE;
  if (view.getUint8(l4 + ICMP_TYPE) === (packet.family === 4 ? ICMP_REDIRECT : ICMPV6_REDIRECT)) {
    if ((status & bothDone) !== bothDone || (status & (SRC_NAT | DST_NAT)) !== 0) return false;
  }
  if (!concerns(packet, manipulation)) return true;
  packet.table.readTuple(packet.entry, 1 - packet.direction, other);
  if (!rewriteHeader(packet, l4 + ICMP_HEADER, other, manipulation === 'src' ? 'dst' : 'src')) return false;
  if (!packet.cut) {
    view.setUint16(l4 + ICMP_CHECKSUM, 0, true);
    const length = packet.end - l4;
    const pseudo = packet.family === 4 ? 0 : ipv6PseudoSum(view, packet.l3, PROTO_ICMPV6, length);
    view.setUint16(l4 + ICMP_CHECKSUM, ~fold(pseudo + sumBytes(view, l4, length)) & 0xffff, true);
  }
  invertTuple(other, target);
  target.protocol = packet.protocol;
  const done = rewriteHeader(packet, packet.l3, target, manipulation);
  packet.loadAddresses();
  return done;
}

/** Gives the IP header at `ip` (and its ports) one side of `wanted`. False when layer 4 is too short to. */
function rewriteHeader(packet: Packet, ip: number, wanted: Tuple, manipulation: Manipulation): boolean {
  return packet.family === 4
    ? rewriteIpv4(packet, ip, wanted, manipulation)
    : rewriteIpv6(packet, ip, wanted, manipulation);
}

/** There is no header checksum; a packet whose upper layer can't be found gets its address all the same. */
function rewriteIpv6(packet: Packet, ip: number, wanted: Tuple, manipulation: Manipulation): boolean {
  const { view, end } = packet;
  const field = ip + (manipulation === 'src' ? IPV6_SOURCE : IPV6_DESTINATION);
  const address = manipulation === 'src' ? wanted.source : wanted.destination;
  let addressDelta = 0;
  for (let k = 0; k < 4; k++)
    addressDelta += wordDelta(view.getInt32(field + 4 * k, true), swap32(address[k] as number));
  const found = skipExtensionHeaders(view, ip, end, upper) && upper.protocol !== NEXTHDR_NONE;
  if (found && upper.fragmentOffset === 0) {
    if (!rewritePorts(packet, upper.protocol, upper.offset, wanted, manipulation, addressDelta)) return false;
  }
  for (let k = 0; k < 4; k++) view.setUint32(field + 4 * k, address[k] as number);
  return true;
}

/** Gives the IPv4 header at `ip` (and its ports) one side of `wanted`. False when layer 4 is too short to. */
function rewriteIpv4(packet: Packet, ip: number, wanted: Tuple, manipulation: Manipulation): boolean {
  const { view } = packet;
  const field = ip + (manipulation === 'src' ? IPV4_SOURCE : IPV4_DESTINATION);
  const from = view.getInt32(field, true);
  const to = swap32((manipulation === 'src' ? wanted.source[0] : wanted.destination[0]) ?? 0);
  const addressDelta = wordDelta(from, to);
  const l4 = ip + ipv4HeaderLength(view, ip);
  const protocol = view.getUint8(ip + IPV4_PROTOCOL);
  if (!rewritePorts(packet, protocol, l4, wanted, manipulation, addressDelta)) return false;
  view.setUint16(ip + IPV4_CHECKSUM, applyDelta(view.getUint16(ip + IPV4_CHECKSUM, true), fold(addressDelta)), true);
  view.setInt32(field, to, true);
  return true;
}

function rewritePorts(
  packet: Packet,
  protocol: number,
  l4: number,
  wanted: Tuple,
  manipulation: Manipulation,
  addressDelta: number,
): boolean {
  const { view, end, wireEnd } = packet;
  switch (protocol) {
    case PROTO_TCP:
    case PROTO_UDP:
    case PROTO_UDPLITE: {
      if (l4 + L4_NEEDED > wireEnd) return false;
      const at = l4 + (manipulation === 'src' ? PORT_SOURCE : PORT_DESTINATION);
      const port = swap16(manipulation === 'src' ? wanted.sourcePort : wanted.destinationPort);
      const delta = fold(addressDelta + portDelta(view, at, end, port));
      if (at + 2 <= end) view.setUint16(at, port, true);
      if (protocol === PROTO_TCP) fixTcp(packet, l4, delta);
      else fixUdp(packet, l4, delta, protocol);
      return true;
    }
    case PROTO_SCTP: {
      if (l4 + L4_NEEDED > wireEnd) return false;
      const at = l4 + (manipulation === 'src' ? PORT_SOURCE : PORT_DESTINATION);
      if (at + 2 <= end) view.setUint16(at, manipulation === 'src' ? wanted.sourcePort : wanted.destinationPort);
      // The CRC is made anew over what there is, even within an ICMP error (kernel: sctp_manip_pkt).
      if (l4 + SCTP_HEADER <= end && !packet.cut) view.setUint32(l4 + SCTP_CHECKSUM, sctpChecksum(view, l4, end), true);
      return true;
    }
    case PROTO_ICMP:
      return rewriteIcmpId(packet, l4, wanted.sourcePort);
    case PROTO_ICMPV6:
      return rewriteIcmpv6(packet, l4, wanted.sourcePort, addressDelta);
    case PROTO_GRE:
      return greTranslatable(view, l4, end, wireEnd, manipulation);
    default:
      return true;
  }
}

/** Versions above 1 do not pass where the destination changes (kernel: gre_manip_pkt). */
function greTranslatable(
  view: DataView,
  gre: number,
  end: number,
  wireEnd: number,
  manipulation: Manipulation,
): boolean {
  if (gre + L4_NEEDED > wireEnd) return false;
  return manipulation === 'src' || gre + 2 > end || (view.getUint8(gre + 1) & GRE_VERSION) <= 1;
}

/** Partial sum for replacing the 16 bits at `at`; nothing if they were not captured. */
function portDelta(view: DataView, at: number, end: number, value: number): number {
  return at + 2 > end ? 0 : (~view.getUint16(at, true) & 0xffff) + value;
}

function fixTcp(packet: Packet, l4: number, delta: number): void {
  // Within an ICMP error the checksum may not be there any more.
  if (l4 + TCP_MIN_HEADER > packet.end) return;
  const at = l4 + TCP_CHECKSUM;
  packet.view.setUint16(at, applyDelta(packet.view.getUint16(at, true), delta), true);
}

function fixUdp(packet: Packet, l4: number, delta: number, protocol: number): void {
  if (l4 + UDP_HEADER > packet.end) return;
  const at = l4 + UDP_CHECKSUM;
  const stored = packet.view.getUint16(at, true);
  // 0 means that the sender made none (RFC 768); UDP-Lite must have one.
  if (stored === 0 && protocol === PROTO_UDP) return;
  const changed = applyDelta(stored, delta);
  packet.view.setUint16(at, changed === 0 ? 0xffff : changed, true);
}

/** Echo and the other queries have an id; errors have none (kernel: icmp_manip_pkt). */
function rewriteIcmpId(packet: Packet, l4: number, id: number): boolean {
  const { view, end, wireEnd } = packet;
  if (l4 + ICMP_HEADER > wireEnd) return false;
  if (l4 + ICMP_HEADER > end || !hasId(view.getUint8(l4 + ICMP_TYPE))) return true;
  const value = swap16(id);
  const delta = fold(portDelta(view, l4 + ICMP_ID, end, value));
  view.setUint16(l4 + ICMP_CHECKSUM, applyDelta(view.getUint16(l4 + ICMP_CHECKSUM, true), delta), true);
  view.setUint16(l4 + ICMP_ID, value, true);
  return true;
}

/** Every message's checksum covers the addresses; echo has an id (kernel: icmpv6_manip_pkt). */
function rewriteIcmpv6(packet: Packet, l4: number, id: number, addressDelta: number): boolean {
  const { view, end, wireEnd } = packet;
  if (l4 + ICMP_HEADER > wireEnd) return false;
  if (l4 + ICMP_CHECKSUM + 2 > end) return true;
  const type = view.getUint8(l4 + ICMP_TYPE);
  const echo = type === ICMPV6_ECHO || type === ICMPV6_ECHO_REPLY;
  const delta = fold(addressDelta + (echo ? portDelta(view, l4 + ICMP_ID, end, swap16(id)) : 0));
  view.setUint16(l4 + ICMP_CHECKSUM, applyDelta(view.getUint16(l4 + ICMP_CHECKSUM, true), delta), true);
  if (echo && l4 + ICMP_ID + 2 <= end) view.setUint16(l4 + ICMP_ID, id);
  return true;
}

const hasId = (type: number): boolean => type === 0 || type === 8 || (type >= 13 && type <= 18);
