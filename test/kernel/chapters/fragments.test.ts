/**
 * Fragments: gathered before any rule, sent on as they came. `len 92` makes a UDP datagram of 100 bytes; `piece 0-40`
 * is the fragment with the first 40 of them, `no-df` one that says DF no more.
 */
import { HOME_HOST, link } from '../hosts.js';
import { build, parsePacket } from '../language.js';
import { type Case, chapter } from './chapter.js';

const MASQUERADE = '-t nat -A POSTROUTING -o wan -j MASQUERADE';
/** A rule with which nothing is tracked. */
const COUNT = ['-A FORWARD -f', '-A FORWARD -p udp --dport 53', '-A INPUT -f', '-A INPUT -p udp --dport 53'];
const FROM_LAN = 'in lan udp 192.168.1.9:4000 > 198.51.100.1:53 len 92';
const TO_WAN = 'out wan udp 203.0.113.5:4000 > 198.51.100.1:53';

const GATHERING: readonly Case[] = [
  {
    name: 'the output comes with the last missing piece, cut where it was cut, one packet to every counter',
    rules: [MASQUERADE, ...COUNT, '-t raw -A PREROUTING -f', '-t raw -A PREROUTING -p udp --dport 53'],
    script: `
      ${FROM_LAN} piece 0-40
      drop
      ${FROM_LAN} piece 40-64
      drop
      ${FROM_LAN} piece 64-100
      ${TO_WAN} piece 0-40
      ${TO_WAN} piece 40-64
      ${TO_WAN} piece 64-100
    `,
    counters: [
      'raw [0:0] -A PREROUTING -f',
      'raw [1:120] -A PREROUTING -p udp -m udp --dport 53',
      'filter [0:0] -A FORWARD -f',
      'filter [1:120] -A FORWARD -p udp -m udp --dport 53',
      'nat [1:120] -A POSTROUTING -o wan -j MASQUERADE',
    ],
    connections: ['udp 30 192.168.1.9:4000 > 198.51.100.1:53 [UNREPLIED] 198.51.100.1:53 > 203.0.113.5:4000'],
  },
  {
    name: 'in whatever order they come',
    script: `
      ${FROM_LAN} piece 64-100
      drop
      ${FROM_LAN} piece 0-40
      drop
      ${FROM_LAN} piece 40-64
      ${TO_WAN} piece 0-40
      ${TO_WAN} piece 40-64
      ${TO_WAN} piece 64-100
    `,
  },
  {
    name: 'each datagram by its id',
    script: `
      ${FROM_LAN} id 1 piece 0-40
      drop
      ${FROM_LAN} id 2 piece 0-40
      drop
      ${FROM_LAN} id 2 piece 40-100
      ${TO_WAN} piece 0-40
      ${TO_WAN} piece 40-100
    `,
  },
  {
    name: 'whatever interfaces they come in by',
    rules: [MASQUERADE],
    host: { ...HOME_HOST, addr: [...HOME_HOST.addr, link('dmz', '192.168.2.1/24')] },
    script: `
      ${FROM_LAN} piece 0-40
      drop
      in dmz udp 192.168.1.9:4000 > 198.51.100.1:53 len 92 piece 40-100
      ${TO_WAN} piece 0-40
      ${TO_WAN} piece 40-100
    `,
  },
  {
    name: 'a duplicate is ignored',
    script: `
      ${FROM_LAN} piece 0-40
      drop
      ${FROM_LAN} piece 0-40
      drop
      ${FROM_LAN} piece 8-32
      drop
      ${FROM_LAN} piece 40-100
      ${TO_WAN} piece 0-40
      ${TO_WAN} piece 40-100
    `,
  },
  {
    name: 'an overlap kills the datagram',
    script: `
      ${FROM_LAN} piece 0-40
      drop
      ${FROM_LAN} piece 32-64
      drop
      ${FROM_LAN} piece 64-100
      drop
      ${FROM_LAN} piece 40-64
      drop
    `,
    connections: [],
  },
  {
    name: 'a fragment behind the last one kills it too',
    script: `
      ${FROM_LAN} piece 64-100
      drop
      in lan udp 192.168.1.9:4000 > 198.51.100.1:53 len 200 piece 104-128
      drop
      ${FROM_LAN} piece 0-64
      drop
    `,
  },
  {
    name: 'time is over ipfrag_time after the first fragment',
    host: { ...HOME_HOST, sysctl: { 'net.ipv4.ipfrag_time': '1' } },
    script: `
      ${FROM_LAN} piece 0-40
      drop
      wait 1.5
      ${FROM_LAN} piece 40-100
      drop
    `,
  },
  {
    name: 'too many fragments of other datagrams come in between (ipfrag_max_dist)',
    host: { ...HOME_HOST, sysctl: { 'net.ipv4.ipfrag_max_dist': '2' } },
    script: `
      ${FROM_LAN} id 1 piece 0-40
      drop
      ${FROM_LAN} id 2 piece 0-40
      drop
      ${FROM_LAN} id 3 piece 0-40
      drop
      ${FROM_LAN} id 1 piece 40-100
      drop
      ${FROM_LAN} id 1 piece 0-40
      ${TO_WAN} piece 0-40
      ${TO_WAN} piece 40-100
    `,
  },
  {
    name: 'no memory for fragments at all',
    host: { ...HOME_HOST, sysctl: { 'net.ipv4.ipfrag_low_thresh': '0', 'net.ipv4.ipfrag_high_thresh': '0' } },
    script: `
      ${FROM_LAN} piece 0-40
      drop
      ${FROM_LAN} piece 40-100
      drop
    `,
  },
];

