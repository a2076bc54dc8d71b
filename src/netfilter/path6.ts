/** The way of an IPv6 packet through the host: hooks, tracking and NAT are those of IPv4, what lies between them is not. */
import type { InterfaceIndex } from '../host/types.js';
import { NO_INTERFACE } from '../host/types.js';
import { IPV6_HOP_LIMIT } from '../packet/ipv6.js';
import { DST_NAT, SRC_NAT } from './conntrack/flowtable.js';
import type { Fragments } from './defrag/fragments.js';
import { linearBytes6 } from './defrag/linear.js';
import type { Packet } from './packet.js';
import { PacketPath, type PathParts } from './path.js';
import { VERDICT_FORWARD, VERDICT_LOCAL } from './results.js';
import { isErrorRoute, type Routing } from './routing.js';
import { InputRouter6 } from './routing6.js';

/** Every link carries this much (RFC 8200 section 5), whatever MTU it has. */
const MIN_MTU = 1280;

export class PacketPath6 extends PacketPath {
  private readonly router6: InputRouter6;
  private readonly loopback: InterfaceIndex;

  constructor(parts: PathParts) {
    super(parts);
    this.router6 = new InputRouter6(parts.host);
    this.loopback = parts.host.interfaces.find((iface) => iface.loopback)?.index ?? NO_INTERFACE;
  }

  override receive(packet: Packet, ingress: InterfaceIndex): void {
    const refusal = this.refusal(packet, ingress);
    if (refusal === undefined) {
      super.receive(packet, ingress, false);
      return;
    }
    this.begin();
    this.why = refusal;
  }

  protected override refusal({ source, destination }: Packet, ingress: InterfaceIndex): string | undefined {
    return this.router6.refusal(source, destination, ingress);
  }

  protected override route(packet: Packet, ingress: InterfaceIndex): Readonly<Routing> {
    const { routing } = this;
    this.router6.route(packet, ingress, routing);
    return routing;
  }

  protected override routeIn(packet: Packet, ingress: InterfaceIndex): void {
    const routing = this.route(packet, ingress);
    this.observer?.routed(packet, routing);
    if (routing.kind === 'drop') {
      this.why = routing.reason;
      this.parts.answers?.notRouted(packet, routing.reason);
    } else if (routing.kind === 'forward' && packet.toGroup !== 0) this.why = 'link-broadcast';
    else if (routing.kind === 'forward') this.forward6(packet, routing.iface, routing.gateway);
    else if (this.hook(packet, 'INPUT', false)) this.verdict = VERDICT_LOCAL;
  }

  /** Kernel: ip6_forward. */
  private forward6(packet: Packet, egress: InterfaceIndex, gateway: Uint32Array | undefined): void {
    const { view, l3 } = packet;
    const hopLimit = view.getUint8(l3 + IPV6_HOP_LIMIT);
    if (hopLimit <= 1) {
      this.why = 'hop-limit-expired';
      this.parts.answers?.ttlExpired(packet);
      return;
    }
    const mtu = this.mtuOf(egress);
    if (this.isTooBig(packet, mtu)) {
      this.why = 'packet-too-big';
      this.parts.answers?.tooBig(packet, mtu);
      return;
    }
    view.setUint8(l3 + IPV6_HOP_LIMIT, hopLimit - 1);
    packet.outInterface = egress;
    packet.nextHop = gateway ?? packet.destination;
    if (!this.hook(packet, 'FORWARD', false)) return;
    if (this.hook(packet, 'POSTROUTING', false)) this.sendOut(packet, egress);
  }

  /** A packet longer than the link it came over was merged from several by offloading: no MTU is applied to it. */
  private isTooBig({ totalLength, inInterface }: Packet, mtu: number): boolean {
    const { interfaces } = this.parts.host;
    const { layout } = this.parts.fragments;
    const longest = layout?.maxSize ?? totalLength;
    if (longest > (interfaces[inInterface]?.mtu ?? 0)) return false;
    return longest > mtu;
  }

  private mtuOf(egress: InterfaceIndex): number {
    return Math.max(MIN_MTU, this.parts.host.interfaces[egress]?.mtu ?? Number.POSITIVE_INFINITY);
  }

  protected override sendOut(packet: Packet, egress: InterfaceIndex): void {
    const cuts = this.piecesOf(packet);
    if (typeof cuts === 'string') {
      this.why = cuts;
      return;
    }
    this.cuts = cuts;
    this.verdict = VERDICT_FORWARD;
    this.egress = egress;
  }

  protected override sendOwn(packet: Packet, egress: InterfaceIndex, mtu: number): void {
    const size = this.parts.fragments.layout?.maxSize ?? packet.totalLength;
    if (size > Math.max(MIN_MTU, mtu)) this.why = 'packet-too-big';
    else this.sendOut(packet, egress);
  }

  /** Over loopback fragments come in, and are delivered, one by one: they are gathered behind INPUT only (ip6_input_finish). */
  protected override comeIn(packet: Packet, ingress: InterfaceIndex): boolean {
    const { fragments } = this.parts;
    if (fragments.layout === undefined) return super.comeIn(packet, ingress);
    const pieces = this.piecesOf(packet);
    if (typeof pieces === 'string') {
      this.why = pieces;
      return false;
    }
    const { info, mark, entry, direction } = packet;
    const delivered = (pieces ?? []).filter(({ bytes, length }) => {
      const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
      packet.loadIpv6(bytes, view, 0, bytes.length, length);
      Object.assign(packet, { info, mark, entry, direction });
      return super.comeIn(packet, ingress);
    });
    this.cuts = delivered;
    this.egress = NO_INTERFACE;
    return delivered.length > 0;
  }

  private piecesOf(packet: Packet): ReturnType<Fragments['cut6']> {
    const { fragments, nat } = this.parts;
    const translated = (packet.status & (SRC_NAT | DST_NAT)) !== 0;
    return fragments.cut6(packet, linearBytes6(packet, nat !== undefined, translated));
  }

  protected override canAnswer({ source }: Packet): boolean {
    const { host } = this.parts;
    // Where rules decide about routes, the packet in hand does not tell what they say of its answer.
    if (host.routingDependsOn(6).any) return true;
    const route = host.route(6, source);
    return route !== undefined && !isErrorRoute(route);
  }

  protected override routeOut(packet: Packet): boolean {
    const route = this.router6.routeFromHost(packet);
    this.observer?.routedOut(packet, route);
    const toHost = route?.type === 'local' || route?.type === 'anycast';
    if (route === undefined || (!toHost && route.type !== 'unicast' && route.type !== 'multicast')) {
      this.why = 'no-route';
      return false;
    }
    packet.outInterface = toHost ? this.loopback : route.iface;
    packet.nextHop = route.gateway ?? packet.destination;
    return true;
  }
}
