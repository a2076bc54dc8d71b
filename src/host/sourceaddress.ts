/** The addresses MASQUERADE and REDIRECT choose, as the kernel chooses them. */
import { networkOf, sameAddress } from './address.js';
import { selectSource6 } from './sourceaddress6.js';
import { type Family, type Host, type InterfaceAddress, type InterfaceIndex, NO_INTERFACE } from './types.js';

const LOCALHOST = { 4: Uint32Array.of(0x7f000001, 0, 0, 0), 6: Uint32Array.of(0, 0, 0, 1) } as const;

/**
 * The address MASQUERADE gives to a packet that leaves by `iface`; undefined drops it. `towards` is the next hop for IPv4
 * (the gateway, or the destination when it is on the link), the packet's destination for IPv6.
 *
 * IPv4 (inet_select_addr with scope global): the first primary global address of the interface whose subnet contains the
 * next hop, else the first such address, else one of another interface. Never a secondary; a route's `src` is not looked at.
 */
export function masqueradeAddress(
  host: Host,
  family: Family,
  iface: InterfaceIndex,
  towards: Uint32Array,
): Uint32Array | undefined {
  if (family === 6) return selectSource6(host, iface, towards);
  const usable = usableSources(host.interfaces[iface]?.addresses ?? []);
  const chosen = usable.find((address) => inSubnet(address, towards)) ?? usable[0] ?? sourceElsewhere(host);
  return chosen?.words;
}

function usableSources(addresses: readonly InterfaceAddress[]): InterfaceAddress[] {
  return addresses.filter((address) => address.family === 4 && !address.secondary && address.scope === 'global');
}

/** inet_ifa_match: the subnet is that of the peer, where there is one. */
function inSubnet(address: InterfaceAddress, words: Uint32Array): boolean {
  const { prefixLength } = address;
  return sameAddress(networkOf(4, address.peer ?? address.words, prefixLength), networkOf(4, words, prefixLength));
}

/** in_dev_select_addr over all interfaces, in their order. */
function sourceElsewhere(host: Host): InterfaceAddress | undefined {
  for (const iface of host.interfaces) {
    const [first] = usableSources(iface.addresses);
    if (first !== undefined) return first;
  }
  return undefined;
}

/**
 * The address REDIRECT sends a packet to that came in by `iface` (NO_INTERFACE: from the host itself, hook OUTPUT);
 * undefined drops it. IPv4: the interface's first address. IPv6: the first that is not tentative nor IPv4-mapped and, if
 * the packet's `destination` is not global, has its scope.
 */
export function redirectAddress(
  host: Host,
  family: Family,
  iface: InterfaceIndex,
  destination?: Uint32Array,
): Uint32Array | undefined {
  if (iface === NO_INTERFACE) return LOCALHOST[family];
  const own = (host.interfaces[iface]?.addresses ?? []).filter((address) => address.family === family);
  if (family === 4) return own[0]?.words;
  const scope = destination === undefined ? 0 : scopeBits(destination);
  return own.find(
    ({ words, tentative }) =>
      tentative !== true && !isMapped(words) && (scope === 0 || (scope & scopeBits(words)) !== 0),
  )?.words;
}

function isMapped(words: Uint32Array): boolean {
  return words[0] === 0 && words[1] === 0 && words[2] === 0xffff;
}

const LOOPBACK_SCOPE = 0x10;
const LINK_SCOPE = 0x20;
const SITE_SCOPE = 0x40;
const COMPATIBLE_SCOPE = 0x80;

/** ipv6_addr_scope: a bit for each scope that is not global; 0 for global. */
function scopeBits(words: Uint32Array): number {
  const first = (words[0] ?? 0) >>> 16;
  if (first >>> 8 === 0xff) return { 1: LOOPBACK_SCOPE, 2: LINK_SCOPE, 5: SITE_SCOPE }[first & 15] ?? 0;
  if ((first & 0xffc0) === 0xfe80) return LINK_SCOPE;
  if ((first & 0xffc0) === 0xfec0) return SITE_SCOPE;
  if (words[0] !== 0 || words[1] !== 0 || words[2] !== 0 || words[3] === 0) return 0;
  return words[3] === 1 ? LOOPBACK_SCOPE : COMPATIBLE_SCOPE;
}
