/**
 * How much of a reassembled datagram's payload the kernel draws into its first buffer on the way through the host. Its
 * fragments hang behind each other in a list; whoever reads or writes a header asks for it in one piece
 * (pskb_may_pull, skb_ensure_writable), and what was drawn in leaves with the first fragment. Seen only where the first
 * fragment is shorter than that.
 */
import { ipv4HeaderLength } from '../../packet/ipv4.js';
import { IPV6_HEADER, skipExtensionHeaders, type UpperLayer } from '../../packet/ipv6.js';
import {
  ICMP_HEADER,
  PROTO_GRE,
  PROTO_ICMP,
  PROTO_ICMPV6,
  PROTO_SCTP,
  PROTO_TCP,
  PROTO_UDP,
  PROTO_UDPLITE,
  TCP_MIN_HEADER,
} from '../../packet/transport.js';
import { CT_RELATED, type Packet } from '../packet.js';

const IP_HEADER = 20;
const UDP_BYTES = 8;
const SCTP_COMMON_HEADER = 12;

/**
 * Payload bytes in the first buffer when the packet leaves. `routed`: it came in and was routed (ip_early_demux looks
 * for a TCP socket then); `natted`: NAT has looked at it; `translated`: and changed it.
 */
export function linearBytes(packet: Packet, routed: boolean, natted: boolean, translated: boolean): number {
  const { l4, wireEnd, protocol } = packet;
  const whole = (needed: number): number => (l4 + needed <= wireEnd ? needed : 0);
  switch (protocol) {
    case PROTO_TCP:
      return routed || translated ? whole(TCP_MIN_HEADER) : 0;
    case PROTO_SCTP:
      return whole(SCTP_COMMON_HEADER);
    case PROTO_ICMP:
      return natted && packet.info === CT_RELATED ? embedded(packet, translated) : 0;
    default:
      return 0;
  }
}

/** The same for IPv6, from the IPv6 header's end on. */
export function linearBytes6(packet: Packet, natted: boolean, translated: boolean): number {
  const { view, l3, l4, end, wireEnd, protocol } = packet;
  const before = l4 - l3 - IPV6_HEADER;
  const isError = natted && protocol === PROTO_ICMPV6 && packet.info === CT_RELATED;
  if (!isError) {
    const transport = translated ? transportBytes(protocol, wireEnd - l4) : 0;
    return transport === 0 ? 0 : before + transport;
  }
  const inner = l4 + ICMP_HEADER;
  const known = translated && skipExtensionHeaders(view, inner, end, upper);
  const transport = known ? transportBytes(upper.protocol, wireEnd - upper.offset) : 0;
  // What has only addresses is left alone behind them.
  if (transport === 0) return before + ICMP_HEADER + IPV6_HEADER;
  return upper.offset + transport - l3 - IPV6_HEADER;
}

const upper: UpperLayer = { protocol: 0, offset: 0, fragmentOffset: 0, isFragment: false };

/** Bytes of a transport header that translation asks for, `length` being what is there of it (l4proto_manip_pkt). */
function transportBytes(protocol: number, length: number): number {
  switch (protocol) {
    case PROTO_TCP:
      return length >= TCP_MIN_HEADER ? TCP_MIN_HEADER : UDP_BYTES;
    case PROTO_SCTP:
      return length >= SCTP_COMMON_HEADER ? SCTP_COMMON_HEADER : UDP_BYTES;
    case PROTO_UDP:
    case PROTO_UDPLITE:
    case PROTO_GRE:
    case PROTO_ICMPV6:
      return UDP_BYTES;
    default:
      return 0;
  }
}

/** Kernel: nf_nat_icmp_reply_translation. */
function embedded(packet: Packet, translated: boolean): number {
  const { view, l4, wireEnd, end } = packet;
  const inner = l4 + ICMP_HEADER;
  if (!translated || inner + IP_HEADER > end) return ICMP_HEADER + IP_HEADER;
  const transport = inner + ipv4HeaderLength(view, inner);
  const header =
    view.getUint8(inner + 9) === PROTO_TCP && transport + TCP_MIN_HEADER <= wireEnd ? TCP_MIN_HEADER : UDP_BYTES;
  return transport + header - l4;
}
