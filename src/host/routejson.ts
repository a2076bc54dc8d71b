/**
 * Routes of a host file. `ip -j route show table all` has its quirks: it lists IPv6 routes too; "default" does not say of
 * which family; a missing type is unicast, a missing table main; `dst` without a length is one address.
 */
import { networkOf, type Prefix, parseAddress, parsePrefix } from './address.js';
import type { InterfaceDescription, RouteDescription } from './description.js';
import type { HostFile, NexthopJson, RouteJson } from './hostschema.js';
import { anycastRoutes, kernelRoutes } from './kernelroutes.js';
import { tosByte } from './rulejson.js';
import { tableName } from './tablename.js';
import type { Family, RouteType } from './types.js';

interface Described {
  readonly routes: RouteDescription[];
  readonly assumptions: string[];
}

export function describeRoutes(
  json: HostFile,
  interfaces: readonly InterfaceDescription[],
  sysctl: ReadonlyMap<string, string>,
): Described {
  const assumptions: string[] = [];
  const listed4 = listed(json.route, 4);
  const listed6 = json.route6 === undefined ? listed(json.route, 6) : listed(json.route6, 6, 6);
  const known = { 4: json.route !== undefined, 6: json.route6 !== undefined || listed6.length > 0 };
  const routes = ([4, 6] as const).flatMap((family) => {
    const own = (family === 4 ? listed4 : listed6).flatMap((route) => describeRoute(route, family, assumptions));
    return complete(family, own, known[family], interfaces, sysctl);
  });
  if (json.rule === undefined) assumptions.push(...unusedTables(routes));
  return { routes, assumptions: [...new Set(assumptions)] };
}

/** The routes of one family; `of` is what a route counts as that does not show its family. */
function listed(routes: readonly RouteJson[] | undefined, family: Family, of: Family = 4): RouteJson[] {
  return (routes ?? []).filter((route) => (familyOf(route) ?? of) === family);
}

function familyOf(route: RouteJson): Family | undefined {
  const prefix = parsePrefix(route.dst);
  if (prefix !== undefined) return prefix.family;
  if (route.via !== undefined) return 4;
  // Only IPv6 routes have a router preference (RFC 4191).
  if (route.pref !== undefined) return 6;
  const hint = route.gateway ?? route.nexthops?.find((hop) => hop.gateway !== undefined)?.gateway ?? route.prefsrc;
  return hint === undefined ? undefined : parseAddress(hint)?.family;
}

/** Adds what the list does not have: all routes, or the local table that `ip route` alone does not show. */
function complete(
  family: Family,
  routes: RouteDescription[],
  known: boolean,
  interfaces: readonly InterfaceDescription[],
  sysctl: ReadonlyMap<string, string>,
): RouteDescription[] {
  if (known && routes.some((route) => route.table === 'local')) return routes;
  const derived = interfaces.flatMap((iface) => kernelRoutes(iface, family));
  if (family === 6 && forwards6(sysctl)) derived.push(...interfaces.flatMap(anycastRoutes));
  return [...routes, ...derived.filter((route) => !known || route.table === 'local')];
}

/** A host that forwards nothing would have no use for natreplay: only one that says so is taken to be none. */
export function forwards6(sysctl: ReadonlyMap<string, string>): boolean {
  return sysctl.get('net.ipv6.conf.all.forwarding') !== '0';
}

