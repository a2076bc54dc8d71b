/** Matches and targets that remember: ipsets, recent, hashlimit, connlimit, connbytes, quota (kernel: net/netfilter/xt_*.c). */
import type { HostFile } from '../../../src/host/hostschema.js';
import { HOME_HOST } from '../hosts.js';
import { type Case, chapter } from './chapter.js';

const withSets = (...lines: string[]): HostFile => ({ ...HOME_HOST, ipset: `${lines.join('\n')}\n` });
const TRACK = '-t nat -A POSTROUTING -d 203.0.113.77/32 -j MASQUERADE';

const SETS: readonly Case[] = [
  {
    name: 'hash:ip: the source is in it or not; `!` the other way round',
    host: withSets('create a hash:ip', 'add a 192.168.1.9'),
    rules: ['-A FORWARD -m set --match-set a src -j DROP', '-A FORWARD -m set ! --match-set a dst'],
    script: `
      in  lan udp 192.168.1.9:4000 > 198.51.100.1:53
      drop
      in  lan udp 192.168.1.8:4000 > 198.51.100.1:53
      out wan same
      in  wan udp 198.51.100.1:53 > 192.168.1.9:4000
      out lan same
    `,
    counters: [
      'filter [1:28] -A FORWARD -m set --match-set a src -j DROP',
      'filter [1:28] -A FORWARD -m set ! --match-set a dst',
    ],
  },
  {
    name: 'hash:net: the longest network decides, `nomatch` is an exception, and --return-nomatch finds those alone',
    host: withSets('create n hash:net', 'add n 192.168.0.0/16', 'add n 192.168.1.0/24 nomatch', 'add n 192.168.1.9/32'),
    rules: ['-A FORWARD -m set --match-set n src', '-A FORWARD -m set --match-set n src --return-nomatch -j DROP'],
    script: `
      in  lan udp 192.168.1.9:4000 > 198.51.100.1:53
      out wan same
      in  lan udp 192.168.1.8:4000 > 198.51.100.1:53
      drop
      in  lan udp 192.168.2.8:4000 > 198.51.100.1:53
      out wan same
    `,
    counters: ['filter [2:56] -A FORWARD -m set --match-set n src'],
  },
  {
    name: 'hash:ip,port knows protocols, ICMP by type and code; too few directions never match',
    host: withSets('create s hash:ip,port', 'add s 198.51.100.1,udp:53', 'add s 198.51.100.1,icmp:echo-request'),
    rules: [
      '-A FORWARD -m set --match-set s dst,dst',
      '-A FORWARD -m set --match-set s dst',
      '-A FORWARD -m set --match-set s dst,src',
    ],
    script: `
      in  lan udp 192.168.1.9:4000 > 198.51.100.1:53
      out wan same
      in  lan tcp 192.168.1.9:4000 > 198.51.100.1:53 S
      out wan same
      in  lan icmp 192.168.1.9 > 198.51.100.1 ping 7
      out wan same
      in  lan udp 192.168.1.9:53 > 198.51.100.1:80
      out wan same
    `,
    counters: [
      'filter [2:56] -A FORWARD -m set --match-set s dst,dst',
      'filter [0:0] -A FORWARD -m set --match-set s dst',
      'filter [2:56] -A FORWARD -m set --match-set s dst,src',
    ],
  },
  {
    name: 'hash:net,iface: the longest network with any interface decides',
    host: withSets(
      'create i hash:net,iface',
      'add i 192.168.1.0/24,wan',
      'add i 192.168.0.0/16,lan',
      'add i 192.168.2.0/24,lan',
    ),
    rules: ['-A FORWARD -m set --match-set i src,src -j DROP'],
    script: `
      in  lan udp 192.168.1.9:4000 > 198.51.100.1:53
      out wan same
      in  lan udp 192.168.2.9:4000 > 198.51.100.1:53
      drop
      in  lan udp 192.168.3.9:4000 > 198.51.100.1:53
      drop
    `,
  },
  {
    name: 'bitmaps: ports of TCP and UDP, addresses in networks',
    host: withSets(
      'create p bitmap:port range 0-1023',
      'add p 53',
      'create b bitmap:ip range 192.168.0.0/16 netmask 24',
      'add b 192.168.1.0',
    ),
    rules: [
      '-A FORWARD -m set --match-set p dst',
      '-A FORWARD -m set --match-set b src',
      '-A FORWARD -m set ! --match-set b dst',
    ],
    script: `
      in  lan udp 192.168.1.9:4000 > 198.51.100.1:53
      out wan same
      in  lan tcp 192.168.1.9:4000 > 198.51.100.1:53 S
      out wan same
      in  lan icmp 192.168.1.9 > 198.51.100.1 ping 7
      out wan same
      in  lan udp 192.168.2.9:4000 > 198.51.100.1:5353
      out wan same
    `,
  },
  {
    name: 'list:set asks its members in turn; counters of the list and of the member',
    host: withSets(
      'create a hash:ip counters',
      'create b hash:net counters',
      'create l list:set counters',
      'add a 192.168.1.9',
      'add b 192.168.1.0/24',
      'add l a',
      'add l b',
    ),
    rules: [
      '-A FORWARD -m set --match-set l src',
      '-A FORWARD -m set --match-set a src --packets-gt 2',
      '-A FORWARD -m set --match-set l src --packets-gt 3 -j DROP',
      '-A FORWARD -m set ! --match-set b src --bytes-lt 100',
    ],
    script: `
      in  lan udp 192.168.1.9:4000 > 198.51.100.1:53
      out wan same
      in  lan udp 192.168.1.8:4000 > 198.51.100.1:53
      out wan same
      in  lan udp 192.168.1.9:4001 > 198.51.100.1:53
      drop
      in  lan udp 192.168.1.8:4001 > 198.51.100.1:53
      drop
    `,
  },
  {
    name: 'counters: `! --update-counters` only asks; equal, not equal, less',
    host: withSets(
      'create a hash:ip counters',
      'add a 192.168.1.9 packets 2 bytes 100',
      'create c hash:ip',
      'add c 192.168.1.9',
    ),
    rules: [
      '-A FORWARD -m set --match-set a src ! --update-counters --packets-eq 2',
      '-A FORWARD -m set --match-set a src --packets-eq 3',
      '-A FORWARD -m set --match-set a src ! --update-counters ! --packets-eq 3',
      '-A FORWARD -m set --match-set a src ! --update-counters --bytes-lt 129',
      '-A FORWARD -m set ! --match-set a src ! --update-counters --bytes-lt 129',
      '-A FORWARD -m set --match-set c src --packets-gt 7',
    ],
    script: `
      in  lan udp 192.168.1.9:4000 > 198.51.100.1:53
      out wan same
      in  lan udp 192.168.1.9:4001 > 198.51.100.1:53
      out wan same
    `,
  },
  {
    name: 'SET adds, deletes and maps marks; a network added is as long as the longest there is',
    host: withSets(
      'create a hash:ip',
      'create n hash:net',
      'add n 10.0.0.0/24',
      'create m hash:ip skbinfo',
      'add m 192.168.1.9 skbmark 0x10/0xf0',
      'create d hash:ip',
      'add d 192.168.1.9',
    ),
    rules: [
      '-t mangle -A PREROUTING -j SET --map-set m src --map-mark',
      '-A FORWARD -m mark --mark 0x10',
      '-A FORWARD -m set --match-set a src -j DROP',
      '-A FORWARD -j SET --add-set a src --del-set d src',
      '-A FORWARD -j SET --add-set n dst',
      '-A FORWARD -m set --match-set n dst',
      '-A FORWARD -m set --match-set d src',
    ],
    script: `
      in  lan udp 192.168.1.9:4000 > 198.51.100.1:53
      out wan same
      in  lan udp 192.168.1.9:4000 > 198.51.100.1:53
      drop
      in  lan udp 192.168.1.8:4000 > 198.51.100.200:53
      out wan same
    `,
    counters: ['filter [2:56] -A FORWARD -m mark --mark 0x10'],
  },
  {
    name: 'what SET adds times out; --exist begins its time anew',
    host: withSets('create a hash:ip timeout 0', 'create b hash:ip timeout 1'),
    rules: [
      '-A FORWARD -m set --match-set a src -j DROP',
      '-A FORWARD -m set --match-set b src',
      '-A FORWARD -p udp --dport 53 -j SET --add-set a src --timeout 1 --exist',
      '-A FORWARD -p udp --dport 54 -j SET --add-set b src --exist',
    ],
    script: `
      in  lan udp 192.168.1.9:4000 > 198.51.100.1:53
      out wan same
      in  lan udp 192.168.1.9:4000 > 198.51.100.1:53
      drop
      in  lan udp 192.168.1.8:4000 > 198.51.100.1:54
      out wan same
      wait 1.3
      in  lan udp 192.168.1.9:4000 > 198.51.100.1:80
      out wan same
      in  lan udp 192.168.1.8:4000 > 198.51.100.1:80
      out wan same
    `,
  },
  {
    name: 'a full set takes no more',
    host: withSets('create a hash:ip maxelem 1 hashsize 64'),
    rules: ['-A FORWARD -m set --match-set a src -j DROP', '-A FORWARD -j SET --add-set a src'],
    script: `
      in  lan udp 192.168.1.9:4000 > 198.51.100.1:53
      out wan same
      in  lan udp 192.168.1.8:4000 > 198.51.100.1:53
      out wan same
      in  lan udp 192.168.1.8:4000 > 198.51.100.1:53
      out wan same
      in  lan udp 192.168.1.9:4000 > 198.51.100.1:53
      drop
    `,
  },
];

