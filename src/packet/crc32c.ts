/** CRC32c (Castagnoli), the checksum of SCTP (RFC 9260 section 6.8 and appendix A). */

/** The polynomial, bits reflected. */
const POLYNOMIAL = 0x82f63b78;

const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = (crc & 1) === 0 ? crc >>> 1 : (crc >>> 1) ^ POLYNOMIAL;
  return crc >>> 0;
});

/** Where SCTP's common header has its checksum, written little-endian. */
const CHECKSUM = 8;
const CHECKSUM_END = 12;

/** Unsigned CRC of the SCTP packet in bytes `start` to `end`, its checksum field taken as zero. */
export function sctpChecksum(view: DataView, start: number, end: number): number {
  let crc = 0xffffffff;
  for (let at = start; at < end; at++) {
    const inField = at - start >= CHECKSUM && at - start < CHECKSUM_END;
    const byte = inField ? 0 : view.getUint8(at);
    crc = (TABLE[(crc ^ byte) & 0xff] as number) ^ (crc >>> 8);
  }
  return ~crc >>> 0;
}
