/** Tuples as text, for the packet log and for people: `tcp 198.51.100.7:40000 > 192.0.2.1:8799`. */
import { formatAddress } from '../host/address.js';
import type { Tuple } from '../packet/tuple.js';
import type { ConnectionTuple } from './types.js';

export const PROTOCOL_ICMP = 1;
export const PROTOCOL_GRE = 47;
export const PROTOCOL_ICMPV6 = 58;

/** Names of the IANA registry as tcpdump and conntrack shorten them. */
const PROTOCOL_NAMES: ReadonlyMap<number, string> = new Map([
  [PROTOCOL_ICMP, 'icmp'],
  [2, 'igmp'],
  [4, 'ipip'],
  [6, 'tcp'],
  [17, 'udp'],
  [33, 'dccp'],
  [41, 'ipv6'],
  [PROTOCOL_GRE, 'gre'],
  [50, 'esp'],
  [51, 'ah'],
  [PROTOCOL_ICMPV6, 'icmpv6'],
  [88, 'eigrp'],
  [89, 'ospf'],
  [103, 'pim'],
  [108, 'ipcomp'],
  [112, 'vrrp'],
  [115, 'l2tp'],
  [132, 'sctp'],
  [136, 'udplite'],
]);

const NAMES: readonly string[] = Array.from({ length: 256 }, (_, n) => PROTOCOL_NAMES.get(n) ?? `proto ${n}`);

/** `tcp`, `gre`; `proto 253` when it has no name of its own. */
export function protocolName(protocol: number): string {
  return NAMES[protocol] ?? `proto ${protocol}`;
}

/** TCP, UDP, DCCP, SCTP and UDP-Lite have ports in the same place, and the kernel tracks them by these. */
export function hasPorts(protocol: number): boolean {
  return protocol === 6 || protocol === 17 || protocol === 132 || protocol === 33 || protocol === 136;
}

export function isIcmp(protocol: number): boolean {
  return protocol === PROTOCOL_ICMP || protocol === PROTOCOL_ICMPV6;
}

/**
 * The tuple as text:
 *
 *     tcp 198.51.100.7:40000 > 192.0.2.1:8799       tcp [2001:db8::1]:40000 > [2001:db8::2]:80
 *     icmp 198.51.100.7 > 192.0.2.1 type 8 code 0 id 17
 *     gre 10.0.0.1 > 10.0.0.2                       proto 253 10.0.0.1 > 10.0.0.2
 *
 * `layer4` false leaves ports and ICMP fields out: a later fragment has none. Only ICMP queries have an id; errors
 * (destination unreachable and so on) have no such field.
 */
export function tupleText(tuple: Tuple, layer4 = true): string {
  const { family, protocol } = tuple;
  const source = formatAddress(family, tuple.source);
  const destination = formatAddress(family, tuple.destination);
  const name = protocolName(protocol);
  if (!layer4) return `${name} ${source} > ${destination}`;
  if (hasPorts(protocol)) {
    return family === 4
      ? `${name} ${source}:${tuple.sourcePort} > ${destination}:${tuple.destinationPort}`
      : `${name} [${source}]:${tuple.sourcePort} > [${destination}]:${tuple.destinationPort}`;
  }
  if (!isIcmp(protocol)) return `${name} ${source} > ${destination}`;
  const type = tuple.destinationPort >> 8;
  const code = tuple.destinationPort & 0xff;
  const id = icmpHasId(protocol, type) ? ` id ${tuple.sourcePort}` : '';
  return `${name} ${source} > ${destination} type ${type} code ${code}${id}`;
}

/** Queries and their answers carry an identifier (RFC 792, 950; ICMPv6: RFC 4443 echo). */
function icmpHasId(protocol: number, type: number): boolean {
  if (protocol === PROTOCOL_ICMPV6) return type === 128 || type === 129;
  return type === 0 || type === 8 || (type >= 13 && type <= 18);
}

/** The tuple as the connection listing shows it; GRE's keys are the tuple's ports. */
export function connectionTuple(tuple: Tuple): ConnectionTuple {
  const { family, protocol, sourcePort, destinationPort } = tuple;
  const ports = hasPorts(protocol);
  return {
    source: formatAddress(family, tuple.source),
    destination: formatAddress(family, tuple.destination),
    sourcePort: ports ? sourcePort : undefined,
    destinationPort: ports ? destinationPort : undefined,
    icmp: isIcmp(protocol) ? { type: destinationPort >> 8, code: destinationPort & 0xff, id: sourcePort } : undefined,
    greKey: protocol === PROTOCOL_GRE ? sourcePort : undefined,
    greDestinationKey: protocol === PROTOCOL_GRE ? destinationPort : undefined,
  };
}