const RECENT: readonly Case[] = [
  {
    name: 'the third packet within a minute is dropped, and each try counts',
    rules: [
      '-A FORWARD -p udp -m recent --update --seconds 60 --hitcount 3 --name r1 -j DROP',
      '-A FORWARD -p udp -m recent --set --name r1',
    ],
    script: `
      in  lan udp 192.168.1.9:4000 > 198.51.100.1:53
      out wan same
      in  lan udp 192.168.1.9:4000 > 198.51.100.1:53
      out wan same
      in  lan udp 192.168.1.8:4000 > 198.51.100.1:53
      out wan same
      in  lan udp 192.168.1.9:4000 > 198.51.100.1:53
      out wan same
      in  lan udp 192.168.1.9:4000 > 198.51.100.1:53
      drop
    `,
  },
  {
    name: '--rcheck, --remove and `!`; networks by --mask, destinations by --rdest',
    rules: [
      '-A FORWARD -p udp -m udp --dport 1 -m recent --set --name r2 --mask 255.255.255.0 --rdest',
      '-A FORWARD -p udp -m udp --dport 2 -m recent --rcheck --name r2 --mask 255.255.255.0 --rdest -j DROP',
      '-A FORWARD -p udp -m udp --dport 3 -m recent --remove --name r2 --mask 255.255.255.0 --rdest',
      '-A FORWARD -p udp -m udp --dport 2 -m recent ! --rcheck --name r2 --mask 255.255.255.0 --rdest',
      '-A FORWARD -p udp -m udp --dport 4 -m recent ! --set --name r2 --mask 255.255.255.0 --rdest',
    ],
    script: `
      in  lan udp 192.168.1.9:4000 > 198.51.100.1:2
      out wan same
      in  lan udp 192.168.1.9:4000 > 198.51.100.1:1
      out wan same
      in  lan udp 192.168.1.9:4000 > 198.51.100.77:2
      drop
      in  lan udp 192.168.1.9:4000 > 198.51.101.77:2
      out wan same
      in  lan udp 192.168.1.9:4000 > 198.51.100.9:3
      out wan same
      in  lan udp 192.168.1.9:4000 > 198.51.100.77:2
      out wan same
      in  lan udp 192.168.1.9:4000 > 198.51.100.77:4
      out wan same
      in  lan udp 192.168.1.9:4000 > 198.51.100.77:2
      drop
    `,
  },
  {
    name: '--rttl asks for the TTL that the packet came in with; seconds are over, and --reap forgets',
    rules: [
      '-A FORWARD -p udp -m udp --dport 1 -m recent --set --name r3',
      '-A FORWARD -p udp -m udp --dport 2 -m recent --rcheck --rttl --name r3 -j DROP',
      '-A FORWARD -p udp -m udp --dport 3 -m recent --rcheck --seconds 1 --reap --name r3 -j DROP',
      '-A FORWARD -p udp -m udp --dport 4 -m recent --rcheck --name r3',
      '-t mangle -A PREROUTING -p udp -m udp --dport 2 -m recent --rcheck --rttl --name r3',
    ],
    script: `
      in  lan udp 192.168.1.9:4000 > 198.51.100.1:1 ttl 64
      out wan same
      in  lan udp 192.168.1.9:4000 > 198.51.100.1:2 ttl 63
      out wan same
      in  lan udp 192.168.1.9:4000 > 198.51.100.1:2 ttl 64
      drop
      in  lan udp 192.168.1.9:4000 > 198.51.100.1:3
      drop
      wait 1.4
      in  lan udp 192.168.1.9:4000 > 198.51.100.1:3
      out wan same
      in  lan udp 192.168.1.9:4000 > 198.51.100.1:4
      out wan same
    `,
  },
];

