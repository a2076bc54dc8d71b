/** ICMP errors: which connection they are about (kernel: nf_conntrack_inet_error). */
import {
  IPV4_MIN_HEADER,
  IPV4_PROTOCOL,
  ipv4Destination,
  ipv4FragmentOffset,
  ipv4HeaderLength,
  ipv4Source,
} from '../../packet/ipv4.js';
import { ICMP_HEADER } from '../../packet/transport.js';
import { sameAddress, Tuple } from '../../packet/tuple.js';
import { CT_RELATED, type Packet } from '../packet.js';
import type { Conntrack } from './conntrack.js';
import { invertTuple, readPorts } from './tuples.js';

const embedded = new Tuple();
const inner = new Tuple();
const found = new Tuple();

/**
 * Attaches the packet to the connection that its embedded header belongs to, as RELATED in that direction. False when
 * there is none, the embedded header is no use, or the error is addressed to somebody else than the connection's own
 * end: then it is INVALID.
 */
export function relateIcmpError(conntrack: Conntrack, packet: Packet): boolean {
  const { view, end } = packet;
  const ip = packet.l4 + ICMP_HEADER;
  if (ip + IPV4_MIN_HEADER > end || ipv4FragmentOffset(view, ip) !== 0) return false;
  const l4 = ip + ipv4HeaderLength(view, ip);
  if (l4 > end) return false;
  embedded.family = 4;
  embedded.protocol = view.getUint8(ip + IPV4_PROTOCOL);
  embedded.source[0] = ipv4Source(view, ip);
  embedded.destination[0] = ipv4Destination(view, ip);
  if (!readPorts(embedded, view, l4, end) || !invertTuple(embedded, inner)) return false;
  const reference = conntrack.lookup(inner, packet.now, packet.zone);
  if (reference < 0) return false;
  conntrack.table.readTuple(reference >> 1, reference & 1, found);
  if (!sameAddress(packet.destination, found.destination)) return false;
  packet.entry = reference >> 1;
  packet.direction = reference & 1;
  packet.info = CT_RELATED;
  return true;
}
