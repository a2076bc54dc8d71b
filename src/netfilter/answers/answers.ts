/**
 * What the host itself says about packets that it refuses: REJECT, TTL exceeded, no route, fragmentation needed (kernel:
 * icmp_send, nf_send_reset). Made only on demand (`--host-packets`); rate limits (icmp_ratelimit, icmp_msgs_per_sec) are
 * not applied. An answer belongs to the connection of the packet it is about, as RELATED, and goes through OUTPUT and
 * POSTROUTING like anything the host sends.
 */
import { masqueradeAddress } from '../../host/sourceaddress.js';
import type { Host, InterfaceIndex } from '../../host/types.js';
import { NO_INTERFACE } from '../../host/types.js';
import { fold, sumBytes } from '../../packet/checksum.js';
import {
  ICMP_TIME_EXCEEDED,
  ICMP_TYPE,
  ICMP_UNREACHABLE,
  icmpIsError,
  PROTO_GRE,
  PROTO_ICMP,
  PROTO_SCTP,
  PROTO_TCP,
  PROTO_UDP,
  PROTO_UDPLITE,
  TCP_FLAGS,
  TCP_MIN_HEADER,
  TCP_RST,
  UDP_CHECKSUM,
  UDP_HEADER,
} from '../../packet/transport.js';
import type { FlowTable } from '../conntrack/flowtable.js';
import { CT_RELATED, Packet } from '../packet.js';
import type { Random } from '../random.js';
import type { RouteCache } from '../routecache.js';
import { RouterAddresses } from '../routeraddresses.js';
import { type IcmpError, icmpError, tcpReset } from './message.js';

/** A packet of the host's own that leaves by `egress`. */
export interface HostAnswer {
  readonly bytes: Uint8Array;
  readonly egress: InterfaceIndex;
}

/** Sends a packet of the host's own through its hooks; NO_INTERFACE when it does not leave. */
export type Originate = (answer: Packet) => InterfaceIndex;

const NET_UNREACHABLE = 0;
const HOST_UNREACHABLE = 1;
const FRAGMENTATION_NEEDED = 4;
const COMMUNICATION_PROHIBITED = 13;
const TTL_EXCEEDED = 0;

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
const PROTO_DCCP = 33;
const PROTO_ESP = 50;
const PROTO_AH = 51;
/** Protocols whose payload is not held to a checksum before it is answered (kernel: nf_reject_verify_csum). */
const UNVERIFIED = new Set([PROTO_SCTP, PROTO_UDPLITE, PROTO_DCCP, PROTO_GRE, PROTO_ESP, PROTO_AH]);

export class HostAnswers {
  /** Answers to the packet in hand that left; whoever takes them empties it. */
  readonly sent: HostAnswer[] = [];
  private readonly answer: Packet;
  private readonly addresses: RouterAddresses;
  private readonly ttl: number;
  private readonly useIngressAddress: boolean;
  private originate: Originate = () => NO_INTERFACE;

  constructor(
    private readonly host: Host,
    private readonly routes: RouteCache,
    table: FlowTable,
    private readonly random: Random,
  ) {
    this.answer = new Packet(host, table);
    this.addresses = new RouterAddresses(host, routes);
    this.ttl = Number(host.sysctl('net.ipv4.ip_default_ttl') ?? DEFAULT_TTL) || DEFAULT_TTL;
    this.useIngressAddress = host.sysctl('net.ipv4.icmp_errors_use_inbound_ifaddr') === '1';
  }

  connect(originate: Originate): void {
    this.originate = originate;
  }

  /** A REJECT rule matched. `how`: the word of --reject-with. */
  reject(packet: Packet, how: string): void {
    if (packet.family !== 4 || packet.fragmentOffset !== 0 || !this.isUnicast(packet)) return;
    if (how === 'tcp-reset') {
      if (isResettable(packet)) this.send(packet, tcpReset(packet, { source: addressOf(packet), ttl: this.ttl }));
      return;
    }
    const code = REJECT_CODES.get(how);
    if (code !== undefined && sumIsRight(packet)) this.error(packet, { type: ICMP_UNREACHABLE, code, info: 0 });
  }

  ttlExpired(packet: Packet): void {
    this.error(packet, { type: ICMP_TIME_EXCEEDED, code: TTL_EXCEEDED, info: 0 });
  }

  fragmentationNeeded(packet: Packet, mtu: number): void {
    this.error(packet, { type: ICMP_UNREACHABLE, code: FRAGMENTATION_NEEDED, info: mtu });
  }

  /** Routing dropped the packet for `reason`. */
  notRouted(packet: Packet, reason: string): void {
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
    const header = { source: this.sourceOf(packet), ttl: this.ttl, id: this.random.next16(), mtu };
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

  private isUnicast(packet: Packet): boolean {
    const type = this.host.addressType(4, packet.destination);
    return type !== 'broadcast' && type !== 'multicast';
  }

  private send(packet: Packet, bytes: Uint8Array): void {
    const { answer } = this;
    answer.loadIpv4(bytes, new DataView(bytes.buffer), 0, bytes.length);
    answer.now = packet.now;
    answer.seconds = packet.seconds;
    answer.nanoseconds = packet.nanoseconds;
    if (packet.entry >= 0) {
      // Kernel: nf_ct_attach.
      answer.entry = packet.entry;
      answer.direction = 1 - packet.direction;
      answer.info = CT_RELATED;
    }
    const egress = this.originate(answer);
    if (egress !== NO_INTERFACE) this.sent.push({ bytes, egress });
  }
}

/** A segment that a reset may answer (kernel: nf_reject_ip_tcphdr_get). */
export function isResettable({ view, l4, end, protocol, badChecksum }: Packet): boolean {
  if (protocol !== PROTO_TCP || l4 + TCP_MIN_HEADER > end || badChecksum) return false;
  return (view.getUint8(l4 + TCP_FLAGS) & TCP_RST) === 0;
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
