/**
 * Where an incoming packet goes, and whether its source may send it (kernel: ip_route_input_rcu, ip_route_input_slow,
 * fib_validate_source, in their order). KERNEL.md E7.
 */
import { networkOf } from '../host/address.js';
import type { Flow, Host, InterfaceIndex, Route } from '../host/types.js';
import { NO_INTERFACE } from '../host/types.js';
import { sameAddress } from '../packet/tuple.js';
import { type FlowDetails, NO_DETAILS } from './flow.js';
import { type InterfaceSettings, settingsOf } from './interfacesettings.js';
import type { RouteCache } from './routecache.js';

/** Result of routing an incoming packet: one object, filled anew each time. */
export interface Routing {
  kind: 'forward' | 'local' | 'drop';
  /** Egress interface of `forward`. */
  iface: InterfaceIndex;
  /** Gateway, undefined when the destination is on the link. */
  gateway: Uint32Array | undefined;
  /** Why it is dropped. */
  reason: string;
  /** Of `forward`: its sender could have sent the packet to the next hop itself (IPv4). */
  redirects: boolean;
}

export const newRouting = (): Routing => ({
  kind: 'drop',
  iface: NO_INTERFACE,
  gateway: undefined,
  reason: '',
  redirects: false,
});

/**
 * Reasons for which a route drops a packet, rather than the lookup of one: by then its options have been read, and its
 * sender may be told (kernel: ip_error).
 */
export const ERROR_ROUTES: ReadonlySet<string> = new Set([
  'no-route',
  'unreachable',
  'prohibit',
  'blackhole',
  'not-forwarding',
]);

const isMulticast = (a: number): boolean => a >>> 28 === 0xe;
const isLimitedBroadcast = (a: number): boolean => a >>> 0 === 0xffffffff;
/** Since Linux 5.3 the rest of 0/8 is ordinary address space; only 0.0.0.0 is not (ipv4_is_zeronet). */
const isZeroNet = (a: number): boolean => a === 0;
const isLoopback = (a: number): boolean => a >>> 24 === 127;
/** Every host is a member of the all-hosts group (RFC 1112 section 4). */
const ALL_HOSTS = 0xe0000001;
/** The kernel checks the source of a packet to everybody as if it were sent to nobody. */
const NOBODY = new Uint32Array(4);

export class InputRouter {
  private readonly settings: readonly InterfaceSettings[];
  private readonly unknown: InterfaceSettings;
  private readonly loopback: InterfaceIndex;
  /** Addresses of all interfaces, up or down (inet_addr_lst). */
  private readonly own: ReadonlySet<number>;
  /** What the last sourceFaultByRoute found out: no router lies between the sender and here. */
  private isNeighbour = false;
  private readonly flow: Flow = {
    family: 4,
    source: NOBODY,
    destination: NOBODY,
    ingress: NO_INTERFACE,
    egress: NO_INTERFACE,
    ...NO_DETAILS,
  };

  constructor(
    private readonly host: Host,
    private readonly routes: RouteCache,
  ) {
    this.settings = host.interfaces.map((iface) => settingsOf(host, iface));
    this.unknown = settingsOf(host, undefined);
    this.loopback = host.interfaces.find(({ loopback }) => loopback)?.index ?? NO_INTERFACE;
    const addresses = host.interfaces.flatMap((iface) => iface.addresses.filter(({ family }) => family === 4));
    this.own = new Set(addresses.map(({ words }) => words[0] ?? 0));
  }

  /** True if `details` of `route` make a difference on this host. */
  get needsDetails(): boolean {
    return this.routes.dependsOn.any;
  }

