/** Checksums against the plainest reading of RFC 1071 and RFC 1624: sums of big-endian 16-bit words. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { applyDelta, fold, ipv4HeaderSumOk, ipv4PseudoSum, sumBytes, wordDelta } from '../../src/packet/checksum.js';
import { swap16, swap32 } from '../../src/packet/tuple.js';
import { checksum, ip, tcp } from '../support/packets.js';

const bytes = new Uint8Array(4096);
const view = new DataView(bytes.buffer);
/** Bytes that carry into every column now and then. */
function fill(seed: number): void {
  let x = seed;
  for (let i = 0; i < bytes.length; i++) {
    x = (Math.imul(x, 1103515245) + 12345) | 0;
    bytes[i] = (x >>> 20) % 5 === 0 ? 0xff : x >>> 16;
  }
}

/** The checksum field over some bytes, as it would be written big-endian. */
const byLittleEndianSum = (offset: number, length: number): number =>
  swap16(~fold(sumBytes(view, offset, length)) & 0xffff);

describe('sumBytes', () => {
  it('gives the checksum of RFC 1071 for every length up to 1600, at even and odd offsets', () => {
    fill(1);
    for (let length = 0; length <= 1600; length++) {
      for (const offset of [0, 1, 2, 3]) {
        const expected = checksum(bytes.subarray(offset, offset + length));
        if (byLittleEndianSum(offset, length) !== expected) expect.fail(`length ${length} at ${offset}`);
      }
    }
  });

  it.each([0x00, 0xff])('of nothing but %i', (value) => {
    bytes.fill(value);
    for (const length of [0, 1, 2, 31, 32, 33, 64, 1500]) {
      expect(byLittleEndianSum(5, length)).toBe(checksum(bytes.subarray(5, 5 + length)));
    }
  });

  it('does not overflow on the largest packet there is', () => {
    const large = new Uint8Array(65535).fill(0xff);
    expect(fold(sumBytes(new DataView(large.buffer), 0, large.length))).toBe(swap16(~checksum(large) & 0xffff));
  });
});

describe('ipv4HeaderSumOk', () => {
  it('accepts a header with its checksum, with options or without, and no other checksum', () => {
    for (const options of [0, 4, 40]) {
      const packet = ip(
        { src: '192.0.2.1', dst: '198.51.100.7', options: new Uint8Array(options).fill(1) },
        6,
        new Uint8Array(20),
      );
      const at = new DataView(packet.buffer, packet.byteOffset, packet.length);
      const right = at.getUint16(10);
      expect(ipv4HeaderSumOk(at, 0, 20 + options)).toBe(true);
      for (let wrong = 0; wrong <= 0xffff; wrong += 37) {
        at.setUint16(10, wrong);
        if (ipv4HeaderSumOk(at, 0, 20 + options) !== (wrong === right)) expect.fail(`checksum ${wrong}`);
      }
    }
  });
});

describe('ipv4PseudoSum', () => {
  it('with the segment makes the checksum of a TCP segment right', () => {
    const packet = tcp({
      src: '255.254.253.252:65535',
      dst: '1.2.3.4:1',
      flags: 'PA',
      payload: 'an odd number of bytes!',
    });
    const at = new DataView(packet.buffer, packet.byteOffset, packet.length);
    const length = packet.length - 20;
    const pseudo = ipv4PseudoSum(at.getInt32(12, true), at.getInt32(16, true), 6, length);
    expect(fold(pseudo + sumBytes(at, 20, length))).toBe(0xffff);
  });
});

describe('applyDelta', () => {
  const word = fc.integer({ min: 0, max: 0xffffffff });

  it('gives what reckoning anew gives (RFC 1624), whatever is replaced by whatever', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 20, maxLength: 60 }), fc.nat(13), word, (content, slot, to) => {
        const data = content.subarray(0, content.length & ~3);
        const at = new DataView(data.buffer, data.byteOffset, data.length);
        const offset = (slot * 4) % data.length;
        const before = swap16(checksum(data));
        const from = at.getUint32(offset, true);
        at.setUint32(offset, to, true);
        const after = applyDelta(before, fold(wordDelta(from, to)));
        // Ones' complement has two zeros: 0000 stands for ffff where the sum allows both (RFC 1624 section 3).
        const expected = swap16(checksum(data));
        const ambiguous = expected === 0xffff && after === 0;
        if (!ambiguous) expect(after).toBe(expected);
      }),
      { numRuns: 2000 },
    );
  });

  it('keeps a wrong checksum wrong by the same amount', () => {
    fc.assert(
      fc.property(word, word, fc.nat(0xffff), (from, to, wrong) => {
        const there = applyDelta(wrong, fold(wordDelta(from, to)));
        const back = applyDelta(there, fold(wordDelta(to, from)));
        expect(back % 0xffff).toBe(wrong % 0xffff);
      }),
    );
  });

  it('adds deltas in any order: two changes at once are two changes after one another', () => {
    fc.assert(
      fc.property(word, word, word, word, fc.nat(0xffff), (a, b, c, d, sum) => {
        const together = applyDelta(sum, fold(fold(wordDelta(a, b)) + wordDelta(c, d)));
        const apart = applyDelta(applyDelta(sum, fold(wordDelta(a, b))), fold(wordDelta(c, d)));
        expect(together % 0xffff).toBe(apart % 0xffff);
      }),
    );
  });

  it('never yields ffff, as the kernel never does (csum_replace4)', () => {
    for (let sum = 0; sum <= 0xffff; sum++) {
      for (const delta of [0, 1, 0x7fff, 0xfffe, 0xffff]) {
        if (applyDelta(sum, delta) === 0xffff) expect.fail(`${sum} and ${delta}`);
      }
    }
  });
});

describe('byte swaps', () => {
  it('turn network order into host order and back', () => {
    expect(swap16(0x1234)).toBe(0x3412);
    expect(swap32(0x01020304)).toBe(0x04030201);
    expect(swap32(0x000000ff) >>> 0).toBe(0xff000000);
  });
});
