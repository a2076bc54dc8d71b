/** What the host says about IPv4 packets that it refuses (kernel: icmp_send, nf_send_unreach, nf_send_reset). */
import { masqueradeAddress } from '../../host/sourceaddress.js';
import type { Host } from '../../host/types.js';
import { fold, sumBytes } from '../../packet/checksum.js';
import {
  ICMP_PARAMETER_PROBLEM,
  ICMP_REDIRECT,
  ICMP_TIME_EXCEEDED,
  ICMP_TYPE,
  ICMP_UNREACHABLE,
  icmpIsError,
  PROTO_ICMP,
  PROTO_TCP,
  PROTO_UDP,
  UDP_CHECKSUM,
  UDP_HEADER,
} from '../../packet/transport.js';
import type { FlowTable } from '../conntrack/flowtable.js';
import type { Packet } from '../packet.js';
import type { Random } from '../random.js';
import type { RouteCache } from '../routecache.js';
import { RouterAddresses } from '../routeraddresses.js';
import { HostAnswers, isResettable, UNVERIFIED } from './answers.js';
import { echoedOptions } from './echoedoptions.js';
import { type IcmpError, icmpError, tcpReset } from './message.js';
import { RedirectLimit } from './redirects.js';

const REDIRECT_HOST = 1;
const NET_UNREACHABLE = 0;
const HOST_UNREACHABLE = 1;
const FRAGMENTATION_NEEDED = 4;
const COMMUNICATION_PROHIBITED = 13;
const TTL_EXCEEDED = 0;
const REASSEMBLY_TIME_EXCEEDED = 1;

/** Codes of ICMP's destination unreachable (RFC 792, RFC 1122, RFC 1812). */
const REJECT_CODES: ReadonlyMap<string, number> = new Map([
  ['icmp-net-unreachable', NET_UNREACHABLE],
  ['icmp-host-unreachable', HOST_UNREACHABLE],
  ['icmp-proto-unreachable', 2],
  ['icmp-port-unreachable', 3],
  ['icmp-net-prohibited', 9],
  ['icmp-host-prohibited', 10],
  ['icmp-admin-prohibited', COMMUNICATION_PROHIBITED],
]);

/** What routing's reasons are told the sender as (kernel: ip_error). The others it is not told. */
const ROUTING_CODES: ReadonlyMap<string, number> = new Map([
  ['no-route', NET_UNREACHABLE],
  ['unreachable', HOST_UNREACHABLE],
  ['prohibit', COMMUNICATION_PROHIBITED],
]);

/** An answer whose source nobody knows comes from here (RFC 7600 section 4.8; kernel: INADDR_DUMMY). */
const DUMMY_ADDRESS = 0xc0000008;
const DEFAULT_TTL = 64;
/** Highest ICMP type the kernel knows; it takes those above for errors. */
const ICMP_TYPES = 18;

export class Ipv4Answers extends HostAnswers {
  private readonly addresses: RouterAddresses;
  private readonly ttl: number;
  private readonly useIngressAddress: boolean;
  private readonly asked = new Uint32Array(4);
  private readonly redirects = new RedirectLimit();

  constructor(
    host: Host,
    table: FlowTable,
    private readonly routes: RouteCache,
    private readonly random: Random,
  ) {
    super(host, table);
    this.addresses = new RouterAddresses(host, routes);
    this.ttl = Number(host.sysctl('net.ipv4.ip_default_ttl') ?? DEFAULT_TTL) || DEFAULT_TTL;
    this.useIngressAddress = host.sysctl('net.ipv4.icmp_errors_use_inbound_ifaddr') === '1';
  }

  override reject(packet: Packet, how: string): void {
    if (packet.family !== 4 || packet.fragmentOffset !== 0 || !this.isUnicast(packet)) return;
    if (how === 'tcp-reset') {
      if (isResettable(packet)) this.send(packet, tcpReset(packet, { source: addressOf(packet), ttl: this.ttl }));
      return;
    }
    const code = REJECT_CODES.get(how);
    if (code !== undefined && sumIsRight(packet)) this.error(packet, { type: ICMP_UNREACHABLE, code, info: 0 });
  }

