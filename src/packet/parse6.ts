/**
 * IPv6 records into columns: what the kernel demands of a packet before any hook sees it (ip6_rcv_core), where the upper
 * layer begins, and whether its checksum is right.
 */
import { fold, sumBytes } from './checksum.js';
import {
  BROKEN_HEADER,
  BROKEN_LENGTH,
  BROKEN_OPTIONS,
  FLAG_BAD_CHECKSUM,
  FLAG_CUT,
  KIND_CUT,
  KIND_IPV6,
  KIND_IPV6_BROKEN,
  type PacketColumns,
} from './columns.js';
import { sctpChecksum } from './crc32c.js';
import { hopByHopFault, OPTIONS_CUT, OPTIONS_SOUND } from './hopbyhop.js';
import {
  IPV6_DESTINATION,
  IPV6_HEADER,
  IPV6_NEXT_HEADER,
  IPV6_PAYLOAD_LENGTH,
  IPV6_SOURCE,
  NEXTHDR_HOP,
  NEXTHDR_NONE,
  skipExtensionHeaders,
  type UpperLayer,
} from './ipv6.js';
import {
  ICMP_HEADER,
  PROTO_ICMPV6,
  PROTO_SCTP,
  PROTO_TCP,
  PROTO_UDP,
  PROTO_UDPLITE,
  SCTP_CHECKSUM,
  SCTP_HEADER,
  TCP_CHECKSUM,
  TCP_MIN_HEADER,
  UDP_CHECKSUM,
  UDP_HEADER,
} from './transport.js';

const upper: UpperLayer = { protocol: 0, offset: 0, fragmentOffset: 0, isFragment: false };
const measured = { length: 0 };
const jumbo = { length: 0 };

/** `end`: past the frame's last captured byte; `wireEnd`: past its last byte on the wire. */
export function parseIpv6(
  view: DataView,
  columns: PacketColumns,
  i: number,
  ip: number,
  end: number,
  wireEnd: number,
): void {
  columns.end[i] = end;
  const fault = headerFault(view, ip, end, wireEnd);
  if (fault !== 0) {
    columns.kind[i] = fault === FAULT_CUT ? KIND_CUT : KIND_IPV6_BROKEN;
    columns.reason[i] = fault;
    return;
  }
  const { length } = measured;
  const packetEnd = Math.min(ip + length, end);
  columns.kind[i] = KIND_IPV6;
  columns.end[i] = packetEnd;
  columns.totalLength[i] = length;
  if (packetEnd < ip + length) columns.flags[i] = (columns.flags[i] as number) | FLAG_CUT;
  const found = skipExtensionHeaders(view, ip, packetEnd, upper);
  columns.protocol[i] = found && !upper.isFragment ? upper.protocol : NEXTHDR_NONE;
  columns.l4[i] = found ? Math.min(upper.offset, packetEnd) : packetEnd;
}

/** Not a fault of the packet: the capture holds too little of it to tell. */
const FAULT_CUT = 255;

/**
 * What ip6_rcv_core drops the packet for (BROKEN_*), FAULT_CUT, or 0: then `measured.length` is that of the packet, which
 * without a payload length is all of the frame.
 */
function headerFault(view: DataView, ip: number, end: number, wireEnd: number): number {
  if (ip + IPV6_HEADER > end) return end < wireEnd ? FAULT_CUT : BROKEN_LENGTH;
  if (view.getUint8(ip) >> 4 !== 6) return BROKEN_HEADER;
  const payload = view.getUint16(ip + IPV6_PAYLOAD_LENGTH);
  const hasOptions = view.getUint8(ip + IPV6_NEXT_HEADER) === NEXTHDR_HOP;
  const length = payload === 0 && hasOptions ? wireEnd - ip : IPV6_HEADER + payload;
  measured.length = length;
  if (ip + length > wireEnd) return BROKEN_LENGTH;
  if (!hasOptions) return 0;
  jumbo.length = 0;
  const fault = hopByHopFault(view, ip, Math.min(ip + length, end), ip + length, jumbo);
  if (jumbo.length > 0) measured.length = IPV6_HEADER + jumbo.length;
  if (fault === OPTIONS_CUT) return FAULT_CUT;
  return fault === OPTIONS_SOUND ? 0 : BROKEN_OPTIONS;
}

