/** Choice of ports and addresses, and NAT's less common ways: KERNEL.md chapter B and A5, case by case. */
import type { KernelOutput } from '../../src/verify/gateway.js';
import type { KernelCase, Step } from './cases.js';
import { HOME_HOST, link } from './hosts.js';
import { icmp, ip, tcp, udp } from './packets.js';

const table = (name: string, chains: readonly string[], rules: readonly string[]): string =>
  [`*${name}`, ...chains.map((c) => `:${c} ACCEPT [0:0]`), ...rules.map((r) => `-A ${r}`), 'COMMIT', ''].join('\n');
const ALL = ['PREROUTING', 'INPUT', 'FORWARD', 'OUTPUT', 'POSTROUTING'];
export const natTable = (...rules: readonly string[]): string =>
  table('nat', ['PREROUTING', 'INPUT', 'OUTPUT', 'POSTROUTING'], rules);

const SERVER = '198.51.100.1';
const from = (host: number, port: number, dst = `${SERVER}:80`, flags = 'S', seq = 1000): Step => ({
  iface: 'lan',
  packet: tcp({ src: `192.168.1.${host}:${port}`, dst, flags, seq }),
});
const query = (host: number, port: number, dst = `${SERVER}:53`): Step => ({
  iface: 'lan',
  packet: udp({ src: `192.168.1.${host}:${port}`, dst, payload: 'q' }),
});
const ping = (host: number, id: number): Step => ({
  iface: 'lan',
  packet: icmp({ src: `192.168.1.${host}`, dst: SERVER, type: 8, icmpId: id, payload: 'x' }),
});
const stranger = (src: string, dst: string, flags = 'S'): Step => ({ iface: 'wan', packet: tcp({ src, dst, flags }) });
const strangerQuery = (src: string, dst: string): Step => ({ iface: 'wan', packet: udp({ src, dst, payload: 'q' }) });

/** The server's answer to the packet that went out `back` outputs ago. */
const answer =
  (flags: string, back: number, seq = 5000, ack = 1001): Step =>
  (sent: readonly KernelOutput[]) => {
    const packet = Buffer.from(sent.at(-back)?.frame ?? new Uint8Array(54)).subarray(14);
    const [src, dst] = [`${packet.subarray(16, 20).join('.')}`, `${packet.subarray(12, 16).join('.')}`];
    const ports = [packet.readUInt16BE(22), packet.readUInt16BE(20)];
    return { iface: 'wan', packet: tcp({ src: `${src}:${ports[0]}`, dst: `${dst}:${ports[1]}`, flags, seq, ack }) };
  };

