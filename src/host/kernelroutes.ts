/**
 * The routes Linux installs by itself when an interface has an address and is up (fib_add_ifaddr and addrconf_add_*,
 * as seen on 6.18): used where a host's own list of routes is not known.
 */
import { ipv4Words, networkOf } from './address.js';
import { type InterfaceDescription, type RouteDescription, subnetBroadcast } from './description.js';
import type { Family, InterfaceAddress, RouteType } from './types.js';

/** Metric of IPv6 routes to connected subnets (IP6_RT_PRIO_ADDRCONF). */
const CONNECTED_METRIC6 = 256;

export type KernelTable = 'local' | 'main';

/** Routes for the addresses of one family of one interface. */
export function kernelRoutes(iface: InterfaceDescription, family: Family): RouteDescription[] {
  const addresses = iface.addresses.filter((address) => address.family === family);
  if (family === 4) return addresses.flatMap((address) => routes4(iface, address));
  if (!iface.up) return [];
  return [...addresses.flatMap((address) => routes6(iface, address)), ...linkRoutes6(iface, addresses.length > 0)];
}

function routes4(iface: InterfaceDescription, address: InterfaceAddress): RouteDescription[] {
  const { prefixLength } = address;
  const own = address.words[0] ?? 0;
  const subnet = networkOf(4, address.peer ?? address.words, prefixLength);
  const first = subnet[0] ?? 0;
  const add = maker(iface, 4, address);
  // An address is the host's own even while its interface is down.
  const routes = [add('local', 'local', address.words, 32)];
  if (!iface.up) return routes;
  if (address.broadcast !== undefined && address.broadcast !== 0xffffffff) {
    routes.push(add('local', 'broadcast', ipv4Words(address.broadcast), 32));
  }
  if (address.secondary || first === 0) return routes;
  if ((prefixLength < 32 || first !== own) && address.noPrefixRoute !== true) {
    routes.push(
      iface.loopback ? add('local', 'local', subnet, prefixLength) : add('main', 'unicast', subnet, prefixLength),
    );
  }
  if (prefixLength < 31) routes.push(add('local', 'broadcast', ipv4Words(subnetBroadcast(first, prefixLength)), 32));
  return routes;
}

function routes6(iface: InterfaceDescription, address: InterfaceAddress): RouteDescription[] {
  const add = maker(iface, 6, undefined);
  const routes = address.tentative === true ? [] : [add('local', 'local', address.words, 128)];
  if (iface.loopback || address.noPrefixRoute === true) return routes;
  const { prefixLength } = address;
  routes.push(add('main', 'unicast', networkOf(6, address.words, prefixLength), prefixLength, CONNECTED_METRIC6));
  if (address.peer !== undefined) routes.push(add('main', 'unicast', address.peer, 128, CONNECTED_METRIC6));
  return routes;
}

/** What an interface has for IPv6 whatever its addresses: its link-local subnet and multicast. */
function linkRoutes6(iface: InterfaceDescription, hasAddress: boolean): RouteDescription[] {
  if (iface.loopback || !hasAddress) return [];
  const add = maker(iface, 6, undefined);
  return [
    add('main', 'unicast', Uint32Array.of(0xfe800000, 0, 0, 0), 64, CONNECTED_METRIC6),
    add('local', 'multicast', Uint32Array.of(0xff000000, 0, 0, 0), 8, CONNECTED_METRIC6),
  ];
}

/** Subnet-router anycast addresses (RFC 4291 section 2.6.1), which a forwarding host has for its IPv6 subnets. */
export function anycastRoutes(iface: InterfaceDescription): RouteDescription[] {
  if (iface.loopback || !iface.up) return [];
  const add = maker(iface, 6, undefined);
  return iface.addresses
    .filter((address) => address.family === 6 && address.prefixLength < 127 && address.tentative !== true)
    .map((address) => add('local', 'anycast', networkOf(6, address.words, address.prefixLength), 128));
}

type AddRoute = (
  table: KernelTable,
  type: RouteType,
  words: Uint32Array,
  length: number,
  metric?: number,
) => RouteDescription;

function maker(iface: InterfaceDescription, family: Family, source: InterfaceAddress | undefined): AddRoute {
  return (table, type, words, prefixLength, metric = 0) => ({
    family,
    words,
    prefixLength,
    type,
    table,
    device: iface.name,
    gateway: undefined,
    preferredSource: source?.words,
    metric,
    linkdown: false,
    kernel: true,
  });
}
