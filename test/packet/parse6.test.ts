/** IPv6 frames to columns: what the kernel drops at once, where the packet ends, whether its checksum is right. */
import { describe, expect, it } from 'vitest';
import {
  BROKEN_HEADER,
  BROKEN_LENGTH,
  BROKEN_OPTIONS,
  FLAG_BAD_CHECKSUM,
  FLAG_CUT,
  KIND_CUT,
  KIND_IPV6,
  KIND_IPV6_BROKEN,
} from '../../src/packet/columns.js';
import { parseFrames } from '../support/gateway.js';
import { ether, icmp, ip, tcp, udp } from '../support/packets.js';

const SRC = '[2001:db8::7]:40000';
const DST = '[2001:db8:1::1]:80';
const ENDS = { src: '2001:db8::7', dst: '2001:db8:1::1' };
const syn = tcp({ src: SRC, dst: DST, flags: 'S' });
const query = udp({ src: SRC, dst: DST, payload: 'question' });
const PADDING = Buffer.from('0000010400000000', 'hex');
const BAD_PADDING = Buffer.from('0000010400010000', 'hex');

function parse(frame: Uint8Array, mode: 'verify' | 'offload' | 'ignore' = 'verify', captured = frame.length) {
  const { columns, slab } = parseFrames([{ frame, captured }], mode);
  const base = (slab.records.frame[0] ?? 0) + 14;
  return {
    kind: columns.kind[0],
    reason: columns.reason[0],
    flags: columns.flags[0],
    totalLength: columns.totalLength[0],
    end: (columns.end[0] ?? 0) - base,
    bytes: Buffer.from(slab.bytes.slice(base, columns.end[0])),
  };
}

const changed = (packet: Uint8Array, at: number, value: number): Uint8Array => {
  const copy = Uint8Array.from(packet);
  copy[at] = value;
  return copy;
};

describe('dropped on receipt', () => {
  it('another version behind the EtherType of IPv6', () => {
    const frame = changed(ether(syn), 14, 0x40);
    expect(parse(frame)).toMatchObject({ kind: KIND_IPV6_BROKEN, reason: BROKEN_HEADER });
  });

  it.each<[string, Uint8Array, number]>([
    ['a header that is not whole', syn.subarray(0, 39), BROKEN_LENGTH],
    ['a payload length beyond the frame', changed(syn, 5, 21), BROKEN_LENGTH],
    ['bad hop-by-hop options', tcp({ src: SRC, dst: DST, flags: 'S', extensions: [[0, BAD_PADDING]] }), BROKEN_OPTIONS],
  ])('%s', (_, packet, reason) => {
    expect(parse(ether(packet))).toMatchObject({ kind: KIND_IPV6_BROKEN, reason });
  });

  it('not destination options of any kind, which are for the destination', () => {
    expect(parse(ether(tcp({ src: SRC, dst: DST, flags: 'S', extensions: [[60, BAD_PADDING]] })))).toMatchObject({
      kind: KIND_IPV6,
      flags: 0,
    });
  });
});

describe('the end of the packet', () => {
  it('is where its payload length says, not that of the frame', () => {
    const padded = Buffer.concat([ether(syn), Buffer.alloc(6)]);
    expect(parse(padded)).toMatchObject({ kind: KIND_IPV6, totalLength: 60, end: 60, flags: 0 });
  });

  it('is that of the frame where hop-by-hop options come with a payload length of 0', () => {
    const packet = tcp({ src: SRC, dst: DST, flags: 'S', extensions: [[0, PADDING]] });
    expect(parse(ether(changed(packet, 5, 0)))).toMatchObject({ kind: KIND_IPV6, totalLength: 68, end: 68 });
  });

  it.each([
    ['in the fixed header', 14 + 39, KIND_CUT],
    ['in the transport header', 14 + 45, KIND_IPV6],
  ])('may have been cut by the snaplen: %s', (_, captured, kind) => {
    expect(parse(ether(syn), 'verify', captured)).toMatchObject({ kind, flags: kind === KIND_CUT ? 0 : FLAG_CUT });
  });
});

describe('checksums', () => {
  it.each<[string, Uint8Array]>([
    ['TCP', syn],
    ['UDP', query],
    ['UDP, none: Linux lets it pass', udp({ src: SRC, dst: DST, noChecksum: true })],
    ['ICMPv6', icmp({ ...ENDS, type: 128, payload: 'odd' })],
    [
      'TCP behind extension headers',
      tcp({
        src: SRC,
        dst: DST,
        flags: 'S',
        extensions: [
          [0, PADDING],
          [60, PADDING],
        ],
      }),
    ],
    [
      'a fragment, whose checksum is of something else',
      ip({ ...ENDS, extensions: [[44, Buffer.alloc(8)]] }, 6, syn.subarray(40, 55)),
    ],
    ['an unknown protocol', ip(ENDS, 253, Buffer.from('anything'))],
  ])('of %s pass', (_, packet) => {
    expect(parse(ether(packet)).flags).toBe(0);
  });

  it.each<[string, Uint8Array]>([
    ['TCP', tcp({ src: SRC, dst: DST, flags: 'S', badChecksum: true })],
    ['UDP', udp({ src: SRC, dst: DST, badChecksum: true })],
    ['ICMPv6', icmp({ ...ENDS, type: 128, badChecksum: true })],
    ['UDP with bytes behind the datagram', ip(ENDS, 17, Buffer.concat([query.subarray(40), Buffer.from('more')]))],
  ])('of %s are found wrong', (_, packet) => {
    expect(parse(ether(packet)).flags).toBe(FLAG_BAD_CHECKSUM);
    expect(parse(ether(packet), 'ignore').flags).toBe(0);
  });

  it('unfinished by an offloading sender are finished', () => {
    const unfinished = Buffer.from(query);
    // The folded pseudo header: addresses, length 16, protocol 17.
    let sum = 16 + 17;
    for (let k = 8; k < 40; k += 2) sum += unfinished.readUInt16BE(k);
    while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
    unfinished.writeUInt16BE(sum, 46);
    expect(parse(ether(unfinished)).flags).toBe(FLAG_BAD_CHECKSUM);
    expect(parse(ether(unfinished), 'offload')).toMatchObject({ flags: 0, bytes: Buffer.from(query) });
  });
});
