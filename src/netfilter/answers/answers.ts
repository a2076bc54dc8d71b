/**
 * What the host itself says about packets that it refuses: REJECT, TTL exceeded, no route, packets too long. Made only on
 * demand (`--host-packets`); rate limits (icmp_ratelimit, icmp_msgs_per_sec) are not applied. An answer belongs to the
 * connection of the packet it is about, as RELATED, and goes through OUTPUT and POSTROUTING like anything the host sends.
 */
import type { Host, InterfaceIndex } from '../../host/types.js';
import { NO_INTERFACE } from '../../host/types.js';
import {
  PROTO_GRE,
  PROTO_SCTP,
  PROTO_TCP,
  PROTO_UDPLITE,
  TCP_FLAGS,
  TCP_MIN_HEADER,
  TCP_RST,
} from '../../packet/transport.js';
import type { FlowTable } from '../conntrack/flowtable.js';
import { CT_RELATED, Packet } from '../packet.js';

/** A packet of the host's own that leaves by `egress`. */
export interface HostAnswer {
  readonly bytes: Uint8Array;
  readonly egress: InterfaceIndex;
}

/** Sends a packet of the host's own through its hooks; NO_INTERFACE when it does not leave. */
export type Originate = (answer: Packet) => InterfaceIndex;

/** Of one family. */
export abstract class HostAnswers {
  /** Answers to the packet in hand that left; whoever takes them empties it. */
  readonly sent: HostAnswer[] = [];
  private readonly answer: Packet;
  private originate: Originate = () => NO_INTERFACE;

  constructor(
    protected readonly host: Host,
    table: FlowTable,
  ) {
    this.answer = new Packet(host, table);
  }

  connect(originate: Originate): void {
    this.originate = originate;
  }

  /** A REJECT rule matched. `how`: the word of --reject-with. */
  abstract reject(packet: Packet, how: string): void;
  /** It can't be forwarded for its TTL or hop limit. */
  abstract ttlExpired(packet: Packet): void;
  /** A first fragment, and the rest of its datagram did not come in time. */
  abstract reassemblyTimedOut(packet: Packet): void;
  /** It does not fit through the link it would leave by, and must not be fragmented on its way. */
  abstract tooBig(packet: Packet, mtu: number): void;
  /** Its sender could have sent it to `nextHop` itself; it is forwarded all the same. */
  abstract roundabout(packet: Packet, nextHop: Uint32Array): void;
  /** Its IPv4 options are malformed, `at` bytes from the start of its header. */
  abstract badOptions(packet: Packet, at: number): void;
  /** Routing dropped the packet for `reason`. */
  abstract notRouted(packet: Packet, reason: string): void;

  /** `link`: the interface that the answer is bound to, if it is. */
  protected send(packet: Packet, bytes: Uint8Array, link: InterfaceIndex = NO_INTERFACE): void {
    const { answer } = this;
    const view = new DataView(bytes.buffer);
    if (packet.family === 4) answer.loadIpv4(bytes, view, 0, bytes.length);
    else answer.loadIpv6(bytes, view, 0, bytes.length, bytes.length);
    answer.outInterface = link;
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

/**
 * A segment that a reset may answer (kernel: nf_reject_ip_tcphdr_get, nf_reject_ip6_tcphdr_get), which for IPv6 has to be
 * from one host to another (nf_send_reset6).
 */
export function isResettable(packet: Packet): boolean {
  const { view, l4, end, protocol, badChecksum } = packet;
  if (packet.family === 6 && !(isUnicast6(packet.source) && isUnicast6(packet.destination))) return false;
  if (protocol !== PROTO_TCP || l4 + TCP_MIN_HEADER > end || badChecksum) return false;
  return (view.getUint8(l4 + TCP_FLAGS) & TCP_RST) === 0;
}

/** Kernel: ipv6_addr_type. Neither the unspecified address nor an IPv4-mapped one counts as unicast. */
function isUnicast6([first = 0, second = 0, third = 0, fourth = 0]: Uint32Array): boolean {
  if (first >>> 24 === 0xff) return false;
  return first !== 0 || second !== 0 || (third !== 0xffff && (third !== 0 || fourth !== 0));
}

const PROTO_ESP = 50;
const PROTO_AH = 51;
/** Protocols whose payload is not held to a checksum before it is answered (kernel: nf_reject_verify_csum; Linux 6.18 knows no DCCP). */
export const UNVERIFIED = new Set([PROTO_SCTP, PROTO_UDPLITE, PROTO_GRE, PROTO_ESP, PROTO_AH]);
