/** What the host says when the rest of a datagram does not come in time (RFC 792, time exceeded, code 1). */
import type { KernelCase } from './cases.js';
import { HOME_HOST } from './hosts.js';
import { udp } from './packets.js';
import { HOME_HOST6 } from './scenarios6.js';

const SYSCTL = {
  'net.ipv4.icmp_ratelimit': '0',
  'net.ipv6.icmp.ratelimit': '0',
  'net.ipv4.ipfrag_time': '1',
  'net.netfilter.nf_conntrack_frag6_timeout': '1',
};
const HOST = { ...HOME_HOST, sysctl: SYSCTL };
const HOST6 = { ...HOME_HOST6, sysctl: { ...HOME_HOST6.sysctl, ...SYSCTL } };

const table = (name: string, chains: readonly string[], rules: readonly string[]): string =>
  [`*${name}`, ...chains.map((c) => `:${c} ACCEPT [0:0]`), ...rules.map((r) => `-A ${r}`), 'COMMIT', ''].join('\n');
const NO_TRACKING = table('filter', ['INPUT', 'FORWARD', 'OUTPUT'], []);
const FILTER = table(
  'filter',
  ['INPUT', 'FORWARD', 'OUTPUT'],
  ['NEW', 'ESTABLISHED', 'RELATED', 'INVALID'].map((s) => `OUTPUT -m conntrack --ctstate ${s}`),
);
const NAT = table(
  'nat',
  ['PREROUTING', 'INPUT', 'OUTPUT', 'POSTROUTING'],
  ['PREROUTING -i lan -p udp --dport 5300 -j REDIRECT --to-ports 53', 'POSTROUTING -o wan -j MASQUERADE'],
);

const MORE = 0x2000;
let id = 0;
const part = (fragment: number, dst: string, fields: Partial<Parameters<typeof udp>[0]> = {}) => ({
  iface: 'lan',
  packet: udp({
    src: '192.168.1.10:4000',
    dst: `${dst}:53`,
    payload: Buffer.alloc(40, 'x'),
    id: ++id,
    fragment,
    ...fields,
  }),
});
const OWN = '192.168.1.1';
const FAR = '198.51.100.7';
let port = 0;
/** The first packet of a connection, after a second and a half: those of known ones go past whoever looks at the time. */
const later = () => ({
  iface: 'lan',
  packet: udp({ src: `192.168.1.77:${++port}`, dst: '198.51.100.1:53', payload: 'later' }),
  wait: 1500,
});

const IPV4 = [
  {
    name: 'to the host itself: only of a datagram whose first fragment came',
    rules: NAT + FILTER,
    steps: [
      part(MORE, OWN),
      part(MORE | 6, OWN),
      part(6, OWN),
      // Timers that end at about the same time do so in any order.
      { ...part(MORE, '203.0.113.5', { tos: 0x12, ttl: 7 }), wait: 300 },
      later(),
    ],
  },
  {
    name: 'to others, to everybody, and to a port that is redirected to the host: nothing',
    rules: NAT + FILTER,
    steps: [
      part(MORE, FAR),
      part(MORE, '192.168.1.255'),
      part(MORE, FAR, { dst: `${FAR}:5300` }),
      { ...part(MORE, OWN), toAll: true },
      later(),
    ],
  },
  {
    name: 'of several datagrams, in the order in which their time is over; with bytes beyond the last block of eight',
    rules: FILTER,
    steps: [
      part(MORE, OWN, { src: '192.168.1.11:1' }),
      { ...part(MORE, OWN, { src: '192.168.1.12:1', payload: Buffer.alloc(43, 'y') }), wait: 300 },
      later(),
      part(MORE, OWN, { src: '192.168.1.13:1', payload: Buffer.alloc(1000, 'z') }),
      later(),
    ],
  },
  {
    name: 'without tracking: to the host, and nothing is gathered that is for others',
    rules: NO_TRACKING,
    steps: [part(MORE, OWN), later()],
  },
].map((test) => ({ ...test, host: HOST }));

const part6 = (header: string, dst: string, fields: Partial<Parameters<typeof udp>[0]> = {}) => ({
  iface: 'lan',
  packet: udp({
    src: '[fd00:1::10]:4000',
    dst: `[${dst}]:53`,
    payload: Buffer.alloc(40, 'x'),
    extensions: [[44, Buffer.from(header, 'hex')]],
    ...fields,
  }),
});
const later6 = { iface: 'lan', packet: udp({ src: '[fd00:1::77]:1', dst: '[2001:db8:9::1]:53' }), wait: 1500 };

const IPV6 = [
  {
    name: 'IPv6: of any datagram whose first fragment came, whomever it was for',
    rules6: FILTER,
    steps: [
      part6('0000000100000001', 'fd00:1::1'),
      { ...part6('0000000100000002', '2001:db8:9::7', { tos: 0x12, ttl: 7 }), wait: 300 },
      part6('0000003100000003', '2001:db8:9::7'),
      { ...part6('0000000100000004', '2001:db8:9::7', { src: '[fe80::77]:1' }), wait: 300 },
      part6('0000000100000005', 'ff02::1'),
      later6,
    ],
  },
].map((test) => ({ ...test, host: HOST6, rules: NO_TRACKING }));

export const EXPIRY_CASES: readonly KernelCase[] = [...IPV4, ...IPV6].map((test) => ({
  ...test,
  name: `reassembly time: ${test.name}`,
  answers: true,
}));
