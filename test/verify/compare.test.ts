import { describe, expect, it } from 'vitest';
import { type AttributedFrame, compareOutputs, describeMismatch, ipPacket } from '../../src/verify/compare.js';
import { ether, tcp, udp } from '../kernel/packets.js';

const out = (input: number, iface: string, packet: Uint8Array): AttributedFrame => ({
  input,
  iface,
  frame: ether(packet),
});
const query = (sport: number, ttl = 63): Uint8Array =>
  udp({ src: `203.0.113.5:${sport}`, dst: '198.51.100.1:53', payload: 'q', ttl });

describe('comparing outputs', () => {
  it('agrees when the bytes from the IP header on are the same, whatever the Ethernet header', () => {
    const other = out(0, 'wan', query(4000));
    other.frame.fill(0xee, 0, 12);
    expect(compareOutputs([out(0, 'wan', query(4000))], [other])).toEqual({ agreed: 1, mismatches: [] });
  });

  it('leaves the padding of short frames and VLAN tags out', () => {
    const packet = query(4000);
    const tag = Buffer.from('8100000a', 'hex');
    const plain = Buffer.from(ether(packet));
    const tagged = Buffer.concat([plain.subarray(0, 12), tag, plain.subarray(12), Buffer.alloc(13)]);
    expect(Buffer.from(ipPacket(tagged))).toEqual(Buffer.from(packet));
  });

  it.each([
    { name: 'TTL', predicted: query(4000, 62), fields: ['ip.ttl', 'ip.checksum'] },
    { name: 'source port', predicted: query(4001), fields: ['udp.sport', 'udp.checksum'] },
    {
      name: 'payload',
      predicted: udp({ src: '203.0.113.5:4000', dst: '198.51.100.1:53', payload: 'x', ttl: 63 }),
      fields: ['udp.checksum', 'from byte 28'],
    },
  ])('names the fields that differ: $name', ({ predicted, fields }) => {
    const { agreed, mismatches } = compareOutputs([out(3, 'wan', query(4000))], [out(3, 'wan', predicted)]);
    expect(agreed).toBe(0);
    expect(mismatches).toMatchObject([{ kind: 'differs', input: 3, fields: fields.map((field) => ({ field })) }]);
  });

  it('names the egress interface first', () => {
    const { mismatches } = compareOutputs([out(0, 'wan', query(4000))], [out(0, 'lan', query(4000, 62))]);
    expect(mismatches.map(describeMismatch)[0]).toMatch(
      /^packet 0: egress kernel wan, predicted lan; ip\.ttl kernel 63/,
    );
  });

  it('finds what only one side has, without losing step', () => {
    const syn = tcp({ src: '203.0.113.5:1', dst: '198.51.100.1:80', flags: 'S' });
    const kernel = [out(0, 'wan', syn), out(2, 'wan', query(2)), out(4, 'wan', query(4)), out(4, 'wan', query(5))];
    const predicted = [out(1, 'wan', query(1)), out(2, 'wan', query(2)), out(4, 'wan', query(4)), out(6, 'wan', syn)];
    const { agreed, mismatches } = compareOutputs(kernel, predicted);
    expect(agreed).toBe(2);
    expect(mismatches.map((m) => [m.kind, m.input])).toEqual([
      ['not-predicted', 0],
      ['not-sent', 1],
      ['not-predicted', 4],
      ['not-sent', 6],
    ]);
  });

  it('asks whether a difference is allowed, and counts it as agreement then', () => {
    const allow = (_input: number, _kernel: Uint8Array, _predicted: Uint8Array, fields: readonly { field: string }[]) =>
      fields.every(({ field }) => field === 'udp.sport' || field === 'udp.checksum');
    const kernel = [out(0, 'wan', query(4000)), out(1, 'wan', query(5000))];
    const predicted = [out(0, 'wan', query(61000)), out(1, 'wan', query(61000, 60))];
    const { agreed, mismatches } = compareOutputs(kernel, predicted, allow);
    expect([agreed, mismatches.length]).toEqual([1, 1]);
  });
});
