/** The walk over IPv6 extension headers to the upper layer. */
import { describe, expect, it } from 'vitest';
import { skipExtensionHeaders, type UpperLayer } from '../../src/packet/ipv6.js';

const HOP = 0;
const TCP = 6;
const ROUTING = 43;
const FRAGMENT = 44;
const AUTH = 51;
const NONE = 59;
const DEST = 60;

/** Bytes of an extension header that the next one follows. */
type Header = readonly [type: number, ...rest: readonly number[]];

/** A packet: fixed header, then each header with its predecessor naming it, then `last` and `payload` bytes. */
function packet(headers: readonly Header[], last: number, payload = 20): DataView {
  const types = [...headers.map(([type]) => type), last];
  const bytes = [...new Array<number>(40).fill(0)];
  bytes[0] = 0x60;
  bytes[6] = types[0] ?? NONE;
  headers.forEach(([, ...rest], k) => {
    bytes.push(types[k + 1] ?? NONE, ...rest);
  });
  bytes.push(...new Array<number>(payload).fill(0));
  return new DataView(Uint8Array.from(bytes).buffer);
}

const option = (type: number, units = 0): Header => [type, units, ...new Array<number>(6 + units * 8).fill(0)];
const fragment = (offset: number, more: boolean): Header => [
  FRAGMENT,
  0,
  offset >> 8,
  (offset & 0xf8) | (more ? 1 : 0),
  0,
  0,
  0,
  1,
];
const auth = (words: number): Header => [AUTH, words, ...new Array<number>((words + 2) * 4 - 2).fill(0)];

function walk(view: DataView, end = view.byteLength): UpperLayer | undefined {
  const found: UpperLayer = { protocol: -1, offset: -1, fragmentOffset: -1, isFragment: true };
  return skipExtensionHeaders(view, 0, end, found) ? found : undefined;
}

describe('the upper layer', () => {
  it.each<[string, DataView, Partial<UpperLayer>]>([
    ['right behind the fixed header', packet([], TCP), { protocol: TCP, offset: 40, isFragment: false }],
    ['behind hop-by-hop options', packet([option(HOP)], TCP), { protocol: TCP, offset: 48 }],
    ['behind long destination options', packet([option(DEST, 3)], TCP), { protocol: TCP, offset: 72 }],
    ['behind a routing header', packet([option(ROUTING, 2)], TCP), { protocol: TCP, offset: 64 }],
    ['behind an authentication header, which counts words', packet([auth(4)], TCP), { protocol: TCP, offset: 64 }],
    [
      'behind all of them',
      packet([option(HOP), option(ROUTING), option(DEST), auth(1)], TCP),
      { protocol: TCP, offset: 76 },
    ],
    [
      'of a first fragment',
      packet([fragment(0, true)], TCP),
      { protocol: TCP, offset: 48, isFragment: true, fragmentOffset: 0 },
    ],
    [
      'of an atomic fragment',
      packet([fragment(0, false)], TCP),
      { protocol: TCP, isFragment: true, fragmentOffset: 0 },
    ],
    [
      'of a later fragment: its protocol, but no header',
      packet([fragment(1480, false)], TCP),
      { protocol: TCP, offset: 48, isFragment: true, fragmentOffset: 1480 },
    ],
    [
      'of a later fragment: no further header is looked at',
      packet([fragment(1480, true)], DEST),
      { protocol: DEST, offset: 48, fragmentOffset: 1480 },
    ],
    ['that is none', packet([option(HOP)], NONE, 0), { protocol: NONE, offset: 48 }],
  ])('%s', (_, view, expected) => {
    expect(walk(view)).toMatchObject(expected);
  });
});

describe('headers that end behind the packet', () => {
  it.each<[string, DataView, number]>([
    ['no room for type and length', packet([option(HOP)], TCP), 41],
    ['a fragment header without its offset', packet([fragment(0, true)], TCP), 43],
    ['a length beyond the end, and another header there', packet([option(HOP), option(DEST)], TCP), 48],
  ])('cannot be followed: %s', (_, view, end) => {
    expect(walk(view, end)).toBeUndefined();
  });

  it.each<[string, DataView, number, number]>([
    ['cut options', packet([option(HOP)], TCP), 47, 48],
    ['a length that runs over the end', packet([[DEST, 9, 0, 0, 0, 0, 0, 0]], TCP), 60, 120],
    ['a fragment header of 7 bytes', packet([fragment(0, true)], TCP), 47, 48],
    ['an authentication header over the end', packet([[AUTH, 20, 0, 0, 0, 0, 0, 0]], TCP), 60, 128],
  ])('are trusted, and the upper layer is not there: %s', (_, view, end, offset) => {
    expect(walk(view, end)).toMatchObject({ protocol: TCP, offset });
  });
});
