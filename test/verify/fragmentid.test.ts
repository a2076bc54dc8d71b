import { describe, expect, it } from 'vitest';
import { differInFragmentIdOnly, fragmentIds } from '../../src/verify/fragmentid.js';

/** An IPv6 packet of one fragment header and four bytes. */
function fragment(id: number, payload = 'data'): Uint8Array {
  const packet = Buffer.alloc(52);
  packet[0] = 0x60;
  packet.writeUInt16BE(12, 4);
  packet[6] = 44;
  packet[40] = 17;
  packet.writeUInt32BE(id, 44);
  packet.write(payload, 48);
  return packet;
}

describe('the identification of IPv6 fragments', () => {
  it('is told from any other difference', () => {
    expect(differInFragmentIdOnly(fragment(1), fragment(2))).toBe(true);
    expect(differInFragmentIdOnly(fragment(1), fragment(2, 'Data'))).toBe(false);
    expect(differInFragmentIdOnly(Buffer.from('4500', 'hex'), fragment(2))).toBe(false);
  });

  it('may be any that the kernel draws, but one for all fragments of a datagram', () => {
    const allow = fragmentIds();
    expect(allow(7, fragment(1), fragment(9))).toBe(true);
    expect(allow(7, fragment(1), fragment(9))).toBe(true);
    expect(allow(7, fragment(2), fragment(9))).toBe(false);
    expect(allow(8, fragment(2), fragment(3))).toBe(true);
  });
});
