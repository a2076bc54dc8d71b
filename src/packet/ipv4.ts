/**
 * IPv4 header, RFC 791 section 3.1.
 *
 *    0                   1                   2                   3
 *   |Version|  IHL  |      TOS      |          Total Length         |
 *   |         Identification        |Flags|      Fragment Offset    |
 *   |  Time to Live |    Protocol   |         Header Checksum       |
 *   |                       Source Address                          |
 *   |                    Destination Address                        |
 *   |                    Options                                    |
 *
 * Accessors take a view and the header's offset and rely on `IPV4_MIN_HEADER` bytes being there.
 */

export const IPV4_VERSION_IHL = 0;
export const IPV4_TOS = 1;
export const IPV4_TOTAL_LENGTH = 2;
export const IPV4_ID = 4;
export const IPV4_FLAGS_OFFSET = 6;
export const IPV4_TTL = 8;
export const IPV4_PROTOCOL = 9;
export const IPV4_CHECKSUM = 10;
export const IPV4_SOURCE = 12;
export const IPV4_DESTINATION = 16;
export const IPV4_MIN_HEADER = 20;

/** Bits of the flags and fragment offset word. */
export const IPV4_DF = 0x4000;
export const IPV4_MF = 0x2000;
export const IPV4_OFFSET_MASK = 0x1fff;

/** Header length in bytes, 0..60. */
export const ipv4HeaderLength = (view: DataView, ip: number): number => (view.getUint8(ip) & 0x0f) << 2;
export const ipv4TotalLength = (view: DataView, ip: number): number => view.getUint16(ip + IPV4_TOTAL_LENGTH);
/** Fragment offset in bytes. */
export const ipv4FragmentOffset = (view: DataView, ip: number): number =>
  (view.getUint16(ip + IPV4_FLAGS_OFFSET) & IPV4_OFFSET_MASK) << 3;
/** True for every fragment of a datagram, the first one included. */
export const ipv4IsFragment = (view: DataView, ip: number): boolean =>
  (view.getUint16(ip + IPV4_FLAGS_OFFSET) & (IPV4_MF | IPV4_OFFSET_MASK)) !== 0;
/** Addresses in host order, unsigned. */
export const ipv4Source = (view: DataView, ip: number): number => view.getUint32(ip + IPV4_SOURCE);
export const ipv4Destination = (view: DataView, ip: number): number => view.getUint32(ip + IPV4_DESTINATION);
