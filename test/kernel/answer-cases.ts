/** What the host itself says about packets that it refuses: every type of REJECT, TTL, routes that lead nowhere, MTU. */
import type { KernelCase } from './cases.js';
import { HOME_HOST, link } from './hosts.js';
import { icmp, ip, tcp, udp } from './packets.js';
import { CHUNK, sctp } from './sctp.js';

const HOST = {
  addr: [...HOME_HOST.addr, { ...link('slow', '10.0.2.1/24', '10.0.2.9/24'), mtu: 1280 }],
  route: [
    ...(HOME_HOST.route ?? []),
    { dst: '10.0.2.0/24', dev: 'slow', protocol: 'kernel', scope: 'link', prefsrc: '10.0.2.1' },
    { dst: '10.1.0.0/16', type: 'unreachable' },
    { dst: '10.2.0.0/16', type: 'prohibit' },
    { dst: '10.3.0.0/16', type: 'blackhole' },
    { dst: '198.18.0.0/15', dev: 'slow', gateway: '10.0.2.77', prefsrc: '10.0.2.9' },
  ],
  sysctl: { 'net.ipv4.icmp_ratelimit': '0', 'net.ipv4.conf.all.send_redirects': '0' },
};

const table = (name: string, chains: readonly string[], rules: readonly string[]): string =>
  [`*${name}`, ...chains.map((c) => `:${c} ACCEPT [0:0]`), ...rules.map((r) => `-A ${r}`), 'COMMIT', ''].join('\n');
const rules = (filter: readonly string[], nat: readonly string[] = [], mangle: readonly string[] = []): string =>
  table('mangle', ['PREROUTING', 'INPUT', 'FORWARD', 'OUTPUT', 'POSTROUTING'], mangle) +
  table('nat', ['PREROUTING', 'INPUT', 'OUTPUT', 'POSTROUTING'], nat) +
  table(
    'filter',
    ['INPUT', 'FORWARD', 'OUTPUT'],
    [...['NEW', 'RELATED', 'INVALID'].map((s) => `OUTPUT -m conntrack --ctstate ${s}`), ...filter],
  );

const DNAT = 'PREROUTING -i wan -p tcp --dport 8080 -j DNAT --to-destination 192.168.1.20:80';
const MASQUERADE = 'POSTROUTING -o wan -j MASQUERADE';
const STRANGER = '198.51.100.7';
const big = Buffer.alloc(1400, 'natreplay');

const out = (fields: Partial<Parameters<typeof tcp>[0]> = {}) => ({
  iface: 'lan',
  packet: tcp({ src: '192.168.1.10:4000', dst: `${STRANGER}:80`, flags: 'S', ...fields }),
});
const outUdp = (fields: Partial<Parameters<typeof udp>[0]> = {}) => ({
  iface: 'lan',
  packet: udp({ src: '192.168.1.10:4000', dst: `${STRANGER}:53`, payload: 'question', ...fields }),
});
const published = (fields: Partial<Parameters<typeof tcp>[0]> = {}) => ({
  iface: 'wan',
  packet: tcp({ src: `${STRANGER}:4000`, dst: '203.0.113.5:8080', flags: 'S', ...fields }),
});

const TYPES = ['net-unreachable', 'host-unreachable', 'proto-unreachable', 'port-unreachable'] as const;
const PROHIBITED = ['net-prohibited', 'host-prohibited', 'admin-prohibited'] as const;

