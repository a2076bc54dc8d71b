import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import { PacketLogFormatter, packetLogLine, timestampText } from '../../src/report/packetlog.js';
import type { PacketLogEntry, Verdict } from '../../src/report/types.js';

const DNAT: PacketLogEntry = {
  i: 7,
  ts: '1714557600.123456789',
  in: 'eth0',
  verdict: 'forward',
  state: 'new',
  nat: 'dnat',
  rule: 'nat:DOCKER:2',
  out: [{ iface: 'docker0', record: 3 }],
  before: 'tcp 198.51.100.7:40000 > 192.0.2.1:8799',
  after: 'tcp 198.51.100.7:40000 > 172.17.0.3:1337',
};

describe('a line of the packet log', () => {
  it('is an object on one line, keys in the documented order, ts with every digit', () => {
    expect(packetLogLine(DNAT)).toBe(
      '{"i":7,"ts":1714557600.123456789,"in":"eth0","verdict":"forward","state":"new","nat":"dnat",' +
        '"rule":"nat:DOCKER:2","out":[{"iface":"docker0","record":3}],' +
        '"before":"tcp 198.51.100.7:40000 > 192.0.2.1:8799","after":"tcp 198.51.100.7:40000 > 172.17.0.3:1337"}\n',
    );
  });

  test.each<[string, PacketLogEntry, string]>([
    [
      'a dropped packet says why',
      { i: 0, ts: '1', in: '@local', verdict: 'drop', why: 'invalid-checksum' },
      '{"i":0,"ts":1,"in":"@local","verdict":"drop","why":"invalid-checksum"}\n',
    ],
    [
      'a capture that names no interface',
      { i: 1, ts: '1.5', in: null, verdict: 'ignored', out: [{ iface: null, record: 0 }] },
      '{"i":1,"ts":1.5,"in":null,"verdict":"ignored","out":[{"iface":null,"record":0}]}\n',
    ],
    [
      'a held fragment goes nowhere',
      { i: 2, ts: '0', in: 'eth0', verdict: 'held', out: [], before: 'udp 10.0.0.1 > 10.0.0.2' },
      '{"i":2,"ts":0,"in":"eth0","verdict":"held","out":[],"before":"udp 10.0.0.1 > 10.0.0.2"}\n',
    ],
    [
      'the fragment that completes a datagram lists them all',
      { i: 3, ts: '0', in: 'eth0', verdict: 'forward', out: [5, 6, 7].map((record) => ({ iface: 'eth1', record })) },
      '{"i":3,"ts":0,"in":"eth0","verdict":"forward","out":[{"iface":"eth1","record":5},{"iface":"eth1","record":6},{"iface":"eth1","record":7}]}\n',
    ],
    [
      'only an after',
      { i: 4, ts: '0', in: null, verdict: 'local', after: 'gre 10.0.0.1 > 10.0.0.2' },
      '{"i":4,"ts":0,"in":null,"verdict":"local","after":"gre 10.0.0.1 > 10.0.0.2"}\n',
    ],
    [
      'rules that log, with a prefix that a terminal would obey',
      {
        i: 5,
        ts: '0',
        in: 'eth0',
        verdict: 'local',
        logs: [{ target: 'NFLOG', rule: 'filter:INPUT:3', prefix: '"\u001b[2J', group: 5 }],
        trace: ['filter:INPUT:policy:4'],
      },
      '{"i":5,"ts":0,"in":"eth0","verdict":"local","logs":[{"target":"NFLOG","rule":"filter:INPUT:3",' +
        '"prefix":"\\"\\u001b[2J","group":5}],"trace":["filter:INPUT:policy:4"]}\n',
    ],
  ])('%s', (_, entry, line) => expect(packetLogLine(entry)).toBe(line));

  it('escapes hostile interface names: quotes, newlines, terminal escapes, C1 controls, direction marks', () => {
    const hostile = 'e"\\\n\u001b[2J\u009b31m\u202eé\ud800';
    const line = packetLogLine({ i: 0, ts: '0', in: hostile, verdict: 'local' });
    expect(line).toMatch(/^[ -~]+\n$/);
    expect(JSON.parse(line)).toMatchObject({ in: hostile });
  });
});

const nasty = fc.oneof(fc.string({ unit: 'binary' }), fc.constantFrom('eth0', 'docker0', '\u001b]0;x\u0007'));
const entries = fc.record<PacketLogEntry>(
  {
    i: fc.nat(),
    ts: fc.nat().map((n) => `${n}.000001`),
    in: fc.option(nasty),
    verdict: fc.constantFrom<Verdict>('forward', 'local', 'drop', 'held', 'outgoing', 'ignored'),
    why: nasty,
    state: fc.constantFrom('new' as const, 'established' as const),
    nat: fc.constantFrom('dnat', 'snat'),
    rule: nasty,
    out: fc.array(fc.record({ iface: fc.option(nasty), record: fc.nat() }), { maxLength: 3 }),
    before: fc.constantFrom('tcp 10.0.0.1:1 > 10.0.0.2:2', 'gre 10.0.0.1 > 10.0.0.2'),
    after: fc.constantFrom('tcp 10.0.0.1:1 > 10.0.0.3:2', 'gre 10.0.0.1 > 10.0.0.3'),
    logs: fc.array(
      fc.record(
        { target: fc.constantFrom('LOG', 'NFLOG'), rule: nasty, prefix: nasty, group: fc.nat() },
        { requiredKeys: ['target', 'rule'] },
      ),
      { maxLength: 3 },
    ),
    trace: fc.array(nasty, { maxLength: 3 }),
  },
  { requiredKeys: ['i', 'ts', 'in', 'verdict'] },
);

describe('the packet log', () => {
  it('holds what JSON.stringify would have written, whatever the names', () => {
    fc.assert(
      fc.property(entries, (entry) => {
        const { ts, ...rest } = JSON.parse(packetLogLine(entry));
        expect(rest).toEqual(JSON.parse(JSON.stringify({ ...entry, ts: undefined })));
        expect(ts).toBe(Number(entry.ts));
      }),
    );
  });

  it('is the same in blocks of any size as line by line', () => {
    fc.assert(
      fc.property(fc.array(entries, { maxLength: 200 }), fc.integer({ min: 1, max: 5000 }), (list, blockSize) => {
        const log = new PacketLogFormatter(blockSize);
        const blocks: Buffer[] = [];
        for (const entry of list) {
          log.add(entry);
          if (log.full) blocks.push(log.take());
        }
        blocks.push(log.take());
        expect(Buffer.concat(blocks).toString()).toBe(list.map(packetLogLine).join(''));
        expect(log.lines).toBe(list.length);
        expect(log.take()).toHaveLength(0);
      }),
      { numRuns: 50 },
    );
  });
});

describe('capture time as a number', () => {
  test.each([
    [1714557600, 123456789, 9, '1714557600.123456789'],
    [1714557600, 123456789, 6, '1714557600.123456'],
    [1714557600, 1000, 6, '1714557600.000001'],
    [1714557600, 0, 0, '1714557600'],
    [0, 0, 6, '0.000000'],
    [-2, 500_000_000, 6, '-1.500000'],
    [-1, 999_999_000, 6, '-0.000001'],
    [-3, 0, 6, '-3.000000'],
  ])('%d s and %d ns with %d digits is %s', (seconds, nanoseconds, digits, text) =>
    expect(timestampText(seconds, nanoseconds, digits)).toBe(text),
  );
});
