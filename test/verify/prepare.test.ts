import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { preparePacket, statedLength } from '../../src/verify/prepare.js';
import { checksum, icmp, ip, tcp, udp } from '../kernel/packets.js';

const client = { src: '192.0.2.7:40000', dst: '198.51.100.1:80' };

/** Whether the checksum of a TCP or UDP packet is right (RFC 1071: all of it sums up to ffff). */
function isSound(packet: Uint8Array): boolean {
  const header = ((packet[0] ?? 0) & 15) * 4;
  const segment = packet.subarray(header);
  const pseudo = Buffer.alloc(12 + segment.length + (segment.length & 1));
  pseudo.set(packet.subarray(12, 20));
  pseudo[9] = packet[9] ?? 0;
  pseudo.writeUInt16BE(segment.length, 10);
  pseudo.set(segment, 12);
  return checksum(pseudo) === 0;
}

/** As a sender leaves it to its network card: the folded sum of the pseudo header stands in the field. */
function offloaded(packet: Uint8Array, field: number): Uint8Array {
  const header = ((packet[0] ?? 0) & 15) * 4;
  const pseudo = Buffer.alloc(12);
  pseudo.set(packet.subarray(12, 20));
  pseudo[9] = packet[9] ?? 0;
  pseudo.writeUInt16BE(packet.length - header, 10);
  const copy = Buffer.from(packet);
  copy.writeUInt16BE(~checksum(pseudo) & 0xffff, header + field);
  return copy;
}

describe('packets as captured, made into packets as they were sent', () => {
  it.each([
    ['TCP', tcp({ ...client, flags: 'PA', payload: 'x'.repeat(99) })],
    ['UDP', udp({ ...client, payload: 'query' })],
    ['an echo request', icmp({ src: '192.0.2.7', dst: '198.51.100.1', type: 8, icmpId: 7, seq: 1 })],
    ['a wrong checksum', Buffer.from(udp({ ...client, payload: 'query' })).fill(1, 26, 28)],
    ['GRE', ip({ src: '192.0.2.7', dst: '198.51.100.1' }, 47, Buffer.alloc(8))],
    ['not even IP', Uint8Array.of(1, 2, 3)],
  ])('leaves %s as it is when all of it is there', (_, packet) => {
    expect(preparePacket(packet, false)?.packet).toBe(packet);
  });

  it('keeps Ethernet padding, which the kernel has to cut', () => {
    const padded = Buffer.concat([udp({ ...client, payload: 'a' }), Buffer.alloc(17)]);
    expect(preparePacket(padded, false)?.packet).toBe(padded);
  });

  it.each([
    ['TCP', tcp({ ...client, flags: 'PA', payload: 'GET / HTTP/1.1' }), 16],
    ['UDP', udp({ ...client, payload: 'odd' }), 6],
  ])('finishes checksums that were left to the network card (%s)', (_, packet, field) => {
    const prepared = preparePacket(offloaded(packet, field), false);
    expect(prepared?.checksumFinished).toBe(true);
    expect(Buffer.from(prepared?.packet ?? [])).toEqual(Buffer.from(packet));
  });

  it('fills with zeros what the snaplen cut off, with a checksum that goes with them', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1400 }), fc.nat(), (size, at) => {
        const whole = tcp({ ...client, flags: 'PA', payload: Buffer.alloc(size, 'payload') });
        const cut = whole.subarray(0, 40 + (at % size));
        const prepared = preparePacket(cut, true);
        expect(prepared).toMatchObject({ filled: true });
        expect(prepared?.packet.length).toBe(whole.length);
        expect(isSound(prepared?.packet ?? cut)).toBe(true);
        expect(statedLength(cut)).toBe(whole.length);
      }),
      { seed: 1, numRuns: 50 },
    );
  });

  it('leaves a UDP checksum of zero zero', () => {
    const whole = udp({ ...client, payload: Buffer.alloc(50, 1), noChecksum: true });
    const { packet } = preparePacket(whole.subarray(0, 40), true) ?? {};
    expect(packet?.subarray(26, 28)).toEqual(Uint8Array.of(0, 0));
  });

  it('gives up where not even the transport header is there', () => {
    const whole = tcp({ ...client, flags: 'S' });
    expect(preparePacket(whole.subarray(0, 36), true)).toBeUndefined();
    expect(preparePacket(whole.subarray(0, 12), true)).toBeUndefined();
  });
});
