/** The states of TCP connections as tracking sees them, and how long entries live. */
import { HOME_HOST } from '../hosts.js';
import { type Case, chapter } from './chapter.js';

const MASQUERADE = '-t nat -A POSTROUTING -o wan -j MASQUERADE';
const NEW = '-A FORWARD -m conntrack --ctstate NEW';
const ESTABLISHED = '-A FORWARD -m conntrack --ctstate ESTABLISHED';
const INVALID = '-A FORWARD -m conntrack --ctstate INVALID';
const STATES = [NEW, ESTABLISHED, INVALID];

const C = 'tcp 192.168.1.9:4000 > 198.51.100.1:80';
const S = 'tcp 198.51.100.1:80 > 192.168.1.9:4000';
const ENTRY = '192.168.1.9:4000 > 198.51.100.1:80 198.51.100.1:80 > 192.168.1.9:4000';

/** Segments of client (`>`) and server (`<`), all of which are forwarded as they are. */
const talk = (...segments: readonly string[]): string =>
  segments
    .map((segment) => {
      const [side, ...words] = segment.split(' ');
      return side === '>'
        ? `in lan ${C} ${words.join(' ')}\nout wan same`
        : `in wan ${S} ${words.join(' ')}\nout lan same`;
    })
    .join('\n');

const SYN = '> S seq 1000';
const SYN_ACK = '< SA seq 9000 ack 1001';
const ACK = '> A seq 1001 ack 9001';
const HANDSHAKE = [SYN, SYN_ACK, ACK];
const counted = (fresh: number, established: number, invalid = 0): string[] => [
  `filter [${fresh}:${fresh * 40}] ${NEW}`,
  `filter [${established}:${established * 40}] ${ESTABLISHED}`,
  `filter [${invalid}:${invalid * 40}] ${INVALID}`,
];

const CONNECTIONS: readonly Case[] = [
  {
    name: 'a connection from its SYN to its end, and the seconds that each state has',
    script: talk(SYN),
    connections: [`tcp 120 SYN_SENT ${ENTRY.replace(' 198.51.100.1:80 >', ' [UNREPLIED] 198.51.100.1:80 >')}`],
  },
  { name: 'SYN_RECV has 60 seconds', script: talk(SYN, SYN_ACK), connections: [`tcp 60 SYN_RECV ${ENTRY}`] },
  {
    name: 'ESTABLISHED has five days',
    script: talk(...HANDSHAKE),
    connections: [`tcp 432000 ESTABLISHED ${ENTRY} [ASSURED]`],
  },
  {
    name: 'unacknowledged data leaves 300 seconds',
    script: talk(...HANDSHAKE, '> PA seq 1001 ack 9001 len 10'),
    connections: [`tcp 300 ESTABLISHED ${ENTRY} [ASSURED]`],
  },
  {
    name: 'FIN_WAIT has 120 seconds',
    script: talk(...HANDSHAKE, '> FA seq 1001 ack 9001'),
    connections: [`tcp 120 FIN_WAIT ${ENTRY} [ASSURED]`],
  },
  {
    name: 'CLOSE_WAIT has 60 seconds',
    script: talk(...HANDSHAKE, '> FA seq 1001 ack 9001', '< A seq 9001 ack 1002'),
    connections: [`tcp 60 CLOSE_WAIT ${ENTRY} [ASSURED]`],
  },
  {
    name: 'LAST_ACK has 30 seconds',
    script: talk(...HANDSHAKE, '> FA seq 1001 ack 9001', '< A seq 9001 ack 1002', '< FA seq 9001 ack 1002'),
    connections: [`tcp 30 LAST_ACK ${ENTRY} [ASSURED]`],
  },
  {
    name: 'TIME_WAIT has 120 seconds',
    script: talk(...HANDSHAKE, '> FA seq 1001 ack 9001', '< FA seq 9001 ack 1002', '> A seq 1002 ack 9002'),
    connections: [`tcp 120 TIME_WAIT ${ENTRY} [ASSURED]`],
  },
  {
    name: 'CLOSE has 10 seconds',
    script: talk(...HANDSHAKE, '> R seq 1001'),
    connections: [`tcp 10 CLOSE ${ENTRY} [ASSURED]`],
  },
  {
    name: 'retransmissions leave 300 seconds',
    script: talk(...HANDSHAKE, ...Array.from({ length: 5 }, () => '> PA seq 1001 ack 9001 len 10')),
    connections: [`tcp 300 ESTABLISHED ${ENTRY} [ASSURED]`],
  },
  {
    name: "the host's own settings go before the defaults",
    host: { ...HOME_HOST, sysctl: { 'net.netfilter.nf_conntrack_tcp_timeout_syn_sent': '17' } },
    script: talk(SYN),
    connections: ['tcp 17 SYN_SENT * [UNREPLIED] *'],
  },
];

