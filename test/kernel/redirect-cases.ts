/** What the host says to neighbours that could have sent a packet to its next hop themselves (RFC 792, redirect). */
import type { KernelCase } from './cases.js';
import { HOME_HOST } from './hosts.js';
import { icmp, tcp, udp } from './packets.js';

const HOST = {
  addr: HOME_HOST.addr,
  route: [
    ...(HOME_HOST.route ?? []),
    { dst: '10.7.0.0/16', dev: 'lan', gateway: '192.168.1.254' },
    { dst: '10.8.0.0/16', dev: 'lan', scope: 'link' },
  ],
  sysctl: { 'net.ipv4.icmp_ratelimit': '0', 'net.ipv4.conf.all.rp_filter': '0' },
};
const setting = (...settings: readonly string[]) => ({
  ...HOST,
  sysctl: { ...HOST.sysctl, ...Object.fromEntries(settings.map((text) => text.split('='))) },
});

const table = (name: string, chains: readonly string[], rules: readonly string[]): string =>
  [`*${name}`, ...chains.map((c) => `:${c} ACCEPT [0:0]`), ...rules.map((r) => `-A ${r}`), 'COMMIT', ''].join('\n');
const FILTER = table(
  'filter',
  ['INPUT', 'FORWARD', 'OUTPUT'],
  ['NEW', 'ESTABLISHED', 'RELATED', 'INVALID'].map((s) => `OUTPUT -m conntrack --ctstate ${s}`),
);
const NO_TRACKING = table('filter', ['INPUT', 'FORWARD', 'OUTPUT'], []);
const withNat = (...rules: readonly string[]): string =>
  table('nat', ['PREROUTING', 'INPUT', 'OUTPUT', 'POSTROUTING'], rules) + FILTER;

const to = (dst: string, fields: Partial<Parameters<typeof udp>[0]> = {}) => ({
  iface: 'lan',
  packet: udp({ src: '192.168.1.10:4000', dst: `${dst}:53`, payload: 'question', ...fields }),
});
const from = (host: number, dst = '10.7.0.1') => to(dst, { src: `192.168.1.${host}:4000` });
const big = Buffer.alloc(1400, 'natreplay');

export const REDIRECT_CASES: readonly KernelCase[] = [
  {
    name: 'to a gateway or a host on the network that the packet came from; it is forwarded all the same',
    host: HOST,
    rules: FILTER,
    steps: [
      from(10),
      from(11, '192.168.1.77'),
      from(12, '10.8.0.1'),
      from(13, '198.51.100.7'),
      to('10.7.0.1', { src: '192.168.1.14:1', tos: 0x12, ttl: 2 }),
      to('10.7.0.1', { src: '192.168.1.15:1', payload: big }),
      to('10.7.0.1', { src: '192.168.1.16:1', ttl: 1 }),
    ],
  },
  {
    name: 'without tracking',
    host: HOST,
    rules: NO_TRACKING,
    steps: [from(10), from(11, '192.168.1.77'), { ...from(12), toAll: true }],
  },
  {
    name: 'not to senders beyond another router, or that no route leads back to',
    host: HOST,
    rules: FILTER,
    steps: [
      to('10.7.0.1', { src: '10.7.0.9:1' }),
      to('10.8.0.1', { src: '198.51.100.7:1' }),
      to('10.7.0.1', { src: '10.8.0.9:1' }),
      to('10.7.0.1', { src: '203.0.113.9:1' }),
    ],
  },
  {
    name: 'not about later fragments, errors, and what the rules then drop all the same',
    host: HOST,
    rules: NO_TRACKING.replace('COMMIT', '-A FORWARD -p tcp -j DROP\nCOMMIT'),
    steps: [
      to('10.7.0.1', { fragment: 0x2000, payload: Buffer.alloc(8) }),
      to('10.7.0.1', { src: '192.168.1.11:1', fragment: 1, payload: Buffer.alloc(8) }),
      { iface: 'lan', packet: icmp({ src: '192.168.1.12', dst: '10.7.0.1', type: 3, payload: from(12).packet }) },
      { iface: 'lan', packet: icmp({ src: '192.168.1.13', dst: '10.7.0.1', type: 8, payload: 'x' }) },
      { iface: 'lan', packet: tcp({ src: '192.168.1.14:1', dst: '10.7.0.1:80', flags: 'S' }) },
    ],
  },
  {
    name: 'two connections of one sender, retransmissions, answers: the second within 40 ms is not told',
    host: HOST,
    rules: FILTER,
    steps: [
      from(10),
      from(10),
      from(10, '10.7.0.2'),
      { ...from(10), wait: 100 },
      from(10),
      { ...from(10), wait: 200 },
      { iface: 'lan', packet: udp({ src: '10.7.0.1:53', dst: '192.168.1.10:4000' }) },
    ],
  },
  {
    name: 'about connections that are translated nothing is said, about others of the same host it is',
    host: HOST,
    rules: withNat(
      'PREROUTING -i lan -p udp --dport 5300 -j DNAT --to-destination 192.168.1.20:53',
      'POSTROUTING -s 192.168.1.0/24 -d 192.168.1.20 -j MASQUERADE',
    ),
    steps: [
      to('203.0.113.5', { dst: '203.0.113.5:5300' }),
      to('203.0.113.5', { dst: '203.0.113.5:5300' }),
      from(11),
      { ...from(11), wait: 100 },
      { ...from(11), wait: 200 },
    ],
  },
  {
    name: 'switched off for all and this interface; off for all but this one; off for this one only',
    host: setting('net.ipv4.conf.all.send_redirects=0', 'net.ipv4.conf.lan.send_redirects=0'),
    rules: FILTER,
    steps: [from(10), from(11, '192.168.1.77')],
  },
  {
    name: 'switched off for this interface only, which is not off',
    host: setting('net.ipv4.conf.lan.send_redirects=0'),
    rules: FILTER,
    steps: [from(10)],
  },
  {
    name: 'no shared media: only where sender and gateway have the same network',
    host: setting('net.ipv4.conf.all.shared_media=0', 'net.ipv4.conf.lan.shared_media=0'),
    rules: FILTER,
    steps: [
      from(10),
      from(11, '192.168.1.77'),
      from(12, '10.8.0.1'),
      to('10.7.0.1', { src: '10.8.0.9:1' }),
      to('192.168.1.9', { src: '10.8.0.10:1' }),
    ],
  },
].map((test) => ({ ...test, name: `redirects: ${test.name}`, answers: true }));

/** Milliseconds between packets; after how many a sender is told again doubles from 40 ms on. Far from every limit. */
const PAUSES = [0, 100, 160, 80, 160, 160, 320, 320, 640];

export const REDIRECTS_IN_A_ROW: KernelCase = {
  name: 'redirects: ever more seldom to who does not listen',
  host: HOST,
  rules: NO_TRACKING,
  answers: true,
  steps: PAUSES.map((wait) => ({ ...from(10), wait })),
};
