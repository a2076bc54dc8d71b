/** What in a packet decides over it: TTL, checksums, lengths, flags, addresses. */
import { HOME_HOST } from '../hosts.js';
import { type Case, chapter } from './chapter.js';

const MASQUERADE = '-t nat -A POSTROUTING -o wan -j MASQUERADE';
const INVALID = '-A FORWARD -m conntrack --ctstate INVALID';

/** Lines of a script: TCP segments without an entry, each with what it becomes. */
const leaking = (...flags: readonly string[]): string =>
  flags.map((f, i) => `in lan tcp 192.168.1.9:${5000 + i} > 198.51.100.1:80 ${f}\nout wan same`).join('\n');
const translated = (...flags: readonly string[]): string =>
  flags
    .map(
      (f, i) =>
        `in lan tcp 192.168.1.9:${5000 + i} > 198.51.100.1:80 ${f}\nout wan tcp 203.0.113.5:${5000 + i} > 198.51.100.1:80 ${f}`,
    )
    .join('\n');

const HEADERS: readonly Case[] = [
  {
    name: 'the TTL is one less when forwarded and unchanged for the host',
    script: `
      in  lan  udp 192.168.1.9:4000 > 198.51.100.1:53 ttl 2
      out wan  udp 203.0.113.5:4000 > 198.51.100.1:53 ttl 1
      in  lan  udp 192.168.1.9:4000 > 192.168.1.1:53 ttl 1
      host     udp 192.168.1.9:4000 > 192.168.1.1:53 ttl 1
    `,
  },
  {
    name: 'TTL 0 or 1 is dropped where it would be forwarded, after DNAT, with no entry left',
    rules: ['-t nat -A PREROUTING -i wan -p udp -j DNAT --to-destination 192.168.1.20'],
    script: `
      in  wan  udp 198.51.100.7:4000 > 203.0.113.5:53 ttl 1
      drop
      in  wan  udp 198.51.100.7:4000 > 203.0.113.5:53 ttl 0
      drop
    `,
    counters: ['nat [2:56] -A PREROUTING -i wan -p udp -j DNAT --to-destination 192.168.1.20'],
    connections: [],
  },
  {
    name: 'a UDP checksum of 0 stays 0',
    script: `
      in  lan  udp 192.168.1.9:4000 > 198.51.100.1:53 no-checksum len 5
      out wan  udp 203.0.113.5:4000 > 198.51.100.1:53
    `,
  },
  {
    name: 'a UDP checksum that comes out as 0 is written as ffff',
    // Source port and payload are chosen so that the translated datagram's sum is ffff.
    script: `
      in  lan  udp 192.168.1.9:4000 > 198.51.100.1:53 data ZEROSUM
      out wan  udp 203.0.113.5:4000 > 198.51.100.1:53
    `.replace('ZEROSUM', zeroSum()),
  },
  {
    name: 'a wrong UDP checksum is INVALID',
    rules: [MASQUERADE, INVALID],
    script: `
      in  lan  udp 192.168.1.9:4000 > 198.51.100.1:53 len 5 bad-checksum
      out wan  same
    `,
    counters: [`filter [1:33] ${INVALID}`],
  },
  {
    name: 'bytes behind a UDP datagram make it INVALID',
    rules: [MASQUERADE, INVALID],
    script: `
      in  lan  udp 192.168.1.9:4000 > 198.51.100.1:53 len 5 trail 4
      out wan  same
    `,
    counters: [`filter [1:37] ${INVALID}`],
  },
  {
    name: 'bytes behind a UDP datagram without a checksum do not matter',
    rules: [MASQUERADE, INVALID],
    script: `
      in  lan  udp 192.168.1.9:4000 > 198.51.100.1:53 len 5 trail 4 no-checksum
      out wan  udp 203.0.113.5:4000 > 198.51.100.1:53
    `,
  },
  {
    name: 'a bad IP checksum, a wrong version or header length, a total length beyond the frame: dropped before any rule',
    rules: ['-t raw -A PREROUTING'],
    script: `
      in  lan  udp 192.168.1.9:4000 > 198.51.100.1:53 bad-ip-checksum
      drop
      in  lan  udp 192.168.1.9:4000 > 198.51.100.1:53 version-ihl 0x55
      drop
      in  lan  udp 192.168.1.9:4000 > 198.51.100.1:53 version-ihl 0x44
      drop
      in  lan  udp 192.168.1.9:4000 > 198.51.100.1:53 total 100
      drop
      in  lan  udp 192.168.1.9:4000 > 198.51.100.1:53 total 19
      drop
    `,
    counters: ['raw [0:0] -A PREROUTING'],
  },
  {
    name: 'Ethernet padding is cut off',
    script: `
      in  lan  udp 192.168.1.9:4000 > 198.51.100.1:53 pad 18
      out wan  udp 203.0.113.5:4000 > 198.51.100.1:53
    `,
  },
  {
    name: 'port 0, the reserved flag and IP id 0 pass unchanged',
    script: `
      in  lan  udp 192.168.1.9:0 > 198.51.100.1:0
      out wan  udp 203.0.113.5:0 > 198.51.100.1:0
      in  lan  udp 192.168.1.9:4000 > 198.51.100.1:53 fragment 0x8000
      out wan  udp 203.0.113.5:4000 > 198.51.100.1:53 fragment 0x8000
      in  lan  udp 192.168.1.9:4001 > 198.51.100.1:53 id 0 df
      out wan  udp 203.0.113.5:4001 > 198.51.100.1:53 id 0 df
    `,
  },
];

