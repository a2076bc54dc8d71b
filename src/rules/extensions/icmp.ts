/** `-m icmp`: type and code (kernel: net/ipv4/netfilter/ip_tables.c, icmp_match). */
import { ICMP_TYPES, icmpMatch } from './icmp-types.js';

export const icmp = icmpMatch({
  name: 'icmp',
  family: 4,
  protocol: 1,
  option: '--icmp-type',
  types: ICMP_TYPES,
  any: 255,
  listed: 'icmp',
});