export const NAT_CASES: readonly KernelCase[] = [
  {
    name: 'B1, B2: the port is kept if free towards that remote; else one of its class',
    host: HOME_HOST,
    rules: natTable('POSTROUTING -o wan -j MASQUERADE'),
    steps: [
      ...[300, 511, 512, 599, 800, 1023, 1024, 4000].flatMap((port) => [
        from(10, port),
        from(11, port),
        query(10, port),
      ]),
      from(11, 4000, '198.51.100.2:80'),
      from(12, 4000, '198.51.100.1:81'),
      ping(10, 7),
      ping(11, 7),
      ping(11, 0),
    ],
  },
  {
    name: 'B3: a mapping is used again for other remotes',
    host: HOME_HOST,
    rules: natTable(
      'POSTROUTING -o wan -p tcp -j SNAT --to-source 203.0.113.5:5000-5100',
      'POSTROUTING -o wan -j MASQUERADE',
    ),
    steps: [
      query(10, 4000),
      query(11, 4000),
      query(11, 4000, '198.51.100.2:53'),
      query(12, 4000, '198.51.100.2:53'),
      from(10, 5001),
      from(11, 5001),
      from(11, 5001, '198.51.100.2:80'),
      from(12, 6000),
      from(12, 6000, '198.51.100.2:80'),
      from(12, 6000, '198.51.100.3:80'),
    ],
  },
  {
    name: 'B4: an exhausted range drops, and the rule counts every try',
    host: HOME_HOST,
    rules: natTable(
      'POSTROUTING -o wan -p tcp -j SNAT --to-source 203.0.113.5:5000-5001',
      'POSTROUTING -o wan -p udp -j SNAT --to-source 203.0.113.5:5000',
    ),
    steps: [
      ...[10, 11, 12, 12].map((host) => from(host, 4000)),
      ...[10, 11, 11].map((host) => query(host, 4000)),
      from(12, 4000, '198.51.100.2:80'),
      query(13, 5000, '198.51.100.3:53'),
    ],
  },
  {
    name: 'B5: a full range gives the tuple of a closed connection to a SYN that goes on from it',
    host: HOME_HOST,
    rules: natTable('POSTROUTING -o wan -p tcp -j SNAT --to-source 203.0.113.5:5000'),
    steps: [
      from(10, 4000),
      answer('SA', 1),
      from(10, 4000, undefined, 'A', 1001),
      from(11, 4000, undefined, 'S', 9_000_000),
      from(10, 4000, undefined, 'R', 1001),
      from(11, 4000, undefined, 'S', 5),
      from(11, 4000, undefined, 'S', 9_000_000),
      answer('SA', 1, 5000, 9_000_001),
      from(12, 4000, undefined, 'S', 9_500_000),
    ],
  },
  {
    name: 'B6: DNAT to ports: in range it stays, else the first free; shifted; without a port never changed',
    host: HOME_HOST,
    rules: natTable(
      'PREROUTING -i wan -p tcp --dport 8000:8009 -j DNAT --to-destination 192.168.1.20:8005-8007',
      'PREROUTING -i wan -p tcp --dport 7000:7009 -j DNAT --to-destination 192.168.1.21:6000-6004/7000',
      'PREROUTING -i wan -p tcp --dport 90 -j DNAT --to-destination 192.168.1.22',
      'PREROUTING -i wan -p udp --dport 5000:5005 -j REDIRECT --to-ports 6000-6002',
    ),
    steps: [
      ...[8000, 8001, 8005, 8006, 8007, 8008].map((port) => stranger('198.51.100.7:4000', `203.0.113.5:${port}`)),
      ...[7000, 7003, 7004, 7005, 7009].map((port) => stranger('198.51.100.7:4000', `203.0.113.5:${port}`)),
      stranger('198.51.100.7:4000', '203.0.113.5:90'),
      stranger('198.51.100.7:4000', '192.168.1.22:90'),
      ...[5000, 5001, 5002, 5003].map((port) => strangerQuery('198.51.100.7:4000', `203.0.113.5:${port}`)),
    ],
  },
  {
    name: 'B6: DNAT to ports with --random draws one',
    host: HOME_HOST,
    rules: natTable(
      'PREROUTING -i wan -p tcp --dport 8000:8009 -j DNAT --to-destination 192.168.1.20:8000-8999 --random',
    ),
    steps: [1, 2, 3, 4].map((n) => stranger(`198.51.100.7:400${n}`, '203.0.113.5:8003')),
  },
  {
    name: 'B7: addresses of a range by hash, persistent or not, for both directions',
    host: HOME_HOST,
    rules: natTable(
      'PREROUTING -i wan -p tcp -d 203.0.113.5 -j DNAT --to-destination 192.168.1.16-192.168.1.30',
      'PREROUTING -i wan -p udp -d 203.0.113.5 -j DNAT --to-destination 192.168.1.16-192.168.1.30 --persistent',
      'POSTROUTING -o wan -p tcp -j SNAT --to-source 203.0.113.32-203.0.113.63',
      'POSTROUTING -o wan -p udp -j SNAT --to-source 203.0.113.32-203.0.113.63 --persistent',
    ),
    steps: [10, 11, 12, 13].flatMap((host) => [
      from(host, 4000),
      from(host, 4001, '198.51.100.9:80'),
      query(host, 4000),
      query(host, 4001, '198.51.100.9:53'),
      stranger(`198.51.100.${host}:1000`, '203.0.113.5:80'),
      strangerQuery(`198.51.100.${host}:1000`, '203.0.113.5:53'),
    ]),
  },
  {
    name: '--random and --random-fully: SNAT, MASQUERADE and REDIRECT',
    host: HOME_HOST,
    rules: natTable(
      'PREROUTING -i lan -p udp --dport 99 -j REDIRECT --to-ports 2000-2999 --random',
      'POSTROUTING -o wan -p tcp --dport 80 -j MASQUERADE --random',
      'POSTROUTING -o wan -p tcp --dport 81 -j MASQUERADE --random-fully',
      'POSTROUTING -o wan -p tcp --dport 82 -j SNAT --to-source 203.0.113.9:3000-3999 --random-fully',
      'POSTROUTING -o wan -p icmp -j SNAT --to-source 203.0.113.9 --random',
    ),
    steps: [
      from(10, 4000),
      from(10, 300),
      from(10, 4000, `${SERVER}:81`),
      from(10, 4000, `${SERVER}:82`),
      from(11, 4000, `${SERVER}:82`),
      ping(10, 5),
      query(10, 4000, `${SERVER}:99`),
    ],
  },
  {
    name: 'a port drawn in vain: what DNAT --random leads to collides behind SNAT to one port, and nobody sees the draw',
    host: HOME_HOST,
    rules: natTable(
      'PREROUTING -i lan -p udp -j DNAT --to-destination 198.51.100.9:8081-8084 --random',
      'POSTROUTING -o wan -p udp -j SNAT --to-source 203.0.113.9:4002',
    ),
    steps: Array.from({ length: 24 }, (_, i) => query(10 + i, 4000)),
  },
  {
    name: 'a port drawn in vain, which a rule of filter refuses, with matches that count',
    host: HOME_HOST,
    rules:
      natTable('PREROUTING -i lan -p udp -j DNAT --to-destination 198.51.100.9:8081-8084 --random') +
      table(
        'filter',
        ['INPUT', 'FORWARD', 'OUTPUT'],
        [
          'FORWARD -m statistic --mode nth --every 3 --packet 0 -j ACCEPT',
          'FORWARD -m limit --limit 1/hour --limit-burst 7',
          'FORWARD -p udp -m udp --dport 8082:8083 -j DROP',
        ],
      ),
    steps: Array.from({ length: 24 }, (_, i) => query(10 + i, 4000)),
  },
  {
    name: 'a connection that DNAT makes the reverse of another gets a new port',
    host: HOME_HOST,
    rules: natTable(
      'PREROUTING -i wan -d 203.0.113.5 -j DNAT --to-destination 192.168.1.20',
      'POSTROUTING -o nowhere -j ACCEPT',
    ),
    steps: [
      { iface: 'lan', packet: udp({ src: '192.168.1.20:4000', dst: '198.51.100.1:53' }) },
      strangerQuery('198.51.100.1:53', '203.0.113.5:4000'),
      { iface: 'lan', packet: tcp({ src: '192.168.1.20:4000', dst: '198.51.100.1:80', flags: 'S' }) },
      stranger('198.51.100.1:80', '203.0.113.5:4000'),
    ],
  },
  {
    name: 'A5: null bindings that collide get a new port',
    host: HOME_HOST,
    rules: natTable(
      'PREROUTING -i wan -p tcp --dport 8080 -j DNAT --to-destination 192.168.1.20:80',
      'PREROUTING -i wan -p tcp --dport 8081 -j DNAT --to-destination 192.168.1.20:80',
    ),
    steps: [
      stranger('198.51.100.7:4000', '203.0.113.5:8080'),
      stranger('198.51.100.7:4000', '203.0.113.5:8081'),
      stranger('198.51.100.7:4000', '192.168.1.20:80'),
      stranger('198.51.100.7:300', '192.168.1.20:80'),
      stranger('198.51.100.7:300', '203.0.113.5:8081'),
    ],
  },
  {
    name: 'SNAT in INPUT, and REDIRECT to the host (A7)',
    host: HOME_HOST,
    rules: natTable(
      'PREROUTING -i lan -p tcp --dport 80 -j REDIRECT --to-ports 3128',
      'INPUT -i lan -p tcp -j SNAT --to-source 10.9.9.9',
      'INPUT -p udp -j SNAT --to-source 10.9.9.9:2000-2001',
    ),
    steps: [
      from(10, 4000),
      from(11, 4000),
      query(10, 53, '192.168.1.1:53'),
      query(11, 53, '192.168.1.1:53'),
      query(12, 53, '192.168.1.1:53'),
    ],
  },
  {
    name: 'a DROP policy of a nat chain drops NEW packets only (A7)',
    host: HOME_HOST,
    rules: natTable(
      'PREROUTING -i lan -p tcp --dport 80 -j ACCEPT',
      'POSTROUTING -o wan -p tcp -j SNAT --to-source 203.0.113.5',
    ).replace(':PREROUTING ACCEPT', ':PREROUTING DROP'),
    steps: [from(10, 4000), from(10, 4000, `${SERVER}:81`), answer('SA', 1), from(10, 4000, undefined, 'A', 1001)],
  },
  {
    name: 'A2, A3: nat counts once for a connection, and again for one that was dropped before it was confirmed',
    host: HOME_HOST,
    rules:
      natTable('PREROUTING -p tcp', 'POSTROUTING -o wan -j MASQUERADE') +
      table('filter', ['INPUT', 'FORWARD', 'OUTPUT'], ['FORWARD -p tcp --dport 81 -j DROP']),
    steps: [
      from(10, 4000),
      from(10, 4000),
      answer('SA', 1),
      from(10, 4000, undefined, 'A', 1001),
      from(10, 4001, `${SERVER}:81`),
      from(10, 4001, `${SERVER}:81`),
      { iface: 'lan', packet: tcp({ src: '192.168.1.10:4002', dst: `${SERVER}:80`, flags: 'S', ttl: 1 }) },
      { iface: 'lan', packet: tcp({ src: '192.168.1.10:4002', dst: `${SERVER}:80`, flags: 'S', ttl: 1 }) },
    ],
  },
  {
    name: 'A4: INVALID and untracked packets go past NAT, to a published port of the host too',
    host: HOME_HOST,
    rules:
      table('raw', ['PREROUTING', 'OUTPUT'], ['PREROUTING -p udp --dport 5353 -j NOTRACK']) +
      natTable('PREROUTING -i wan -j DNAT --to-destination 192.168.1.20', 'POSTROUTING -o wan -j MASQUERADE'),
    steps: [
      from(10, 4000, undefined, 'FA'),
      query(10, 4000, `${SERVER}:5353`),
      stranger('198.51.100.7:4000', '203.0.113.5:80', 'SA'),
      strangerQuery('198.51.100.7:4000', '203.0.113.5:5353'),
    ],
  },
  {
    name: 'A6: a nat table without rules does not switch tracking on',
    host: HOME_HOST,
    rules: natTable() + table('filter', ['INPUT', 'FORWARD', 'OUTPUT'], ['FORWARD -p tcp']),
    steps: [from(10, 4000, undefined, 'FA'), from(10, 4000), query(10, 4000)],
  },
  {
    name: 'B11: protocols without ports have one user a tuple; SNAT with ports does not concern them',
    host: HOME_HOST,
    rules: natTable(
      'POSTROUTING -o wan -p tcp -j SNAT --to-source 203.0.113.5:5000-5010',
      'POSTROUTING -o wan -j MASQUERADE',
    ),
    steps: [10, 11].flatMap((host) =>
      [50, 51, 4, 253].map((protocol) => ({
        iface: 'lan',
        packet: ip({ src: `192.168.1.${host}`, dst: SERVER }, protocol, Buffer.from('0102030405060708', 'hex')),
      })),
    ),
  },
  {
    name: 'A1: every table at every hook of a forwarded packet, and of one for the host, marks told on',
    host: { ...HOME_HOST, addr: [...HOME_HOST.addr, link('vpn', '10.9.0.1/24')] },
    rules: [
      table('raw', ['PREROUTING', 'OUTPUT'], ['PREROUTING -j MARK --set-mark 1', 'PREROUTING -m mark --mark 1']),
      table('mangle', ALL, [
        'PREROUTING -m mark --mark 1 -j MARK --set-xmark 0x10/0xff',
        'INPUT -m mark --mark 0x10 -j MARK --or-mark 0x100',
        'FORWARD -m mark --mark 0x10/0xf0 -j MARK --xor-mark 0x30',
        'POSTROUTING -m mark --mark 0x20 -j MARK --and-mark 0x0f',
        'POSTROUTING -m mark --mark 0',
        'PREROUTING -j CONNMARK --restore-mark --nfmask 0xff00 --ctmask 0xff00',
        'FORWARD -p udp -j CONNMARK --set-xmark 0xabcd00/0xffffff',
        'FORWARD -p tcp -j CONNMARK --save-mark --nfmask 0xf0 --ctmask 0xff',
        'FORWARD -p tcp --dport 81 -j CONNMARK --or-mark 0x8000',
        'FORWARD -m connmark --mark 0xabcd00',
        'PREROUTING -m connmark ! --mark 0/0xff00',
        'PREROUTING -m mark --mark 0xcd10/0xffff',
      ]),
      natTable(
        'PREROUTING -m mark --mark 0x10 -p tcp --dport 80 -j REDIRECT --to-ports 81',
        'POSTROUTING -m mark --mark 0x0/0xff -j MASQUERADE',
        'INPUT -m mark --mark 0x110',
      ),
      table(
        'filter',
        ['INPUT', 'FORWARD', 'OUTPUT'],
        ['INPUT -m mark --mark 0x110 -j MARK --set-mark 0x111', 'FORWARD -m mark --mark 0x20'],
      ).replace('-A INPUT -m mark --mark 0x110 -j MARK --set-mark 0x111\n', ''),
      table(
        'security',
        ['INPUT', 'FORWARD', 'OUTPUT'],
        ['FORWARD -m mark --mark 0x20 -p udp --dport 99 -j DROP', 'INPUT -m mark --mark 0x110'],
      ),
    ].join(''),
    steps: [
      from(10, 4000),
      from(10, 4000, `${SERVER}:81`),
      query(10, 4000),
      query(10, 4000),
      query(10, 4000, `${SERVER}:99`),
      from(10, 4000, `${SERVER}:81`),
    ],
  },
  {
    name: 'CONNMARK: every form, with shifts and masks',
    host: HOME_HOST,
    rules:
      table('mangle', ALL, [
        'PREROUTING -p tcp -j MARK --set-mark 0x12345678',
        'FORWARD -p tcp --dport 81 -j CONNMARK --set-mark 0x5/0xf',
        'FORWARD -p tcp --dport 82 -j CONNMARK --save-mark',
        'FORWARD -p tcp --dport 83 -j CONNMARK --save-mark --mask 0xff00',
        'FORWARD -p tcp --dport 84 -j CONNMARK --save-mark --nfmask 0xff --ctmask 0xff00 --left-shift-mark 8',
        'FORWARD -p tcp --dport 85 -j CONNMARK --save-mark --nfmask 0xff00 --ctmask 0xff --right-shift-mark 8',
        'FORWARD -p tcp --dport 86 -j CONNMARK --xor-mark 0x77',
        'FORWARD -p tcp --dport 87 -j CONNMARK --or-mark 0x77',
        'FORWARD -p tcp --dport 87 -j CONNMARK --and-mark 0x71',
        'FORWARD -p tcp --dport 88 -j CONNMARK --set-mark 7 --left-shift-mark 4',
        'POSTROUTING -p tcp -j CONNMARK --restore-mark',
        'POSTROUTING -m mark --mark 0x12345678',
        'POSTROUTING -m mark --mark 0x5600',
        'POSTROUTING -m mark --mark 0x7800',
        'POSTROUTING -m mark --mark 0x56',
        'POSTROUTING -m connmark --mark 0x70/0xf0',
      ]) + natTable(),
    steps: [81, 82, 83, 84, 85, 86, 87, 88].flatMap((port) => [
      from(10, 4000, `${SERVER}:${port}`),
      from(10, 4000, `${SERVER}:${port}`),
    ]),
  },
  {
    name: 'DNAT, SNAT and UDP without checksums, port 0, and SNAT addresses that are nobody s',
    host: HOME_HOST,
    rules: natTable('POSTROUTING -o wan -j SNAT --to-source 100.64.0.1-100.64.0.3:1024-65535').replace(
      ':1024-65535',
      '',
    ),
    steps: [
      query(10, 0),
      from(10, 0),
      { iface: 'lan', packet: udp({ src: '192.168.1.10:5', dst: `${SERVER}:0`, payload: 'q', noChecksum: true }) },
    ],
  },
  {
    name: 'DNAT to a random port of a range of which none is free takes one all the same, and another source port',
    host: HOME_HOST,
    rules: natTable('PREROUTING -i wan -p tcp -j DNAT --to-destination 192.168.1.20:22-25 --random'),
    steps: [80, 81, 82, 83, 84, 85, 86].map((port) => stranger(`${SERVER}:4000`, `203.0.113.5:${port}`)),
  },
];
