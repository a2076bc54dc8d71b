/**
 * Where an incoming IPv6 packet goes: what the kernel refuses on receipt for its addresses (ip6_rcv_core), the lookup
 * (ip6_route_input), and whom it forwards for (ip6_forward), in this order.
 */
import { networkOf } from '../host/address.js';
import type { Flow, Host, InterfaceIndex, Route } from '../host/types.js';
import { NO_INTERFACE } from '../host/types.js';
import { sameAddress } from '../packet/tuple.js';
import { readDetails } from './flow.js';
import type { Packet } from './packet.js';
import type { Routing } from './routing.js';

const word = (address: Uint32Array, k: number): number => address[k] as number;
const isMulticast = (a: Uint32Array): boolean => word(a, 0) >>> 24 === 0xff;
const multicastScope = (a: Uint32Array): number => (word(a, 0) >>> 16) & 15;
const isLinkLocal = (a: Uint32Array): boolean => word(a, 0) >>> 22 === 0xfe80 >>> 6;
const beginsWithZeros = (a: Uint32Array): boolean => word(a, 0) === 0 && word(a, 1) === 0;
const isLoopback = (a: Uint32Array): boolean => beginsWithZeros(a) && word(a, 2) === 0 && word(a, 3) === 1;
const isUnspecified = (a: Uint32Array): boolean => beginsWithZeros(a) && word(a, 2) === 0 && word(a, 3) === 0;

/** Upper words of the solicited-node groups `ff02::1:ffXX:XXXX` (RFC 4291 section 2.7.1). */
const SOLICITED_NODE = [0xff020000, 0, 1] as const;
/** Scopes of multicast addresses (RFC 4291 section 2.7). */
const INTERFACE_LOCAL = 1;
const LINK_LOCAL = 2;
const ALL_NODES = 1;
const ALL_ROUTERS = 2;

export class InputRouter6 {
  private readonly forwarding: boolean;
  private readonly byPolicy: boolean;
  private readonly loopback: InterfaceIndex;
  private readonly onLinkRoutes: Route[] = [];
  private readonly flow: Flow = {
    family: 6,
    source: new Uint32Array(4),
    destination: new Uint32Array(4),
    ingress: NO_INTERFACE,
    egress: NO_INTERFACE,
    mark: 0,
    tos: 0,
    protocol: 0,
    sourcePort: 0,
    destinationPort: 0,
  };
  /** Groups each interface is a member of, for its addresses: the lower 24 bits of the solicited-node address. */
  private readonly solicited: readonly ReadonlySet<number>[];

  constructor(private readonly host: Host) {
    this.forwarding = host.sysctl('net.ipv6.conf.all.forwarding') !== '0';
    this.byPolicy = host.routingDependsOn(6).any;
    this.loopback = host.interfaces.find((iface) => iface.loopback)?.index ?? NO_INTERFACE;
    this.solicited = host.interfaces.map(({ addresses }) => {
      const own = addresses.filter((address) => address.family === 6);
      const groups = new Set(own.map(({ words }) => word(words, 3) & 0xffffff));
      if (!this.forwarding) return groups;
      // A router has the anycast address of each of its subnets too, whose last bits are zero.
      for (const { words, prefixLength } of own) {
        if (prefixLength < 127) groups.add(word(networkOf(6, words, prefixLength), 3) & 0xffffff);
      }
      return groups;
    });
  }

  /** Why a packet is dropped before any hook sees it; undefined if it is not. */
  refusal(source: Uint32Array, destination: Uint32Array, ingress: InterfaceIndex): string | undefined {
    const iface = this.host.interfaces[ingress];
    if (iface !== undefined && this.isDisabled(iface.name)) return 'ipv6-disabled';
    if (iface?.loopback !== true) {
      if (isLoopback(source)) return 'martian-source';
      if (isLoopback(destination)) return 'martian-destination';
      if (isMulticast(destination) && multicastScope(destination) === INTERFACE_LOCAL) return 'martian-destination';
    }
    if (isMulticast(destination) && multicastScope(destination) === 0) return 'martian-destination';
    return isMulticast(source) ? 'martian-source' : undefined;
  }

