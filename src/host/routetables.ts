/**
 * Route lookup of one family: the local, main and default tables (in this order, as the rules of a fresh `ip rule` ask
 * them) laid over each other, so that a lookup is one search. Routes are interned: equal ones are one object.
 */
import { formatAddress } from './address.js';
import type { RouteDescription } from './description.js';
import { NO_MATCH, type RangePrefix, Ranges } from './ranges.js';
import { type Family, type HostInterface, NO_INTERFACE, type Route, type RouteType } from './types.js';

/** Tables that are looked up, in order. */
export const LOOKED_UP = ['local', 'main', 'default'] as const;

/** 224.0.0.0/4, and the limited broadcast address. */
const MULTICAST_TOP = 0xe;
const LIMITED_BROADCAST = 0xffffffff;

export class RouteTables {
  private readonly multicast = new Map<number, Route>();

  constructor(
    private readonly routes: readonly Route[],
    private readonly all: Ranges,
    /** The local table alone: what decides an address's type. */
    private readonly local: Ranges,
  ) {}

  route4(word: number): Route | undefined {
    // ip_route_input_slow and __ip_route_output_key decide these before any table is asked; 0.0.0.0 is a martian.
    if (word === 0) return undefined;
    const route = this.at(this.all.find4(word));
    if (word >>> 28 === MULTICAST_TOP) return this.special('multicast', route);
    return word === LIMITED_BROADCAST ? this.special('broadcast', route) : route;
  }

  route6(words: Uint32Array): Route | undefined {
    return this.at(this.all.find6(words[0] ?? 0, words[1] ?? 0, words[2] ?? 0, words[3] ?? 0));
  }

  local4(word: number): Route | undefined {
    return this.at(this.local.find4(word));
  }

  private at(index: number): Route | undefined {
    return index === NO_MATCH ? undefined : this.routes[index];
  }

  private special(type: RouteType, route: Route | undefined): Route {
    const iface = route?.iface ?? NO_INTERFACE;
    const key = iface * 2 + (type === 'multicast' ? 1 : 0);
    let special = this.multicast.get(key);
    if (special === undefined) {
      special = { type, iface, gateway: undefined, preferredSource: undefined, metric: 0 };
      this.multicast.set(key, special);
    }
    return special;
  }
}

export function routeTables(
  family: Family,
  routes: readonly RouteDescription[],
  interfaces: ReadonlyMap<string, HostInterface>,
): RouteTables {
  const interner = new Interner(interfaces);
  const layers = LOOKED_UP.map((table) => {
    const own = routes.filter((route) => route.family === family && route.table === table);
    // Sorting is stable: of routes with one prefix and metric the first listed is used.
    const byMetric = own.sort((a, b) => a.metric - b.metric);
    const prefixes = byMetric.map((route): RangePrefix => {
      const { words, prefixLength } = route;
      return { words, prefixLength, value: interner.index(route) };
    });
    return Ranges.build(family, prefixes);
  });
  // `throw` ends the search of its table, and the next one is asked.
  const all = Ranges.overlay(family, layers, (value) => interner.routes[value]?.type === 'throw');
  return new RouteTables(interner.routes, all, layers[0] ?? Ranges.build(family, []));
}

class Interner {
  readonly routes: Route[] = [];
  private readonly known = new Map<string, number>();

  constructor(private readonly interfaces: ReadonlyMap<string, HostInterface>) {}

  index(description: RouteDescription): number {
    const route = this.make(description);
    const text = (words: Uint32Array | undefined): string => (words ? formatAddress(description.family, words) : '');
    const key = `${route.type} ${route.iface} ${text(route.gateway)} ${text(route.preferredSource)} ${route.metric}`;
    const known = this.known.get(key);
    if (known !== undefined) return known;
    this.known.set(key, this.routes.length);
    return this.routes.push(route) - 1;
  }

  private make(description: RouteDescription): Route {
    const { type, gateway, preferredSource, metric, device } = description;
    const iface = device === undefined ? NO_INTERFACE : (this.interfaces.get(device)?.index ?? NO_INTERFACE);
    return { type, iface, gateway, preferredSource, metric };
  }
}
