/** What a recording can look like besides the plain case: each record as the kernel makes it, written by hand. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { hostFromFile } from '../../../src/host/hostfile.js';
import { parseRules } from '../../../src/rules/parse.js';
import { type RecordedOptions, verifyRecorded } from '../../../src/verify/recorded/run.js';
import { ROOT, scratch } from '../../support/cli.js';
import { type CaptureRecord, icmp, pcapFile, sll2, tcp, udp } from '../../support/packets.js';

const folder = scratch();
afterAll(() => folder.remove());

const HOST = join(ROOT, 'captures/docker-bridge/host.json');
const RULES = readFileSync(join(ROOT, 'captures/docker-bridge/rules.v4'), 'utf8');
const LINUX_SLL2 = 276;
/** Packet types of linux/if_packet.h. */
const TO_HOST = 0;
const OVERHEARD = 3;
const OUTGOING = 4;
/** ifindexes in the host file. */
const ETH0 = 2;
const DOCKER0 = 3;
const VETH3 = 4;

interface Said {
  readonly type: number;
  readonly ifindex: number;
  readonly packet: Uint8Array;
  readonly at?: number;
  readonly captured?: number;
}

const came = (ifindex: number, packet: Uint8Array): Said => ({ type: TO_HOST, ifindex, packet });
const went = (ifindex: number, packet: Uint8Array): Said => ({ type: OUTGOING, ifindex, packet });

let files = 0;
/** A recording of `tcpdump -i any`, a record every millisecond unless it says otherwise, held against itself. */
async function verified(said: readonly Said[], options: Partial<RecordedOptions> & { rulesText?: string } = {}) {
  const path = folder.at(`${files++}.pcap`);
  const records = said.map(({ type, ifindex, packet, at, captured }, i): CaptureRecord => {
    const frame = sll2(type, ifindex, packet);
    return { at: at ?? 1000 + i / 1000, frame, captured: captured === undefined ? frame.length : 20 + captured };
  });
  writeFileSync(path, pcapFile(records, LINUX_SLL2));
  const { rulesText = RULES, ...rest } = options;
  const rules = parseRules(rulesText, { file: 'rules', family: 4, unsupported: 'stop' });
  return verifyRecorded({ captures: [{ path }], host: hostFromFile(HOST), rules, ...rest });
}

/** A packet to the published port as the client sends it, and as the host sends it on. */
const published = (flags: string, fields: object = {}) => {
  const both = { src: '198.51.100.7:40000', flags, id: 7, ...fields };
  return [
    came(ETH0, tcp({ dst: '192.0.2.1:8799', ttl: 61, ...both })),
    went(DOCKER0, tcp({ dst: '172.17.0.3:1337', ttl: 60, ...both })),
  ] as const;
};

/** A container's packet and what MASQUERADE makes of it, with a source port of the kernel's choice. */
const masqueraded = (src: string, sport: number, given: number, fields: object = {}) => {
  const both = { dst: '203.0.113.53:53', payload: src, id: 9, ...fields };
  return [
    came(DOCKER0, udp({ src: `${src}:${sport}`, ttl: 64, ...both })),
    went(ETH0, udp({ src: `192.0.2.1:${given}`, ttl: 63, ...both })),
  ] as const;
};

const summary = ({ report: { agreed, differing, missing, unexplained } }: Awaited<ReturnType<typeof verified>>) => ({
  agreed,
  differing,
  missing,
  unexplained,
});
const ALL = (agreed: number) => ({ agreed, differing: 0, missing: 0, unexplained: 0 });

/** Leaves the checksum as checksum offload does: the folded sum of the pseudo header. */
function unfinished(said: Said): Said {
  const packet = Buffer.from(said.packet);
  const words = [12, 14, 16, 18].map((at) => packet.readUInt16BE(at));
  let sum = words.reduce((total, word) => total + word, 6 + packet.length - 20);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  packet.writeUInt16BE(sum, 36);
  return { ...said, packet };
}

