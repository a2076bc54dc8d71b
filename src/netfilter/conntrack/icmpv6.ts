/**
 * What connection tracking makes of IPv6 packets before it looks for their connection: whether there is an upper layer at
 * all, and what ICMPv6 says (kernel: nf_conntrack_in, nf_conntrack_icmpv6_error).
 */
import {
  IPV6_DESTINATION,
  IPV6_HEADER,
  IPV6_HOP_LIMIT,
  IPV6_SOURCE,
  NEXTHDR_NONE,
  skipExtensionHeaders,
  type UpperLayer,
} from '../../packet/ipv6.js';
import { ICMP_CODE, ICMP_HEADER, ICMP_TYPE, PROTO_ICMP, PROTO_ICMPV6 } from '../../packet/transport.js';
import { sameAddress, Tuple } from '../../packet/tuple.js';
import { CT_RELATED, CT_UNTRACKED, type Packet } from '../packet.js';
import type { Conntrack, InvalidReason } from './conntrack.js';
import { invertTuple, readPorts } from './tuples.js';

/** Multicast listener discovery and neighbour discovery are never tracked (RFC 2710, 3810, 4861). */
const UNTRACKED_TYPES = new Set([130, 131, 132, 133, 134, 135, 136, 143]);
/** Types below carry the packet they are about (RFC 4443 section 2.1). */
const FIRST_INFORMATIONAL = 128;
const REDIRECT = 137;
/** Of a redirect: header, target and destination; then options, of which one holds the packet (RFC 4861 section 4.5). */
const REDIRECT_LENGTH = 40;
const OPTION_HEADER = 8;
const OPTION_REDIRECTED = 4;
const UNDECREMENTED = 255;

/** The packet's state is settled without a connection, or with the one that an error is about. */
export const ICMPV6_SETTLED = 'settled';
/** It is to be tracked by its own tuple. */
export const ICMPV6_GO_ON = 'go on';

/** Why the packet is INVALID, or how tracking goes on. */
export function judgeIpv6(
  conntrack: Conntrack,
  packet: Packet,
  incoming: boolean,
): InvalidReason | typeof ICMPV6_SETTLED | typeof ICMPV6_GO_ON {
  const { protocol, view, l4, end } = packet;
  if (protocol < 0 || protocol === NEXTHDR_NONE) return 'invalid-header';
  if (protocol === PROTO_ICMP) return 'invalid-icmp';
  if (protocol !== PROTO_ICMPV6) return ICMPV6_GO_ON;
  if (l4 + ICMP_HEADER > end) return 'invalid-header';
  if (incoming && conntrack.settings.checksum && packet.badChecksum) return 'invalid-checksum';
  const type = view.getUint8(l4 + ICMP_TYPE);
  if (UNTRACKED_TYPES.has(type)) {
    packet.info = CT_UNTRACKED;
    return ICMPV6_SETTLED;
  }
  if (type >= FIRST_INFORMATIONAL && type !== REDIRECT) return ICMPV6_GO_ON;
  const about = type === REDIRECT ? redirectedPacket(packet) : l4 + ICMP_HEADER;
  if (about === 0) return ICMPV6_GO_ON;
  return about > 0 && relate(conntrack, packet, about) ? ICMPV6_SETTLED : 'invalid-icmp-error';
}

/** Where the packet begins that a redirect is about; 0 if it holds none, -1 if it is no redirect that a host may heed. */
function redirectedPacket({ view, l3, l4, end }: Packet): number {
  if (l4 + REDIRECT_LENGTH > end) return -1;
  if (view.getUint8(l4 + ICMP_CODE) !== 0) return 0;
  const fromLink = view.getUint16(l3 + IPV6_SOURCE) >>> 6 === 0xfe80 >>> 6;
  if (view.getUint8(l3 + IPV6_HOP_LIMIT) !== UNDECREMENTED || !fromLink) return -1;
  const option = l4 + REDIRECT_LENGTH;
  if (option + 2 > end || view.getUint8(option + 1) === 0) return -1;
  return view.getUint8(option) === OPTION_REDIRECTED ? option + OPTION_HEADER : 0;
}

const embedded = new Tuple();
const inner = new Tuple();
const found = new Tuple();
const upper: UpperLayer = { protocol: 0, offset: 0, fragmentOffset: 0, isFragment: false };

/** As relateIcmpError for IPv4: attaches the packet to the connection of the packet that begins at `ip`. */
function relate(conntrack: Conntrack, packet: Packet, ip: number): boolean {
  const { view, end } = packet;
  if (ip + IPV6_HEADER > end || !skipExtensionHeaders(view, ip, end, upper)) return false;
  if (upper.protocol === NEXTHDR_NONE || upper.fragmentOffset !== 0) return false;
  embedded.family = 6;
  embedded.protocol = upper.protocol;
  for (let k = 0; k < 4; k++) {
    embedded.source[k] = view.getUint32(ip + IPV6_SOURCE + 4 * k);
    embedded.destination[k] = view.getUint32(ip + IPV6_DESTINATION + 4 * k);
  }
  if (!readPorts(embedded, view, upper.offset, end) || !invertTuple(embedded, inner)) return false;
  const reference = conntrack.lookup(inner, packet.now, packet.zone);
  if (reference < 0) return false;
  conntrack.table.readTuple(reference >> 1, reference & 1, found);
  if (!sameAddress(packet.destination, found.destination)) return false;
  packet.entry = reference >> 1;
  packet.direction = reference & 1;
  packet.info = CT_RELATED;
  return true;
}
