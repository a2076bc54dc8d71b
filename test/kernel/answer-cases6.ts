/** What the host itself says about IPv6 packets that it refuses, as answer-cases.ts for IPv4. */
import type { HostFile } from '../../src/host/hostschema.js';
import type { KernelCase } from './cases.js';
import { link } from './hosts.js';
import { icmp, ip, tcp, udp } from './packets.js';
import { HOME_HOST6 } from './scenarios6.js';

const second = { family: 'inet6', local: 'fd00:7::9', prefixlen: 64, scope: 'global' };
const slow = link('slow', 'fd00:7::1/64');
const HOST: HostFile = {
  addr: [...HOME_HOST6.addr, { ...slow, mtu: 1300, addr_info: [...(slow.addr_info ?? []), second] }],
  route6: [
    ...(HOME_HOST6.route6 ?? []),
    { dst: 'fd00:7::/64', dev: 'slow', protocol: 'kernel', metric: 256 },
    { dst: 'fe80::/64', dev: 'slow', protocol: 'kernel', metric: 256 },
    { dst: '2001:db8:198::/48', dev: 'slow', gateway: 'fd00:7::77', prefsrc: 'fd00:7::9', metric: 1024 },
    { dst: '2001:db8:199::/48', dev: 'slow', gateway: 'fd00:7::77', metric: 1024 },
  ],
  sysctl: { 'net.ipv6.icmp.ratelimit': '0', 'net.ipv4.icmp_msgs_per_sec': '100000' },
};

const NOTHING = '*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\nCOMMIT\n';
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

const DNAT = 'PREROUTING -i wan -p tcp --dport 8080 -j DNAT --to-destination [fd00:1::20]:80';
const MASQUERADE = 'POSTROUTING -o wan -j MASQUERADE';
const PC = 'fd00:1::10';
const STRANGER = '2001:db8:9::7';
const PUBLIC = '2001:db8:5::5';
const big = Buffer.alloc(1400, 'natreplay');

const out = (fields: Partial<Parameters<typeof tcp>[0]> = {}) => ({
  iface: 'lan',
  packet: tcp({ src: `[${PC}]:4000`, dst: `[${STRANGER}]:80`, flags: 'S', ...fields }),
});
const outUdp = (fields: Partial<Parameters<typeof udp>[0]> = {}) => ({
  iface: 'lan',
  packet: udp({ src: `[${PC}]:4000`, dst: `[${STRANGER}]:53`, payload: 'question', ...fields }),
});
const published = (fields: Partial<Parameters<typeof tcp>[0]> = {}) => ({
  iface: 'wan',
  packet: tcp({ src: `[${STRANGER}]:4000`, dst: `[${PUBLIC}]:8080`, flags: 'S', ...fields }),
});
const reply = (fields: Partial<Parameters<typeof tcp>[0]>) => ({
  iface: 'wan',
  packet: tcp({ src: `[${STRANGER}]:80`, dst: `[${PUBLIC}]:4000`, flags: 'A', ...fields }),
});
const of = (packet: Uint8Array, iface = 'lan') => ({ iface, packet });

const TYPES = ['no-route', 'adm-prohibited', 'addr-unreachable', 'port-unreachable', 'policy-fail', 'reject-route'];
const OPTIONS = Buffer.from('0000010400000000', 'hex');
const HOP_BY_HOP = 0;
const FRAGMENT = 44;
const DESTINATION_OPTIONS = 60;

