/**
 * Route lookup of one family. On most hosts that is one search: the tables local, main and default, in the order in
 * which the rules of a fresh `ip rule` ask them, laid over each other. Where there are other rules each of them asks
 * its own table (policy.ts). Routes are interned: equal ones are one object.
 */
import { formatAddress } from './address.js';
import type { RouteDescription, RuleDescription } from './description.js';
import { dependenciesOf, NO_ROUTE, PolicyRules, type TableLookup } from './policy.js';
import { NO_MATCH, type RangePrefix, Ranges } from './ranges.js';
import {
  type Family,
  type Flow,
  type HostInterface,
  type InterfaceIndex,
  NO_INTERFACE,
  type Route,
  type RouteType,
  type RoutingDependencies,
} from './types.js';

/**
 * Tables that are looked up without policy rules, in order. The first two of IPv4 are one trie as long as there are no
 * such rules (fib_trie_table): then the longest prefix of both is taken, and only of equal ones that of local.
 */
const LAYERS: Readonly<Record<Family, readonly (readonly string[])[]>> = {
  4: [['local', 'main'], ['default']],
  6: [['local'], ['main'], ['default']],
};

/** 224.0.0.0/4, and the limited broadcast address. */
const MULTICAST_TOP = 0xe;
const LIMITED_BROADCAST = 0xffffffff;
/** What of the TOS byte a route's own is compared with (IPTOS_RT_MASK). */
const ROUTE_TOS_MASK = 0x1c;

/** A search by destination, for each TOS that routes are stated for; the one for 0 is for all others. */
class View {
  constructor(
    readonly plain: Ranges,
    private readonly byTos: ReadonlyMap<number, Ranges>,
  ) {}

  at(tos: number): Ranges {
    return this.byTos.size === 0 ? this.plain : (this.byTos.get(tos & ROUTE_TOS_MASK) ?? this.plain);
  }
}

export class RouteTables {
  private readonly multicast = new Map<number, Route>();
  private readonly limited = new Map<InterfaceIndex, RouteTables>();

  constructor(
    private readonly routes: readonly Route[],
    private readonly all: View,
    /** The local table alone: what decides an address's type. */
    private readonly local: Ranges,
    private readonly policy: PolicyRules | undefined,
    readonly dependsOn: RoutingDependencies,
    /** Makes the tables of those routes alone that lead over an interface. */
    private readonly limitedTo: (iface: InterfaceIndex) => RouteTables,
  ) {}

  /** For a packet of which nothing but the destination is known. */
  route(family: Family, words: Uint32Array): Route | undefined {
    if (this.dependsOn.any) return this.lookUp(bareFlow(family, words));
    return family === 4 ? this.route4(words[0] ?? 0) : this.at(find(this.all.plain, 6, words));
  }

  /** The same among the routes over an interface, as the kernel looks up what is to leave by it (RT6_LOOKUP_F_IFACE). */
  over(iface: InterfaceIndex, family: Family, words: Uint32Array): Route | undefined {
    let tables = this.limited.get(iface);
    if (tables === undefined) {
      tables = this.limitedTo(iface);
      this.limited.set(iface, tables);
    }
    return tables.dependsOn.any
      ? tables.lookUp({ ...bareFlow(family, words), egress: iface })
      : tables.route(family, words);
  }

  lookUp(flow: Flow): Route | undefined {
    const { family, destination } = flow;
    if (!this.dependsOn.any) return this.route(family, destination);
    if (family === 4 && destination[0] === 0) return undefined;
    const index =
      this.policy === undefined ? find(this.all.at(flow.tos), family, destination) : this.policy.lookUp(flow);
    const route = this.at(index);
    return family === 4 ? this.ofKind(destination[0] ?? 0, route) : route;
  }

  private route4(word: number): Route | undefined {
    // ip_route_input_slow and __ip_route_output_key decide these before any table is asked; 0.0.0.0 is a martian.
    return word === 0 ? undefined : this.ofKind(word, this.at(this.all.plain.find4(word)));
  }

  local4(word: number): Route | undefined {
    return this.at(this.local.find4(word));
  }

  private at(index: number): Route | undefined {
    return index === NO_MATCH ? undefined : this.routes[index];
  }

