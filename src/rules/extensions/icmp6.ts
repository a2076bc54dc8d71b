/** `-m icmp6`: type and code (kernel: net/ipv6/netfilter/ip6_tables.c, icmp6_match). */
import { ICMP6_TYPES, icmpMatch } from './icmp-types.js';

export const icmp6 = icmpMatch({
  name: 'icmp6',
  family: 6,
  protocol: 58,
  option: '--icmpv6-type',
  types: ICMP6_TYPES,
  any: undefined,
  listed: 'ipv6-icmp',
});