const REUSE: readonly Case[] = [
  {
    name: 'a SYN on a TIME_WAIT entry starts a new connection, whatever its sequence number',
    script: talk(
      ...HANDSHAKE,
      '> FA seq 1001 ack 9001',
      '< FA seq 9001 ack 1002',
      '> A seq 1002 ack 9002',
      '> S seq 7',
      '< SA seq 500 ack 8',
    ),
    counters: counted(2, 6),
    connections: [`tcp SYN_RECV ${ENTRY}`],
  },
  {
    name: "after the client's RST a new SYN is NEW",
    script: talk(...HANDSHAKE, '> R seq 1001', '> S seq 50000'),
    counters: counted(2, 3),
    connections: ['tcp SYN_SENT * [UNREPLIED] *'],
  },
  {
    name: "after the server's RST and the client's ACK a new SYN continues the entry",
    script: talk(...HANDSHAKE, '< R seq 9001', '> A seq 1001 ack 9001', '> S seq 50000'),
    counters: counted(1, 5),
  },
  {
    name: 'an RST that answers a SYN deletes the entry at once',
    script: talk(SYN, '< RA seq 0 ack 1001'),
    counters: counted(1, 1),
    connections: [],
  },
  {
    name: 'the entry that an RST deletes still says that it was confirmed',
    rules: ['-A FORWARD -m conntrack --ctstatus CONFIRMED'],
    script: talk(SYN, '< RA seq 0 ack 1001'),
    counters: ['filter [1:40] -A FORWARD -m conntrack --ctstatus CONFIRMED'],
  },
  {
    name: 'retransmitted SYNs stay NEW',
    script: talk(SYN, SYN, SYN),
    counters: counted(3, 0),
    connections: ['tcp 120 SYN_SENT * [UNREPLIED] *'],
  },
  {
    name: 'a SYN with another sequence number on a live flow, and the challenge ACK, pass as established',
    script: talk(...HANDSHAKE, '> S seq 77777', '< A seq 9001 ack 1001'),
    counters: counted(1, 4),
  },
  {
    name: 'segments far out of the window are INVALID',
    script: talk(...HANDSHAKE, '> A seq 900000000 ack 9001'),
    counters: counted(1, 2, 1),
  },
  {
    name: 'with be_liberal they are not, be it an RST',
    host: { ...HOME_HOST, sysctl: { 'net.netfilter.nf_conntrack_tcp_be_liberal': '1' } },
    script: talk(...HANDSHAKE, '> A seq 900000000 ack 9001', '> R seq 900000000'),
    counters: counted(1, 4),
  },
  {
    name: 'the window that counts is the scaled one',
    script: talk(
      '> S seq 1000 tcp-options 03030700',
      '< SA seq 9000 ack 1001 win 64000 tcp-options 03030700',
      '> A seq 1001 ack 9001 win 500',
      '< A seq 9001 ack 1001 win 500',
      '> A seq 64501 ack 9001 win 500',
    ),
    connections: ['tcp ESTABLISHED * [ASSURED]'],
  },
];

