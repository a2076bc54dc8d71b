/**
 * The hop-by-hop options of an IPv6 packet as every Linux host on its way reads them (kernel: ipv6_parse_hopopts,
 * ip6_parse_tlv; RFC 8200 sections 4.2 and 4.3). A packet whose options it does not like is dropped before any hook.
 */
import { IPV6_HEADER, IPV6_PAYLOAD_LENGTH } from './ipv6.js';

export const OPTIONS_SOUND = 0;
/** The kernel drops the packet. */
export const OPTIONS_BAD = 1;
/** The capture's snaplen left too little to tell. */
export const OPTIONS_CUT = 2;

const PAD1 = 0;
const PADN = 1;
const ROUTER_ALERT = 5;
const CALIPSO = 7;
const IOAM = 0x31;
const JUMBO = 0xc2;
/** Options other than padding that the kernel bears (net.ipv6.max_hbh_opts_number). */
const MOST_OPTIONS = 8;
/** Bytes of padding in a row; more has no use and may be a covert channel (RFC 4942 section 2.1.9.5). */
const MOST_PADDING = 7;
/** What to do about an option that is not known: the upper two bits of its type. */
const UNKNOWN_MASK = 0xc0;

/**
 * Judges the options behind the fixed header at `ip`. `end`: past the last captured byte, `packetEnd`: past the last one
 * on the wire. Fills `jumbo.length` with the payload length of a jumbogram (RFC 2675).
 */
export function hopByHopFault(
  view: DataView,
  ip: number,
  end: number,
  packetEnd: number,
  jumbo: { length: number },
): number {
  const start = ip + IPV6_HEADER;
  if (start + 8 > packetEnd) return OPTIONS_BAD;
  if (start + 2 > end) return OPTIONS_CUT;
  const last = start + ((view.getUint8(start + 1) + 1) << 3);
  if (last > packetEnd) return OPTIONS_BAD;
  if (last > end) return OPTIONS_CUT;
  let padding = 0;
  let options = 0;
  for (let at = start + 2; at < last; ) {
    const type = view.getUint8(at);
    if (type === PAD1) {
      if (++padding > MOST_PADDING) return OPTIONS_BAD;
      at++;
      continue;
    }
    if (at + 2 > last) return OPTIONS_BAD;
    const length = view.getUint8(at + 1) + 2;
    if (at + length > last) return OPTIONS_BAD;
    if (type === PADN) {
      padding += length;
      if (padding > MOST_PADDING || !isZero(view, at + 2, at + length)) return OPTIONS_BAD;
    } else {
      if (++options > MOST_OPTIONS || !isAccepted(view, ip, at, packetEnd, jumbo)) return OPTIONS_BAD;
      padding = 0;
    }
    at += length;
  }
  return OPTIONS_SOUND;
}

function isAccepted(view: DataView, ip: number, at: number, packetEnd: number, jumbo: { length: number }): boolean {
  const type = view.getUint8(at);
  const length = view.getUint8(at + 1);
  switch (type) {
    case ROUTER_ALERT:
      return length === 2;
    case IOAM:
      return ((at - ip) & 3) === 0 && length >= 2;
    case CALIPSO:
      // Its domain would have to be configured on the host.
      return false;
    case JUMBO: {
      if (length !== 4 || ((at - ip) & 3) !== 2) return false;
      const stated = view.getUint32(at + 2);
      if (stated <= 0xffff || view.getUint16(ip + IPV6_PAYLOAD_LENGTH) !== 0) return false;
      if (stated > packetEnd - ip - IPV6_HEADER) return false;
      jumbo.length = stated;
      return true;
    }
    default:
      return (type & UNKNOWN_MASK) === 0;
  }
}

function isZero(view: DataView, from: number, to: number): boolean {
  for (let at = from; at < to; at++) if (view.getUint8(at) !== 0) return false;
  return true;
}