const LIMITS: readonly Case[] = [
  {
    name: 'hashlimit: a burst for each source, then nothing for an hour',
    rules: [
      '-A FORWARD -m hashlimit --hashlimit-above 1/hour --hashlimit-burst 2 --hashlimit-mode srcip --hashlimit-name h1 -j DROP',
    ],
    script: `
      in  lan udp 192.168.1.9:4000 > 198.51.100.1:53
      out wan same
      in  lan udp 192.168.1.9:4001 > 198.51.100.1:54
      out wan same
      in  lan udp 192.168.1.9:4002 > 198.51.100.1:53
      drop
      in  lan udp 192.168.1.8:4000 > 198.51.100.1:53
      out wan same
    `,
  },
  {
    name: 'hashlimit: groups by network and port; protocols without ports share one',
    rules: [
      '-A FORWARD -m hashlimit --hashlimit-upto 1/hour --hashlimit-burst 1 --hashlimit-mode dstip,dstport --hashlimit-dstmask 24 --hashlimit-name h2 -j ACCEPT',
      '-P FORWARD DROP',
    ],
    script: `
      in  lan udp 192.168.1.9:4000 > 198.51.100.1:53
      out wan same
      in  lan tcp 192.168.1.9:4000 > 198.51.100.2:53 S
      drop
      in  lan udp 192.168.1.9:4000 > 198.51.100.1:54
      out wan same
      in  lan icmp 192.168.1.9 > 198.51.100.1 ping 7
      out wan same
      in  lan icmp 192.168.1.9 > 198.51.100.9 ping 7
      drop
    `,
  },
  {
    name: 'hashlimit by bytes, and by a rate that is not limited',
    rules: [
      '-A FORWARD -p udp -m udp --dport 1 -m hashlimit --hashlimit-above 16b/s --hashlimit-name h3 -j DROP',
      '-A FORWARD -p udp -m udp --dport 2 -m hashlimit --hashlimit-above 1/min --hashlimit-burst 1 --hashlimit-rate-match --hashlimit-name h4 -j DROP',
    ],
    script: `
      in  lan udp 192.168.1.9:4000 > 198.51.100.1:1 len 100
      out wan same
      in  lan udp 192.168.1.9:4000 > 198.51.100.1:1 len 100
      drop
      in  lan udp 192.168.1.9:4000 > 198.51.100.1:2
      out wan same
      in  lan udp 192.168.1.9:4000 > 198.51.100.1:2
      out wan same
      in  lan udp 192.168.1.9:4000 > 198.51.100.1:2
      drop
    `,
  },
  {
    name: 'quota lasts as long as packets fit; what does not fit uses up the rest',
    rules: [
      '-A FORWARD -p udp -m quota --quota 100 -j ACCEPT',
      '-A FORWARD -p tcp -m quota ! --quota 50',
      '-P FORWARD DROP',
    ],
    script: `
      in  lan udp 192.168.1.9:4000 > 198.51.100.1:53
      out wan same
      in  lan udp 192.168.1.9:4000 > 198.51.100.1:53
      out wan same
      in  lan udp 192.168.1.9:4000 > 198.51.100.1:53 len 40
      drop
      in  lan udp 192.168.1.9:4000 > 198.51.100.1:53
      drop
      in  lan tcp 192.168.1.9:4000 > 198.51.100.1:53 S
      drop
      in  lan tcp 192.168.1.9:4000 > 198.51.100.1:53 S
      drop
    `,
  },
];

