/** Makes a described host into one that answers: routes, address types, sysctls. */
import { addressTypeOf } from './addresstype.js';
import type { HostDescription, InterfaceDescription, RouteDescription } from './description.js';
import { withLoopback } from './description.js';
import { type RouteTables, routeTables } from './routetables.js';
import { interfaceSysctl } from './sysctl.js';
import type {
  Family,
  Flow,
  Host,
  HostInterface,
  InterfaceIndex,
  Route,
  RouteType,
  RoutingDependencies,
} from './types.js';

export function makeHost(description: HostDescription): Host {
  return new Machine(description);
}

class Machine implements Host {
  readonly interfaces: readonly HostInterface[];
  readonly iptables: string | undefined;
  readonly ip6tables: string | undefined;
  readonly ipset: string | undefined;
  readonly checksSourcesByRoute: boolean;
  readonly prefixes4: readonly AddressRange4[];
  readonly inferred: boolean;
  readonly assumptions: readonly string[];
  private readonly byName: ReadonlyMap<string, HostInterface>;
  private readonly byIfindex: ReadonlyMap<number, HostInterface>;
  private readonly sysctls: ReadonlyMap<string, string>;
  private readonly tables4: RouteTables;
  private readonly tables6: RouteTables;

  constructor(description: HostDescription) {
    const described: readonly InterfaceDescription[] = withLoopback(description.interfaces);
    this.interfaces = described.map((iface, index) => ({ ...iface, index }));
    this.byName = new Map(this.interfaces.map((iface) => [iface.name, iface]));
    this.byIfindex = new Map(
      this.interfaces.flatMap((iface) => (iface.ifindex === undefined ? [] : [[iface.ifindex, iface] as const])),
    );
    this.sysctls = description.sysctl;
    const usable = description.routes.filter((route) => !this.ignored(route));
    this.tables4 = routeTables(4, usable, this.byName, description.rules);
    this.tables6 = routeTables(6, usable, this.byName, description.rules6);
    this.checksSourcesByRoute =
      description.rules !== undefined ||
      description.routes.some(({ family, type, kernel }) => family === 4 && type === 'local' && !kernel);
    this.prefixes4 = prefixesOf(this.interfaces, description.routes);
    this.inferred = description.inferred ?? false;
    this.iptables = description.iptables;
    this.ip6tables = description.ip6tables;
    this.ipset = description.ipset;
    this.assumptions = description.assumptions;
  }

  interfaceByName(name: string): HostInterface | undefined {
    return this.byName.get(name);
  }

  interfaceByIfindex(ifindex: number): HostInterface | undefined {
    return this.byIfindex.get(ifindex);
  }

  route(family: Family, destination: Uint32Array): Route | undefined {
    return this.tables(family).route(family, destination);
  }

  lookUp(flow: Flow): Route | undefined {
    return this.tables(flow.family).lookUp(flow);
  }

  routingDependsOn(family: Family): RoutingDependencies {
    return this.tables(family).dependsOn;
  }

  private tables(family: Family): RouteTables {
    return family === 4 ? this.tables4 : this.tables6;
  }

  addressType(family: Family, address: Uint32Array, limitToInterface?: InterfaceIndex): RouteType {
    return addressTypeOf(family, this.tables(family), address, limitToInterface);
  }

  sysctl(name: string): string | undefined {
    return this.sysctls.get(name);
  }

  /** A route over a link without carrier is used unless the interface's ignore_routes_with_linkdown says otherwise. */
  private ignored(route: RouteDescription): boolean {
    if (!route.linkdown || route.type === 'local') return false;
    const set = (iface: string): boolean =>
      this.sysctls.get(interfaceSysctl(route.family, iface, 'ignore_routes_with_linkdown')) === '1';
    return set('all') || (route.device !== undefined && set(route.device));
  }
}

type AddressRange4 = Host['prefixes4'][number];

/** Of every address: itself, its peer, its subnet with the first and the last address of it, its broadcast address. */
function prefixesOf(interfaces: readonly HostInterface[], routes: readonly RouteDescription[]): AddressRange4[] {
  const ranges = routes
    .filter(({ family }) => family === 4)
    .map(({ words, prefixLength }) => rangeOf(words[0] ?? 0, prefixLength));
  for (const { addresses } of interfaces) {
    for (const { family, words, peer, prefixLength, broadcast } of addresses) {
      if (family !== 4) continue;
      const address = words[0] ?? 0;
      const far = peer?.[0] ?? address;
      const subnet = rangeOf(far, prefixLength);
      ranges.push(subnet);
      for (const one of [address, far, subnet.min, subnet.max, broadcast ?? address])
        ranges.push({ min: one, max: one });
    }
  }
  return ranges;
}

function rangeOf(address: number, prefixLength: number): AddressRange4 {
  const size = 2 ** (32 - prefixLength);
  const min = Math.floor(address / size) * size;
  return { min, max: min + size - 1 };
}
