/** Which of its own addresses the host uses: for MASQUERADE and for REDIRECT. */
import { prefixContains } from '../../host/address.js';
import type { Family, Host, HostInterface, InterfaceAddress } from '../../host/types.js';

const LINK_LOCAL = 0xfe80;

/**
 * Source address for packets to `nextHop` out of `iface`. IPv4 (kernel: inet_select_addr): the first primary address of
 * global scope whose subnet holds the next hop, else the first such address, else one of another interface. IPv6
 * (kernel: ipv6_dev_get_saddr, RFC 6724 rules 2 and 8): of the right scope, with the longest prefix in common.
 */
export function masqueradeAddress(
  host: Host,
  iface: HostInterface,
  family: Family,
  nextHop: Uint32Array,
): Uint32Array | undefined {
  if (family === 6) return ipv6Source(iface, nextHop) ?? firstUsable(host, 6);
  let first: Uint32Array | undefined;
  for (const address of iface.addresses) {
    if (!isUsable(address, 4)) continue;
    const subnet = { family: 4 as const, words: address.peer ?? address.words, prefixLength: address.prefixLength };
    if (prefixContains(subnet, nextHop)) return address.words;
    first ??= address.words;
  }
  return first ?? firstUsable(host, 4);
}

function isUsable(address: InterfaceAddress, family: Family): boolean {
  return address.family === family && !address.secondary && address.scope === 'global';
}

function firstUsable(host: Host, family: Family): Uint32Array | undefined {
  for (const iface of host.interfaces) {
    const address = iface.addresses.find((candidate) => isUsable(candidate, family));
    if (address !== undefined) return address.words;
  }
  return undefined;
}

function isLinkLocal(words: Uint32Array): boolean {
  return (words[0] ?? 0) >>> 22 === LINK_LOCAL >>> 6;
}

function ipv6Source(iface: HostInterface, destination: Uint32Array): Uint32Array | undefined {
  const wanted = isLinkLocal(destination) ? 'link' : 'global';
  let best: Uint32Array | undefined;
  let bestLength = -1;
  for (const address of iface.addresses) {
    if (address.family !== 6 || address.scope !== wanted) continue;
    const length = Math.min(commonPrefix(address.words, destination), address.prefixLength);
    if (length > bestLength) {
      best = address.words;
      bestLength = length;
    }
  }
  return best;
}

function commonPrefix(a: Uint32Array, b: Uint32Array): number {
  for (let i = 0; i < 4; i++) {
    const difference = (a[i] ?? 0) ^ (b[i] ?? 0);
    if (difference !== 0) return i * 32 + Math.clz32(difference);
  }
  return 128;
}

const LOOPBACK_4 = Uint32Array.of(0x7f000001, 0, 0, 0);
const LOOPBACK_6 = Uint32Array.of(0, 0, 0, 1);

export function loopbackAddress(family: Family): Uint32Array {
  return family === 4 ? LOOPBACK_4 : LOOPBACK_6;
}

/**
 * Where REDIRECT sends what came in on `iface` (kernel: nf_nat_redirect.c): its first address; for IPv6 the first of the
 * destination's scope. Undefined when it has none: the packet is dropped.
 */
export function redirectAddress(
  iface: HostInterface,
  family: Family,
  destination: Uint32Array,
): Uint32Array | undefined {
  if (family === 4) return iface.addresses.find((address) => address.family === 4)?.words;
  const scope = isLinkLocal(destination) ? 'link' : 'global';
  return iface.addresses.find((address) => address.family === 6 && address.scope === scope)?.words;
}
