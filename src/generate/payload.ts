/** What generated packets carry: always the beginning of the same bytes, so that sums over it are known beforehand. */

const LONGEST = 1514;

/** Printable, and not all the same. */
export const PAYLOAD = Uint8Array.from({ length: LONGEST }, (_, i) => 0x21 + ((i * 7) % 94));

/** Sum of the 16-bit words of a payload of that many bytes (RFC 1071). */
export const PAYLOAD_SUM = payloadSums();

/** A view for each length, so that copying one needs no new object. */
const PAYLOADS = Array.from({ length: LONGEST + 1 }, (_, n) => PAYLOAD.subarray(0, n));
/** Up to this length, writing words takes less time than the call that copies a range. */
const SHORT = 64;
const WORDS = Int32Array.from({ length: SHORT / 4 }, (_, i) => new DataView(PAYLOAD.buffer).getInt32(i * 4));

/**
 * Writes `payload` bytes of data at `at`, then zeros up to `end`. Up to three bytes behind `end` may change: what comes
 * next is written later.
 */
export function fill(bytes: Uint8Array, view: DataView, at: number, payload: number, end: number): void {
  if (payload > SHORT) bytes.set(PAYLOADS[payload] as Uint8Array, at);
  else for (let i = 0; i < payload; i += 4) view.setInt32(at + i, WORDS[i >> 2] as number);
  for (let i = at + payload; i < end; i += 4) view.setInt32(i, 0);
}

function payloadSums(): Uint32Array {
  const sums = new Uint32Array(LONGEST + 1);
  for (let n = 1; n <= LONGEST; n++) {
    const byte = PAYLOAD[n - 1] as number;
    sums[n] = (sums[n - 1] as number) + (n % 2 === 1 ? byte << 8 : byte);
  }
  return sums;
}