const SENDING_ON: readonly Case[] = [
  {
    name: 'a first fragment shorter than the TCP header: cut anew at the size of the largest',
    script: `
      in lan tcp 192.168.1.9:4000 > 198.51.100.1:80 S len 60 piece 0-8
      drop
      in lan tcp 192.168.1.9:4000 > 198.51.100.1:80 S len 60 piece 8-48
      drop
      in lan tcp 192.168.1.9:4000 > 198.51.100.1:80 S len 60 piece 48-80
      out wan tcp 203.0.113.5:4000 > 198.51.100.1:80 S piece 0-40
      out wan tcp 203.0.113.5:4000 > 198.51.100.1:80 S piece 40-80
    `,
  },
  {
    name: 'all take the TTL of the first',
    script: `
      ${FROM_LAN} ttl 10 piece 40-100
      drop
      ${FROM_LAN} ttl 20 piece 0-40
      ${TO_WAN} ttl 19 piece 0-40
      ${TO_WAN} ttl 19 piece 40-100
    `,
  },
  {
    name: 'DF is cleared where the cuts are kept',
    script: `
      ${FROM_LAN} df piece 0-40
      drop
      ${FROM_LAN} df piece 40-100
      ${TO_WAN} no-df piece 0-40
      ${TO_WAN} no-df piece 40-100
    `,
  },
  {
    name: 'and stays where they are not',
    script: `
      in lan tcp 192.168.1.9:4000 > 198.51.100.1:80 S len 60 df piece 0-8
      drop
      in lan tcp 192.168.1.9:4000 > 198.51.100.1:80 S len 60 df piece 8-80
      out wan tcp 203.0.113.5:4000 > 198.51.100.1:80 S piece 0-72
      out wan tcp 203.0.113.5:4000 > 198.51.100.1:80 S piece 72-80
    `,
  },
  {
    name: 'congestion that one met is told by all',
    script: `
      ${FROM_LAN} tos 2 piece 0-40
      drop
      ${FROM_LAN} tos 3 piece 40-100
      ${TO_WAN} tos 3 piece 0-40
      ${TO_WAN} tos 3 piece 40-100
    `,
  },
  {
    name: 'with and without ECN do not belong together',
    script: `
      ${FROM_LAN} tos 2 piece 0-40
      drop
      ${FROM_LAN} tos 0 piece 40-100
      drop
    `,
  },
  {
    name: 'options without the copy flag become no-operations in later ones',
    script: `
      ${FROM_LAN} options 1e0400aa94040000 piece 0-40
      drop
      ${FROM_LAN} options 1e0400aa94040000 piece 40-100
      ${TO_WAN} piece 0-40
      ${TO_WAN} options 0101010194040000 piece 40-100
    `,
  },
  {
    name: 'a wrong UDP checksum is INVALID: gathered, not translated, cut again',
    rules: [MASQUERADE, '-A FORWARD -m conntrack --ctstate INVALID'],
    script: `
      ${FROM_LAN} bad-checksum piece 0-40
      drop
      ${FROM_LAN} bad-checksum piece 40-100
      out wan same
      out wan same
    `.replace('out wan same', 'out wan udp 192.168.1.9:4000 > 198.51.100.1:53 piece 0-40'),
    counters: ['filter [1:120] -A FORWARD -m conntrack --ctstate INVALID'],
  },
  {
    name: 'the host itself gets the datagram whole',
    script: `
      in lan udp 192.168.1.9:4000 > 192.168.1.1:53 len 92 piece 0-40
      drop
      in lan udp 192.168.1.9:4000 > 192.168.1.1:53 len 92 piece 40-100
      host udp 192.168.1.9:4000 > 192.168.1.1:53 piece 0-100
    `,
  },
  {
    name: 'an answer in fragments finds its connection',
    script: `
      in lan udp 192.168.1.9:4000 > 198.51.100.1:53
      out wan udp 203.0.113.5:4000 > 198.51.100.1:53
      in wan udp 198.51.100.1:53 > 203.0.113.5:4000 len 92 piece 48-100
      drop
      in wan udp 198.51.100.1:53 > 203.0.113.5:4000 len 92 piece 0-48
      out lan udp 198.51.100.1:53 > 192.168.1.9:4000 piece 0-48
      out lan udp 198.51.100.1:53 > 192.168.1.9:4000 piece 48-100
    `,
  },
];