  private ofKind(word: number, route: Route | undefined): Route | undefined {
    if (word >>> 28 === MULTICAST_TOP) return this.special('multicast', route);
    return word === LIMITED_BROADCAST ? this.special('broadcast', route) : route;
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

function find(ranges: Ranges, family: Family, words: Uint32Array): number {
  return family === 4
    ? ranges.find4(words[0] ?? 0)
    : ranges.find6(words[0] ?? 0, words[1] ?? 0, words[2] ?? 0, words[3] ?? 0);
}

const NOWHERE = new Uint32Array(4);

function bareFlow(family: Family, destination: Uint32Array): Flow {
  const rest = { mark: 0, tos: 0, protocol: 0, sourcePort: 0, destinationPort: 0 };
  return { family, source: NOWHERE, destination, ingress: NO_INTERFACE, egress: NO_INTERFACE, ...rest };
}

/** `rules`: undefined for those of a fresh kernel. */
export function routeTables(
  family: Family,
  routes: readonly RouteDescription[],
  interfaces: ReadonlyMap<string, HostInterface>,
  rules?: readonly RuleDescription[],
): RouteTables {
  const own = routes.filter((route) => route.family === family);
  const builder = new Builder(family, own, new Interner(interfaces));
  const policy =
    rules === undefined
      ? undefined
      : new PolicyRules(family, rules, {
          interfaces,
          table: (name, suppress) => builder.lookup(name, suppress),
          error: (type) => builder.error(type),
        });
  const dependsOn = dependenciesOf(rules, builder.tosValues.length > 0);
  return new RouteTables(
    builder.interner.routes,
    builder.overlaid(LAYERS[family]),
    builder.ranges(['local'], 0, undefined),
    policy,
    dependsOn,
    (iface) =>
      routeTables(
        family,
        own.filter((route) => leadsOver(route, iface, interfaces)),
        interfaces,
        rules,
      ),
  );
}

function leadsOver(
  { device, devices }: RouteDescription,
  iface: InterfaceIndex,
  interfaces: ReadonlyMap<string, HostInterface>,
): boolean {
  const names = devices ?? (device === undefined ? [] : [device]);
  return names.some((name) => interfaces.get(name)?.index === iface);
}

/** Makes searches of the tables. */
class Builder {
  readonly tosValues: readonly number[];
  private readonly lookups = new Map<string, TableLookup>();

  constructor(
    private readonly family: Family,
    private readonly routes: readonly RouteDescription[],
    readonly interner: Interner,
  ) {
    this.tosValues = [...new Set(routes.flatMap(({ tos }) => (tos === undefined ? [] : [tos])))];
  }

  error(type: RouteType): number {
    return this.interner.intern({
      type,
      iface: NO_INTERFACE,
      gateway: undefined,
      preferredSource: undefined,
      metric: 0,
    });
  }

  /** A table as a policy rule asks it. */
  lookup(table: string, suppress: number | undefined): TableLookup {
    const key = `${table}/${suppress ?? ''}`;
    const known = this.lookups.get(key);
    if (known !== undefined) return known;
    const view = this.view((tos) => this.ranges([table], tos, suppress));
    const { routes } = this.interner;
    const { family } = this;
    const fresh: TableLookup = ({ destination, tos }) => {
      const index = find(view.at(tos), family, destination);
      return index === NO_MATCH || routes[index]?.type === 'throw' ? NO_ROUTE : index;
    };
    this.lookups.set(key, fresh);
    return fresh;
  }

  overlaid(layers: readonly (readonly string[])[]): View {
    return this.view((tos) => {
      const built = layers.map((tables) => this.ranges(tables, tos, undefined));
      // `throw` ends the search of its table, and the next one is asked.
      return Ranges.overlay(this.family, built, (value) => this.interner.routes[value]?.type === 'throw');
    });
  }

  private view(make: (tos: number) => Ranges): View {
    return new View(make(0), new Map(this.tosValues.map((tos) => [tos, make(tos)])));
  }

  /**
   * The routes of tables that packets of a TOS may take. Of equal prefixes: the earlier table, the route for the very
   * TOS, the lowest metric, the first listed.
   */
  ranges(tables: readonly string[], tos: number, suppress: number | undefined): Ranges {
    const own = this.routes.filter((route) => tables.includes(route.table) && (route.tos ?? tos) === tos);
    const sorted = own.sort(
      (a, b) => tables.indexOf(a.table) - tables.indexOf(b.table) || (b.tos ?? 0) - (a.tos ?? 0) || a.metric - b.metric,
    );
    const prefixes = sorted.map((route): RangePrefix => {
      const { words, prefixLength } = route;
      const suppressed = suppress !== undefined && prefixLength <= suppress && isFound(route.type);
      return { words, prefixLength, value: suppressed ? this.error('throw') : this.interner.index(route, this.family) };
    });
    return Ranges.build(this.family, prefixes);
  }
}

/** Suppression is for routes that lead somewhere: errors stay what they are. */
function isFound(type: RouteType): boolean {
  return type !== 'blackhole' && type !== 'unreachable' && type !== 'prohibit' && type !== 'throw';
}

class Interner {
  readonly routes: Route[] = [];
  private readonly known = new Map<string, number>();

  constructor(private readonly interfaces: ReadonlyMap<string, HostInterface>) {}

  index(description: RouteDescription, family: Family): number {
    return this.intern(this.make(description), family);
  }

  intern(route: Route, family: Family = 4): number {
    const text = (words: Uint32Array | undefined): string => (words ? formatAddress(family, words) : '');
    const several = route.interfaces?.join(' ') ?? '';
    const key = `${route.type} ${route.iface} ${text(route.gateway)} ${text(route.preferredSource)} ${route.metric} ${several}`;
    const known = this.known.get(key);
    if (known !== undefined) return known;
    this.known.set(key, this.routes.length);
    return this.routes.push(route) - 1;
  }

  private make(description: RouteDescription): Route {
    const { type, gateway, preferredSource, metric, device, devices } = description;
    const indexOf = (name: string): number => this.interfaces.get(name)?.index ?? NO_INTERFACE;
    const iface = device === undefined ? NO_INTERFACE : indexOf(device);
    const route = { type, iface, gateway, preferredSource, metric };
    return devices === undefined ? route : { ...route, interfaces: devices.map(indexOf) };
  }
}
