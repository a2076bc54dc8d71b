/**
 * Congestion marks across fragments (RFC 3168 section 5.3; kernel: ip_frag_ecn_table). Shared by IPv4 and IPv6.
 */

const NOT_ECT = 0;
const CE = 3;

/** The set of ECN fields seen, as bits 1 << field, with one more. `tos`: type of service or traffic class. */
export const withEcn = (seen: number, tos: number): number => seen | (1 << (tos & 3));

/**
 * Bits to set in the reassembled datagram's ECN field: congestion that one fragment met concerns all of it. Undefined:
 * fragments with and without ECN were mixed, the datagram is to be dropped.
 */
export function spreadEcn(seen: number): number | undefined {
  const mixed = (seen & (1 << NOT_ECT)) !== 0 && seen !== 1 << NOT_ECT;
  if (mixed) return undefined;
  return (seen & (1 << CE)) !== 0 && seen !== 1 << CE ? CE : 0;
}