/**
 * Marks record i if its upper layer's checksum is wrong. It covers the whole payload behind the extension headers, and
 * the addresses as they stand in the fixed header (kernel: nf_ip6_checksum). Fragments have none of their own. A UDP
 * checksum of 0 passes, whatever RFC 8200 says (KERNEL.md E2).
 */
export function verifyIpv6(view: DataView, columns: PacketColumns, i: number, acceptOffloaded: boolean): void {
  const start = columns.l4[i] as number;
  const end = columns.end[i] as number;
  const protocol = columns.protocol[i] as number;
  if (protocol === PROTO_SCTP) {
    verifySctp(view, columns, i, acceptOffloaded);
    return;
  }
  const place = CHECKSUM_PLACES.get(protocol);
  if (place === undefined || start + place.header > end) return;
  const field = start + place.field;
  const stored = view.getUint16(field, true);
  if (stored === 0 && (protocol === PROTO_UDP || protocol === PROTO_UDPLITE)) return;
  // UDP-Lite is verified with UDP's number and over all bytes (KERNEL.md E3).
  const counted = protocol === PROTO_UDPLITE ? PROTO_UDP : protocol;
  const pseudo = ipv6PseudoSum(view, columns.l3[i] as number, counted, end - start);
  const sum = fold(pseudo + sumBytes(view, start, end - start));
  if (sum === 0xffff) return;
  const offloads = protocol === PROTO_TCP || protocol === PROTO_UDP;
  if (offloads && acceptOffloaded && stored === fold(pseudo)) {
    const finished = ~fold(sum + (~stored & 0xffff)) & 0xffff;
    view.setUint16(field, finished === 0 && protocol === PROTO_UDP ? 0xffff : finished, true);
  } else {
    columns.flags[i] = (columns.flags[i] as number) | FLAG_BAD_CHECKSUM;
  }
}

/** Where a protocol's checksum stands, and how long its header is at the least. */
const CHECKSUM_PLACES = new Map([
  [PROTO_TCP, { field: TCP_CHECKSUM, header: TCP_MIN_HEADER }],
  [PROTO_UDP, { field: UDP_CHECKSUM, header: UDP_HEADER }],
  [PROTO_UDPLITE, { field: UDP_CHECKSUM, header: UDP_HEADER }],
  [PROTO_ICMPV6, { field: 2, header: ICMP_HEADER }],
]);

function verifySctp(view: DataView, columns: PacketColumns, i: number, acceptOffloaded: boolean): void {
  const start = columns.l4[i] as number;
  const end = columns.end[i] as number;
  if (start + SCTP_HEADER > end) return;
  const stored = view.getUint32(start + SCTP_CHECKSUM, true);
  const sum = sctpChecksum(view, start, end);
  if (stored === sum) return;
  if (acceptOffloaded && stored === 0) view.setUint32(start + SCTP_CHECKSUM, sum, true);
  else columns.flags[i] = (columns.flags[i] as number) | FLAG_BAD_CHECKSUM;
}

/** Sum of the pseudo header (RFC 8200 section 8.1) of the packet whose fixed header is at `ip`. */
export function ipv6PseudoSum(view: DataView, ip: number, protocol: number, length: number): number {
  const low = ((length & 0xff) << 8) | ((length >>> 8) & 0xff);
  const high = ((length >>> 8) & 0xff00) | (length >>> 24);
  return sumBytes(view, ip + IPV6_SOURCE, IPV6_DESTINATION + 16 - IPV6_SOURCE) + (protocol << 8) + low + high;
}
