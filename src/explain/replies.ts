/** What the one who gets a packet would answer, so that the answer's way back can be shown. */
import { IPV4_DESTINATION, IPV4_PROTOCOL, IPV4_SOURCE, ipv4HeaderLength, ipv4IsFragment } from '../packet/ipv4.js';
import { IPV6_DESTINATION, IPV6_SOURCE, skipExtensionHeaders, type UpperLayer } from '../packet/ipv6.js';
import {
  PROTO_GRE,
  PROTO_ICMP,
  PROTO_ICMPV6,
  PROTO_SCTP,
  PROTO_TCP,
  PROTO_UDP,
  TCP_ACK,
  TCP_FIN,
  TCP_RST,
  TCP_SYN,
  tcpHeaderLength,
} from '../packet/transport.js';
import {
  type Envelope,
  filler,
  icmpMessage,
  ipPacket,
  SCTP_COOKIE_ACK,
  SCTP_INIT,
  SCTP_INIT_ACK,
  sctpCookie,
  sctpInit,
  sctpPacket,
  tcpSegment,
  udpDatagram,
} from './bytes.js';

/** Where the answering end of a connection begins to count. */
export const ANSWERS_FROM = 5000;
const TTL = 64;

/** Reply types of ICMP queries. */
const ICMP_REPLIES = new Map([
  [8, 0],
  [13, 14],
  [15, 16],
  [17, 18],
]);
const ICMPV6_REPLIES = new Map([[128, 129]]);

interface Received extends Envelope {
  readonly view: DataView;
  readonly l4: number;
  readonly end: number;
}

/** The answer to an IP packet, or why there is none. */
export function replyTo(packet: Uint8Array): Uint8Array | string {
  const received = read(packet);
  if (received === undefined) return 'it is a fragment, which nobody answers';
  const { view, l4, end, source, destination } = received;
  const needed = SHORTEST.get(received.protocol) ?? 0;
  if (l4 + needed > end) return 'its transport header is cut short';
  const transport = answer(received, view, l4, end);
  if (typeof transport === 'string') return transport;
  return ipPacket({ ...received, ttl: TTL, tos: 0, source: destination, destination: source }, transport);
}

const SHORTEST = new Map([
  [PROTO_TCP, 20],
  [PROTO_UDP, 8],
  [PROTO_ICMP, 8],
  [PROTO_ICMPV6, 8],
  [PROTO_SCTP, 16],
]);

function answer({ protocol }: Received, view: DataView, l4: number, end: number): Uint8Array | string {
  const sourcePort = view.byteLength >= l4 + 4 ? view.getUint16(l4 + 2) : 0;
  const destinationPort = view.byteLength >= l4 + 4 ? view.getUint16(l4) : 0;
  switch (protocol) {
    case PROTO_TCP:
      return answerTcp(view, l4, end, { sourcePort, destinationPort });
    case PROTO_UDP:
      return udpDatagram(sourcePort, destinationPort, filler(Math.max(0, end - l4 - 8)));
    case PROTO_ICMP:
    case PROTO_ICMPV6: {
      const type = (protocol === PROTO_ICMP ? ICMP_REPLIES : ICMPV6_REPLIES).get(view.getUint8(l4));
      if (type === undefined) return 'nobody answers such an ICMP message';
      return icmpMessage(type, 0, view.getUint16(l4 + 4), filler(Math.max(0, end - l4 - 8)));
    }
    case PROTO_SCTP:
      return answerSctp(view, l4, end, { sourcePort, destinationPort });
    case PROTO_GRE:
      return Uint8Array.of(0, 0, 8, 0, 0, 0, 0, 0);
    default:
      return filler(Math.max(0, end - l4));
  }
}

interface Ports {
  readonly sourcePort: number;
  readonly destinationPort: number;
}

function answerTcp(view: DataView, l4: number, end: number, ports: Ports): Uint8Array | string {
  const flags = view.getUint8(l4 + 13);
  if ((flags & TCP_RST) !== 0) return 'nobody answers a reset';
  if ((flags & (TCP_SYN | TCP_ACK)) === 0) return 'nobody answers a segment with neither SYN nor ACK';
  const sequence = view.getUint32(l4 + 4);
  const length = Math.max(0, end - l4 - tcpHeaderLength(view, l4));
  const counts = ((flags & TCP_SYN) === 0 ? 0 : 1) + ((flags & TCP_FIN) === 0 ? 0 : 1);
  const isFirst = (flags & (TCP_SYN | TCP_ACK)) === TCP_SYN;
  return tcpSegment({
    ...ports,
    seq: isFirst ? ANSWERS_FROM : view.getUint32(l4 + 8),
    ack: (sequence + length + counts) >>> 0,
    flags: isFirst ? TCP_SYN | TCP_ACK : TCP_ACK,
    payload: new Uint8Array(0),
  });
}

function answerSctp(
  view: DataView,
  l4: number,
  end: number,
  { sourcePort, destinationPort }: Ports,
): Uint8Array | string {
  if (view.getUint8(l4 + 12) !== SCTP_INIT || l4 + 20 > end)
    return sctpPacket(sourcePort, destinationPort, SCTP_CLIENT_TAG, sctpCookie(SCTP_COOKIE_ACK));
  const tag = view.getUint32(l4 + 16);
  return sctpPacket(sourcePort, destinationPort, tag, sctpInit(SCTP_INIT_ACK, ANSWERS_FROM));
}

/** Tag of the end that begins, which only its INIT says: it begins where TCP's sequence numbers do. */
export const SCTP_CLIENT_TAG = 1000;

const upper: UpperLayer = { protocol: 0, offset: 0, fragmentOffset: 0, isFragment: false };

function read(packet: Uint8Array): Received | undefined {
  const view = new DataView(packet.buffer, packet.byteOffset, packet.length);
  const rest = { view, end: packet.length, ttl: TTL, tos: 0 };
  const words = (at: number, count: number): Uint32Array =>
    Uint32Array.from({ length: 4 }, (_, k) => (k < count ? view.getUint32(at + 4 * k) : 0));
  if (view.getUint8(0) >> 4 === 4) {
    if (ipv4IsFragment(view, 0)) return undefined;
    const [source, destination] = [words(IPV4_SOURCE, 1), words(IPV4_DESTINATION, 1)];
    return {
      ...rest,
      family: 4,
      protocol: view.getUint8(IPV4_PROTOCOL),
      source,
      destination,
      l4: ipv4HeaderLength(view, 0),
    };
  }
  if (!skipExtensionHeaders(view, 0, packet.length, upper) || upper.isFragment) return undefined;
  const [source, destination] = [words(IPV6_SOURCE, 4), words(IPV6_DESTINATION, 4)];
  return { ...rest, family: 6, protocol: upper.protocol, source, destination, l4: upper.offset };
}