const UNTRACKED: readonly Case[] = [
  {
    name: 'without connection tracking each fragment goes its way, and only the first has ports',
    rules: COUNT,
    script: `
      ${FROM_LAN} piece 0-40
      out wan same
      ${FROM_LAN} piece 64-100
      out wan same
    `,
    counters: ['filter [1:56] -A FORWARD -f', 'filter [1:60] -A FORWARD -p udp -m udp --dport 53'],
  },
  {
    name: 'those for the host are gathered before INPUT all the same',
    rules: COUNT,
    script: `
      in lan udp 192.168.1.9:4000 > 192.168.1.1:53 len 92 piece 0-40
      drop
      in lan udp 192.168.1.9:4000 > 192.168.1.1:53 len 92 piece 40-100
      host udp 192.168.1.9:4000 > 192.168.1.1:53 piece 0-100
    `,
    counters: ['filter [0:0] -A INPUT -f', 'filter [1:120] -A INPUT -p udp -m udp --dport 53'],
  },
];

/** The way out is narrower than the way in. */
const NARROW = { ...HOME_HOST, addr: [link('lan', '192.168.1.1/24'), { ...link('wan', '203.0.113.5/24'), mtu: 1300 }] };
const WIDE = 'in lan udp 192.168.1.9:4000 > 198.51.100.1:53 len 1392';

const NARROW_LINKS: readonly Case[] = [
  {
    name: 'what is too long for the link is cut',
    script: `
      ${WIDE}
      ${TO_WAN} piece 0-1280
      ${TO_WAN} piece 1280-1400
    `,
  },
  {
    name: 'unless it says DF: then the sender is told, and no rule of FORWARD sees it',
    rules: [MASQUERADE, '-A FORWARD -p udp'],
    script: `
      ${WIDE} df
      drop
    `,
    counters: ['filter [0:0] -A FORWARD -p udp'],
    connections: [],
  },
  {
    name: 'fragments that are too long are cut anew',
    script: `
      ${WIDE} piece 0-1376
      drop
      ${WIDE} piece 1376-1400
      ${TO_WAN} piece 0-1280
      ${TO_WAN} piece 1280-1400
    `,
  },
  {
    name: 'fragments that fit stay, whatever they say, though the datagram would not fit',
    script: `
      ${WIDE} df piece 0-1000
      drop
      ${WIDE} df piece 1000-1400
      ${TO_WAN} no-df piece 0-1000
      ${TO_WAN} no-df piece 1000-1400
    `,
  },
];

