/**
 * The type of an address, as `-m addrtype` sees it. For IPv4 that is the kernel's inet_addr_type; IPv6 has no such
 * thing, and xt_addrtype makes do with a route lookup and the address itself: there an address has several types, of
 * which this is the most telling one (rules/extensions/addrtype.ts asks for the others itself).
 */
import type { RouteTables } from './routetables.js';
import type { Family, InterfaceIndex, RouteType } from './types.js';

export function addressTypeOf(
  family: Family,
  tables: RouteTables,
  address: Uint32Array,
  limitToInterface: InterfaceIndex | undefined,
): RouteType {
  return family === 4
    ? addressType4(tables, address[0] ?? 0, limitToInterface)
    : addressType6(tables, address, limitToInterface);
}

/** __inet_dev_addr_type: only the local table is asked; limited to an interface, another's entry counts as unicast. */
function addressType4(tables: RouteTables, word: number, limit: InterfaceIndex | undefined): RouteType {
  if (word === 0 || word === 0xffffffff) return 'broadcast';
  if (word >>> 28 === 0xe) return 'multicast';
  const route = tables.local4(word);
  if (route === undefined || (limit !== undefined && route.iface !== limit)) return 'unicast';
  return route.type;
}

/**
 * The most telling of the types match_lookup_rt6 and ipv6_addr_type give. The unspecified address is looked up like any
 * other. Limited to an interface, only routes over it count: what others alone
 * lead to is unreachable.
 */
function addressType6(tables: RouteTables, address: Uint32Array, limit: InterfaceIndex | undefined): RouteType {
  if ((address[0] ?? 0) >>> 24 === 0xff) return 'multicast';
  const route = limit === undefined ? tables.route(6, address) : tables.over(limit, 6, address);
  if (route === undefined || isRejected(route.type)) return 'unreachable';
  return route.type === 'local' || route.type === 'anycast' ? route.type : 'unicast';
}

/** RTF_REJECT: what a lookup finds is an error. */
function isRejected(type: RouteType): boolean {
  return type === 'unreachable' || type === 'prohibit' || type === 'blackhole';
}
