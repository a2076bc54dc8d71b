/**
 * Internet checksums: RFC 1071 (whole) and RFC 1624 (incremental).
 *
 * Sums are kept over little-endian 16-bit words as they lie in memory: ones' complement addition does not care which
 * byte comes first as long as every word is read and written the same way (RFC 1071 section 2(B)), so nothing is
 * swapped. A "delta" is a partial sum, folded to 16 bits, that turns one checksum into another.
 *
 * Hot path: nothing is allocated.
 */

/** Folds a partial sum (an unsigned 32-bit integer) to 16 bits. */
export function fold(sum: number): number {
  const once = (sum & 0xffff) + (sum >>> 16);
  return (once & 0xffff) + (once >>> 16);
}

/** Folds a 32-bit word: high half plus low half. Its result is below 2^17. */
export const halves = (word: number): number => (word & 0xffff) + (word >>> 16);

/** Sum of up to 65,535 bytes (so that it stays below 2^31); a last odd byte counts as if a zero followed. */
export function sumBytes(view: DataView, offset: number, length: number): number {
  let sum = 0;
  let at = offset;
  const end = offset + length;
  const block = end - 31;
  while (at < block) {
    const a = view.getUint32(at, true);
    const b = view.getUint32(at + 4, true);
    const c = view.getUint32(at + 8, true);
    const d = view.getUint32(at + 12, true);
    const e = view.getUint32(at + 16, true);
    const f = view.getUint32(at + 20, true);
    const g = view.getUint32(at + 24, true);
    const h = view.getUint32(at + 28, true);
    sum = (sum + halves(a) + halves(b) + halves(c) + halves(d) + halves(e) + halves(f) + halves(g) + halves(h)) | 0;
    at += 32;
  }
  while (at + 1 < end) {
    sum = (sum + view.getUint16(at, true)) | 0;
    at += 2;
  }
  if (at < end) sum = (sum + view.getUint8(at)) | 0;
  return sum;
}

/** True when the IPv4 header's checksum is right: all its words sum to ffff. */
export function ipv4HeaderSumOk(view: DataView, ip: number, headerLength: number): boolean {
  return fold(sumBytes(view, ip, headerLength)) === 0xffff;
}

/** Sum of the IPv4 pseudo header (RFC 793 section 3.1): addresses as loaded little-endian, length of the payload. */
export function ipv4PseudoSum(sourceLe: number, destinationLe: number, protocol: number, length: number): number {
  const lengthLe = ((length & 0xff) << 8) | (length >> 8);
  return halves(sourceLe) + halves(destinationLe) + (protocol << 8) + lengthLe;
}

/** Delta for replacing a 32-bit word by another; add deltas freely, fold them before storing. */
export const wordDelta = (from: number, to: number): number => halves(~from) + halves(to);

/**
 * Applies a folded delta to a stored checksum (as loaded little-endian). RFC 1624 equation 3. Like the kernel's
 * csum_replace4 it never yields ffff: the sum it folds is never zero.
 */
export function applyDelta(checksum: number, delta: number): number {
  let sum = (~checksum & 0xffff) + 0xffff + delta;
  sum = (sum & 0xffff) + (sum >>> 16);
  sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}