/** Addresses as they stand in options. */
const WAN = 'cb007105';
const LAN = 'c0a80101';

/** Header checksum of the packet below, as its sender wrote it. */
const STALE = Buffer.from(
  build(parsePacket('udp 192.168.1.9:4000 > 192.168.1.1:53 options 070704.00000000.00'.split(' '))),
).readUInt16BE(10);

const OPTIONS: readonly Case[] = [
  {
    name: 'a record route takes the address the packet leaves by',
    script: `
      ${FROM_LAN} options 070b04.00000000.00000000.00
      ${TO_WAN} options 070b08.${WAN}.00000000.00
    `,
  },
  {
    name: 'in the first free slot; in none when they are taken',
    script: `
      ${FROM_LAN} options 070b08.01020304.00000000.00
      ${TO_WAN} options 070b0c.01020304.${WAN}.00
      ${FROM_LAN} options 070b0c.01020304.05060708.00
      ${TO_WAN} options 070b0c.01020304.05060708.00
    `,
  },
  {
    name: 'and that of the host, whose header checksum nobody sets right',
    script: `
      in lan udp 192.168.1.9:4000 > 192.168.1.1:53 options 070704.00000000.00
      host udp 192.168.1.9:4000 > 192.168.1.1:53 options 070708.${LAN}.00 ip-sum ${STALE}
    `,
  },
  {
    name: 'a timestamp without room counts the hosts that found none',
    script: `
      ${FROM_LAN} options 4408.0910.00000001
      ${TO_WAN} options 4408.0920.00000001
    `,
  },
  {
    name: 'until fifteen: one more is malformed',
    script: `
      ${FROM_LAN} options 4408.09f0.00000001
      drop
    `,
  },
  {
    name: 'a timestamp that only named hosts fill in stays when none of them is this one',
    script: `
      ${FROM_LAN} options 440c.0503.c6336407.00000000
      ${TO_WAN} same-options
    `.replace(' same-options', ''),
  },
  {
    name: 'bytes behind the end of options become zero',
    script: `
      ${FROM_LAN} options 00112233
      ${TO_WAN} options 00000000
    `,
  },
  {
    name: 'options that the kernel does not know stay as they are',
    script: `
      ${FROM_LAN} options 1e0400aa
      ${TO_WAN}
      ${FROM_LAN} options 94040000
      ${TO_WAN}
      ${FROM_LAN} options 820b00000000000000000001
      ${TO_WAN}
    `,
  },
  {
    name: 'source routing is dropped, behind nat of PREROUTING, with no entry left',
    script: `
      ${FROM_LAN} options 830704.c6336401.00
      drop
      ${FROM_LAN} options 890704.c6336401.00
      drop
      ${FROM_LAN} options 830708.c6336401.00
      drop
      in lan udp 192.168.1.9:4000 > 192.168.1.1:53 options 830704.c6336401.00
      drop
    `,
    connections: [],
  },
  {
    name: 'malformed options are dropped',
    script: [
      '07000000',
      '07010000',
      '07ff0400',
      '07070300.00000000',
      '07060400.00000000',
      '07030407.03040000',
      '44040400',
      '86060000.00010000',
      '01010107',
      '94030000',
    ]
      .map((options) => `${FROM_LAN} options ${options}\ndrop\n`)
      .join(''),
    connections: [],
  },
];

const defaults = { host: HOME_HOST, rules: [MASQUERADE] };
chapter('D. fragments are gathered', defaults, GATHERING);
chapter('D. and sent on', defaults, SENDING_ON);
chapter('D. without connection tracking', defaults, UNTRACKED);
chapter('D. links that are narrower', { ...defaults, host: NARROW }, NARROW_LINKS);
chapter('E8. options', defaults, OPTIONS);
