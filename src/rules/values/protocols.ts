/** IP protocol numbers (IANA) and the names iptables knows them by; printing uses the first name of a number. */
import { parseUnsigned } from './numbers.js';

const PROTOCOLS: readonly (readonly [number, ...string[]])[] = [
  [0, 'all', 'ip'],
  [1, 'icmp'],
  [2, 'igmp'],
  [3, 'ggp'],
  [4, 'ipencap', 'ip-encap', 'ipip4'],
  [5, 'st'],
  [6, 'tcp'],
  [8, 'egp'],
  [9, 'igp'],
  [12, 'pup'],
  [17, 'udp'],
  [20, 'hmp'],
  [22, 'xns-idp'],
  [27, 'rdp'],
  [29, 'iso-tp4'],
  [33, 'dccp'],
  [36, 'xtp'],
  [37, 'ddp'],
  [38, 'idpr-cmtp'],
  [41, 'ipv6'],
  [43, 'ipv6-route'],
  [44, 'ipv6-frag'],
  [45, 'idrp'],
  [46, 'rsvp'],
  [47, 'gre'],
  [50, 'esp', 'ipv6-crypt'],
  [51, 'ah', 'ipv6-auth'],
  [57, 'skip'],
  [58, 'ipv6-icmp', 'icmpv6', 'icmp6'],
  [59, 'ipv6-nonxt'],
  [60, 'ipv6-opts'],
  [73, 'rspf'],
  [81, 'vmtp'],
  [88, 'eigrp'],
  [89, 'ospf', 'ospfigp'],
  [93, 'ax.25'],
  [94, 'ipip'],
  [97, 'etherip'],
  [98, 'encap'],
  [103, 'pim'],
  [108, 'ipcomp'],
  [112, 'vrrp'],
  [115, 'l2tp'],
  [124, 'isis'],
  [132, 'sctp'],
  [133, 'fc'],
  [135, 'mobility-header', 'ipv6-mh', 'mh'],
  [136, 'udplite'],
  [137, 'mpls-in-ip'],
  [138, 'manet'],
  [139, 'hip'],
  [140, 'shim6'],
  [141, 'wesp'],
  [142, 'rohc'],
  [143, 'ethernet'],
];

const BY_NAME = new Map<string, number>();
const BY_NUMBER = new Map<number, string>();
for (const [number, ...names] of PROTOCOLS) {
  for (const name of names) BY_NAME.set(name, number);
  if (names[0] !== undefined) BY_NUMBER.set(number, names[0]);
}

export const PROTOCOL_NAMES: readonly string[] = [...BY_NAME.keys()];

/** Number of a protocol given by name (any case) or number 0-255, undefined if it is none. */
export function protocolNumber(text: string): number | undefined {
  const number = parseUnsigned(text, 255);
  return number ?? BY_NAME.get(text.toLowerCase());
}

/** Name as iptables-save prints it: the number where it has none. */
export function protocolName(number: number): string {
  return BY_NUMBER.get(number) ?? String(number);
}