function describeRoute(route: RouteJson, family: Family, assumptions: string[]): RouteDescription[] {
  const type = typeOf(route.type);
  const prefix = prefixOf(route, family);
  if (type === undefined || prefix === undefined || isCacheOrClone(route)) return [];
  const tos = route.tos === undefined ? undefined : tosByte(route.tos);
  if (route.from !== undefined || (route.tos !== undefined && tos === undefined)) {
    const by = route.from === undefined ? `TOS ${route.tos}` : `source ${route.from}`;
    assumptions.push(`The route to ${route.dst} applies to packets of ${by} only; natreplay leaves it out.`);
    return [];
  }
  const hop = nexthopOf(route, assumptions);
  if (hop === undefined) return [];
  return [
    {
      family,
      words: networkOf(family, prefix.words, prefix.prefixLength),
      prefixLength: prefix.prefixLength,
      type,
      table: tableName(route.table),
      device: hasDevice(type) ? hop.dev : undefined,
      gateway: hop.gateway === undefined ? undefined : parseAddress(hop.gateway, family)?.words,
      preferredSource: route.prefsrc === undefined ? undefined : parseAddress(route.prefsrc, family)?.words,
      metric: route.metric ?? (family === 6 ? 1024 : 0),
      linkdown: hop.flags?.includes('linkdown') ?? false,
      kernel: route.protocol === 'kernel' || route.protocol === 2,
      ...(tos === undefined || tos === 0 ? {} : { tos }),
      ...(hasSeveral(route) ? { devices: devicesOf(route) } : {}),
    },
  ];
}

function prefixOf(route: RouteJson, family: Family): Prefix | undefined {
  return route.dst === 'default'
    ? { family, words: new Uint32Array(4), prefixLength: 0 }
    : parsePrefix(route.dst, family);
}

/** The next hop that is used: the route's own, or the first living one of several. Undefined: all are dead. */
function nexthopOf(route: RouteJson, assumptions: string[]): NexthopJson | undefined {
  if (route.nexthops === undefined || route.nexthops.length === 0) return isDead(route) ? undefined : route;
  const alive = route.nexthops.filter((hop) => !isDead(hop));
  const [first] = alive;
  if (first !== undefined && alive.length > 1) {
    const over = `${first.gateway ?? first.via?.host ?? 'its link'} (${first.dev ?? 'no interface'})`;
    assumptions.push(
      `The route to ${route.dst} has ${alive.length} next hops, among which the kernel spreads flows by a hash with a secret; ` +
        `natreplay uses the first, ${over}. State another with --route ${route.dst}=GATEWAY@IFACE.`,
    );
  }
  return first;
}

function hasSeveral(route: RouteJson): boolean {
  return (route.nexthops?.length ?? 0) > 1;
}

function devicesOf(route: RouteJson): string[] {
  return (route.nexthops ?? []).flatMap((hop) => (hop.dev === undefined ? [] : [hop.dev]));
}

function isDead(hop: { readonly flags?: string[] | undefined }): boolean {
  return hop.flags?.includes('dead') ?? false;
}

function isCacheOrClone(route: RouteJson): boolean {
  return route.flags?.includes('cloned') ?? false;
}

function hasDevice(type: RouteType): boolean {
  return type === 'unicast' || type === 'local' || type === 'broadcast' || type === 'anycast' || type === 'multicast';
}

const TYPES: ReadonlySet<string> = new Set<RouteType>([
  'unicast',
  'local',
  'broadcast',
  'anycast',
  'multicast',
  'blackhole',
  'unreachable',
  'prohibit',
  'throw',
]);

function typeOf(type: string | undefined): RouteType | undefined {
  if (type === undefined) return 'unicast';
  return TYPES.has(type) ? (type as RouteType) : undefined;
}

/** Tables that only policy rules lead to, of a host file that does not state them. */
function unusedTables(routes: readonly RouteDescription[]): string[] {
  const looked: ReadonlySet<string> = new Set(['local', 'main', 'default']);
  const others = [...new Set(routes.filter(({ family }) => family === 4).map(({ table }) => table))];
  const unused = others.filter((table) => !looked.has(table));
  if (unused.length === 0) return [];
  return [
    `Routes of table${unused.length > 1 ? 's' : ''} ${unused.join(', ')} are not used: the host file does not say which packets they ` +
      'are for. Add what ip -j rule prints to it, as "rule".',
  ];
}
