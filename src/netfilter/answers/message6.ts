/** The packets by which a host says that it refused an IPv6 one: ICMPv6 errors (RFC 4443 section 2.4) and TCP resets. */
import { fold, sumBytes } from '../../packet/checksum.js';
import {
  IPV6_DESTINATION,
  IPV6_HEADER,
  IPV6_HOP_LIMIT,
  IPV6_NEXT_HEADER,
  IPV6_PAYLOAD_LENGTH,
  IPV6_SOURCE,
} from '../../packet/ipv6.js';
import { ipv6PseudoSum } from '../../packet/parse6.js';
import {
  ICMP_CHECKSUM,
  ICMP_CODE,
  ICMP_HEADER,
  ICMP_TYPE,
  PROTO_ICMPV6,
  PROTO_TCP,
  TCP_CHECKSUM,
  TCP_MIN_HEADER,
} from '../../packet/transport.js';
import { type IcmpError, type Refused, writeReset } from './message.js';

/** An error carries as much of the packet as fits into the least MTU that a link may have (RFC 4443 section 2.4(c)). */
const LONGEST_ERROR = 1280;
/** Where an error has its MTU and the like. */
const ICMP_INFO = 4;
const VERSION = 0x60000000;

interface Header6 {
  readonly source: Uint32Array;
  readonly hopLimit: number;
}

/** The ICMPv6 error from its IP header on. `flowLabel`: 20 bits, which the kernel makes of a secret. */
export function icmpv6Error(refused: Refused, error: IcmpError, header: Header6 & { flowLabel: number }): Uint8Array {
  const overhead = IPV6_HEADER + ICMP_HEADER;
  const quoted = Math.min(LONGEST_ERROR - overhead, refused.end - refused.l3);
  const bytes = new Uint8Array(overhead + quoted);
  const view = new DataView(bytes.buffer);
  bytes.set(refused.bytes.subarray(refused.l3, refused.l3 + quoted), overhead);
  view.setUint8(IPV6_HEADER + ICMP_TYPE, error.type);
  view.setUint8(IPV6_HEADER + ICMP_CODE, error.code);
  view.setUint32(IPV6_HEADER + ICMP_INFO, error.info);
  writeHeader6(view, refused, PROTO_ICMPV6, header, header.flowLabel);
  finish(view, PROTO_ICMPV6, ICMP_CHECKSUM);
  return bytes;
}

/** The reset that refuses a TCP segment, from its IP header on (kernel: nf_send_reset6). */
export function tcpReset6(refused: Refused, header: Header6): Uint8Array {
  const bytes = new Uint8Array(IPV6_HEADER + TCP_MIN_HEADER);
  const view = new DataView(bytes.buffer);
  writeReset(view, IPV6_HEADER, refused);
  writeHeader6(view, refused, PROTO_TCP, header, 0);
  finish(view, PROTO_TCP, TCP_CHECKSUM);
  return bytes;
}

/** To the sender of the packet. */
function writeHeader6(
  view: DataView,
  refused: Refused,
  protocol: number,
  { source, hopLimit }: Header6,
  flowLabel: number,
): void {
  view.setUint32(0, VERSION + flowLabel);
  view.setUint16(IPV6_PAYLOAD_LENGTH, view.byteLength - IPV6_HEADER);
  view.setUint8(IPV6_NEXT_HEADER, protocol);
  view.setUint8(IPV6_HOP_LIMIT, hopLimit);
  for (let k = 0; k < 4; k++) {
    view.setUint32(IPV6_SOURCE + 4 * k, source[k] ?? 0);
    view.setUint32(IPV6_DESTINATION + 4 * k, refused.view.getUint32(refused.l3 + IPV6_SOURCE + 4 * k));
  }
}

function finish(view: DataView, protocol: number, checksum: number): void {
  const length = view.byteLength - IPV6_HEADER;
  const sum = fold(ipv6PseudoSum(view, 0, protocol, length) + sumBytes(view, IPV6_HEADER, length));
  view.setUint16(IPV6_HEADER + checksum, ~sum & 0xffff, true);
}
