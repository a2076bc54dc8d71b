/** What holds for every generated capture, whatever the profile, the numbers and the seed. */
import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type GenerateOptions, trafficOf } from '../../src/generate/options.js';
import { type Conversation, emptyConversation, TCP, TOO_BIG } from '../../src/generate/plan.js';
import { PROFILES, profileNamed } from '../../src/generate/profiles.js';
import { Shares } from '../../src/generate/shares.js';
import { captureBlocks, type Traffic } from '../../src/generate/traffic.js';
import { type Decoded, decode, sum } from './decode.js';

const NAMES = PROFILES.map(({ name }) => name);

/** A block's memory is used again for the next one, so it is copied at once. */
function wholeOf(traffic: Traffic, buffers?: readonly Uint8Array[]): Buffer {
  return Buffer.concat(Array.from(captureBlocks(traffic, buffers), (block) => Buffer.from(block)));
}

function bytesOf(name: string, given: GenerateOptions = {}): Buffer {
  return wholeOf(trafficOf(profileNamed(name), { packets: 3000, ...given }));
}

const hash = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

describe('the same options give the same bytes', () => {
  it.each(NAMES)('%s', (name) => {
    expect(hash(bytesOf(name))).toBe(hash(bytesOf(name)));
    expect(hash(bytesOf(name))).not.toBe(hash(bytesOf(name, { seed: 2 })));
  });

  // Figures have been published of these.
  it.each([
    ['64byte', 'd663684996de20ab4e689c6019d1db344cdefd127331f0b0685a50fffd3d956e'],
    ['imix', 'e361e9326042461fdcb75d3b1c5c3fa23f2c7f45885ae600659dfe53d2c32feb'],
  ])('%s: as in every version', (name, expected) => {
    expect(hash(bytesOf(name, { packets: 3000, connections: 150 }))).toBe(expected);
  });

  it('whatever memory it is made in', () => {
    const traffic = trafficOf(profileNamed('mix'), { packets: 3000 });
    const buffers = [new Uint8Array(1 << 18), new Uint8Array(1 << 18), new Uint8Array(1 << 18)];
    expect(hash(wholeOf(traffic, buffers))).toBe(hash(bytesOf('mix')));
  });
});

describe('sizes', () => {
  it('64byte: every frame has 64 bytes', () => {
    expect(new Set(decode(bytesOf('64byte')).map(({ frame }) => frame.length))).toEqual(new Set([64]));
  });

  it.each([
    [60, 7],
    [590, 4],
    [1514, 1],
  ])('imix: %i bytes have %i shares of 12', (bytes, share) => {
    const frames = decode(bytesOf('imix'));
    const found = frames.filter(({ frame }) => frame.length === bytes).length;
    expect((found / frames.length) * 12).toBeCloseTo(share, 0);
  });
});

/** Options with which a capture can be made: connections as the packets allow. */
const anyTraffic = fc
  .record({
    name: fc.constantFrom(...NAMES),
    packets: fc.integer({ min: 1, max: 1200 }),
    share: fc.double({ min: 0, max: 1, noNaN: true }),
    seed: fc.integer({ min: 0, max: 0xffffffff }),
    rate: fc.constantFrom(1, 50, 1e6, 2.5e7),
  })
  .map(({ name, packets, share, seed, rate }) => {
    const profile = profileNamed(name);
    const shares = new Shares(profile.plan({ seed, rulesCount: profile.rulesCount }));
    const connections = 1 + Math.floor(share * 80);
    const enough = Math.max(packets, shares.packets(connections));
    return { name, traffic: trafficOf(profile, { packets: enough, connections, seed, rate }) };
  });

const packetsOf = (traffic: Traffic): Decoded[] => decode(wholeOf(traffic));

const FIN = 1;
const SYN = 2;
const PSH = 8;
const ACK = 16;

describe('every capture', () => {
  it('has as many packets as asked for, at times that never go back, with every checksum right', () => {
    fc.assert(
      fc.property(anyTraffic, ({ traffic }) => {
        const packets = packetsOf(traffic);
        expect(packets).toHaveLength(traffic.packets);
        expect(packets.flatMap(({ wrong }) => wrong)).toEqual([]);
        expect(packets.every(({ time }, i) => time >= (packets[i - 1]?.time ?? 0))).toBe(true);
        expect(packets.every(({ frame }) => frame.length >= 60 && frame.length <= 1514)).toBe(true);
      }),
      { numRuns: 60 },
    );
  });

  it('has TCP connections that begin with a handshake, continue, acknowledge all there is, and end with a close', () => {
    fc.assert(
      fc.property(anyTraffic, ({ traffic }) => {
        const packets = packetsOf(traffic).filter(({ protocol }) => protocol === 6);
        const ends = tcpEnds(traffic);
        const connections = groupBy(packets, (packet) => ends.get(oneWay(packet)));
        expect(connections.has(undefined)).toBe(false);
        for (const segments of connections.values()) checkConnection(segments);
      }),
      { numRuns: 40 },
    );
  });
});

