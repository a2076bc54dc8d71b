/** `natreplay verify --json`: what its schema says, whatever there is to say (real output: test/e2e/verify.test.ts). */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { verifyJson, verifyJsonSchema, verifyJsonText, verifySchema } from '../../src/verify/json.js';
import type { VerifyMismatch, VerifyResult } from '../../src/verify/verify.js';

const FACTS = { kernel: 'Linux 6.18', backend: 'nft' } as const;
const frame = { input: 0, iface: 'eth0', frame: Uint8Array.of(...new Array(14).fill(0), 0x45, 0xff) };
const about = {
  input: 0,
  record: 3,
  ingress: 'docker0',
  packet: 'udp 172.17.0.2:4000 > 198.51.100.7:53',
  bytes: Uint8Array.of(0x45, 0x00),
  verdict: 'forward',
  why: '',
  path: [{ rule: 'nat:POSTROUTING:1', text: '-A POSTROUTING -o eth0 -j MASQUERADE' }],
} as const;
const mismatches: readonly VerifyMismatch[] = [
  { ...about, kind: 'not-sent', predicted: frame },
  { ...about, kind: 'not-predicted', kernel: frame, verdict: 'drop', why: 'no-route', path: [] },
  {
    ...about,
    kind: 'differs',
    kernel: frame,
    predicted: { ...frame, iface: '(host)' },
    fields: [{ field: 'egress', kernel: 'eth0', predicted: '(host)' }],
  },
];

const RESULT: VerifyResult = {
  records: 9,
  packets: 4,
  skipped: [['outgoing', 5]],
  filled: 1,
  checksumsFinished: 2,
  verdicts: new Map([
    ['forward', 3],
    ['drop', 1],
  ]),
  agreed: 1,
  differing: 3,
  mismatches,
  counters: {
    compared: 2,
    differences: [{ rule: 'nat:POSTROUTING:1', text: '-j MASQUERADE', kernel: '1:60', predicted: undefined }],
  },
  counters6: { compared: 0, differences: [] },
  connections: { compared: 1, differences: [{ what: 'udp', kernel: undefined, predicted: 'udp 17 30' }] },
  portsFollowed: 1,
  seconds: 0.5,
  unset: ['net.ipv4.tcp_early_demux'],
  assumptions: [],
  mtuRaised: false,
};

describe('verify as JSON', () => {
  it('keeps to its own schema', () => {
    const json: unknown = JSON.parse(verifyJsonText(RESULT, FACTS));
    expect(verifySchema.parse(json)).toEqual(json);
    expect(json).toMatchObject({
      schema: 1,
      agree: false,
      backend: 'nft',
      packetsPerSecond: 8,
      verdicts: { forward: 3, drop: 1 },
      skipped: { outgoing: 5 },
    });
  });

  it('says null where one side has nothing', () => {
    const { mismatches: listed, counters, connections } = verifyJson(RESULT, FACTS);
    expect(listed.map(({ kernel, natreplay }) => [kernel?.packet ?? null, natreplay?.packet ?? null])).toEqual([
      [null, '45ff'],
      ['45ff', null],
      ['45ff', '45ff'],
    ]);
    expect(counters.differences[0]).toMatchObject({ kernel: '1:60', predicted: null });
    expect(connections.differences[0]).toEqual({ what: 'udp', kernel: null, predicted: 'udp 17 30' });
    expect(verifyJson({ ...RESULT, seconds: 0 }, FACTS).packetsPerSecond).toBeNull();
  });

  it('is described by the published schema: after a change of it run scripts/schema.ts', () => {
    const published = readFileSync(new URL('../../docs/verify.schema.json', import.meta.url), 'utf8');
    expect(JSON.parse(published)).toEqual(JSON.parse(JSON.stringify(verifyJsonSchema())));
  });
});