  /** `anew`: the packet came over loopback, where it would have kept its route, and that has been taken from it. */
  route(
    source: Uint32Array,
    destination: Uint32Array,
    ingress: InterfaceIndex,
    out: Routing,
    details: Readonly<FlowDetails> = NO_DETAILS,
    anew = false,
  ): void {
    out.gateway = undefined;
    out.iface = NO_INTERFACE;
    out.redirects = false;
    const from = source[0] ?? 0;
    const to = destination[0] ?? 0;
    const own = this.settings[ingress] ?? this.unknown;
    const settings = anew ? { ...own, loopback: false } : own;
    const sender: Sender = { source, ingress, settings, details };
    const toAll = isLimitedBroadcast(to) || (isZeroNet(from) && isZeroNet(to));
    if (isMulticast(to)) {
      this.multicast(sender, to, out);
    } else if (toAll) {
      if (isMulticast(from) || isLimitedBroadcast(from)) drop(out, 'martian-source');
      else deliver(isZeroNet(from) ? undefined : this.sourceFault(sender, NOBODY, NO_INTERFACE), out);
    } else {
      const fault = martian(from, to, settings);
      if (fault !== undefined) drop(out, fault);
      else this.lookUp(sender, destination, out);
    }
  }

  /** The route of a packet that the host itself sends. */
  outgoing(source: Uint32Array, destination: Uint32Array, details: Readonly<FlowDetails>): Route | undefined {
    return this.find(details, this.loopback, source, destination);
  }

  /** Kernel: ip_mc_validate_source. */
  private multicast(sender: Sender, to: number, out: Routing): void {
    const from = sender.source[0] ?? 0;
    if (to >>> 0 !== ALL_HOSTS) {
      drop(out, 'multicast');
    } else if (isMulticast(from) || isLimitedBroadcast(from) || (isLoopback(from) && !mayLoop(sender.settings))) {
      drop(out, 'martian-source');
    } else {
      deliver(isZeroNet(from) ? undefined : this.sourceFault(sender, NOBODY, NO_INTERFACE), out);
    }
  }

  private lookUp(sender: Sender, destination: Uint32Array, out: Routing): void {
    const { settings, ingress, source } = sender;
    const route = this.find(sender.details, ingress, source, destination);
    if (route?.type === 'broadcast' && !settings.bcForwarding) {
      deliver(this.sourceFault(sender, NOBODY, NO_INTERFACE), out);
    } else if (route?.type === 'local') {
      deliver(this.sourceFault(sender, destination, NO_INTERFACE), out);
    } else if (!settings.forwarding && route?.type !== 'broadcast') {
      drop(out, 'not-forwarding');
    } else if (route === undefined) {
      drop(out, 'no-route');
    } else if (route.type !== 'unicast' && route.type !== 'broadcast') {
      drop(out, route.type === 'unspec' || route.type === 'throw' ? 'no-route' : route.type);
    } else {
      const fault = this.sourceFault(sender, destination, route.iface);
      if (fault !== undefined) drop(out, fault);
      else take(route, out);
      out.redirects = fault === undefined && route.iface === ingress && this.isRoundabout(sender, route);
    }
  }

  /** Kernel: __mkroute_input. `route` leads back to where the packet came from. */
  private isRoundabout({ settings, source, ingress }: Sender, { gateway }: Route): boolean {
    if (!settings.sendRedirects || !this.isNeighbour) return false;
    return settings.sharedMedia || this.areOnOneNetwork(ingress, source, gateway);
  }

  /** Kernel: inet_addr_onlink. `other` may be nobody. */
  private areOnOneNetwork(iface: InterfaceIndex, one: Uint32Array, other: Uint32Array | undefined): boolean {
    const addresses = this.host.interfaces[iface]?.addresses ?? [];
    return addresses.some(({ family, words, peer, prefixLength }) => {
      if (family !== 4) return false;
      const network = networkOf(4, peer ?? words, prefixLength);
      const holds = (address: Uint32Array): boolean => sameAddress(networkOf(4, address, prefixLength), network);
      return holds(one) && (other === undefined || holds(other));
    });
  }

  /**
   * Whether the sender may be who it says (fib_validate_source); undefined if so. `egress`: where the packet is to go out.
   * Where nothing asks for more, an address is good that is not the host's own; the routes are asked too with rp_filter,
   * for packets that go back where they came from, and on hosts with policy rules or local routes of their own.
   */
  private sourceFault(sender: Sender, destination: Uint32Array, egress: InterfaceIndex): string | undefined {
    const { settings, source, ingress } = sender;
    this.isNeighbour = false;
    if (settings.loopback) return undefined;
    if (settings.rpFilter === 0 && (ingress !== egress || !settings.sendRedirects)) {
      if (settings.acceptLocal) return undefined;
      if (!this.host.checksSourcesByRoute) return this.own.has(source[0] ?? 0) ? 'martian-source' : undefined;
    }
    return this.sourceFaultByRoute(sender, destination, egress);
  }