describe('the same packet', () => {
  it('is one whose checksum the card was to finish', async () => {
    const [incoming, outgoing] = published('S', { payload: 'data' });
    expect(summary(await verified([incoming, unfinished(outgoing)]))).toEqual(ALL(1));
  });

  it('is compared as far as both captures hold it', async () => {
    const [incoming, outgoing] = published('S', { payload: 'x'.repeat(200) });
    expect(
      summary(
        await verified([
          { ...incoming, captured: 80 },
          { ...outgoing, captured: 64 },
        ]),
      ),
    ).toEqual(ALL(1));
  });

  it('may have been recorded before what caused it, by another clock', async () => {
    const [incoming, outgoing] = published('S');
    expect(summary(await verified([outgoing, incoming]))).toEqual(ALL(1));
  });

  it('may leave in segments, when offloading had merged it', async () => {
    const syn = published('S', { seq: 99 });
    const answer = { dst: '198.51.100.7:40000', flags: 'SA', seq: 49, ack: 100 };
    const synAck = [
      came(DOCKER0, tcp({ src: '172.17.0.3:1337', ttl: 64, ...answer })),
      went(ETH0, tcp({ src: '192.0.2.1:8799', ttl: 63, ...answer })),
    ];
    const begun = [...syn, ...synAck];
    const [whole] = published('PA', { seq: 100, ack: 50, payload: 'a'.repeat(1000) + 'b'.repeat(500), id: 20 });
    const [, first] = published('A', { seq: 100, ack: 50, payload: 'a'.repeat(1000), id: 20 });
    const [, second] = published('PA', { seq: 1100, ack: 50, payload: 'b'.repeat(500), id: 21 });
    expect(summary(await verified([...begun, whole, first, second]))).toEqual(ALL(3));
    const [, wrong] = published('PA', { seq: 1100, ack: 50, payload: 'c'.repeat(500), id: 21 });
    expect(summary(await verified([...begun, whole, first, wrong]))).not.toEqual(ALL(3));
  });

  it('is seen again on the port of the bridge that it leaves by', async () => {
    const [incoming, outgoing] = published('S');
    const result = await verified([incoming, outgoing, { ...outgoing, ifindex: VETH3 }]);
    expect(summary(result)).toEqual(ALL(1));
    expect(result.report.setAside.copies).toBe(1);
  });

  it('comes in by the port of a bridge before it comes in by the bridge', async () => {
    const [incoming, outgoing] = masqueraded('172.17.0.3', 5000, 5000);
    const result = await verified([{ ...incoming, type: OVERHEARD, ifindex: VETH3 }, incoming, outgoing]);
    expect(summary(result)).toEqual(ALL(1));
  });
});

describe('ports that the kernel drew', () => {
  const first = masqueraded('172.17.0.3', 5000, 5000);

  it('are learnt, and their answers find the way back', async () => {
    const second = masqueraded('172.17.0.4', 5000, 33333);
    const answer = { src: '203.0.113.53:53', payload: 'answer' };
    const back = [
      came(ETH0, udp({ dst: '192.0.2.1:33333', ttl: 60, ...answer })),
      went(DOCKER0, udp({ dst: '172.17.0.4:5000', ttl: 59, ...answer })),
    ];
    const result = await verified([...first, ...second, ...back]);
    expect(summary(result)).toEqual(ALL(3));
    expect(result.report.ports).toEqual({ learnt: 1, unknown: 0, refused: 0, unforeseen: 0 });
    expect(result.answers.chosen).toEqual([33333]);
  });

  it('of packets that look the same go to one connection each', async () => {
    const alike = { payload: 'the same', id: 0 };
    const all = [
      masqueraded('172.17.0.3', 5000, 5000, alike),
      masqueraded('172.17.0.4', 5000, 20001, alike),
      masqueraded('172.17.0.5', 5000, 20002, alike),
    ];
    const incoming = all.map(([each]) => each);
    const outgoing = all.map(([, each]) => each);
    const result = await verified([...incoming, ...outgoing]);
    expect(summary(result)).toEqual(ALL(3));
    expect(result.report.ports.learnt).toBe(2);
  });

  it('must be in the range that the rule permits', async () => {
    const rulesText = RULES.replace(
      '! -o docker0 -j MASQUERADE',
      '! -o docker0 -p udp -j MASQUERADE --to-ports 5000-5010',
    );
    const second = masqueraded('172.17.0.4', 5000, 33333);
    const { report } = await verified([...first, ...second], { rulesText });
    expect(report.ports.refused).toBe(1);
    expect(report).toMatchObject({ agreed: 1, differing: 1 });
    expect(report.findings[0]?.fields).toMatchObject([{ field: 'udp.sport', kernel: '33333' }]);
  });

  it('are a difference where the rules would have kept the own one, told once for the connection', async () => {
    const changed = masqueraded('172.17.0.3', 5000, 33333);
    const again = masqueraded('172.17.0.3', 5000, 33333, { id: 10 });
    const { report } = await verified([...changed, ...again]);
    expect(report).toMatchObject({ agreed: 1, differing: 1, ports: { unforeseen: 1 } });
    expect(report.findings[0]?.fields).toEqual([{ field: 'udp.sport', kernel: '33333', predicted: '5000' }]);
  });
});

