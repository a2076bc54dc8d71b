/** What the host itself sends over IPv6, and the answers to it, through natreplay and the running kernel. */
import { afterAll, describe, expect, it } from 'vitest';
import type { HostFile } from '../../src/host/hostschema.js';
import { FROM_HOST, HOST_COMMAND, neededCommands } from '../../src/verify/gateway.js';
import { needs } from '../support/requirements.js';
import { OneGateway, type Sent } from './onegateway.js';
import { icmp, tcp, udp } from './packets.js';
import { HOME_HOST6 } from './scenarios6.js';

const requirement = needs({ root: true, commands: [...neededCommands('legacy'), HOST_COMMAND] });
const title = requirement.skip
  ? `what the host sends over IPv6 (${requirement.reason})`
  : 'what the host sends over IPv6';

/** Packets marked 1 go out of lan, to a router there; lan is the narrower link. */
const HOST: HostFile = {
  ...HOME_HOST6,
  addr: HOME_HOST6.addr.map((one) => (one.ifname === 'lan' ? { ...one, mtu: 1400 } : one)),
  route6: [...(HOME_HOST6.route6 ?? []), { dst: 'default', gateway: 'fd00:1::fe', dev: 'lan', table: '100' }],
  rule6: [
    { priority: 0, src: 'all', table: 'local' },
    { priority: 100, src: 'all', fwmark: '0x1', table: '100' },
    { priority: 32766, src: 'all', table: 'main' },
  ],
};

const HOOKS = {
  raw: ['PREROUTING', 'OUTPUT'],
  mangle: ['PREROUTING', 'INPUT', 'FORWARD', 'OUTPUT', 'POSTROUTING'],
  nat: ['PREROUTING', 'INPUT', 'OUTPUT', 'POSTROUTING'],
  filter: ['INPUT', 'FORWARD', 'OUTPUT'],
} as const;
const STATES = ['NEW', 'ESTABLISHED', 'RELATED', 'INVALID', 'UNTRACKED'] as const;

/** `nat -A OUTPUT ...`; every chain counts what passes by state and interface before its rules. */
function rules(...lines: readonly string[]): string {
  return Object.entries(HOOKS)
    .map(([table, hooks]) => {
      const own = lines.filter((line) => line.startsWith(`${table} `)).map((line) => line.slice(table.length + 1));
      const counting = hooks.flatMap((hook) => [
        ...STATES.map((state) => `-A ${hook} -m conntrack --ctstate ${state}`),
        ...(hook === 'OUTPUT' || hook === 'POSTROUTING' ? ['lan', 'wan', 'lo'].map((i) => `-A ${hook} -o ${i}`) : []),
        ...(hook === 'PREROUTING' || hook === 'INPUT' ? ['lan', 'wan', 'lo'].map((i) => `-A ${hook} -i ${i}`) : []),
      ]);
      const declared = hooks.map((hook) => `:${hook} ACCEPT [0:0]`);
      return `${[`*${table}`, ...declared, ...counting, ...own, 'COMMIT'].join('\n')}\n`;
    })
    .join('');
}

const MASQUERADE = 'nat -A POSTROUTING -o wan -j MASQUERADE';
const INSIDE = 'fd00:1::1';
const OUTSIDE = '2001:db8:5::5';
const SERVER = '2001:db8:9::9';
const own = (packet: Uint8Array): Sent => [FROM_HOST, packet];
const query = (from: string, ports = [4000, 53], fields: { ttl?: number; payload?: string } = {}): Uint8Array =>
  udp({ src: `[${from}]:${ports[0]}`, dst: `[${SERVER}]:${ports[1]}`, ...fields });
const answer = (to: string, port = 4000): Sent => ['wan', udp({ src: `[${SERVER}]:53`, dst: `[${to}]:${port}` })];