export const ANSWER_CASES: readonly KernelCase[] = [
  {
    name: 'each type of REJECT, in FORWARD, behind DNAT: the client sees its own packet (C5)',
    host: HOST,
    rules: rules(
      [
        ...[...TYPES, ...PROHIBITED].map(
          (type, k) =>
            `FORWARD -p tcp -m conntrack --ctorigsrcport ${4000 + k} --ctorigsrc ${STRANGER} -j REJECT --reject-with icmp-${type}`,
        ),
        'FORWARD -p tcp -j REJECT --reject-with tcp-reset',
      ],
      [DNAT, MASQUERADE],
    ),
    steps: Array.from({ length: 9 }, (_, k) => published({ src: `${STRANGER}:${4000 + k}`, tos: 0xff, id: k })),
  },
  {
    name: 'in frames to everybody: no ICMP error, whatever refuses the packet, but a reset',
    host: HOST,
    rules: rules(
      ['INPUT -p udp -j REJECT', 'INPUT -p tcp -j REJECT --reject-with tcp-reset', 'FORWARD -j REJECT'],
      [DNAT, MASQUERADE],
    ),
    steps: [
      outUdp({ dst: '203.0.113.5:53' }),
      // Of another host: how often one is told is limited.
      outUdp({ src: '192.168.1.11:4001', dst: '10.1.0.1:53' }),
      outUdp({ src: '192.168.1.10:4001', ttl: 1 }),
      outUdp(),
      out({ dst: '203.0.113.5:81' }),
      published(),
    ].flatMap((step) => [step, { ...step, toAll: true }]),
  },
  {
    name: 'resets: SYN, SYN with data, ACK, FIN, FIN+ACK, data, RST and a wrong checksum',
    host: HOST,
    rules: rules(['FORWARD -p tcp -j REJECT --reject-with tcp-reset'], [MASQUERADE]),
    steps: [
      out(),
      out({ src: '192.168.1.10:4001', payload: 'early', seq: 0xffffffff }),
      out({ src: '192.168.1.10:4002', flags: 'A' }),
      out({ src: '192.168.1.10:4003', flags: 'F' }),
      out({ src: '192.168.1.10:4004', flags: 'FA' }),
      out({ src: '192.168.1.10:4005', flags: 'PA', payload: 'data' }),
      out({ src: '192.168.1.10:4006', flags: 'R' }),
      out({ src: '192.168.1.10:4007', flags: 'RA' }),
      out({ src: '192.168.1.10:4008', badChecksum: true }),
      out({ src: '192.168.1.10:4009', flags: 'P', payload: 'x' }),
    ],
  },
  {
    name: 'a reset that has no way to the sender is none, and closes no connection',
    host: HOST,
    rules: rules([
      'FORWARD -p tcp --tcp-flags PSH PSH -j REJECT --reject-with tcp-reset',
      'FORWARD -p tcp --tcp-flags URG URG -j REJECT',
    ]),
    steps: ['192.168.1.10:4000', '10.1.0.5:4000', '10.2.0.5:4000', '10.3.0.5:4000', '10.3.0.5:4001'].flatMap((src) => [
      out({ src, seq: 1000 }),
      { iface: 'wan', packet: tcp({ src: `${STRANGER}:80`, dst: src, flags: 'SA', seq: 5000, ack: 1001 }) },
      out({ src, flags: 'A', seq: 1001, ack: 5001 }),
      out({ src, flags: src.endsWith('1') ? 'UA' : 'PA', seq: 1001, ack: 5001, payload: 'x' }),
    ]),
  },
  {
    name: 'a reset about a connection that is being made walks the nat chains of POSTROUTING',
    host: HOST,
    rules: rules(
      ['FORWARD -p tcp -j REJECT --reject-with tcp-reset'],
      ['POSTROUTING -o lan -p tcp -j SNAT --to-source 192.168.1.1', 'POSTROUTING -o wan -p tcp'],
    ),
    steps: [out(), published({ dst: '192.168.1.20:80' })],
  },
  {
    name: 'an established connection that is refused in the middle, both directions, behind masquerading',
    host: HOST,
    rules: rules(
      [
        'FORWARD -p tcp -m mark --mark 1 -j REJECT --reject-with tcp-reset',
        'FORWARD -m mark --mark 2 -j REJECT --reject-with icmp-host-prohibited',
      ],
      [MASQUERADE],
      [
        'PREROUTING -p tcp --tcp-flags PSH,URG PSH -j MARK --set-mark 1',
        'PREROUTING -p tcp --tcp-flags PSH,URG URG -j MARK --set-mark 2',
      ],
    ),
    steps: [
      out({ seq: 99 }),
      reply({ flags: 'SA', seq: 499, ack: 100 }),
      out({ flags: 'A', seq: 100, ack: 500 }),
      out({ flags: 'PA', seq: 100, ack: 500, payload: 'a' }),
      reply({ flags: 'PA', seq: 500, ack: 100, payload: 'b' }),
      out({ flags: 'UA', seq: 100, ack: 500, payload: 'a' }),
      reply({ flags: 'UA', seq: 500, ack: 100, payload: 'b' }),
    ],
  },
  {
    name: 'what REJECT says nothing about, and what it answers without a checksum',
    host: HOST,
    rules: rules(['FORWARD -j REJECT'], [MASQUERADE]),
    steps: [
      outUdp(),
      outUdp({ src: '192.168.1.10:4001', badChecksum: true }),
      outUdp({ src: '192.168.1.10:4002', noChecksum: true }),
      outUdp({ src: '192.168.1.10:4003', payload: big }),
      { iface: 'lan', packet: icmp({ src: '192.168.1.10', dst: STRANGER, type: 8, payload: 'x' }) },
      { iface: 'lan', packet: icmp({ src: '192.168.1.10', dst: STRANGER, type: 0, payload: 'x' }) },
      { iface: 'lan', packet: icmp({ src: '192.168.1.10', dst: STRANGER, type: 8, badChecksum: true }) },
      { iface: 'lan', packet: icmp({ src: '192.168.1.10', dst: STRANGER, type: 3, payload: outUdp().packet }) },
      { iface: 'lan', packet: icmp({ src: '192.168.1.10', dst: STRANGER, type: 42 }) },
      { iface: 'lan', packet: icmp({ src: '192.168.1.10', dst: STRANGER, type: 17 }) },
      ...[253, 33].flatMap((protocol) =>
        ['0001', 'ffff'].map((bytes) => ({
          iface: 'lan',
          packet: ip({ src: '192.168.1.10', dst: STRANGER }, protocol, Buffer.from(bytes, 'hex')),
        })),
      ),
      { iface: 'lan', packet: ip({ src: '192.168.1.10', dst: STRANGER }, 50, Buffer.from('0001020304050607', 'hex')) },
      { iface: 'lan', packet: ip({ src: '192.168.1.10', dst: STRANGER }, 47, Buffer.from('0000080045000000', 'hex')) },
      { iface: 'lan', packet: ip({ src: '192.168.1.10', dst: STRANGER }, 47, Buffer.from('8000080045000000', 'hex')) },
      {
        iface: 'lan',
        packet: sctp({
          src: '192.168.1.10:1',
          dst: `${STRANGER}:2`,
          chunks: [{ type: CHUNK.data }],
          badChecksum: true,
        }),
      },
      out({ badChecksum: true }),
    ],
  },
  {
    name: 'REJECT in INPUT, by default and with a reset',
    host: HOST,
    rules: rules(
      ['INPUT -p tcp -j REJECT --reject-with tcp-reset', 'INPUT -j REJECT'],
      [
        'PREROUTING -p udp --dport 5300 -j REDIRECT --to-ports 53',
        'PREROUTING -p tcp --dport 8081 -j REDIRECT --to-ports 81',
      ],
    ),
    steps: [
      outUdp({ dst: '192.168.1.1:53' }),
      outUdp({ dst: '203.0.113.5:5300' }),
      out({ dst: '192.168.1.1:22' }),
      out({ dst: `${STRANGER}:8081` }),
      outUdp({ dst: '192.168.1.255:53' }),
    ],
  },
  {
    name: 'rules of OUTPUT and POSTROUTING hold for answers',
    host: HOST,
    rules: rules(
      [
        'FORWARD -p udp -j REJECT',
        'FORWARD -p tcp -j REJECT --reject-with tcp-reset',
        'OUTPUT -p icmp -d 192.168.1.11 -j DROP',
      ],
      [MASQUERADE],
      ['POSTROUTING -o lan -m conntrack --ctstate RELATED', 'OUTPUT -d 192.168.1.12 -j DROP'],
    ),
    steps: [
      outUdp(),
      outUdp({ src: '192.168.1.11:4000' }),
      outUdp({ src: '192.168.1.12:4000' }),
      out(),
      out({ src: '192.168.1.11:4000' }),
    ],
  },
  {
    name: 'untracked and without tracking at all',
    host: HOST,
    rules: `*raw\n:PREROUTING ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n-A PREROUTING -j NOTRACK\nCOMMIT\n*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n-A FORWARD -p tcp -j REJECT --reject-with tcp-reset\n-A FORWARD -j REJECT\nCOMMIT\n`,
    steps: [outUdp(), out(), outUdp({ badChecksum: true })],
  },
  {
    name: 'TTL exceeded, before and behind DNAT',
    host: HOST,
    rules: rules([], [DNAT, MASQUERADE]),
    steps: [outUdp({ ttl: 1, tos: 0x12 }), published({ ttl: 1 }), outUdp({ ttl: 0 }), outUdp({ ttl: 1, payload: big })],
  },
  {
    name: 'no route, unreachable, prohibited, blackhole',
    host: { ...HOST, route: HOST.route.filter(({ dst }) => dst !== 'default') },
    rules: rules([], [MASQUERADE]),
    steps: ['8.8.8.8', '10.1.2.3', '10.2.2.3', '10.3.2.3'].map((dst) => outUdp({ dst: `${dst}:53` })),
  },
  {
    name: 'an MTU too small for a packet that must not be fragmented; the source of the answer is the way back',
    host: HOST,
    rules: rules([], [MASQUERADE]),
    steps: [
      outUdp({ dst: '10.0.2.5:53', payload: big, df: true }),
      { iface: 'slow', packet: udp({ src: '198.18.0.1:1', dst: `${STRANGER}:53`, payload: 'x', ttl: 1 }) },
      { iface: 'slow', packet: udp({ src: '10.0.2.5:1', dst: '10.1.1.1:53', payload: Buffer.alloc(1240) }) },
    ],
  },
  {
    name: 'nf_conntrack_checksum off, host TTL 33, errors from the address they came in at',
    host: {
      ...HOST,
      sysctl: {
        ...HOST.sysctl,
        'net.ipv4.ip_default_ttl': '33',
        'net.ipv4.icmp_errors_use_inbound_ifaddr': '1',
        'net.netfilter.nf_conntrack_checksum': '0',
      },
    },
    rules: rules(['FORWARD -p tcp -j REJECT --reject-with tcp-reset', 'FORWARD -j REJECT'], [MASQUERADE]),
    steps: [
      outUdp(),
      out(),
      outUdp({ badChecksum: true, src: '192.168.1.10:4001' }),
      { iface: 'slow', packet: udp({ src: '198.18.0.1:1', dst: `${STRANGER}:53`, payload: 'x', ttl: 1 }) },
    ],
  },
].map((test) => ({ ...test, answers: true }));