const CONNECTIONS: readonly Case[] = [
  {
    name: 'connlimit: the third connection of an address is refused; those that are there only once the next new one shows that it is gone',
    rules: ['-A FORWARD -p udp -m connlimit --connlimit-above 2 -j DROP'],
    script: `
      in  lan udp 192.168.1.9:4000 > 198.51.100.1:53
      out wan same
      in  lan udp 192.168.1.9:4001 > 198.51.100.1:53
      out wan same
      wait 0.1
      in  lan udp 192.168.1.9:4000 > 198.51.100.1:53
      out wan same
      in  lan udp 192.168.1.9:4002 > 198.51.100.1:53
      drop
      in  lan udp 192.168.1.8:4000 > 198.51.100.1:53
      out wan same
      wait 0.1
      in  lan udp 192.168.1.9:4000 > 198.51.100.1:53
      drop
      wait 0.1
      in  lan udp 192.168.1.9:4003 > 198.51.100.1:53
      drop
      wait 0.1
      in  lan udp 192.168.1.9:4000 > 198.51.100.1:53
      drop
    `,
  },
  {
    name: 'connlimit: a TCP connection that is reset counts no more',
    rules: [
      '-A FORWARD -p tcp -m connlimit --connlimit-upto 1 --connlimit-mask 24 --connlimit-daddr -j ACCEPT',
      '-A FORWARD -i wan -j ACCEPT',
      '-P FORWARD DROP',
    ],
    script: `
      in  lan tcp 192.168.1.9:4000 > 198.51.100.1:80 S seq 100
      out wan same
      wait 0.1
      in  lan tcp 192.168.1.9:4001 > 198.51.100.2:80 S seq 100
      drop
      in  wan tcp 198.51.100.1:80 > 192.168.1.9:4000 RA seq 0 ack 101
      out lan same
      wait 0.1
      in  lan tcp 192.168.1.9:4001 > 198.51.100.2:80 S seq 100
      out wan same
    `,
  },
  {
    name: 'connbytes: packets, bytes and their average by direction, the packet in hand counted; SYNs sent again are not',
    rules: [
      '-A FORWARD -m connbytes --connbytes 2 --connbytes-mode packets --connbytes-dir original',
      '-A FORWARD -m connbytes --connbytes 1:1 --connbytes-mode packets --connbytes-dir reply',
      '-A FORWARD -m connbytes --connbytes 80:100 --connbytes-mode bytes --connbytes-dir both',
      '-A FORWARD -m connbytes ! --connbytes 40:45 --connbytes-mode avgpkt --connbytes-dir both',
    ],
    script: `
      in  lan tcp 192.168.1.9:4000 > 198.51.100.1:80 S seq 100
      out wan same
      in  lan tcp 192.168.1.9:4000 > 198.51.100.1:80 S seq 100
      out wan same
      in  wan tcp 198.51.100.1:80 > 192.168.1.9:4000 SA seq 900 ack 101
      out lan same
      in  lan tcp 192.168.1.9:4000 > 198.51.100.1:80 A seq 101 ack 901
      out wan same
      in  lan tcp 192.168.1.9:4000 > 198.51.100.1:80 PA seq 101 ack 901 len 200
      out wan same
      in  lan udp 192.168.1.9:4000 > 198.51.100.1:53 len 70
      out wan same
      in  wan udp 198.51.100.1:53 > 192.168.1.9:4000
      out lan same
    `,
  },
  {
    name: 'connlabel: a label that --set put on the connection is there in both directions',
    rules: [
      '-A FORWARD -p udp -m udp --dport 53 -m connlabel --label 7 --set',
      '-A FORWARD -m connlabel --label 7',
      '-A FORWARD -m connlabel ! --label 7',
    ],
    script: `
      in  lan udp 192.168.1.9:4000 > 198.51.100.1:53
      out wan same
      in  wan udp 198.51.100.1:53 > 192.168.1.9:4000
      out lan same
      in  lan udp 192.168.1.9:4000 > 198.51.100.1:54
      out wan same
    `,
    counters: [
      'filter [2:56] -A FORWARD -m connlabel --label "7"',
      'filter [1:28] -A FORWARD -m connlabel ! --label "7"',
    ],
  },
];

chapter('sets', { host: HOME_HOST, rules: [] }, SETS);
chapter('recent', { host: HOME_HOST, rules: [] }, RECENT);
chapter('limits', { host: HOME_HOST, rules: [] }, LIMITS);
chapter(
  'connections counted',
  { host: HOME_HOST, rules: [TRACK] },
  CONNECTIONS.map((test) => ({ ...test, rules: [TRACK, ...(test.rules ?? [])] })),
);
