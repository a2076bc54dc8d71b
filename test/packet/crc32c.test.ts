/** CRC32c against its check value and against the definition, bit by bit. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { sctpChecksum } from '../../src/packet/crc32c.js';
import { crc32c } from '../kernel/sctp.js';

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.length);

describe('CRC32c', () => {
  it('of 123456789 behind a header of zeros is what the definition says', () => {
    const packet = Buffer.concat([Buffer.alloc(12), Buffer.from('123456789')]);
    expect(sctpChecksum(viewOf(packet), 0, packet.length)).toBe(crc32c(packet));
    // RFC 3720 appendix B.4: 32 bytes of zeros.
    expect(sctpChecksum(viewOf(new Uint8Array(32)), 0, 32)).toBe(0x8a9136aa);
  });

  it('does not look at the checksum field, wherever the packet lies', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 12, maxLength: 100 }), fc.nat(7), (bytes, offset) => {
        const cleared = Uint8Array.from(bytes);
        cleared.fill(0, 8, 12);
        const buffer = Buffer.concat([Buffer.alloc(offset, 1), bytes]);
        expect(sctpChecksum(viewOf(buffer), offset, buffer.length)).toBe(crc32c(cleared));
      }),
    );
  });
});