function groupBy<T, K>(list: readonly T[], key: (each: T) => K): Map<K, T[]> {
  const groups = new Map<K, T[]>();
  for (const each of list) groups.set(key(each), [...(groups.get(key(each)) ?? []), each]);
  return groups;
}

const oneWay = ({ source, destination, ports }: Decoded): string => `${source} ${destination} ${ports?.join()}`;

/** Both directions of every IPv4 connection of the plan (IPv6 by its lower 32 bits is not told apart), by its number. */
function tcpEnds({ plan, connections }: Traffic): Map<string, number> {
  const ends = new Map<string, number>();
  const c: Conversation = emptyConversation();
  const text = (word: number): string => [24, 16, 8, 0].map((shift) => (word >>> shift) & 255).join('.');
  const ports = (word: number): string => `${word >>> 16},${word & 0xffff}`;
  for (let i = 0; i < connections; i++) {
    plan.conversation(i, c);
    if (c.kind !== TCP && c.kind !== TOO_BIG) continue;
    const address = (place: number, low: number): string => {
      if (!c.ipv6) return text(low);
      const prefix = plan.prefixes6?.[(c.extra >>> (8 * place)) & 255] ?? [];
      return [...prefix, low].map((word) => word.toString(16).padStart(8, '0')).join('');
    };
    const forth = `${address(0, c.initiatorSource)} ${address(1, c.initiatorDestination)} ${ports(c.initiatorPorts)}`;
    const back = `${address(2, c.responderSource)} ${address(3, c.responderDestination)} ${ports(c.responderPorts)}`;
    // Nobody else has these, or the kernel would have to draw a port.
    expect([ends.has(forth), ends.has(back)]).toEqual([false, false]);
    ends.set(forth, i).set(back, i);
  }
  return ends;
}

function checkConnection(segments: readonly Decoded[]): void {
  const all = segments.map(({ tcp }) => tcp?.flags);
  const opening = [SYN, SYN | ACK, ACK];
  if (segments.length < 8) expect(all).toEqual(opening.slice(0, segments.length));
  else {
    const close = [FIN | ACK, FIN | ACK, ACK];
    const data = Array.from({ length: segments.length - 6 }, () => PSH | ACK);
    expect(all).toEqual([...opening, ...data, ...close]);
  }
  const first = segments[0] === undefined ? '' : oneWay(segments[0]);
  const next = new Map<boolean, number>();
  for (const segment of segments) {
    const { flags = 0, seq = 0, ack = 0, data = 0 } = segment.tcp ?? {};
    const side = oneWay(segment) === first;
    expect(seq).toBe(next.get(side) ?? seq);
    if ((flags & ACK) !== 0) expect(ack).toBe(next.get(!side));
    next.set(side, (seq + data + ((flags & (SYN | FIN)) === 0 ? 0 : 1)) >>> 0);
  }
}

describe('fragments', () => {
  it('come together to whole datagrams with the right checksum', () => {
    const packets = decode(bytesOf('fragments', { packets: 4000 }));
    const pieces = packets.filter(({ fragment }) => fragment !== undefined);
    const datagrams = groupBy(
      pieces,
      ({ source, destination, fragment }) => `${source} ${destination} ${fragment?.id}`,
    );
    expect(datagrams.size).toBeGreaterThan(500);
    for (const fragments of datagrams.values()) {
      const sorted = [...fragments].sort((a, b) => (a.fragment?.offset ?? 0) - (b.fragment?.offset ?? 0));
      const whole = Buffer.concat(sorted.map(({ payload }) => payload));
      expect(sorted.map(({ fragment }) => fragment?.more)).toEqual(sorted.map((_, i) => i < sorted.length - 1));
      expect(whole.readUInt16BE(4)).toBe(whole.length);
      const header = sorted[0]?.frame.subarray(26, 34) ?? Buffer.alloc(0);
      expect(sum(whole, sum(header, 17 + whole.length))).toBe(0xffff);
    }
  });
});

describe('ICMP errors', () => {
  it('quote a packet with a right header checksum, of the connection as it is outside', () => {
    const errors = decode(bytesOf('icmp-errors')).filter(({ protocol, payload }) => protocol === 1 && payload[0] === 3);
    expect(new Set(errors.map(({ payload }) => payload[1]))).toEqual(new Set([3, 4]));
    for (const { payload, destination } of errors) {
      const quoted = payload.subarray(8, 28);
      expect(sum(quoted)).toBe(0xffff);
      expect([...quoted.subarray(12, 16)].join('.')).toBe(destination);
    }
  });
});
