/** Hop-by-hop options that Linux bears, and those for which it drops a packet before any rule. */
import { describe, expect, it } from 'vitest';
import { hopByHopFault, OPTIONS_BAD, OPTIONS_CUT, OPTIONS_SOUND } from '../../src/packet/hopbyhop.js';

const PAD1 = [0];
const padN = (bytes: number): number[] => [1, bytes, ...new Array<number>(bytes).fill(0)];
const ROUTER_ALERT = [5, 2, 0, 0];

/** A fixed header and a hop-by-hop header with these options; `length` in units of 8 bytes beyond the first. */
function packet(options: readonly number[], length = 0, payloadLength = 8 + length * 8): DataView {
  const bytes = new Uint8Array(40 + 2 + options.length);
  bytes[0] = 0x60;
  bytes[4] = payloadLength >> 8;
  bytes[5] = payloadLength & 0xff;
  bytes.set([59, length, ...options], 40);
  return new DataView(bytes.buffer);
}

function judge(view: DataView, captured = view.byteLength, wire = view.byteLength): number {
  return hopByHopFault(view, 0, captured, wire, { length: 0 });
}

describe('a packet passes with', () => {
  it.each<[string, DataView]>([
    ['padding', packet(padN(4))],
    ['padding byte by byte', packet([...PAD1, ...PAD1, ...PAD1, ...PAD1, ...PAD1, ...PAD1])],
    ['seven bytes of padding, the most there is a use for', packet([...padN(5), ...ROUTER_ALERT, ...padN(1)], 1)],
    ['a router alert', packet([...ROUTER_ALERT, ...padN(0)])],
    ['an unknown option that says: skip me', packet([0x1e, 4, 1, 2, 3, 4])],
    ['eight options', packet([...[1, 2, 3, 4, 5, 6, 7, 8].flatMap(() => [0x1e, 0]), ...padN(4)], 2)],
  ])('%s', (_, view) => {
    expect(judge(view)).toBe(OPTIONS_SOUND);
  });
});

describe('a packet is dropped for', () => {
  it.each<[string, DataView]>([
    ['eight bytes of padding in a row', packet([...padN(6), ...ROUTER_ALERT, 0, 0], 1)],
    ['padding that is not zero', packet([1, 4, 0, 1, 0, 0])],
    ['a router alert of another length', packet([5, 4, 0, 0, 0, 0])],
    ['an unknown option that says: drop it', packet([0x5e, 4, 1, 2, 3, 4])],
    ['an unknown option that says: drop it and tell', packet([0x9e, 4, 1, 2, 3, 4])],
    ['nine options', packet([...[1, 2, 3, 4, 5, 6, 7, 8, 9].flatMap(() => [0x1e, 0]), ...padN(2)], 2)],
    ['an option that runs over the end of the header', packet([0x1e, 5, 1, 2, 3, 4])],
    ['an option type in the last byte', packet([...padN(3), 0x1e])],
    ['a header that runs over the end of the packet', packet(padN(4), 3)],
    ['a jumbo payload that is none', packet([0xc2, 4, 0, 0, 0xff, 0xff], 0, 0)],
    ['a jumbo payload beside a payload length', packet([0xc2, 4, 0, 1, 0, 0])],
    ['a jumbo payload larger than the frame', packet([0xc2, 4, 0, 1, 0, 0], 0, 0)],
  ])('%s', (_, view) => {
    expect(judge(view)).toBe(OPTIONS_BAD);
  });
});

describe('what the snaplen cut', () => {
  it.each([41, 44, 47])('is not judged: %i bytes captured', (captured) => {
    expect(judge(packet(padN(4)), captured, 48)).toBe(OPTIONS_CUT);
  });

  it('but a length beyond the packet is seen', () => {
    expect(judge(packet(padN(4), 9), 44, 48)).toBe(OPTIONS_BAD);
  });
});