const PICK_UP: readonly Case[] = [
  {
    name: "a connection picked up from the server's side makes an entry the other way round, and a reply is masqueraded",
    rules: ['-t nat -A POSTROUTING -o wan -j MASQUERADE'],
    script: `
      in  lan  tcp 192.168.1.20:80 > 198.51.100.7:40000 A seq 1000 ack 2000
      out wan  tcp 203.0.113.5:80 > 198.51.100.7:40000 A
    `,
    connections: [
      'tcp 300 ESTABLISHED 192.168.1.20:80 > 198.51.100.7:40000 [UNREPLIED] 198.51.100.7:40000 > 203.0.113.5:80',
    ],
  },
  {
    name: 'without loose pick-up nothing but a SYN begins a connection',
    host: { ...HOME_HOST, sysctl: { 'net.netfilter.nf_conntrack_tcp_loose': '0' } },
    rules: [MASQUERADE],
    script: `
      in  lan  tcp 192.168.1.20:80 > 198.51.100.7:40000 A seq 1000 ack 2000
      out wan  same
    `,
    connections: [],
  },
];

const OTHERS: readonly Case[] = [
  {
    name: 'UDP has 30 seconds, ICMP 30, GRE 30, everything else 600',
    script: `
      in  lan  udp 192.168.1.9:4000 > 198.51.100.1:53
      out wan  udp 203.0.113.5:4000 > 198.51.100.1:53
      in  lan  icmp 192.168.1.9 > 198.51.100.1 ping 5
      out wan  icmp 203.0.113.5 > 198.51.100.1 ping 5
      in  lan  50 192.168.1.9 > 198.51.100.1 len 16
      out wan  50 203.0.113.5 > 198.51.100.1
    `,
    rules: [MASQUERADE],
    connections: ['udp 30 * [UNREPLIED] *', 'icmp 30 * [UNREPLIED] *', 'unknown 600 * [UNREPLIED] *'],
  },
  {
    name: 'answered UDP keeps its 30 seconds while it is younger than two',
    rules: [MASQUERADE],
    script: `
      in  lan  udp 192.168.1.9:4000 > 198.51.100.1:53
      out wan  udp 203.0.113.5:4000 > 198.51.100.1:53
      in  wan  udp 198.51.100.1:53 > 203.0.113.5:4000
      out lan  udp 198.51.100.1:53 > 192.168.1.9:4000
    `,
    connections: ['udp 30 192.168.1.9:4000 > 198.51.100.1:53 198.51.100.1:53 > 203.0.113.5:4000'],
  },
  {
    name: 'answered UDP that is older than two seconds has 120 and is assured',
    rules: [MASQUERADE],
    script: `
      in  lan  udp 192.168.1.9:4000 > 198.51.100.1:53
      out wan  udp 203.0.113.5:4000 > 198.51.100.1:53
      in  wan  udp 198.51.100.1:53 > 203.0.113.5:4000
      out lan  udp 198.51.100.1:53 > 192.168.1.9:4000
      wait 2.1
      in  lan  udp 192.168.1.9:4000 > 198.51.100.1:53
      out wan  udp 203.0.113.5:4000 > 198.51.100.1:53
    `,
    connections: ['udp 120 192.168.1.9:4000 > 198.51.100.1:53 198.51.100.1:53 > 203.0.113.5:4000 [ASSURED]'],
  },
  {
    name: 'an entry that has expired is gone: the next packet is NEW again',
    host: { ...HOME_HOST, sysctl: { 'net.netfilter.nf_conntrack_udp_timeout': '1' } },
    rules: [MASQUERADE],
    script: `
      in  lan  udp 192.168.1.9:4000 > 198.51.100.1:53
      out wan  udp 203.0.113.5:4000 > 198.51.100.1:53
      wait 1.2
      in  wan  udp 198.51.100.1:53 > 203.0.113.5:4000
      host same
      in  lan  udp 192.168.1.9:4000 > 198.51.100.1:53
      out wan  udp 203.0.113.5:$p(1024-65535 but 4000) > 198.51.100.1:53
    `,
  },
];

const defaults = { host: HOME_HOST, rules: STATES };
chapter('TCP states', defaults, CONNECTIONS);
chapter('TCP connections that begin again', defaults, REUSE);
chapter('connections that are picked up', defaults, PICK_UP);
chapter('UDP and the rest', defaults, OTHERS);