describe('what is no disagreement', () => {
  it.each([
    [
      'a connection that began before the capture',
      [
        came(ETH0, tcp({ src: '203.0.113.80:80', dst: '192.0.2.1:40000', flags: 'PA', ttl: 60, id: 3 })),
        went(DOCKER0, tcp({ src: '203.0.113.80:80', dst: '172.17.0.3:5000', flags: 'PA', ttl: 59, id: 3 })),
      ],
      'beforeCapture',
    ],
    [
      'a packet of a connection of the host itself',
      [went(ETH0, udp({ src: '192.0.2.1:123', dst: '203.0.113.53:123' }))],
      'own',
    ],
    [
      'frames that a bridge passes on between its ports',
      [
        { type: OVERHEARD, ifindex: VETH3, packet: udp({ src: '172.17.0.3:1', dst: '172.17.0.4:2' }) },
        went(5, udp({ src: '172.17.0.3:1', dst: '172.17.0.4:2' })),
      ],
      'bridged',
    ],
    ['a prediction at the very end', [published('S')[0]], 'atTheEnd'],
  ] as const)('%s', async (_, said, where) => {
    const result = await verified(said);
    expect(summary(result)).toEqual(ALL(0));
    expect(result.report.setAside[where]).toBe(1);
  });

  it('an answer of the host', async () => {
    const ping = { src: '198.51.100.7', dst: '192.0.2.1', icmpId: 5, seq: 1 };
    const pong = { src: '192.0.2.1', dst: '198.51.100.7', icmpId: 5, seq: 1 };
    const result = await verified([came(ETH0, icmp({ type: 8, ...ping })), went(ETH0, icmp({ type: 0, ...pong }))]);
    expect(summary(result)).toEqual(ALL(0));
    expect([...result.report.setAside.answers]).toEqual([['echo replies', 1]]);
  });
});

describe('what is one', () => {
  const later = (said: Said): Said => ({ ...said, at: 1005 });
  const [SYN, SYN_ON] = published('S');

  it.each([
    [
      'a packet that the rules let pass and the host did not',
      [SYN, later(came(ETH0, SYN.packet))],
      'missing',
      /let it pass and the host did not/,
    ],
    [
      'a packet of nobody',
      [SYN, SYN_ON, { ...went(ETH0, udp({ src: '10.9.9.9:1', dst: '203.0.113.1:2' })), at: 1002 }],
      'unexplained',
      /no incoming record is its cause/,
    ],
    ['one sent by another interface', [SYN, { ...SYN_ON, ifindex: ETH0 }], 'differs', /routed it elsewhere/],
    [
      'one that is for the host by these rules',
      [SYN, SYN_ON],
      'differs',
      /have a DNAT for it/,
      RULES.replace(/.*8799.*\n/, ''),
    ],
    [
      'one that these rules drop',
      [SYN, SYN_ON],
      'differs',
      /drop it \(filter:DOCKER-USER:1\)/,
      RULES.replace('-A DOCKER-USER', '-A DOCKER-USER -p tcp -j DROP\n-A DOCKER-USER'),
    ],
  ] as const)('%s', async (_, said, kind, reason, rulesText: string = RULES) => {
    const { report } = await verified(said, { rulesText });
    expect(report.findings).toHaveLength(1);
    expect(report.findings[0]).toMatchObject({ kind, reason: expect.stringMatching(reason) });
  });
});

describe('a large capture', () => {
  it('comes to the same whatever the slabs and the memory for looking ahead', async () => {
    const said = Array.from({ length: 300 }, (_, k) =>
      masqueraded(`172.17.0.${2 + (k % 200)}`, 5000 + k, 5000 + k, { id: k, payload: 'x'.repeat(400) }),
    ).flat();
    for (const memory of [1 << 17, 1 << 24]) {
      const result = await verified(said, { slabBytes: 1 << 16, memory });
      expect(summary(result)).toEqual(ALL(300));
    }
  });
});
