/**
 * IPv6 datagrams in fragments whose headers lie where few senders put them, through natreplay and the running kernel:
 * extension headers behind the fragment header, which leave in front of it, and errors about fragments.
 */
import { afterAll, describe, expect, it } from 'vitest';
import { neededCommands } from '../../src/verify/gateway.js';
import { needs } from '../support/requirements.js';
import { OneGateway, type Sent } from './onegateway.js';
import { icmp, ip, tcp, udp } from './packets.js';

const requirement = needs({ root: true, commands: neededCommands('legacy') });
const title = requirement.skip ? `IPv6 fragments (${requirement.reason})` : 'IPv6 fragments';

const NAT = '*nat\n:PREROUTING ACCEPT [0:0]\n:INPUT ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n:POSTROUTING ACCEPT [0:0]\n';
/** A `*nat` alone tracks nothing. */
const TRACKED = `${NAT}-A PREROUTING -s 2001:db8:f::/48 -j DNAT --to-destination fd00:1::20\nCOMMIT\n`;
const UNTRACKED = `${NAT}COMMIT\n`;
const MASQUERADE = `${NAT}-A POSTROUTING -o wan -j MASQUERADE\nCOMMIT\n`;

type Extension = readonly [type: number, bytes: Uint8Array];

/** Destination or hop-by-hop options of a length in bytes: nothing but padding. */
function options(type: 0 | 60, length = 8): Extension {
  const bytes = Buffer.alloc(length);
  bytes[1] = length / 8 - 1;
  bytes[2] = 1;
  bytes[3] = length < 250 ? length - 4 : 0;
  return [type, bytes];
}

/** A routing header with no segment left, of `addresses` addresses. */
function routing(addresses = 1): Extension {
  const bytes = Buffer.alloc(8 + 16 * addresses);
  bytes[1] = 2 * addresses;
  return [43, bytes];
}

let lastId = 0;

/**
 * Fragments of a packet, the fragment header behind `front` bytes of extension headers; `cuts`: offsets where a new
 * fragment begins.
 */
function fragments(packet: Uint8Array, cuts: readonly number[], front: readonly Extension[] = []): Uint8Array[] {
  const id = ++lastId;
  const before = front.reduce((sum, [, bytes]) => sum + bytes.length, 0);
  const nextAt = front.length === 0 ? 6 : 40 + before - (front.at(-1)?.[1].length ?? 0);
  const payload = packet.subarray(40 + before);
  return [0, ...cuts].map((from, k) => {
    const to = cuts[k] ?? payload.length;
    const header = Buffer.alloc(8);
    header[0] = packet[nextAt] ?? 0;
    header.writeUInt16BE(from | (to < payload.length ? 1 : 0), 2);
    header.writeUInt32BE(id, 4);
    const fragment = Buffer.concat([packet.subarray(0, 40 + before), header, payload.subarray(from, to)]);
    fragment[nextAt] = 44;
    fragment.writeUInt16BE(fragment.length - 40, 4);
    return fragment;
  });
}

let port = 4000;

/** A datagram of `length` bytes behind its extension headers. */
function datagram(extensions: readonly Extension[], length = 100): Uint8Array {
  const payload = Buffer.alloc(length - 8, 'natreplay');
  return udp({ src: `[fd00:1::10]:${++port}`, dst: '[2001:db8:9::9]:53', extensions, payload });
}

const from = (iface: string, ...packets: readonly Uint8Array[][]): Sent[] =>
  packets.flat().map((packet) => [iface, packet] as const);

const PUBLIC = '2001:db8:5::5';
const FAR = '2001:db8:9::9';
const OF_A_FRAGMENT: Extension = [44, Buffer.from('0000000000000077', 'hex')];

const error = (about: Uint8Array, extensions: readonly Extension[] = []): Uint8Array =>
  icmp({ src: '2001:db8:77::1', dst: PUBLIC, type: 1, code: 4, payload: about, extensions });

/** Cut in two at every multiple of 8 up to `to`: where the kernel draws the line itself, it shows. */
function everyCut(packet: Uint8Array, to: number, front: readonly Extension[] = []): Uint8Array[][] {
  const places = Array.from({ length: to / 8 }, (_, k) => 8 * (k + 1));
  const length = packet.length - 40 - front.reduce((sum, [, bytes]) => sum + bytes.length, 0);
  return places.filter((at) => at < length).map((at) => fragments(packet, [at], front));
}