  /** Where the packet goes that came in by `ingress`. */
  route(packet: Packet, ingress: InterfaceIndex, out: Routing): void {
    const { source, destination } = packet;
    out.kind = 'drop';
    out.gateway = undefined;
    out.iface = NO_INTERFACE;
    if (isMulticast(destination)) {
      if (this.isMember(destination, ingress)) out.kind = 'local';
      else out.reason = 'multicast';
      return;
    }
    const route = this.lookup(packet, ingress);
    if (route === undefined) {
      out.reason = 'no-route';
    } else if (route.type === 'local' || route.type === 'anycast') {
      out.kind = 'local';
    } else if (route.type !== 'unicast') {
      out.reason = route.type;
    } else if (!this.forwarding) {
      out.reason = 'not-forwarding';
    } else if (route.iface !== ingress && (isUnspecified(source) || isLoopback(source))) {
      out.reason = 'martian-source';
    } else if (route.iface !== ingress && isLinkLocal(source)) {
      // Back to the link that it came from even such a packet may go.
      out.reason = 'link-local-source';
    } else {
      out.kind = 'forward';
      out.iface = route.iface;
      out.gateway = route.gateway;
    }
  }

  /** The route of a packet that the host itself sends. To a link-local address it stays on the link it is bound to. */
  routeFromHost(packet: Packet): Route | undefined {
    return this.strictly(packet, packet.outInterface, this.find(packet, NO_INTERFACE));
  }

  /** A link-local destination is looked for on the packet's own link only (rt6_need_strict). */
  private lookup(packet: Packet, ingress: InterfaceIndex): Route | undefined {
    return this.strictly(packet, ingress, this.find(packet, ingress));
  }

  private strictly({ destination }: Packet, link: InterfaceIndex, found: Route | undefined): Route | undefined {
    if (!isLinkLocal(destination) || link < 0 || found?.iface === link) return found;
    const addresses = this.host.interfaces[link]?.addresses ?? [];
    const own = addresses.filter(({ family, words }) => family === 6 && isLinkLocal(words));
    if (own.length === 0) return undefined;
    const isOwn = own.some(
      ({ words, prefixLength, tentative }) =>
        tentative !== true && (sameAddress(words, destination) || this.isAnycast(words, prefixLength, destination)),
    );
    return this.onLink(isOwn ? 'local' : 'unicast', link);
  }

  /** A router's own anycast address of a subnet (RFC 4291 section 2.6.1). */
  private isAnycast(own: Uint32Array, prefixLength: number, destination: Uint32Array): boolean {
    return this.forwarding && prefixLength < 127 && sameAddress(networkOf(6, own, prefixLength), destination);
  }

  private find(packet: Packet, ingress: InterfaceIndex): Route | undefined {
    const { host, flow } = this;
    if (!this.byPolicy) return host.route(6, packet.destination);
    readDetails(packet, flow);
    flow.source = packet.source;
    flow.destination = packet.destination;
    flow.ingress = ingress === NO_INTERFACE ? this.loopback : ingress;
    return host.lookUp(flow);
  }

  private onLink(type: 'local' | 'unicast', iface: InterfaceIndex): Route {
    const known = this.onLinkRoutes.find((route) => route.type === type && route.iface === iface);
    if (known !== undefined) return known;
    const route: Route = { type, iface, gateway: undefined, preferredSource: undefined, metric: 0 };
    this.onLinkRoutes.push(route);
    return route;
  }

  /**
   * Groups that a host joins by itself. Not all-routers of the site, which only interfaces are in that were there when
   * forwarding was switched on.
   */
  private isMember(group: Uint32Array, ingress: InterfaceIndex): boolean {
    const iface = this.host.interfaces[ingress];
    if (iface === undefined) return false;
    const [high, middle, low, last] = group as unknown as readonly [number, number, number, number];
    if ((high & 0xfff0ffff) >>> 0 !== 0xff000000) return false;
    if (high === SOLICITED_NODE[0] && middle === SOLICITED_NODE[1] && low === SOLICITED_NODE[2])
      return last >>> 24 === 0xff && this.solicited[ingress]?.has(last & 0xffffff) === true;
    if (middle !== 0 || low !== 0) return false;
    const scope = multicastScope(group);
    if (last === ALL_NODES) return scope === INTERFACE_LOCAL || scope === LINK_LOCAL;
    if (last !== ALL_ROUTERS || !this.forwarding || iface.loopback) return false;
    return scope === LINK_LOCAL;
  }

  private isDisabled(iface: string): boolean {
    const { host } = this;
    const value = (scope: string): string | undefined => host.sysctl(`net.ipv6.conf.${scope}.disable_ipv6`);
    return (value(iface) ?? value('all')) === '1';
  }
}
