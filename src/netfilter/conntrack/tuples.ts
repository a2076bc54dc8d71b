/** Tuples out of packets, and turned round (kernel: nf_ct_get_tuple, nf_ct_invert_tuple). */
import {
  ICMP_ADDRESS,
  ICMP_ADDRESS_REPLY,
  ICMP_CODE,
  ICMP_ECHO,
  ICMP_ECHO_REPLY,
  ICMP_HEADER,
  ICMP_ID,
  ICMP_INFO_REPLY,
  ICMP_INFO_REQUEST,
  ICMP_TIMESTAMP,
  ICMP_TIMESTAMP_REPLY,
  ICMP_TYPE,
  PORT_DESTINATION,
  PORT_SOURCE,
  PROTO_GRE,
  PROTO_ICMP,
  PROTO_ICMPV6,
  PROTO_SCTP,
  PROTO_TCP,
  PROTO_UDP,
  PROTO_UDPLITE,
} from '../../packet/transport.js';
import { copyAddress, type Tuple } from '../../packet/tuple.js';

/** Reply type of each ICMP request type and the reverse; types that are neither have none. */
const ICMP_OPPOSITE = new Map([
  [ICMP_ECHO, ICMP_ECHO_REPLY],
  [ICMP_ECHO_REPLY, ICMP_ECHO],
  [ICMP_TIMESTAMP, ICMP_TIMESTAMP_REPLY],
  [ICMP_TIMESTAMP_REPLY, ICMP_TIMESTAMP],
  [ICMP_INFO_REQUEST, ICMP_INFO_REPLY],
  [ICMP_INFO_REPLY, ICMP_INFO_REQUEST],
  [ICMP_ADDRESS, ICMP_ADDRESS_REPLY],
  [ICMP_ADDRESS_REPLY, ICMP_ADDRESS],
]);

/** Protocols whose tuples hold ports. */
export const hasPorts = (protocol: number): boolean =>
  protocol === PROTO_TCP || protocol === PROTO_UDP || protocol === PROTO_SCTP || protocol === PROTO_UDPLITE;

/** The same of ICMPv6: echo (RFC 4443 section 4) and node information (RFC 4620). */
const ICMPV6_OPPOSITE = new Map([
  [128, 129],
  [129, 128],
  [139, 140],
  [140, 139],
]);

/** The ICMP of the tuple's own family. */
const isIcmp = ({ family, protocol }: Tuple): boolean => protocol === (family === 4 ? PROTO_ICMP : PROTO_ICMPV6);

const GRE_VERSION_PPTP = 1;
const GRE_PROTOCOL_PPP = 0x880b;
const PORTS = 4;

/**
 * Fills the ports (or ICMP id and type, or GRE key) of a tuple whose protocol and addresses are set, from the layer-4
 * header at `l4`. False when the header is too short to have them. `end`: past the packet's last byte.
 */
export function readPorts(tuple: Tuple, view: DataView, l4: number, end: number): boolean {
  tuple.sourcePort = 0;
  tuple.destinationPort = 0;
  if (hasPorts(tuple.protocol)) {
    if (l4 + PORTS > end) return false;
    tuple.sourcePort = view.getUint16(l4 + PORT_SOURCE);
    tuple.destinationPort = view.getUint16(l4 + PORT_DESTINATION);
    return true;
  }
  if (isIcmp(tuple)) {
    if (l4 + ICMP_HEADER > end) return false;
    tuple.sourcePort = view.getUint16(l4 + ICMP_ID);
    tuple.destinationPort = (view.getUint8(l4 + ICMP_TYPE) << 8) | view.getUint8(l4 + ICMP_CODE);
    return true;
  }
  return tuple.protocol === PROTO_GRE ? readGreKey(tuple, view, l4, end) : true;
}

/** Only PPTP's GRE (version 1) has a key: the call id. Other GRE is tracked by its addresses (RFC 2637 section 4.1). */
function readGreKey(tuple: Tuple, view: DataView, l4: number, end: number): boolean {
  if (l4 + 4 > end || (view.getUint8(l4 + 1) & 7) !== GRE_VERSION_PPTP || l4 + 8 > end) return true;
  if (view.getUint16(l4 + 2) !== GRE_PROTOCOL_PPP) return false;
  tuple.destinationPort = view.getUint16(l4 + 6);
  return true;
}

/** The tuple that an answer would have, into `out`. False for ICMP types that have no answer. */
export function invertTuple(tuple: Tuple, out: Tuple): boolean {
  out.family = tuple.family;
  out.protocol = tuple.protocol;
  copyAddress(tuple.destination, out.source);
  copyAddress(tuple.source, out.destination);
  if (isIcmp(tuple)) {
    const opposite = (tuple.family === 4 ? ICMP_OPPOSITE : ICMPV6_OPPOSITE).get(tuple.destinationPort >> 8);
    if (opposite === undefined) return false;
    out.sourcePort = tuple.sourcePort;
    out.destinationPort = (opposite << 8) | (tuple.destinationPort & 0xff);
    return true;
  }
  out.sourcePort = tuple.destinationPort;
  out.destinationPort = tuple.sourcePort;
  return true;
}