const BEGINNINGS: readonly Case[] = [
  {
    name: 'TCP without an entry: SYN with ECE, CWR, PSH or URG, and ACK, PSH+ACK, URG+ACK are NEW',
    rules: [MASQUERADE, INVALID],
    script: translated('S', 'SE', 'SC', 'SEC', 'SP', 'SU', 'A', 'PA', 'AU', 'PAU'),
    counters: [`filter [0:0] ${INVALID}`],
  },
  {
    name: 'TCP without an entry: SYN+ACK, FIN, FIN+ACK, RST, RST+ACK, NULL, XMAS, SYN+FIN, SYN+RST, PSH or URG alone are INVALID',
    rules: [MASQUERADE, INVALID],
    script: leaking('SA', 'F', 'FA', 'R', 'RA', 'none', 'FPU', 'SF', 'SR', 'P', 'U', 'PU'),
    counters: [`filter [12:480] ${INVALID}`],
    connections: [],
  },
  {
    name: 'a cut TCP header or a bad data offset is INVALID',
    rules: ['-t nat -A POSTROUTING -o wan -j SNAT --to-source 203.0.113.5', INVALID],
    script: `
      in  lan  tcp 192.168.1.9:4000 > 198.51.100.1:80 S cut 19
      out wan  same
      in  lan  tcp 192.168.1.9:4000 > 198.51.100.1:80 S cut 7
      out wan  same
      in  lan  udp 192.168.1.9:4000 > 198.51.100.1:80 cut 7
      out wan  same
      in  lan  icmp 192.168.1.9 > 198.51.100.1 ping 1 cut 7
      out wan  same
    `,
    counters: [`filter [4:120] ${INVALID}`],
    connections: [],
  },
  {
    name: 'UDP-Lite is verified as if it were UDP, so that its right checksum is INVALID',
    rules: [MASQUERADE, INVALID],
    script: `
      in  lan  udplite 192.168.1.9 > 198.51.100.1 data abcdefgh12345
      out wan  same
    `,
    counters: [`filter [1:33] ${INVALID}`],
  },
];

const cut = (rule: string): Pick<Case, 'rules'> => ({ rules: ['-A FORWARD', rule] });
const CUT_SCRIPT = (fate: string): string => `
      in  lan  tcp 192.168.1.9:4000 > 198.51.100.1:80 S cut 3
      ${fate}
      in  lan  udp 192.168.1.9:4000 > 198.51.100.1:53 cut 3
      ${fate}
`;

const CUT_HEADERS: readonly Case[] = [
  {
    name: 'iptables-legacy drops a transport header too short for a port match',
    backend: 'legacy',
    rules: ['-A FORWARD -p tcp -m tcp --dport 9999', '-A FORWARD -p udp -m udp --dport 9999', '-A FORWARD'],
    script: CUT_SCRIPT('drop'),
    counters: ['filter [0:0] -A FORWARD -p tcp -m tcp --dport 9999', 'filter [0:0] -A FORWARD'],
  },
  {
    name: 'iptables-nft lets it pass',
    backend: 'nft',
    rules: ['-A FORWARD -p tcp -m tcp --dport 9999', '-A FORWARD -p udp -m udp --dport 9999', '-A FORWARD'],
    script: CUT_SCRIPT('out wan same'),
    counters: ['filter [0:0] -A FORWARD -p tcp -m tcp --dport 9999', 'filter [2:46] -A FORWARD'],
  },
  {
    name: 'iptables-nft matches a port that the cut header still has',
    backend: 'nft',
    rules: ['-A FORWARD -p tcp -m tcp --sport 4000', '-A FORWARD -p udp -m udp --sport 4000 --dport 53'],
    script: CUT_SCRIPT('out wan same'),
    counters: [
      'filter [1:23] -A FORWARD -p tcp -m tcp --sport 4000',
      'filter [0:0] -A FORWARD -p udp -m udp --sport 4000 --dport 53',
    ],
  },
  {
    name: 'both drop it before a TCP or UDP match that asks nothing',
    rules: ['-A FORWARD -p tcp -m tcp', '-A FORWARD -p udp -m udp'],
    script: CUT_SCRIPT('drop'),
  },
  {
    name: 'both drop it before multiport',
    ...cut('-A FORWARD -p tcp -m multiport --dports 9999'),
    script: `
      in  lan  tcp 192.168.1.9:4000 > 198.51.100.1:80 S cut 3
      drop
    `,
  },
  {
    name: 'both drop it before a TCP option match',
    ...cut('-A FORWARD -p tcp -m tcp --tcp-option 2'),
    script: `
      in  lan  tcp 192.168.1.9:4000 > 198.51.100.1:80 S cut 12
      drop
    `,
  },
  {
    name: 'both drop it before an ICMP type match',
    ...cut('-A FORWARD -p icmp -m icmp --icmp-type 3'),
    script: `
      in  lan  icmp 192.168.1.9 > 198.51.100.1 ping 1 cut 3
      drop
    `,
  },
];

