import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { generate, trafficOf } from '../../bench/generate.js';
import { checkCapture } from '../../bench/lib/check.js';
import { ConnectionPlan, emptyConnection, MAX_CONNECTIONS } from '../../bench/lib/connections.js';
import { PROFILES, profileNamed } from '../../bench/lib/profiles.js';
import { hostFile, publishedPorts, rulesText } from '../../bench/lib/scenario.js';
import { captureBlocks } from '../../bench/lib/traffic.js';
import { needs } from '../support/requirements.js';

const directory = mkdtempSync(join(tmpdir(), 'natreplay-generate-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const PACKETS = 3000;
const CONNECTIONS = 150;

function small(profile: string, seed = 1) {
  return trafficOf(profileNamed(profile), { packets: PACKETS, connections: CONNECTIONS, seed });
}

function bytesOf(profile: string, seed = 1): Buffer {
  return Buffer.concat([...captureBlocks(small(profile, seed))].map((block) => Buffer.from(block)));
}

interface Segment {
  readonly from: string;
  readonly to: string;
  readonly flags: number;
  readonly seq: number;
  readonly ack: number;
  readonly data: number;
}

/** The frames of a generated capture. */
function framesOf(capture: Buffer): Buffer[] {
  const frames: Buffer[] = [];
  for (let at = 24; at < capture.length; ) {
    const length = capture.readUInt32LE(at + 8);
    frames.push(capture.subarray(at + 16, at + 16 + length));
    at += 16 + length;
  }
  return frames;
}

function segmentOf(frame: Buffer): Segment {
  const ip = frame.subarray(14);
  const tcp = ip.subarray(20);
  return {
    from: `${ip.readUInt32BE(12)}:${tcp.readUInt16BE(0)}`,
    to: `${ip.readUInt32BE(16)}:${tcp.readUInt16BE(2)}`,
    flags: tcp.readUInt8(13),
    seq: tcp.readUInt32BE(4),
    ack: tcp.readUInt32BE(8),
    data: ip.readUInt16BE(2) - 20 - (tcp.readUInt8(12) >>> 4) * 4,
  };
}

/** TCP segments by connection, named by its initiator's end as the gateway receives it. */
function connectionsOf(frames: readonly Buffer[], seed = 1): Map<string, Segment[]> {
  const plan = new ConnectionPlan(seed, publishedPorts(100));
  const connection = emptyConnection();
  const name = new Map<string, string>();
  for (let i = 0; i < CONNECTIONS; i++) {
    plan.connection(i, connection);
    const { initiatorSource, initiatorDestination, initiatorPorts } = connection;
    const { responderSource, responderDestination, responderPorts } = connection;
    const forward = `${initiatorSource}:${initiatorPorts >>> 16}>${initiatorDestination}:${initiatorPorts & 0xffff}`;
    const back = `${responderSource}:${responderPorts >>> 16}>${responderDestination}:${responderPorts & 0xffff}`;
    name.set(forward, forward).set(back, forward);
  }
  const connections = new Map<string, Segment[]>();
  for (const frame of frames) {
    if (frame.readUInt8(23) !== 6) continue;
    const segment = segmentOf(frame);
    const key = name.get(`${segment.from}>${segment.to}`);
    if (key === undefined) throw new Error(`${segment.from}>${segment.to} belongs to no connection of the plan`);
    const list = connections.get(key);
    if (list === undefined) connections.set(key, [segment]);
    else list.push(segment);
  }
  return connections;
}

describe('generated captures', () => {
  test.each(PROFILES.map((p) => p.name))('%s: the same seed gives the same bytes, another one others', (profile) => {
    const hash = (seed: number): string => createHash('sha256').update(bytesOf(profile, seed)).digest('hex');
    expect(hash(1)).toBe(hash(1));
    expect(hash(1)).not.toBe(hash(2));
  });

  test('64byte has the bytes it had when figures were last published', () => {
    const hash = createHash('sha256').update(bytesOf('64byte')).digest('hex');
    expect(hash).toBe('d663684996de20ab4e689c6019d1db344cdefd127331f0b0685a50fffd3d956e');
  });

  test.each(PROFILES.map((p) => p.name))('%s: every packet is there, with the right checksums', (profile) => {
    const made = generate(directory, small(profile));
    expect(checkCapture(made.capture)).toMatchObject({ packets: PACKETS, wrongChecksums: 0 });
  });

  test('64byte: every frame has 64 bytes', () => {
    expect(new Set(framesOf(bytesOf('64byte')).map((f) => f.length))).toEqual(new Set([64]));
  });

  test('imix: 7 : 4 : 1 of 60, 590 and 1514 bytes', () => {
    const frames = framesOf(bytesOf('imix'));
    const share = (bytes: number): number => (frames.filter((f) => f.length === bytes).length / frames.length) * 12;
    expect(share(60)).toBeCloseTo(7, 0);
    expect(share(590)).toBeCloseTo(4, 0);
    expect(share(1514)).toBeCloseTo(1, 0);
  });

  test('timestamps never run backwards', () => {
    const capture = bytesOf('imix');
    let last = 0;
    for (let at = 24; at < capture.length; at += 16 + capture.readUInt32LE(at + 8)) {
      const now = capture.readUInt32LE(at) * 1e6 + capture.readUInt32LE(at + 4);
      expect(now).toBeGreaterThanOrEqual(last);
      last = now;
    }
  });

  test('no frame has a MAC of the gateway as its source', () => {
    const own = new Set(['020000000001', '020000000002']);
    const sources = framesOf(bytesOf('64byte')).map((f) => f.toString('hex', 6, 12));
    expect(sources.filter((mac) => own.has(mac))).toEqual([]);
  });
});

describe('generated TCP connections', () => {
  const FIN = 1;
  const SYN = 2;
  const RST = 4;
  const ACK = 16;

  test.each(PROFILES.map((p) => p.name))('%s: a handshake, data both ways, a close', (profile) => {
    const connections = connectionsOf(framesOf(bytesOf(profile)));
    expect(connections.size).toBe(CONNECTIONS * 0.8);
    for (const segments of connections.values()) {
      const flags = segments.map((s) => s.flags & (FIN | SYN | RST | ACK));
      expect(flags.slice(0, 3)).toEqual([SYN, SYN | ACK, ACK]);
      expect(flags.slice(3, -3).every((f) => f === ACK)).toBe(true);
      expect(flags.slice(-3)).toEqual([FIN | ACK, FIN | ACK, ACK]);
      expect(segments.slice(3, -3).every((s) => s.data > 0)).toBe(true);
    }
  });

  test.each(PROFILES.map((p) => p.name))(
    '%s: every segment continues its side and acknowledges the other',
    (profile) => {
      for (const segments of connectionsOf(framesOf(bytesOf(profile))).values()) {
        const initiator = segments[0]?.from;
        const next = new Map<boolean, number>();
        for (const s of segments) {
          const side = s.from === initiator;
          const expected = next.get(side);
          if (expected !== undefined) expect(s.seq).toBe(expected);
          if (s.flags & ACK) expect(s.ack).toBe(next.get(!side));
          next.set(side, (s.seq + s.data + (s.flags & (SYN | FIN) ? 1 : 0)) >>> 0);
        }
      }
    },
  );
});

describe('the connections of a plan', () => {
  const published = publishedPorts(100);

  test('no two inside hosts share a source port towards a remote: masquerading keeps every port', () => {
    const plan = new ConnectionPlan(7, published);
    const connection = emptyConnection();
    const public_ = new Set<string>();
    const outside = new Set<string>();
    const count = 60_000;
    for (let i = 0; i < count; i++) {
      plan.connection(i, connection);
      if (connection.outbound) public_.add(`${connection.responderSource}:${connection.responderPorts}`);
      else outside.add(`${connection.initiatorSource}:${connection.initiatorPorts >>> 16}`);
    }
    expect(public_.size).toBe(count / 2);
    expect(outside.size).toBe(count / 2);
  });

  test('the last connection there can be has valid ports', () => {
    const plan = new ConnectionPlan(7, published);
    const connection = emptyConnection();
    for (const index of [MAX_CONNECTIONS - 1, MAX_CONNECTIONS - 2]) {
      plan.connection(index, connection);
      expect(connection.initiatorPorts >>> 16).toBeGreaterThanOrEqual(32768);
      expect(connection.initiatorPorts >>> 16).toBeLessThan(61000);
    }
  });

  test('inbound connections go to a published port and are answered by its server', () => {
    const plan = new ConnectionPlan(7, published);
    const connection = emptyConnection();
    for (let i = 1; i < 2000; i += 2) {
      plan.connection(i, connection);
      const rule = published.find((p) => p.port === (connection.initiatorPorts & 0xffff));
      expect(rule?.protocol).toBe(connection.udp ? 'udp' : 'tcp');
      expect(connection.responderSource).toBe(rule?.server);
      expect(connection.responderPorts >>> 16).toBe(rule?.serverPort);
    }
  });
});

describe('what belongs to the capture', () => {
  test('a DNAT rule for every published port, and the masquerade', () => {
    const text = rulesText(publishedPorts(100));
    expect(text.match(/-j DNAT/g)).toHaveLength(100);
    expect(text).toContain('-A PREROUTING -d 203.0.113.1/32 -i wan0 -p tcp -m tcp --dport 8000 -j DNAT ');
    expect(text).toContain('-A POSTROUTING -s 10.0.0.0/16 -o wan0 -j MASQUERADE');
  });

  test('a host file as iproute2 prints it', () => {
    expect(hostFile()).toMatchObject({
      addr: [
        { ifname: 'lo' },
        { ifname: 'lan0', address: '02:00:00:00:00:01', addr_info: [{ local: '10.0.0.1', broadcast: '10.0.255.255' }] },
        { ifname: 'wan0', addr_info: [{ local: '203.0.113.1', prefixlen: 24, scope: 'global' }] },
      ],
      route: expect.arrayContaining([
        { dst: 'default', gateway: '203.0.113.254', dev: 'wan0', flags: [] },
        expect.objectContaining({ dst: '10.0.0.0/16', dev: 'lan0' }),
        expect.objectContaining({ type: 'broadcast', dst: '203.0.113.255', table: 'local' }),
      ]),
    });
  });
});

describe('refused', () => {
  test.each([
    ['fewer than 8 packets a connection', { packets: 70, connections: 10 }],
    ['no packets', { packets: 0, connections: 1 }],
    ['more connections than tuples', { packets: 1e10, connections: MAX_CONNECTIONS + 1 }],
  ])('%s', (_, given) => {
    expect(() => captureBlocks(trafficOf(profileNamed('64byte'), given)).next()).toThrow(RangeError);
  });

  test('a profile that is not there', () => {
    expect(() => profileNamed('jumbo')).toThrow("no profile 'jumbo'; there are 64byte, imix");
  });
});

const tshark = needs({ commands: ['tshark'] });

describe.skipIf(tshark.skip)(`tshark's opinion${tshark.skip ? ` (${tshark.reason})` : ''}`, () => {
  test.each(PROFILES.map((p) => p.name))(
    '%s: nothing malformed, nothing odd about TCP, every checksum right',
    (profile) => {
      const { capture } = generate(directory, small(profile));
      // The payload means nothing, so nothing above TCP and UDP is to look at it.
      const arguments_ = ['-r', capture, '-d', 'tcp.port==1-65535,data', '-d', 'udp.port==1-65535,data'];
      for (const protocol of ['ip', 'tcp', 'udp']) arguments_.push('-o', `${protocol}.check_checksum:TRUE`);
      const wrong = ['ip', 'tcp', 'udp'].map((protocol) => `${protocol}.checksum.status == 0`);
      const filter = ['_ws.malformed', 'tcp.analysis.flags', ...wrong].join(' || ');
      const fields = ['ip.checksum.status', 'tcp.checksum.status', 'udp.checksum.status'];
      const tshark = (more: readonly string[]): string =>
        execFileSync('tshark', [...arguments_, '-T', 'fields', '-E', 'separator=,', ...more], {
          encoding: 'utf8',
          stdio: ['ignore', 'pipe', 'ignore'],
        });
      expect(tshark(['-Y', filter, '-e', 'frame.number'])).toBe('');
      const lines = tshark(fields.flatMap((f) => ['-e', f]))
        .trimEnd()
        .split('\n');
      expect(lines).toHaveLength(PACKETS);
      // 1: good. Every packet is IPv4 and either TCP or UDP.
      expect(new Set(lines)).toEqual(new Set(['1,1,', '1,,1']));
    },
  );
});
