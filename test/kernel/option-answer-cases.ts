/** What the host says about malformed IPv4 options, and what its answers echo of sound ones (RFC 1122 section 3.2.2.6). */
import type { KernelCase } from './cases.js';
import { HOME_HOST } from './hosts.js';
import { icmp, udp } from './packets.js';

const HOST = {
  addr: HOME_HOST.addr,
  route: [...(HOME_HOST.route ?? []), { dst: '10.1.0.0/16', type: 'unreachable' }],
  sysctl: { 'net.ipv4.icmp_ratelimit': '0' },
};
const table = (name: string, chains: readonly string[], rules: readonly string[]): string =>
  [`*${name}`, ...chains.map((c) => `:${c} ACCEPT [0:0]`), ...rules.map((r) => `-A ${r}`), 'COMMIT', ''].join('\n');
const NAT = table(
  'nat',
  ['PREROUTING', 'INPUT', 'OUTPUT', 'POSTROUTING'],
  [
    'PREROUTING -i lan -p udp --dport 5300 -j DNAT --to-destination 198.51.100.9:53',
    'POSTROUTING -o wan -j MASQUERADE',
  ],
);
const FILTER = table(
  'filter',
  ['INPUT', 'FORWARD', 'OUTPUT'],
  [
    ...['NEW', 'ESTABLISHED', 'RELATED', 'INVALID'].map((s) => `OUTPUT -m conntrack --ctstate ${s}`),
    'FORWARD -p udp --dport 99 -j REJECT',
    'INPUT -p udp --dport 99 -j REJECT',
  ],
);

let port = 1000;
/** Each of another sender's port, so that none is about a connection of an earlier one. */
const query = (options: string, dst = '198.51.100.7:53', fields: Partial<Parameters<typeof udp>[0]> = {}) => ({
  iface: 'lan',
  packet: udp({
    src: `192.168.1.10:${++port}`,
    dst,
    payload: 'question',
    options: Buffer.from(options.replaceAll(' ', ''), 'hex'),
    ...fields,
  }),
});

const MALFORMED = [
  ['no room for a length', '01 01 01 07'],
  ['a length below 2', '07 01 04 00'],
  ['a length beyond the header', '07 09 04 00 00 00 00 00'],
  ['source routing too short', '83 02 00 00'],
  ['source routing with a pointer below 4', '83 07 03 00 00 00 00 00'],
  ['source routing twice', '83 03 04 89 03 04 00 00'],
  ['record route too short', '07 02 00 00'],
  ['record route with a pointer below 4', '07 07 03 00 00 00 00 00'],
  ['record route with a pointer into its last slot', '07 07 05 00 00 00 00 00'],
  ['record route twice', '07 03 04 07 03 04 00 00'],
  ['a timestamp too short', '44 03 05 00'],
  ['a timestamp with a pointer below 5', '44 08 04 00 00 00 00 00'],
  ['a timestamp with a pointer into its last slot', '44 08 06 00 00 00 00 00'],
  ['a timestamp with an address and no room for both', '44 08 05 01 00 00 00 00'],
  ['a timestamp prespecified and no room for both', '44 08 05 03 00 00 00 00'],
  ['a timestamp that overflows the sixteenth time', '44 04 05 f0'],
  ['a timestamp twice', '44 04 05 00 44 04 05 00'],
  ['a router alert too short', '94 03 00 00'],
  ['a label that is too short', '86 06 00 00 00 01 00 00'],
  ['a label of no domain that is known', '86 0a 00 00 00 01 01 04 00 01 00 00'],
  ['a label of domain 0', '86 0a 00 00 00 00 01 04 00 01 00 00'],
] as const;

export const OPTION_ANSWER_CASES: readonly KernelCase[] = [
  {
    name: 'parameter problem: where it is, each kind',
    host: HOST,
    rules: NAT + FILTER,
    steps: MALFORMED.map(([, options]) => query(options)),
  },
  {
    name: 'parameter problem: whomever the packet is for, but not of errors and of packets to many',
    host: HOST,
    rules: NAT + FILTER,
    steps: [
      query('07 02 00 00', '192.168.1.1:53'),
      query('07 02 00 00', '203.0.113.5:53'),
      query('07 02 00 00', '10.1.0.1:53'),
      query('07 02 00 00', '198.51.100.7:53', { ttl: 1 }),
      query('07 02 00 00', '198.51.100.7:5300'),
      query('07 02 00 00', '192.168.1.255:53'),
      { ...query('07 02 00 00'), toAll: true },
      {
        iface: 'lan',
        packet: icmp({
          src: '192.168.1.10',
          dst: '198.51.100.7',
          type: 3,
          payload: query('').packet,
          options: Buffer.from('07020000', 'hex'),
        }),
      },
      query('83 07 04 c6 33 64 09 00'),
    ],
  },
  {
    name: 'parameter problem: without tracking',
    host: HOST,
    rules: table('filter', ['INPUT', 'FORWARD', 'OUTPUT'], []),
    steps: [query('07 02 00 00'), query('01 07 02 00')],
  },
  {
    name: 'record route is echoed, with the host in it, in errors about the packet',
    host: HOST,
    rules: NAT + FILTER,
    steps: [
      query('07 0b 04 00 00 00 00 00 00 00 00 00', undefined, { ttl: 1 }),
      query('07 07 04 00 00 00 00 00', undefined, { ttl: 1 }),
      query('07 07 08 c0 a8 01 63 00', undefined, { ttl: 1 }),
      query('01 01 07 0f 08 c0 a8 01 63 00 00 00 00 00 00 00 00 00 00 00', undefined, { ttl: 1 }),
      query('07 0b 04 00 00 00 00 00 00 00 00 00', '198.51.100.7:99'),
      query('07 0b 04 00 00 00 00 00 00 00 00 00', '192.168.1.1:99'),
      // Of another host: how often one is told that there is no way is limited.
      query('07 0b 04 00 00 00 00 00 00 00 00 00', '10.1.0.1:53', { src: '192.168.1.11:4000' }),
      // A slot that is too short.
      query('07 09 04 00 00 00 00 00 00 00 00 00', undefined, { ttl: 1 }),
      query('44 08 09 00 00 00 00 00', undefined, { ttl: 1 }),
      query('44 0c 05 03 c0 a8 01 63 00 00 00 00', undefined, { ttl: 1 }),
      query('44 06 05 00 00 00 00 00', undefined, { ttl: 1 }),
      query('44 0a 05 01 00 00 00 00 00 00 00 00', undefined, { ttl: 1 }),
      query('07 0b 04 00 00 00 00 00 00 00 00 00', undefined, { ttl: 1, payload: Buffer.alloc(1000, 'x') }),
      query('07 07 04 00 00 00 00 86 06 00 00 00'),
      query('94 04 00 00', undefined, { ttl: 1 }),
    ],
  },
].map((test) => ({ ...test, name: `IPv4 options: ${test.name}`, answers: true }));