  /** Kernel: __fib_validate_source. The way back is looked up as if the answer came from where the packet goes. */
  private sourceFaultByRoute(
    { source, ingress, settings, details }: Sender,
    destination: Uint32Array,
    egress: InterfaceIndex,
  ): string | undefined {
    const { flow } = this;
    flow.source = destination;
    flow.destination = source;
    flow.ingress = egress === NO_INTERFACE ? this.loopback : egress;
    flow.mark = settings.srcValidMark ? details.mark : 0;
    flow.tos = details.tos;
    flow.protocol = details.protocol;
    flow.sourcePort = details.destinationPort;
    flow.destinationPort = details.sourcePort;
    const back = this.routes.lookUp(flow);
    if (back === undefined || isErrorRoute(back)) return settings.rpFilter === 0 ? undefined : 'rp-filter';
    if (back.type !== 'unicast' && (back.type !== 'local' || !settings.acceptLocal)) return 'martian-source';
    if (back.type === 'local' && ingress === this.loopback) return undefined;
    if (back.iface === ingress || back.interfaces?.includes(ingress) === true) {
      this.isNeighbour = back.gateway === undefined;
      return undefined;
    }
    // An interface without an address, as of a DHCP client, takes what comes unless the filter is on.
    if (!settings.hasAddress) return settings.rpFilter === 0 ? undefined : 'rp-filter';
    if (settings.rpFilter === 1) return 'rp-filter';
    // The kernel looks for a route by this interface alone; that of its network is the one it can find.
    this.isNeighbour = this.areOnOneNetwork(ingress, source, undefined);
    return undefined;
  }

  private find(
    details: Readonly<FlowDetails>,
    ingress: InterfaceIndex,
    source: Uint32Array,
    destination: Uint32Array,
  ): Route | undefined {
    const { flow } = this;
    if (!this.routes.dependsOn.any) return this.routes.route(destination);
    flow.source = source;
    flow.destination = destination;
    flow.ingress = ingress;
    flow.mark = details.mark;
    flow.tos = details.tos;
    flow.protocol = details.protocol;
    flow.sourcePort = details.sourcePort;
    flow.destinationPort = details.destinationPort;
    return this.routes.lookUp(flow);
  }
}

/** Of whom a packet is. */
interface Sender {
  readonly source: Uint32Array;
  readonly ingress: InterfaceIndex;
  readonly settings: InterfaceSettings;
  readonly details: Readonly<FlowDetails>;
}

const mayLoop = ({ loopback, routeLocalnet }: InterfaceSettings): boolean => loopback || routeLocalnet;

/** Addresses that can't be on the wire. */
function martian(from: number, to: number, settings: InterfaceSettings): string | undefined {
  if (isMulticast(from) || isLimitedBroadcast(from) || isZeroNet(from)) return 'martian-source';
  if (isZeroNet(to)) return 'martian-destination';
  if (isLoopback(to)) return mayLoop(settings) ? undefined : 'martian-destination';
  return isLoopback(from) && !mayLoop(settings) ? 'martian-source' : undefined;
}

/** Routes that a lookup answers with an error. */
export function isErrorRoute({ type }: Route): boolean {
  return type === 'blackhole' || type === 'unreachable' || type === 'prohibit' || type === 'throw';
}

function take(route: Route, out: Routing): void {
  out.kind = 'forward';
  out.iface = route.iface;
  out.gateway = route.gateway;
}

function deliver(fault: string | undefined, out: Routing): void {
  if (fault === undefined) out.kind = 'local';
  else drop(out, fault);
}

function drop(out: Routing, reason: string): void {
  out.kind = 'drop';
  out.reason = reason;
}