const NOT_BOTH = ['-A FORWARD -p udp -m udp ! --sport 4001 ! --dport 8081', '-A FORWARD'];
const NOT_BOTH_SCRIPT = `
      in  lan  udp 192.168.1.9:4001 > 198.51.100.1:8081
      out wan  same
      in  lan  udp 192.168.1.9:4001 > 198.51.100.1:53
      out wan  same
      in  lan  udp 192.168.1.9:4000 > 198.51.100.1:8081
      out wan  same
      in  lan  udp 192.168.1.9:4000 > 198.51.100.1:53
      out wan  same
`;

const PORTS: readonly Case[] = [
  {
    name: 'iptables-legacy: neither this source port nor that destination port',
    backend: 'legacy',
    rules: NOT_BOTH,
    script: NOT_BOTH_SCRIPT,
    counters: ['filter [1:28] -A FORWARD -p udp -m udp ! --sport 4001 ! --dport 8081'],
  },
  {
    name: 'iptables-nft compares both ports at once: not this source port together with that destination port',
    backend: 'nft',
    rules: NOT_BOTH,
    script: NOT_BOTH_SCRIPT,
    counters: ['filter [3:84] -A FORWARD -p udp -m udp ! --sport 4001 ! --dport 8081'],
  },
];

const from = (address: string, fate: string): string => `
      in  wan  udp ${address}:4000 > 192.168.1.20:53
      ${fate}
`;
const to = (address: string, fate: string): string => `
      in  lan  udp 192.168.1.9:4000 > ${address}:53
      ${fate}
`;

const ADDRESSES: readonly Case[] = [
  {
    name: 'loopback addresses, 0.0.0.0, a multicast source, the limited broadcast as a source: dropped in routing',
    script: [
      from('127.0.0.1', 'drop'),
      from('0.0.0.0', 'drop'),
      from('224.0.0.5', 'drop'),
      from('255.255.255.255', 'drop'),
      to('127.0.0.1', 'drop'),
      to('0.0.0.0', 'drop'),
    ].join(''),
    connections: [],
  },
  {
    name: "the host's own address as a source is dropped",
    script: from('203.0.113.5', 'drop') + from('192.168.1.1', 'drop'),
    connections: [],
  },
  {
    name: 'class E source or destination, the rest of 0/8 and a subnet-broadcast source are forwarded',
    rules: ['-P FORWARD ACCEPT'],
    script: [
      from('240.0.0.1', 'out lan same'),
      to('240.0.0.1', 'out wan same'),
      from('0.1.2.3', 'out lan same'),
      from('203.0.113.255', 'out lan same'),
    ].join(''),
  },
  {
    name: 'what is sent to a subnet broadcast, to everybody or to all hosts reaches the host',
    rules: ['-P FORWARD ACCEPT'],
    script: [to('192.168.1.255', 'host same'), to('255.255.255.255', 'host same'), to('224.0.0.1', 'host same')].join(
      '',
    ),
  },
];

const defaults = { host: HOME_HOST, rules: [MASQUERADE] };
chapter('headers', defaults, HEADERS);
chapter('what begins a connection', defaults, BEGINNINGS);
chapter('cut transport headers', { ...defaults, backends: ['legacy', 'nft'] }, CUT_HEADERS);
chapter('two ports negated', defaults, PORTS);
chapter('addresses that cannot be', defaults, ADDRESSES);

/** Two letters that make the translated datagram's checksum 0, found by trying. */
function zeroSum(): string {
  const word = (address: string): number =>
    address.split('.').reduce((sum, byte, k) => sum + Number(byte) * (k % 2 === 0 ? 256 : 1), 0);
  const fixed = word('203.0.113.5') + word('198.51.100.1') + 17 + 2 * 12 + 4000 + 53;
  const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';
  for (const a of letters) {
    for (const b of letters) {
      for (const c of letters) {
        for (const d of letters) {
          const data = Buffer.from(a + b + c + d);
          const sum = fixed + data.readUInt16BE(0) + data.readUInt16BE(2);
          if (sum % 0xffff === 0) return a + b + c + d;
        }
      }
    }
  }
  throw new Error('no such payload');
}