/** Made anew for every rule set: what an earlier one left in the kernel's queues is of other datagrams then. */
const cases = (): (readonly [name: string, steps: readonly Sent[]])[] => [
  [
    'headers behind the fragment header leave in front of it',
    from(
      'lan',
      fragments(datagram([routing()]), [48, 80]),
      fragments(datagram([options(60)]), [48, 80]),
      fragments(datagram([options(0)]), [48, 80]),
      fragments(datagram([options(0), options(60)]), [24, 80]),
      fragments(datagram([options(0), routing(), options(60)]), [48, 80]),
      fragments(datagram([options(60), routing(), options(60)]), [56, 80]),
    ),
  ],
  [
    'as long as the room in front of the later fragments is enough for them',
    from(
      'lan',
      ...[16, 24, 32, 40, 48, 56, 64, 72, 80, 96, 128].map((length) =>
        fragments(datagram([options(60, length)]), [length + 8, length + 48]),
      ),
      ...[1, 2, 3, 4, 5].map((addresses) =>
        fragments(datagram([routing(addresses)]), [16 * addresses + 16, 16 * addresses + 48]),
      ),
    ),
  ],
  [
    'some in front and some behind',
    from(
      'lan',
      fragments(datagram([options(0), options(60)]), [48, 80], [options(0)]),
      fragments(datagram([options(0), routing(), options(60)]), [56, 80], [options(0)]),
      fragments(datagram([options(0), routing(), options(60)]), [56, 80], [options(0), routing()]),
      fragments(datagram([options(60), options(60, 64)]), [80], [options(60)]),
      fragments(datagram([options(60), options(60, 72)]), [88], [options(60)]),
    ),
  ],
  [
    'options behind a routing header stay behind, wherever the sender had put them',
    from(
      'lan',
      fragments(datagram([routing(), options(60)]), [48], [routing(), options(60)]),
      fragments(datagram([routing(), options(60, 16)]), [8, 48], [routing(), options(60, 16)]),
      fragments(datagram([options(60), routing(), options(60)]), [8], [options(60), routing(), options(60)]),
    ),
  ],
  [
    'headers that are cut themselves',
    from(
      'lan',
      ...everyCut(datagram([routing()]), 48),
      ...everyCut(datagram([options(60, 16), routing()]), 56),
      ...everyCut(datagram([options(0), options(60)]), 32),
      ...everyCut(datagram([routing(), options(60)]), 64),
      ...everyCut(datagram([options(60), routing(), options(60)]), 64),
      ...everyCut(datagram([options(60), options(60), options(60)]), 48),
      ...everyCut(ip({ src: 'fd00:1::10', dst: FAR, extensions: [routing()] }, 50, Buffer.alloc(60)), 40),
      ...everyCut(
        tcp({
          src: '[fd00:1::10]:4001',
          dst: '[2001:db8:9::9]:80',
          flags: 'S',
          extensions: [options(60, 16), options(60)],
          payload: Buffer.alloc(60),
        }),
        56,
      ),
      fragments(datagram([options(60, 64)]), [8, 16, 24]),
      fragments(datagram([options(60), routing(2), options(60)]), [24, 48, 72]),
      fragments(datagram([options(60), routing(2), options(60)], 12), [24, 48]),
    ),
  ],
  [
    'of other protocols',
    from(
      'lan',
      fragments(
        tcp({
          src: '[fd00:1::10]:4000',
          dst: '[2001:db8:9::9]:80',
          flags: 'S',
          extensions: [options(60)],
          payload: Buffer.alloc(60),
        }),
        [32, 56],
      ),
      fragments(ip({ src: 'fd00:1::10', dst: FAR, extensions: [routing()] }, 50, Buffer.alloc(60)), [32, 56]),
      fragments(ip({ src: 'fd00:1::10', dst: FAR, extensions: [routing()] }, 59, Buffer.alloc(60)), [32, 56]),
      fragments(ip({ src: 'fd00:1::10', dst: FAR, extensions: [options(60)] }, 99, Buffer.alloc(0)), []),
    ),
  ],
  [
    'errors in fragments about fragments and packets with extension headers',
    [
      ...from('lan', [udp({ src: '[fd00:1::10]:4000', dst: '[2001:db8:9::9]:53', payload: Buffer.alloc(40) })]),
      ...from(
        'wan',
        ...[[OF_A_FRAGMENT], [options(60)], [options(60), OF_A_FRAGMENT], [options(60, 32)], []].flatMap((extensions) =>
          everyCut(
            error(udp({ src: `[${PUBLIC}]:4000`, dst: `[${FAR}]:53`, extensions, payload: Buffer.alloc(40) })),
            104,
          ),
        ),
      ),
    ],
  ],
  [
    'errors in fragments about TCP, ICMP and protocols that have only addresses',
    [
      ...from('lan', [tcp({ src: '[fd00:1::10]:4000', dst: '[2001:db8:9::9]:80', flags: 'S' })]),
      ...from('lan', [icmp({ src: 'fd00:1::10', dst: FAR, type: 128, icmpId: 77 })]),
      ...from('lan', [ip({ src: 'fd00:1::10', dst: FAR }, 50, Buffer.alloc(40))]),
      ...from('lan', [ip({ src: 'fd00:1::10', dst: FAR }, 47, Buffer.alloc(40))]),
      ...from(
        'wan',
        ...[[OF_A_FRAGMENT], [options(60)], []].flatMap((extensions) =>
          [
            tcp({ src: `[${PUBLIC}]:4000`, dst: `[${FAR}]:80`, flags: 'S', extensions, payload: Buffer.alloc(20) }),
            icmp({ src: PUBLIC, dst: FAR, type: 128, icmpId: 77, extensions, payload: Buffer.alloc(32) }),
            ip({ src: PUBLIC, dst: FAR, extensions }, 50, Buffer.alloc(40)),
            ip({ src: PUBLIC, dst: FAR, extensions }, 47, Buffer.alloc(40)),
          ].flatMap((about) => everyCut(error(about), 88)),
        ),
        everyCut(error(udp({ src: `[${PUBLIC}]:4000`, dst: `[${FAR}]:80` }), [options(60)]), 64).flat(),
      ),
    ],
  ],
];

describe.skipIf(requirement.skip)(title, () => {
  const gateway = new OneGateway();
  afterAll(() => gateway.close());

  const rules = [
    ['translated', MASQUERADE],
    ['only tracked', TRACKED],
    ['not even tracked', UNTRACKED],
  ] as const;
  describe.each(rules)('%s', (_rules, rules6) => {
    it.each(cases())('%s', async (_name, sent) => {
      expect(await gateway.ask(rules6, sent)).toEqual([]);
    });
  });
});
