/** What the host says about IPv6 packets that it refuses (kernel: icmp6_send, nf_send_unreach6, nf_send_reset6). */
import { networkOf } from '../../host/address.js';
import { selectSource6 } from '../../host/sourceaddress6.js';
import { interfaceSysctl } from '../../host/sysctl.js';
import type { Host, InterfaceIndex } from '../../host/types.js';
import { NO_INTERFACE } from '../../host/types.js';
import { fold, sumBytes } from '../../packet/checksum.js';
import { IPV6_HOP_LIMIT } from '../../packet/ipv6.js';
import { ipv6PseudoSum } from '../../packet/parse6.js';
import {
  ICMP_HEADER,
  ICMP_TYPE,
  PROTO_ICMPV6,
  PROTO_TCP,
  PROTO_UDP,
  TCP_MIN_HEADER,
  UDP_CHECKSUM,
  UDP_HEADER,
} from '../../packet/transport.js';
import { sameAddress } from '../../packet/tuple.js';
import type { FlowTable } from '../conntrack/flowtable.js';
import type { Packet } from '../packet.js';
import { HostAnswers, isResettable, UNVERIFIED } from './answers.js';
import type { IcmpError } from './message.js';
import { icmpv6Error, tcpReset6 } from './message6.js';

/** Types below are errors, which carry the packet they are about (RFC 4443 section 2.1). */
const FIRST_INFORMATIONAL = 128;
const UNREACHABLE = 1;
const TOO_BIG = 2;
const TIME_EXCEEDED = 3;

/** Codes of destination unreachable (RFC 4443 section 3.1). */
const NO_ROUTE = 0;
const PROHIBITED = 1;
const BEYOND_SCOPE = 2;
const REJECT_CODES: ReadonlyMap<string, number> = new Map([
  ['icmp6-no-route', NO_ROUTE],
  ['icmp6-adm-prohibited', PROHIBITED],
  ['icmp6-addr-unreachable', 3],
  ['icmp6-port-unreachable', 4],
  ['icmp6-policy-fail', 5],
  ['icmp6-reject-route', 6],
]);

/** What routing's reasons are told the sender as (kernel: ip6_pkt_drop). The others it is not told. */
const ROUTING_CODES: ReadonlyMap<string, number> = new Map([
  ['no-route', NO_ROUTE],
  ['unreachable', NO_ROUTE],
  ['throw', NO_ROUTE],
  ['prohibit', PROHIBITED],
]);

const DEFAULT_HOP_LIMIT = 64;
/** Values of auto_flowlabels with which a packet that says nothing of its flow label gets one: unless it asks not to, always. */
const LABELLED = new Set(['1', '3']);
const LABEL_MASK = 0xfffff;

const isMulticast = (a: Uint32Array): boolean => (a[0] ?? 0) >>> 24 === 0xff;
const isLinkLocal = (a: Uint32Array): boolean => (a[0] ?? 0) >>> 22 === 0xfe80 >>> 6;
const isUnspecified = (a: Uint32Array): boolean => a.every((word) => word === 0);

export class Ipv6Answers extends HostAnswers {
  private readonly labelled: boolean;
  private readonly forwarding: boolean;

  /** `seed`: of the flow labels. */
  constructor(
    host: Host,
    table: FlowTable,
    private readonly seed: number,
  ) {
    super(host, table);
    this.labelled = LABELLED.has(host.sysctl('net.ipv6.auto_flowlabels') ?? '1');
    this.forwarding = host.sysctl('net.ipv6.conf.all.forwarding') !== '0';
  }

  override reject(packet: Packet, how: string): void {
    // A later fragment, or headers that lead nowhere.
    if (packet.protocol < 0 || packet.fragmentOffset !== 0) return;
    if (how === 'tcp-reset') {
      this.reset(packet);
      return;
    }
    const code = REJECT_CODES.get(how);
    if (code !== undefined && sumIsRight(packet)) this.error(packet, { type: UNREACHABLE, code, info: 0 });
  }

  override ttlExpired(packet: Packet): void {
    this.error(packet, { type: TIME_EXCEEDED, code: 0, info: 0 });
  }

  override reassemblyTimedOut(packet: Packet): void {
    this.error(packet, { type: TIME_EXCEEDED, code: 1, info: 0 });
  }

  override tooBig(packet: Packet, mtu: number): void {
    this.error(packet, { type: TOO_BIG, code: 0, info: mtu });
  }

  /** Nothing: a redirect would have to tell the next hop's link-layer address (RFC 4861 section 4.5). */
  override roundabout(): void {}

  /** IPv6 has none. */
  override badOptions(): void {}

  override notRouted(packet: Packet, reason: string): void {
    if (reason === 'link-local-source') {
      // The hop limit is looked at first (ip6_forward).
      if (packet.view.getUint8(packet.l3 + IPV6_HOP_LIMIT) <= 1) this.ttlExpired(packet);
      else this.error(packet, { type: UNREACHABLE, code: BEYOND_SCOPE, info: 0 });
      return;
    }
    const code = ROUTING_CODES.get(reason);
    if (code !== undefined) this.error(packet, { type: UNREACHABLE, code, info: 0 });
  }

