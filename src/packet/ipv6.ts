/**
 * IPv6 header, RFC 8200 section 3, and the walk over its extension headers (section 4).
 *
 *   |Version| Traffic Class |           Flow Label                  |
 *   |         Payload Length        |  Next Header  |   Hop Limit   |
 *   |                  Source Address (128 bits)                    |
 *   |                Destination Address (128 bits)                 |
 */

export const IPV6_PAYLOAD_LENGTH = 4;
export const IPV6_NEXT_HEADER = 6;
export const IPV6_HOP_LIMIT = 7;
export const IPV6_SOURCE = 8;
export const IPV6_DESTINATION = 24;
export const IPV6_HEADER = 40;

/** Extension headers (IANA protocol numbers). */
export const NEXTHDR_HOP = 0;
export const NEXTHDR_ROUTING = 43;
export const NEXTHDR_FRAGMENT = 44;
export const NEXTHDR_AUTH = 51;
export const NEXTHDR_NONE = 59;
export const NEXTHDR_DEST = 60;

/** Where the upper layer begins: found by `skipExtensionHeaders`. */
export interface UpperLayer {
  /** Protocol number of the upper layer; NEXTHDR_NONE if there is none. */
  protocol: number;
  /** Offset of its first byte, which may lie behind the packet's end. */
  offset: number;
  /** Fragment offset in bytes; 0 without a fragment header. */
  fragmentOffset: number;
  /** There is a fragment header, if only that of an atomic fragment (RFC 6946). */
  isFragment: boolean;
}

/**
 * Walks the extension headers from the fixed header at `ip` to `end` (past the last byte), filling `found`. False when
 * the chain can't be followed: a header's type and length (or a fragment's offset) lie behind the end. Stops behind the
 * header of a later fragment: what follows is not a header. As the kernel does (ipv6_skip_exthdr, ipv6_find_hdr), which
 * trusts the lengths and leaves it to the upper layer to notice that it is not there.
 */
export function skipExtensionHeaders(view: DataView, ip: number, end: number, found: UpperLayer): boolean {
  let protocol = view.getUint8(ip + IPV6_NEXT_HEADER);
  let offset = ip + IPV6_HEADER;
  found.fragmentOffset = 0;
  found.isFragment = false;
  while (isExtensionHeader(protocol)) {
    if (offset + (protocol === NEXTHDR_FRAGMENT ? 4 : 2) > end) return false;
    const next = view.getUint8(offset);
    if (protocol === NEXTHDR_FRAGMENT) {
      found.isFragment = true;
      found.fragmentOffset = view.getUint16(offset + 2) & 0xfff8;
      offset += 8;
    } else {
      const length = view.getUint8(offset + 1);
      offset += protocol === NEXTHDR_AUTH ? (length + 2) << 2 : (length + 1) << 3;
    }
    protocol = next;
    if (found.fragmentOffset !== 0) break;
  }
  found.protocol = protocol;
  found.offset = offset;
  return true;
}

/** Headers that another one follows. */
export const isExtensionHeader = (protocol: number): boolean =>
  protocol === NEXTHDR_HOP ||
  protocol === NEXTHDR_ROUTING ||
  protocol === NEXTHDR_DEST ||
  protocol === NEXTHDR_FRAGMENT ||
  protocol === NEXTHDR_AUTH;
