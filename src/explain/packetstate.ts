/** A packet on its way, as text and numbers. */
import { formatAddress } from '../host/address.js';
import { readPorts } from '../netfilter/conntrack/tuples.js';
import type { Packet } from '../netfilter/packet.js';
import { IPV4_TOS, IPV4_TTL } from '../packet/ipv4.js';
import { IPV6_HOP_LIMIT } from '../packet/ipv6.js';
import { PROTO_TCP, TCP_FLAGS, TCP_MIN_HEADER } from '../packet/transport.js';
import { copyAddress, Tuple } from '../packet/tuple.js';
import { tupleText } from '../report/tupletext.js';
import type { PacketContext } from '../rules/context.js';
import type { PacketState } from './model.js';

const FLAGS = ['FIN', 'SYN', 'RST', 'PSH', 'ACK', 'URG', 'ECE', 'CWR'];
const tuple = new Tuple();

export function stateOf(packet: Packet): PacketState {
  const { family, view, l3, totalLength, mark, entry } = packet;
  return {
    text: textOf(packet),
    flags: flagsOf(packet),
    ttl: view.getUint8(l3 + (family === 4 ? IPV4_TTL : IPV6_HOP_LIMIT)),
    length: totalLength,
    tos: family === 4 ? view.getUint8(l3 + IPV4_TOS) : (view.getUint16(l3) >> 4) & 0xff,
    mark,
    connectionMark: entry < 0 ? undefined : packet.connection?.mark,
  };
}

/** `tcp 198.51.100.7:40000 > 192.0.2.1:8799`, of the packet as it is now. */
export function textOf(packet: PacketContext): string {
  const { family, source, destination, protocol } = packet;
  // IPv6 whose extension headers are cut: nobody knows what it carries.
  if (protocol < 0) return `ipv6 ${formatAddress(family, source)} > ${formatAddress(family, destination)}`;
  tuple.family = family;
  tuple.protocol = protocol;
  copyAddress(source, tuple.source);
  copyAddress(destination, tuple.destination);
  const whole = packet.fragmentOffset === 0 && readPorts(tuple, packet.view, packet.l4, packet.end);
  return tupleText(tuple, whole);
}

/** `SYN,ACK`, `none`; undefined unless it has a TCP header. */
export function flagsOf({ protocol, fragmentOffset, view, l4, end }: PacketContext): string | undefined {
  if (protocol !== PROTO_TCP || fragmentOffset !== 0 || l4 + TCP_MIN_HEADER > end) return undefined;
  const bits = view.getUint8(l4 + TCP_FLAGS);
  return bits === 0 ? 'none' : FLAGS.filter((_, k) => (bits & (1 << k)) !== 0).join(',');
}

export function differ(a: PacketState, b: PacketState): boolean {
  return (
    a.text !== b.text ||
    a.ttl !== b.ttl ||
    a.tos !== b.tos ||
    a.mark !== b.mark ||
    a.length !== b.length ||
    a.flags !== b.flags ||
    // A connection that begins changes nothing.
    (a.connectionMark ?? 0) !== (b.connectionMark ?? 0)
  );
}