const CASES: readonly (readonly [name: string, rules6: string, packets: readonly Sent[]])[] = [
  ['its way through all tables, and the answer to it', rules(), [own(query(OUTSIDE)), answer(OUTSIDE)]],
  ['masqueraded, and the answer translated back', rules(MASQUERADE), [own(query(INSIDE)), answer(OUTSIDE)]],
  [
    'hop limits of 1 and 0 leave as they are',
    rules(),
    [own(query(OUTSIDE, [1, 2], { ttl: 1 })), own(query(OUTSIDE, [1, 3], { ttl: 0 }))],
  ],
  [
    'its own connection beside a masqueraded one',
    rules(MASQUERADE),
    [['lan', udp({ src: '[fd00:1::9]:4000', dst: `[${SERVER}]:53` })], own(query(OUTSIDE)), answer(OUTSIDE)],
  ],
  [
    'REDIRECT in OUTPUT leads to ::1 over loopback',
    rules('nat -A OUTPUT -p udp -m udp --dport 53 -j REDIRECT --to-ports 5353'),
    [own(query(OUTSIDE)), own(udp({ src: '[::1]:5353', dst: `[${OUTSIDE}]:4000` })), own(query(OUTSIDE))],
  ],
  [
    'DNAT in OUTPUT to another network is routed anew',
    rules(
      'nat -A OUTPUT -p tcp -m tcp --dport 80 -j DNAT --to-destination [fd00:1::20]:8080',
      'nat -A POSTROUTING -o lan -j MASQUERADE',
    ),
    [
      own(tcp({ src: `[${OUTSIDE}]:4000`, dst: `[${SERVER}]:80`, flags: 'S' })),
      ['lan', tcp({ src: '[fd00:1::20]:8080', dst: `[${INSIDE}]:4000`, flags: 'SA', ack: 1001 })],
      own(tcp({ src: `[${OUTSIDE}]:4000`, dst: `[${SERVER}]:80`, flags: 'A', seq: 1001, ack: 1001 })),
    ],
  ],
  [
    'a mark set in mangle OUTPUT is routed anew by ip rule',
    rules(
      'mangle -A OUTPUT -p udp -m udp --dport 53 -j MARK --set-xmark 0x1/0xffffffff',
      'nat -A POSTROUTING -o lan -j MASQUERADE',
    ),
    [
      own(query(OUTSIDE)),
      ['lan', udp({ src: `[${SERVER}]:53`, dst: `[${INSIDE}]:4000` })],
      own(query(OUTSIDE, [4000, 54])),
    ],
  ],
  [
    'DNAT in OUTPUT to an address of its own leads over loopback',
    rules('nat -A OUTPUT -p tcp -j DNAT --to-destination fd00:1::1'),
    [
      own(tcp({ src: `[${OUTSIDE}]:4000`, dst: `[${SERVER}]:80`, flags: 'S' })),
      own(tcp({ src: `[${INSIDE}]:80`, dst: `[${OUTSIDE}]:4000`, flags: 'SA', ack: 1001 })),
    ],
  ],
  [
    'from the host to itself',
    rules(MASQUERADE),
    [
      own(udp({ src: '[::1]:4000', dst: '[::1]:53' })),
      own(udp({ src: `[${OUTSIDE}]:4000`, dst: `[${INSIDE}]:53` })),
      own(udp({ src: '[::1]:53', dst: '[::1]:4000' })),
      own(tcp({ src: '[::1]:53', dst: '[::1]:4000', flags: 'SA' })),
    ],
  ],
  [
    'untracked, INVALID, with a wrong checksum',
    rules('raw -A OUTPUT -p udp -m udp --dport 99 -j CT --notrack', MASQUERADE),
    [
      own(query(INSIDE, [4000, 99])),
      own(tcp({ src: `[${INSIDE}]:80`, dst: `[${SERVER}]:4000`, flags: 'SA' })),
      own(udp({ src: `[${INSIDE}]:4000`, dst: `[${SERVER}]:53`, badChecksum: true })),
    ],
  ],
  [
    'dropped and rejected in OUTPUT',
    rules(
      'filter -A OUTPUT -p udp -j DROP',
      'filter -A OUTPUT -p tcp -j REJECT --reject-with tcp-reset',
      'filter -A OUTPUT -j REJECT',
    ),
    [
      own(query(OUTSIDE)),
      own(tcp({ src: `[${OUTSIDE}]:4000`, dst: `[${SERVER}]:80`, flags: 'S' })),
      own(icmp({ src: OUTSIDE, dst: SERVER, type: 128, icmpId: 7 })),
    ],
  ],
  [
    'without a route that takes it',
    rules(),
    ['2001:db8:dead::1', '2001:db8:bad::1', '2001:db8:f00d::1'].map((to) =>
      own(udp({ src: `[${OUTSIDE}]:4000`, dst: `[${to}]:53` })),
    ),
  ],
  [
    'a ping and its answer, and an error about a connection of the host',
    rules(MASQUERADE),
    [
      own(icmp({ src: INSIDE, dst: SERVER, type: 128, icmpId: 7 })),
      ['wan', icmp({ src: SERVER, dst: OUTSIDE, type: 129, icmpId: 7 })],
      own(query(INSIDE)),
      ['wan', icmp({ src: '2001:db8:77::1', dst: OUTSIDE, type: 1, code: 3, payload: query(OUTSIDE) })],
    ],
  ],
  [
    'errors of the host about what came in, redirected to it',
    rules('nat -A PREROUTING -i wan -p udp -j REDIRECT --to-ports 9999'),
    [
      ['wan', udp({ src: `[${SERVER}]:4000`, dst: `[${OUTSIDE}]:53` })],
      own(
        icmp({
          src: OUTSIDE,
          dst: SERVER,
          type: 1,
          code: 4,
          payload: udp({ src: `[${SERVER}]:4000`, dst: `[${OUTSIDE}]:9999` }),
        }),
      ),
    ],
  ],
  [
    'the answer of the host to a connection that was redirected to it',
    rules('nat -A PREROUTING -i wan -p tcp -j REDIRECT --to-ports 3128'),
    [
      ['wan', tcp({ src: `[${SERVER}]:4000`, dst: `[${OUTSIDE}]:80`, flags: 'S' })],
      own(tcp({ src: `[${OUTSIDE}]:3128`, dst: `[${SERVER}]:4000`, flags: 'SA', ack: 1001 })),
    ],
  ],
  [
    'the answer of the host to a client that nat INPUT renamed is routed anew',
    rules('nat -A INPUT -i wan -p udp -j SNAT --to-source fd00:1::77'),
    [
      ['wan', udp({ src: `[${SERVER}]:4000`, dst: `[${OUTSIDE}]:53` })],
      own(udp({ src: `[${OUTSIDE}]:53`, dst: '[fd00:1::77]:4000' })),
    ],
  ],
  [
    'what is INVALID in OUTPUT and translated in PREROUTING, whose zone knows it, is routed anew over loopback',
    rules('raw -A PREROUTING -p tcp -j CT --zone 1', `nat -A INPUT -p tcp -j SNAT --to-source ${INSIDE}`),
    [
      ['wan', tcp({ src: `[${SERVER}]:4000`, dst: `[${OUTSIDE}]:80`, flags: 'S' })],
      own(tcp({ src: `[${OUTSIDE}]:80`, dst: `[${INSIDE}]:4000`, flags: 'SA', ack: 1001 })),
    ],
  ],
  [
    'too long for the narrower link that it is routed to anew',
    rules('nat -A OUTPUT -d 2001:db8:9::9/128 -p udp -j DNAT --to-destination fd00:1::20'),
    [
      own(query(OUTSIDE, [4000, 53], { payload: 'x'.repeat(1380) })),
      own(query(OUTSIDE, [4001, 53], { payload: 'x'.repeat(1352) })),
    ],
  ],
];

describe.skipIf(requirement.skip)(title, () => {
  const kernel = new OneGateway(HOST);
  afterAll(() => kernel.close());

  it.each(CASES)('%s', async (_name, rules6, packets) => {
    expect(await kernel.ask(rules6, packets)).toEqual([]);
  });
});