  override ttlExpired(packet: Packet): void {
    this.error(packet, { type: ICMP_TIME_EXCEEDED, code: TTL_EXCEEDED, info: 0 });
  }

  override reassemblyTimedOut(packet: Packet): void {
    this.error(packet, { type: ICMP_TIME_EXCEEDED, code: REASSEMBLY_TIME_EXCEEDED, info: 0 });
  }

  override tooBig(packet: Packet, mtu: number): void {
    this.error(packet, { type: ICMP_UNREACHABLE, code: FRAGMENTATION_NEEDED, info: mtu });
  }

  override roundabout(packet: Packet, nextHop: Uint32Array): void {
    if (!this.redirects.admits(packet.source[0] ?? 0, packet.now)) return;
    this.error(packet, { type: ICMP_REDIRECT, code: REDIRECT_HOST, info: nextHop[0] ?? 0 });
  }

  override badOptions(packet: Packet, at: number): void {
    this.error(packet, { type: ICMP_PARAMETER_PROBLEM, code: 0, info: at << 24 });
  }

  override notRouted(packet: Packet, reason: string): void {
    const code = ROUTING_CODES.get(reason);
    if (code !== undefined) this.error(packet, { type: ICMP_UNREACHABLE, code, info: 0 });
  }

  /** Kernel: icmp_send. Nothing is said about later fragments, errors, and what was not sent to one host. */
  private error(packet: Packet, error: IcmpError): void {
    if (packet.toGroup !== 0) return;
    if (packet.family !== 4 || packet.fragmentOffset !== 0 || !this.isUnicast(packet)) return;
    if (packet.protocol === PROTO_ICMP) {
      if (packet.l4 + 1 > packet.end) return;
      const type = packet.view.getUint8(packet.l4 + ICMP_TYPE);
      if (type > ICMP_TYPES || icmpIsError(type)) return;
    }
    const route = this.routes.route(packet.source);
    if (route === undefined) return;
    const mtu = this.host.interfaces[route.iface]?.mtu ?? Number.POSITIVE_INFINITY;
    const source = this.sourceOf(packet);
    const options = echoedOptions(packet, { source, isUnicast: this.isElsewhere });
    if (options === undefined) return;
    const header = { source, ttl: this.ttl, id: this.random.next16(), mtu, options };
    this.send(packet, icmpError(packet, error, header));
  }

  /** Its own address if the packet was for it, else that of the way to the sender, or of the interface it came in by. */
  private sourceOf(packet: Packet): number {
    if (this.host.addressType(4, packet.destination) === 'local') return addressOf(packet);
    const own = this.useIngressAddress
      ? (masqueradeAddress(this.host, 4, packet.inInterface, packet.source)?.[0] ?? 0)
      : this.addresses.towards(packet.source);
    return own === 0 ? DUMMY_ADDRESS : own;
  }

  private readonly isElsewhere = (address: number): boolean => {
    this.asked[0] = address;
    return this.host.addressType(4, this.asked) === 'unicast';
  };

  private isUnicast(packet: Packet): boolean {
    const type = this.host.addressType(4, packet.destination);
    return type !== 'broadcast' && type !== 'multicast';
  }
}

const addressOf = (packet: Packet): number => packet.destination[0] as number;

/**
 * Whether the payload's checksum is right, as nf_reject verifies it: of a protocol that it does not know it takes the sum
 * over all bytes, without pseudo header, for one.
 */
function sumIsRight(packet: Packet): boolean {
  const { protocol, view, l4, end } = packet;
  if (packet.cut || UNVERIFIED.has(protocol)) return true;
  if (protocol === PROTO_TCP || protocol === PROTO_ICMP) return !packet.badChecksum;
  if (protocol === PROTO_UDP) {
    return l4 + UDP_HEADER > end || view.getUint16(l4 + UDP_CHECKSUM) === 0 || !packet.badChecksum;
  }
  return fold(sumBytes(view, l4, end - l4)) === 0xffff;
}