  private reset(packet: Packet): void {
    const { source, destination } = packet;
    if (!isResettable(packet)) return;
    const hopLimit = this.hopLimitOf(this.host.route(6, source)?.iface ?? NO_INTERFACE);
    this.send(packet, tcpReset6(packet, { source: Uint32Array.from(destination), hopLimit }));
  }

  /** Kernel: icmp6_send. Nothing is said about errors, to nobody or many, and of what was not sent to one host. */
  private error(packet: Packet, error: IcmpError): void {
    if (packet.toGroup !== 0 || isMulticast(packet.destination)) return;
    if (isUnspecified(packet.source) || isMulticast(packet.source) || isError(packet)) return;
    const route = this.host.route(6, packet.source);
    const link = isLinkLocal(packet.source) ? packet.inInterface : NO_INTERFACE;
    const egress = link === NO_INTERFACE ? route?.iface : link;
    if (egress === undefined || (link === NO_INTERFACE && route?.type === 'anycast')) return;
    const source = this.sourceOf(packet, link === NO_INTERFACE ? route?.preferredSource : undefined, egress);
    if (source === undefined) return;
    const header = { source, hopLimit: this.hopLimitOf(egress), flowLabel: this.flowLabel(source, packet.source) };
    this.send(packet, icmpv6Error(packet, error, header), link);
  }

  /** Its own address if the packet was for it, else that of the way back, or of the interface it came in by. */
  private sourceOf(
    { destination, source, inInterface }: Packet,
    preferred: Uint32Array | undefined,
    egress: InterfaceIndex,
  ): Uint32Array | undefined {
    if (this.isOwn(destination, inInterface)) return Uint32Array.from(destination);
    const towards = inInterface === NO_INTERFACE ? egress : inInterface;
    return preferred ?? selectSource6(this.host, towards, source) ?? selectSource6(this.host, egress, source);
  }

  /** An address of the host (of that interface, if it is link-local), or a router's anycast one of a subnet of it. */
  private isOwn(address: Uint32Array, iface: InterfaceIndex): boolean {
    const onLink = isLinkLocal(address);
    return this.host.interfaces.some(({ index, addresses }) => {
      if (onLink && index !== iface) return false;
      return addresses.some(({ family, words, prefixLength, tentative }) => {
        if (family !== 6) return false;
        if (tentative !== true && sameAddress(words, address)) return true;
        return this.forwarding && prefixLength < 127 && sameAddress(networkOf(6, words, prefixLength), address);
      });
    });
  }

  private hopLimitOf(iface: InterfaceIndex): number {
    const read = (scope: string): string | undefined => this.host.sysctl(interfaceSysctl(6, scope, 'hop_limit'));
    const name = this.host.interfaces[iface]?.name;
    return Number((name === undefined ? undefined : read(name)) ?? read('default') ?? DEFAULT_HOP_LIMIT);
  }

  /** The same for all errors from one address to another, as the kernel's, which nobody can foretell. */
  private flowLabel(from: Uint32Array, to: Uint32Array): number {
    if (!this.labelled) return 0;
    let hash = this.seed | 0;
    for (const word of [...from, ...to]) hash = Math.imul((hash ^ word) >>> 0, 0x9e3779b1) ^ (hash >>> 15);
    return (hash ^ (hash >>> 13)) & LABEL_MASK;
  }
}

/** Of an ICMPv6 error, or of what is too short to tell (kernel: is_ineligible). */
function isError({ protocol, fragmentOffset, isFragment, view, l4, end }: Packet): boolean {
  if (protocol !== PROTO_ICMPV6 || fragmentOffset !== 0) return false;
  if (l4 + ICMP_TYPE + 1 > end) return !isFragment;
  return view.getUint8(l4 + ICMP_TYPE) < FIRST_INFORMATIONAL;
}

/** Protocols whose checksum the parser has verified, and how long their headers are. */
const VERIFIED = new Map([
  [PROTO_TCP, TCP_MIN_HEADER],
  [PROTO_UDP, UDP_HEADER],
  [PROTO_ICMPV6, ICMP_HEADER],
]);

/** Whether the payload's checksum is right, as nf_reject verifies it: any protocol's, over its pseudo header. */
function sumIsRight({ protocol, view, l3, l4, end, cut, badChecksum }: Packet): boolean {
  if (l4 >= end) return false;
  if (cut || UNVERIFIED.has(protocol)) return true;
  const header = VERIFIED.get(protocol);
  if (header !== undefined && l4 + header <= end) {
    return (protocol === PROTO_UDP && view.getUint16(l4 + UDP_CHECKSUM) === 0) || !badChecksum;
  }
  return fold(ipv6PseudoSum(view, l3, protocol, end - l4) + sumBytes(view, l4, end - l4)) === 0xffff;
}
