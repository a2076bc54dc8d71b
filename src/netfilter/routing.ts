/**
 * Where an incoming packet goes (kernel: ip_route_input_slow, in its order). KERNEL.md E7.
 */
import type { Host, InterfaceIndex, Route } from '../host/types.js';
import { NO_INTERFACE } from '../host/types.js';
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
}

export const newRouting = (): Routing => ({ kind: 'drop', iface: NO_INTERFACE, gateway: undefined, reason: '' });

const isMulticast = (a: number): boolean => a >>> 28 === 0xe;
const isLimitedBroadcast = (a: number): boolean => a >>> 0 === 0xffffffff;
/** Since Linux 5.3 the rest of 0/8 is ordinary address space; only 0.0.0.0 is not (ipv4_is_zeronet). */
const isZeroNet = (a: number): boolean => a === 0;
const isLoopback = (a: number): boolean => a >>> 24 === 127;
/** Every host is a member of the all-hosts group (RFC 1112 section 4). */
const ALL_HOSTS = 0xe0000001;

export class InputRouter {
  private readonly forwarding: boolean;

  constructor(
    private readonly host: Host,
    private readonly routes: RouteCache,
  ) {
    this.forwarding = host.sysctl('net.ipv4.ip_forward') !== '0';
  }

  route(source: Uint32Array, destination: Uint32Array, ingress: InterfaceIndex, out: Routing): void {
    out.gateway = undefined;
    out.iface = NO_INTERFACE;
    const from = source[0] ?? 0;
    const to = destination[0] ?? 0;
    const toAll = isMulticast(to) || isLimitedBroadcast(to) || (isZeroNet(from) && isZeroNet(to));
    const fault = toAll ? this.martianToAll(source, ingress) : this.martian(from, to, ingress);
    if (fault !== undefined) {
      drop(out, fault);
    } else if (isMulticast(to)) {
      if (to >>> 0 === ALL_HOSTS) out.kind = 'local';
      else drop(out, 'multicast');
    } else if (toAll) {
      out.kind = 'local';
    } else {
      this.lookup(source, destination, ingress, out);
    }
  }

  /** Addresses that can't be on the wire. */
  private martian(from: number, to: number, ingress: InterfaceIndex): string | undefined {
    if (isMulticast(from) || isLimitedBroadcast(from)) return 'martian-source';
    if (isZeroNet(from)) return 'martian-source';
    if (isZeroNet(to)) return 'martian-destination';
    if (isLoopback(to)) return this.routesLoopback(ingress) ? undefined : 'martian-destination';
    if (isLoopback(from)) return this.routesLoopback(ingress) ? undefined : 'martian-source';
    return undefined;
  }

  /** Of what is sent to everybody: a host that has no address yet may send it, this host's own may not come back. */
  private martianToAll(source: Uint32Array, ingress: InterfaceIndex): string | undefined {
    const from = source[0] ?? 0;
    if (isMulticast(from) || isLimitedBroadcast(from)) return 'martian-source';
    return !isZeroNet(from) && this.isOwnAddress(source, ingress) ? 'martian-source' : undefined;
  }

  private lookup(source: Uint32Array, destination: Uint32Array, ingress: InterfaceIndex, out: Routing): void {
    const route = this.routes.route(destination);
    if (route?.type === 'broadcast') {
      if (this.isOwnAddress(source, ingress)) drop(out, 'martian-source');
      else out.kind = 'local';
      return;
    }
    if (route === undefined) {
      drop(out, this.forwarding ? 'no-route' : 'not-forwarding');
      return;
    }
    if (this.isOwnAddress(source, ingress)) {
      drop(out, 'martian-source');
      return;
    }
    if (route.type === 'local') out.kind = 'local';
    else if (!this.forwarding) drop(out, 'not-forwarding');
    else this.take(route, out);
  }

  private take(route: Route, out: Routing): void {
    if (route.type !== 'unicast') {
      drop(out, route.type === 'unspec' ? 'no-route' : route.type);
      return;
    }
    out.kind = 'forward';
    out.iface = route.iface;
    out.gateway = route.gateway;
  }

  /** A packet from outside with the host's own source address is dropped unless accept_local says otherwise. */
  private isOwnAddress(source: Uint32Array, ingress: InterfaceIndex): boolean {
    const iface = this.host.interfaces[ingress];
    if (iface?.loopback === true || this.routes.route(source)?.type !== 'local') return false;
    return this.switch('accept_local', iface?.name) !== '1';
  }

  private routesLoopback(ingress: InterfaceIndex): boolean {
    const iface = this.host.interfaces[ingress];
    return iface?.loopback === true || this.switch('route_localnet', iface?.name) === '1';
  }

  /** A per-interface switch: on if it is on for the interface or for all. */
  private switch(name: string, iface: string | undefined): string {
    const value = (scope: string): string | undefined => this.host.sysctl(`net.ipv4.conf.${scope}.${name}`);
    return value('all') === '1' || (iface !== undefined && value(iface) === '1') ? '1' : '0';
  }
}

function drop(out: Routing, reason: string): void {
  out.kind = 'drop';
  out.reason = reason;
}