/** In the kernel 4 seconds are left to the first, whose last segment was a reset, and 60 to the second. */
export const CLOSED_TWICE: KernelCase = {
  name: 'a connection that is closed already keeps the time it has; one that lives is closed',
  answers: true,
  host: {
    ...HOST,
    sysctl: {
      ...HOST.sysctl,
      'net.netfilter.nf_conntrack_tcp_max_retrans': '0',
      'net.netfilter.nf_conntrack_tcp_timeout_max_retrans': '4',
      'net.netfilter.nf_conntrack_tcp_timeout_close': '60',
    },
  },
  rules: rules(
    ['FORWARD -p tcp -m mark --mark 1 -j REJECT --reject-with tcp-reset'],
    [MASQUERADE],
    ['PREROUTING -p tcp --tcp-flags PSH PSH -j MARK --set-mark 1'],
  ),
  steps: [4000, 4001].flatMap((port) => [
    out({ src: `192.168.1.10:${port}`, seq: 99 }),
    reply({ dst: `203.0.113.5:${port}`, flags: 'SA', seq: 499, ack: 100 }),
    out({ src: `192.168.1.10:${port}`, flags: 'A', seq: 100, ack: 500 }),
    ...(port === 4000 ? [out({ src: `192.168.1.10:${port}`, flags: 'RA', seq: 100, ack: 500 })] : []),
    out({ src: `192.168.1.10:${port}`, flags: 'PA', seq: 100, ack: 500, payload: 'late' }),
  ]),
};

function reply(fields: Partial<Parameters<typeof tcp>[0]>) {
  return {
    iface: 'wan',
    packet: tcp({ src: `${STRANGER}:80`, dst: '203.0.113.5:4000', flags: 'A', ...fields }),
  };
}
