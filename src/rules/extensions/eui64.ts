/** `-m eui64`: an IPv6 source address made of the sender's MAC (RFC 4291 appendix A; kernel: net/ipv6/netfilter/ip6t_eui64.c). */
import { IPV6_SOURCE } from '../../packet/ipv6.js';
import type { MatchExtension } from '../extension.js';

/** Bytes of the MAC, or the fixed ones, in the order of the interface identifier. */
const ORDER = [0, 1, 2, -0xff, -0xfe, 3, 4, 5];
const LOCAL_BIT = 0x02;

export const eui64: MatchExtension<undefined> = {
  kind: 'match',
  name: 'eui64',
  summary: "a source address made of the sender's Ethernet address",
  families: [6],
  hooks: ['PREROUTING', 'INPUT', 'FORWARD'],
  options: [],
  listsTight: true,
  parse: () => undefined,
  print: () => '',
  list: () => 'eui64 ',
  compile() {
    return ({ bytes, l3, sourceMac }) => {
      if (sourceMac === undefined || sourceMac < 0) return false;
      return ORDER.every((from, k) => {
        const byte = from < 0 ? -from : (bytes[sourceMac + from] as number);
        return bytes[l3 + IPV6_SOURCE + 8 + k] === (k === 0 ? byte ^ LOCAL_BIT : byte);
      });
    };
  },
};
