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