export const ANSWER_CASES6: readonly KernelCase[] = [
  {
    name: 'each type of REJECT, in FORWARD, behind DNAT: the client sees its own packet (C5)',
    rules6: rules(
      [
        ...TYPES.map(
          (type, k) =>
            `FORWARD -p tcp -m conntrack --ctorigsrcport ${4000 + k} --ctorigsrc ${STRANGER} -j REJECT --reject-with icmp6-${type}`,
        ),
        'FORWARD -p tcp -j REJECT --reject-with tcp-reset',
      ],
      [DNAT, MASQUERADE],
    ),
    steps: Array.from({ length: 8 }, (_, k) => published({ src: `[${STRANGER}]:${4000 + k}`, tos: 0xff })),
  },
  {
    name: 'in frames to everybody: no ICMP error, whatever refuses the packet, but a reset',
    rules6: rules(
      ['INPUT -p udp -j REJECT', 'INPUT -p tcp -j REJECT --reject-with tcp-reset', 'FORWARD -j REJECT'],
      [DNAT, MASQUERADE],
    ),
    steps: [
      outUdp({ dst: `[${PUBLIC}]:53` }),
      outUdp({ src: '[fd00:1::11]:4001', dst: '[2001:db8:dead::1]:53' }),
      outUdp({ src: `[${PC}]:4001`, ttl: 1 }),
      outUdp(),
      out({ dst: `[${PUBLIC}]:81` }),
      published(),
    ].flatMap((step) => [step, { ...step, toAll: true }]),
  },
  {
    name: 'resets: SYN, SYN with data, ACK, FIN, FIN+ACK, data, RST, a wrong checksum, extension headers',
    rules6: rules(['FORWARD -p tcp -j REJECT --reject-with tcp-reset'], [MASQUERADE]),
    steps: [
      out(),
      out({ src: `[${PC}]:4001`, payload: 'early', seq: 0xffffffff }),
      out({ src: `[${PC}]:4002`, flags: 'A' }),
      out({ src: `[${PC}]:4003`, flags: 'F' }),
      out({ src: `[${PC}]:4004`, flags: 'FA' }),
      out({ src: `[${PC}]:4005`, flags: 'PA', payload: 'data' }),
      out({ src: `[${PC}]:4006`, flags: 'R' }),
      out({ src: `[${PC}]:4007`, flags: 'RA' }),
      out({ src: `[${PC}]:4008`, badChecksum: true }),
      out({ src: `[${PC}]:4009`, flags: 'SF', payload: 'x', extensions: [[DESTINATION_OPTIONS, OPTIONS]] }),
      out({ src: `[${PC}]:4010`, payload: 'x', extensions: [[HOP_BY_HOP, OPTIONS]] }),
    ],
  },
  {
    name: 'an established connection that is refused in the middle, both directions, behind masquerading',
    rules6: rules(
      [
        'FORWARD -p tcp -m mark --mark 1 -j REJECT --reject-with tcp-reset',
        'FORWARD -m mark --mark 2 -j REJECT --reject-with icmp6-adm-prohibited',
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
    rules6: rules(['FORWARD -j REJECT'], [MASQUERADE]),
    steps: [
      outUdp(),
      outUdp({ src: `[${PC}]:4001`, badChecksum: true }),
      outUdp({ src: `[${PC}]:4002`, noChecksum: true }),
      outUdp({ src: `[${PC}]:4003`, payload: big }),
      ...[128, 129, 127, 1, 200].map((type) => of(icmp({ src: PC, dst: STRANGER, type, payload: 'x' }))),
      of(icmp({ src: PC, dst: STRANGER, type: 128, badChecksum: true })),
      of(icmp({ src: PC, dst: STRANGER, type: 1, payload: outUdp().packet })),
      of(
        icmp({
          src: PC,
          dst: STRANGER,
          type: 1,
          payload: outUdp().packet,
          extensions: [[DESTINATION_OPTIONS, OPTIONS]],
        }),
      ),
      ...['0001', 'ffff', ''].map((bytes) => of(ip({ src: PC, dst: STRANGER }, 253, Buffer.from(bytes, 'hex')))),
      ...[17, 6, 58, 59, 50, 51, 132, 136, 33].map((protocol) =>
        of(ip({ src: PC, dst: STRANGER }, protocol, Buffer.from('000102', 'hex'))),
      ),
      of(ip({ src: PC, dst: STRANGER }, 50, Buffer.from('0001020304050607', 'hex'))),
      of(ip({ src: PC, dst: STRANGER }, 47, Buffer.from('0000080045000000', 'hex'))),
      out({ badChecksum: true }),
    ],
  },
  {
    name: 'REJECT in INPUT, by default and with a reset; a neighbour that is known by its link-local address',
    rules6: rules(
      ['INPUT -p tcp -j REJECT --reject-with tcp-reset', 'INPUT ! -p ipv6-icmp -j REJECT'],
      [
        'PREROUTING -p udp --dport 5300 -j REDIRECT --to-ports 53',
        'PREROUTING -p tcp --dport 8081 -j REDIRECT --to-ports 81',
      ],
    ),
    steps: [
      outUdp({ dst: '[fd00:1::1]:53' }),
      outUdp({ dst: `[${PUBLIC}]:5300` }),
      out({ dst: '[fd00:1::1]:22' }),
      out({ dst: `[${STRANGER}]:8081` }),
      outUdp({ dst: '[ff02::1]:53' }),
      outUdp({ dst: '[fd00:1::]:53' }),
      outUdp({ src: '[fe80::77]:1', dst: '[fe80::1]:53' }),
      outUdp({ src: '[fe80::77]:2', dst: '[fd00:1::1]:53' }),
      outUdp({ src: '[fe80::77]:3', dst: `[${PUBLIC}]:53` }),
      of(udp({ src: '[fe80::77]:4', dst: '[fe80::5]:53' }), 'wan'),
      out({ src: '[fe80::77]:5', dst: '[fe80::1]:80' }),
    ],
  },
  {
    name: 'rules of OUTPUT and POSTROUTING hold for answers',
    rules6: rules(
      [
        'FORWARD -p udp -j REJECT',
        'FORWARD -p tcp -j REJECT --reject-with tcp-reset',
        'OUTPUT -p ipv6-icmp -d fd00:1::11 -j DROP',
      ],
      [MASQUERADE],
      ['POSTROUTING -o lan -m conntrack --ctstate RELATED', 'OUTPUT -d fd00:1::12 -j DROP'],
    ),
    steps: [
      outUdp(),
      outUdp({ src: '[fd00:1::11]:4000' }),
      outUdp({ src: '[fd00:1::12]:4000' }),
      out(),
      out({ src: '[fd00:1::11]:4000' }),
    ],
  },
  {
    name: 'untracked and without tracking at all, later fragments among it',
    rules6: `*raw\n:PREROUTING ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n-A PREROUTING -j NOTRACK\nCOMMIT\n${table('filter', ['INPUT', 'FORWARD', 'OUTPUT'], ['FORWARD -p tcp -j REJECT --reject-with tcp-reset', 'FORWARD -j REJECT'])}`,
    steps: [
      outUdp(),
      out(),
      outUdp({ badChecksum: true }),
      ...['0000000100000001', '0000001000000001'].flatMap((header) => {
        const extensions = [[FRAGMENT, Buffer.from(header, 'hex')]] as const;
        return [
          outUdp({ extensions, payload: Buffer.alloc(8) }),
          outUdp({ extensions, payload: Buffer.alloc(8), ttl: 1 }),
          outUdp({ extensions, payload: Buffer.alloc(8), dst: '[2001:db8:dead::1]:53' }),
        ];
      }),
    ],
  },
  {
    name: 'hop limit exceeded, before and behind DNAT',
    rules6: rules([], [DNAT, MASQUERADE]),
    steps: [
      outUdp({ ttl: 1, tos: 0x12 }),
      published({ ttl: 1 }),
      outUdp({ ttl: 0 }),
      outUdp({ ttl: 1, payload: big }),
      outUdp({ ttl: 1, src: '[fe80::77]:1' }),
      outUdp({ ttl: 2, src: '[fe80::77]:1' }),
      of(icmp({ src: PC, dst: STRANGER, type: 128, ttl: 1 })),
      of(icmp({ src: PC, dst: STRANGER, type: 1, payload: outUdp().packet, ttl: 1 })),
    ],
  },
  {
    name: 'no route, unreachable, prohibited, blackhole',
    host: { ...HOST, route6: HOST.route6?.filter(({ dst }) => dst !== 'default') ?? [] },
    rules6: rules([], [MASQUERADE]),
    steps: ['2001:db8:9::1', '2001:db8:dead::1', '2001:db8:f00d::1', '2001:db8:bad::1', '::', 'ff0e::1'].map((dst) =>
      outUdp({ dst: `[${dst}]:53` }),
    ),
  },
  {
    name: 'an MTU too small; the source of the answer is that of the way back, or of the interface it came in by',
    rules6: rules([], [MASQUERADE]),
    steps: [
      outUdp({ dst: '[fd00:7::5]:53', payload: big }),
      outUdp({ src: '[fe80::77]:1', dst: '[fd00:7::5]:53', payload: big }),
      of(udp({ src: '[2001:db8:198::1]:1', dst: `[${STRANGER}]:53`, payload: 'x', ttl: 1 }), 'slow'),
      of(udp({ src: '[2001:db8:199::1]:1', dst: `[${STRANGER}]:53`, payload: 'x', ttl: 1 }), 'slow'),
      of(udp({ src: '[2001:db8:199::2]:1', dst: `[${STRANGER}]:53`, payload: 'x', ttl: 1 }), 'lan'),
      of(udp({ src: '[2001:db8:9::9]:1', dst: '[fd00:1::10]:53', payload: 'x', ttl: 1 }), 'lan'),
      of(udp({ src: '[fd00:7::5]:1', dst: '[2001:db8:dead::1]:53', payload: Buffer.alloc(1240) }), 'slow'),
    ],
  },
  {
    name: 'no reset to or from an IPv4-mapped address, and the connection is none the less open',
    rules6: rules(['FORWARD -p tcp --tcp-flags SYN,ACK SYN,ACK -j REJECT --reject-with tcp-reset']),
    steps: ['::ffff:c000:207', '::c000:207', '::77', STRANGER].flatMap((far, i) => [
      of(tcp({ src: `[${far}]:${4000 + i}`, dst: '[fd00:1::20]:80', flags: 'S', seq: 99 }), 'wan'),
      of(tcp({ src: '[fd00:1::20]:80', dst: `[${far}]:${4000 + i}`, flags: 'SA', seq: 7, ack: 100 }), 'lan'),
    ]),
  },
  {
    name: 'a reset that has no way to the sender is none, and closes no connection',
    rules6: rules(['FORWARD -p tcp --tcp-flags PSH PSH -j REJECT --reject-with tcp-reset']),
    steps: [PC, '2001:db8:dead::5', '2001:db8:bad::5', '2001:db8:f00d::5'].flatMap((src) => [
      of(tcp({ src: `[${src}]:4000`, dst: `[${STRANGER}]:80`, flags: 'S', seq: 1000 }), 'lan'),
      of(tcp({ src: `[${STRANGER}]:80`, dst: `[${src}]:4000`, flags: 'SA', seq: 5000, ack: 1001 }), 'wan'),
      of(tcp({ src: `[${src}]:4000`, dst: `[${STRANGER}]:80`, flags: 'A', seq: 1001, ack: 5001 }), 'lan'),
      of(tcp({ src: `[${src}]:4000`, dst: `[${STRANGER}]:80`, flags: 'PA', seq: 1001, ack: 5001 }), 'lan'),
    ]),
  },
  {
    name: 'nf_conntrack_checksum off, hop limit 33 on lan, no flow labels',
    host: {
      ...HOST,
      sysctl: {
        ...HOST.sysctl,
        'net.ipv6.conf.lan.hop_limit': '33',
        'net.ipv6.auto_flowlabels': '0',
        'net.netfilter.nf_conntrack_checksum': '0',
      },
    },
    rules6: rules(['FORWARD -p tcp -j REJECT --reject-with tcp-reset', 'FORWARD -j REJECT'], [MASQUERADE]),
    steps: [
      outUdp(),
      out(),
      outUdp({ badChecksum: true, src: `[${PC}]:4001` }),
      of(udp({ src: '[2001:db8:198::1]:1', dst: `[${STRANGER}]:53`, payload: 'x', ttl: 1 }), 'slow'),
    ],
  },
].map((test) => ({ host: HOST, rules: NOTHING, ...test, name: `IPv6: ${test.name}`, answers: true }));
