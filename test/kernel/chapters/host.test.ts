/** What the host itself sends, and the answers to it (KERNEL.md A1, A5, B9, E1). */
import type { HostFile } from '../../../src/host/hostschema.js';
import { DOCKER_HOST, HOME_HOST } from '../hosts.js';
import { type Case, chapter } from './chapter.js';

const MASQUERADE = '-t nat -A POSTROUTING -o wan -j MASQUERADE';
/** Tracks connections, translates none. */
const TRACK = '-t nat -A POSTROUTING -d 203.0.113.77/32 -j MASQUERADE';

/** Packets marked 1 go out of lan, to a router there. */
const MARKED_TO_LAN: HostFile = {
  ...HOME_HOST,
  route: [...(HOME_HOST.route ?? []), { dst: 'default', gateway: '192.168.1.254', dev: 'lan', table: '100' }],
  rule: [
    { priority: 0, src: 'all', table: 'local' },
    { priority: 100, src: 'all', fwmark: '0x1', table: '100' },
    { priority: 32766, src: 'all', table: 'main' },
  ],
};

const withSettings = (host: HostFile, sysctl: Record<string, string>): HostFile => ({ ...host, sysctl });

/** The host's answers to tcp are INVALID in OUTPUT; those that come back over loopback are known in the zone there. */
const ANSWERS_KNOWN_IN_PREROUTING = [
  '-t raw -A PREROUTING -i lo',
  '-t raw -A PREROUTING -p tcp -j CT --zone 1',
  '-t nat -A INPUT -p tcp -j SNAT --to-source 192.168.1.1',
  '-A INPUT -i lo',
];

const WAY: readonly Case[] = [
  {
    name: 'a packet of the host meets OUTPUT of raw, mangle, nat and filter, then POSTROUTING of mangle and nat, and keeps its TTL',
    rules: [
      '-t raw -A OUTPUT -s 203.0.113.5/32 -o wan',
      '-t mangle -A OUTPUT -s 203.0.113.5/32 -o wan',
      '-t nat -A OUTPUT -d 198.51.100.1/32 -o wan',
      '-A OUTPUT -d 198.51.100.1/32 -o wan -m ttl --ttl-eq 64',
      '-t mangle -A POSTROUTING -s 203.0.113.5/32 -o wan',
      '-t nat -A POSTROUTING -s 203.0.113.5/32 -o wan -j SNAT --to-source 203.0.113.9',
      '-t raw -A PREROUTING',
      '-t mangle -A FORWARD',
      '-A FORWARD',
    ],
    script: `
      in  @local udp 203.0.113.5:4000 > 198.51.100.1:53
      out wan    udp 203.0.113.9:4000 > 198.51.100.1:53 ttl 64
    `,
    counters: [
      'raw [1:28] -A OUTPUT -s 203.0.113.5/32 -o wan',
      'mangle [1:28] -A OUTPUT -s 203.0.113.5/32 -o wan',
      'nat [1:28] -A OUTPUT -d 198.51.100.1/32 -o wan',
      'filter [1:28] -A OUTPUT -d 198.51.100.1/32 -o wan -m ttl --ttl-eq 64',
      'mangle [1:28] -A POSTROUTING -s 203.0.113.5/32 -o wan',
      'nat [1:28] -A POSTROUTING -s 203.0.113.5/32 -o wan -j SNAT --to-source 203.0.113.9',
      'raw [0:0] -A PREROUTING',
      'mangle [0:0] -A FORWARD',
      'filter [0:0] -A FORWARD',
    ],
    connections: ['udp 30 203.0.113.5:4000 > 198.51.100.1:53 [UNREPLIED] 198.51.100.1:53 > 203.0.113.9:4000'],
  },
  {
    name: 'an answer is translated back in PREROUTING and delivered: INPUT sees it ESTABLISHED, with the address of the host',
    rules: [
      '-t nat -A POSTROUTING -o wan -p tcp -j SNAT --to-source 203.0.113.9:7000',
      '-t mangle -A PREROUTING -d 203.0.113.9/32',
      '-A INPUT -d 203.0.113.5/32 -p tcp -m tcp --dport 4000 -m conntrack --ctstate ESTABLISHED',
      '-A OUTPUT -p tcp -m conntrack --ctstate ESTABLISHED',
    ],
    script: `
      in  @local tcp 203.0.113.5:4000 > 198.51.100.1:80 S seq 100
      out wan    tcp 203.0.113.9:7000 > 198.51.100.1:80 S
      in  wan    tcp 198.51.100.1:80 > 203.0.113.9:7000 SA seq 900 ack 101
      host       tcp 198.51.100.1:80 > 203.0.113.5:4000 SA
      in  @local tcp 203.0.113.5:4000 > 198.51.100.1:80 A seq 101 ack 901
      out wan    tcp 203.0.113.9:7000 > 198.51.100.1:80 A
      in  @local tcp 203.0.113.5:4000 > 198.51.100.1:80 PA seq 101 ack 901 len 20
      out wan    tcp 203.0.113.9:7000 > 198.51.100.1:80 PA
    `,
    counters: [
      'mangle [1:40] -A PREROUTING -d 203.0.113.9/32',
      'filter [1:40] -A INPUT -d 203.0.113.5/32 -p tcp -m tcp --dport 4000 -m conntrack --ctstate ESTABLISHED',
      'filter [2:100] -A OUTPUT -p tcp -m conntrack --ctstate ESTABLISHED',
      'nat :OUTPUT ACCEPT [1:40]',
    ],
    connections: ['tcp ESTABLISHED 203.0.113.5:4000 > 198.51.100.1:80 198.51.100.1:80 > 203.0.113.9:7000 [ASSURED]'],
  },
  {
    name: 'the TTL of a packet of the host is nobody else’s: 1 and 0 leave as they are',
    rules: [TRACK],
    script: `
      in  @local udp 203.0.113.5:4000 > 198.51.100.1:33434 ttl 1
      out wan    same
      in  @local udp 203.0.113.5:4000 > 198.51.100.1:33435 ttl 0
      out wan    same
    `,
  },
  {
    name: 'what raw OUTPUT leaves untracked goes past nat, and mangle and filter OUTPUT know it',
    rules: [
      '-t raw -A OUTPUT -p udp -j CT --notrack',
      '-t nat -A OUTPUT -j DNAT --to-destination 198.51.100.9',
      MASQUERADE,
      '-A OUTPUT -m conntrack --ctstate UNTRACKED',
    ],
    script: `
      in  @local udp 192.168.1.1:4000 > 198.51.100.1:53
      out wan    same
      in  @local tcp 192.168.1.1:4000 > 198.51.100.1:80 S
      out wan    tcp 203.0.113.5:4000 > 198.51.100.9:80 S
    `,
    counters: ['filter [1:28] -A OUTPUT -m conntrack --ctstate UNTRACKED'],
  },
  ...[
    {
      zone: '--zone 64',
      name: 'a connection of the host in a zone has no answers from outside of it',
      connections: [
        'udp 203.0.113.5:4000 > 198.51.100.1:53 [UNREPLIED] 198.51.100.1:53 > 203.0.113.5:4000 mark=0 zone=64',
        'udp 198.51.100.1:53 > 203.0.113.5:4000 [UNREPLIED] 203.0.113.5:4000 > 198.51.100.1:53',
      ],
    },
    {
      zone: '--zone-orig 64',
      name: 'a connection of the host in a zone for its own direction alone is answered',
      connections: ['udp 203.0.113.5:4000 > 198.51.100.1:53 zone-orig=64 198.51.100.1:53 > 203.0.113.5:4000'],
    },
  ].map(({ zone, ...rest }) => ({
    ...rest,
    rules: [`-t raw -A OUTPUT -j CT ${zone}`, TRACK],
    script: `
      in  @local udp 203.0.113.5:4000 > 198.51.100.1:53
      out wan    same
      ${'in  wan    udp 198.51.100.1:53 > 203.0.113.5:4000\nhost       same\n'.repeat(3)}
      in  @local udp 203.0.113.5:4000 > 198.51.100.1:53
      out wan    same
    `,
  })),
  {
    name: 'INVALID packets of the host go past nat',
    rules: [
      MASQUERADE,
      '-t nat -A OUTPUT -j DNAT --to-destination 198.51.100.9',
      '-A OUTPUT -m conntrack --ctstate INVALID',
    ],
    script: `
      in  @local tcp 192.168.1.1:80 > 198.51.100.1:4000 SA
      out wan    same
    `,
    counters: ['filter [1:40] -A OUTPUT -m conntrack --ctstate INVALID', 'nat :OUTPUT ACCEPT [0:0]'],
    connections: [],
  },
  {
    name: 'checksums are not looked at on the way out: a wrong one is tracked and translated, and stays as wrong',
    rules: [MASQUERADE],
    script: `
      in  @local udp 192.168.1.1:4000 > 198.51.100.1:53 len 9 bad-checksum
      out wan    udp 203.0.113.5:4000 > 198.51.100.1:53
      in  @local tcp 192.168.1.1:4000 > 198.51.100.1:53 S bad-checksum
      out wan    tcp 203.0.113.5:4000 > 198.51.100.1:53 S
    `,
  },
  {
    name: 'a packet dropped in OUTPUT leaves no entry, and nat counts the next one again',
    rules: [MASQUERADE, '-t nat -A OUTPUT', '-A OUTPUT -p udp -j DROP'],
    script: `
      in  @local udp 203.0.113.5:4000 > 198.51.100.1:53
      drop
      in  @local udp 203.0.113.5:4000 > 198.51.100.1:53
      drop
    `,
    counters: ['nat [2:56] -A OUTPUT', 'filter [2:56] -A OUTPUT -p udp -j DROP', 'nat :POSTROUTING ACCEPT [0:0]'],
    connections: [],
  },
  {
    name: 'REJECT in OUTPUT drops, a DROP policy too',
    rules: [
      TRACK,
      '-P OUTPUT DROP',
      '-A OUTPUT -p udp -m udp --dport 53 -j REJECT',
      '-A OUTPUT -p tcp -j REJECT --reject-with tcp-reset',
    ],
    script: `
      in  @local udp 203.0.113.5:4000 > 198.51.100.1:53
      drop
      in  @local tcp 203.0.113.5:4000 > 198.51.100.1:53 S
      drop
      in  @local udp 203.0.113.5:4000 > 198.51.100.1:54
      drop
    `,
    counters: ['filter :OUTPUT DROP [1:28]', 'filter [1:40] -A OUTPUT -p tcp -j REJECT --reject-with tcp-reset'],
    connections: [],
  },
  {
    name: 'REJECT with a reset closes a connection of the host that is there',
    rules: [TRACK, '-A OUTPUT -p tcp -m length --length 60:70 -j REJECT --reject-with tcp-reset'],
    script: `
      in  @local tcp 203.0.113.5:4000 > 198.51.100.1:80 S seq 100
      out wan    same
      in  wan    tcp 198.51.100.1:80 > 203.0.113.5:4000 SA seq 900 ack 101
      host       same
      in  @local tcp 203.0.113.5:4000 > 198.51.100.1:80 A seq 101 ack 901
      out wan    same
      in  @local tcp 203.0.113.5:4000 > 198.51.100.1:80 PA seq 101 ack 901 len 24
      drop
    `,
  },
  {
    name: 'without a route, or with one that refuses, no rule sees a packet of the host',
    host: {
      ...HOME_HOST,
      route: [
        ...(HOME_HOST.route ?? []).filter((route) => route.dst !== 'default'),
        { type: 'blackhole', dst: '198.51.100.0/24' },
        { type: 'unreachable', dst: '198.51.101.0/24' },
        { type: 'prohibit', dst: '198.51.102.0/24' },
      ],
    },
    rules: [TRACK, '-t raw -A OUTPUT'],
    script: `
      in  @local udp 203.0.113.5:4000 > 8.8.8.8:53
      drop
      in  @local udp 203.0.113.5:4000 > 198.51.100.1:53
      drop
      in  @local udp 203.0.113.5:4000 > 198.51.101.1:53
      drop
      in  @local udp 203.0.113.5:4000 > 198.51.102.1:53
      drop
    `,
    counters: ['raw [0:0] -A OUTPUT'],
    connections: [],
  },
  {
    name: 'a mark given in OUTPUT stays with the packet to POSTROUTING, and CONNMARK brings it back for the answer',
    rules: [
      '-t mangle -A OUTPUT -p udp -j MARK --set-xmark 0x7/0xffffffff',
      '-t mangle -A OUTPUT -j CONNMARK --save-mark --nfmask 0xffffffff --ctmask 0xffffffff',
      '-t mangle -A POSTROUTING -m mark --mark 0x7',
      '-t mangle -A PREROUTING -j CONNMARK --restore-mark --nfmask 0xffffffff --ctmask 0xffffffff',
      '-A INPUT -m mark --mark 0x7',
    ],
    script: `
      in  @local udp 203.0.113.5:4000 > 198.51.100.1:53
      out wan    same
      in  wan    udp 198.51.100.1:53 > 203.0.113.5:4000
      host       same
    `,
    counters: ['mangle [1:28] -A POSTROUTING -m mark --mark 0x7', 'filter [1:28] -A INPUT -m mark --mark 0x7'],
  },
  {
    name: 'the owner of what the host sends is not known: only negated conditions hold',
    rules: [
      '-A OUTPUT -m owner --uid-owner 0',
      '-A OUTPUT -m owner ! --uid-owner 0',
      '-A OUTPUT -m owner ! --gid-owner 0-1000',
    ],
    script: `
      in  @local udp 203.0.113.5:4000 > 198.51.100.1:53
      out wan    same
    `,
    counters: [
      'filter [0:0] -A OUTPUT -m owner --uid-owner 0',
      'filter [1:28] -A OUTPUT -m owner ! --uid-owner 0',
      'filter [1:28] -A OUTPUT -m owner ! --gid-owner 0-1000',
    ],
  },
  {
    name: 'protocols without ports are translated by address',
    rules: [MASQUERADE],
    script: `
      in  @local esp 192.168.1.1 > 198.51.100.1 data 12345678
      out wan    esp 203.0.113.5 > 198.51.100.1
      in  wan    esp 198.51.100.1 > 203.0.113.5 data 12345678
      host       esp 198.51.100.1 > 192.168.1.1
    `,
  },
  {
    name: 'a record-route option is not filled in for the host’s own packet',
    rules: [TRACK],
    script: `
      in  @local udp 203.0.113.5:4000 > 198.51.100.1:53 options 01070704.00000000
      out wan    same
    `,
  },
];

const NAT: readonly Case[] = [
  {
    name: 'MASQUERADE gives a packet of the host the address of the interface it leaves by',
    script: `
      in  @local udp 192.168.1.1:4000 > 198.51.100.1:53
      out wan    udp 203.0.113.5:4000 > 198.51.100.1:53
      in  wan    udp 198.51.100.1:53 > 203.0.113.5:4000
      host       udp 198.51.100.1:53 > 192.168.1.1:4000
    `,
  },
  {
    name: 'a masqueraded connection goes on while the host has one of the same port: the host’s own gets another (null binding)',
    rules: ['-t nat -A POSTROUTING -s 192.168.1.0/24 -o wan -j MASQUERADE'],
    script: `
      in  lan    udp 192.168.1.9:4000 > 198.51.100.1:53
      out wan    udp 203.0.113.5:4000 > 198.51.100.1:53
      in  @local udp 203.0.113.5:4000 > 198.51.100.1:53
      out wan    udp 203.0.113.5:$p(1024-65535 but 4000) > 198.51.100.1:53
      in  wan    udp 198.51.100.1:53 > 203.0.113.5:$p
      host       udp 198.51.100.1:53 > 203.0.113.5:4000
      in  wan    udp 198.51.100.1:53 > 203.0.113.5:4000
      out lan    udp 198.51.100.1:53 > 192.168.1.9:4000
      in  @local udp 203.0.113.5:4000 > 198.51.100.2:53
      out wan    same
    `,
  },
  {
    name: 'a connection of the host makes a masqueraded one behind it take another port',
    script: `
      in  @local udp 203.0.113.5:4000 > 198.51.100.1:53
      out wan    same
      in  lan    udp 192.168.1.9:4000 > 198.51.100.1:53
      out wan    udp 203.0.113.5:$p(1024-65535 but 4000) > 198.51.100.1:53
      in  wan    udp 198.51.100.1:53 > 203.0.113.5:$p
      out lan    udp 198.51.100.1:53 > 192.168.1.9:4000
    `,
  },
  {
    name: 'REDIRECT in OUTPUT leads to 127.0.0.1, over loopback to the host',
    rules: [
      '-t nat -A OUTPUT -p udp -m udp --dport 53 -j REDIRECT --to-ports 5353',
      '-A OUTPUT -d 127.0.0.1/32 -o wan',
      '-t mangle -A POSTROUTING -d 127.0.0.1/32 -o lo',
      '-t raw -A PREROUTING -d 127.0.0.1/32 -i lo',
      '-t mangle -A PREROUTING -i lo',
      '-t nat -A PREROUTING -i lo',
      '-A INPUT -s 203.0.113.5/32 -i lo -p udp -m udp --dport 5353',
      '-t nat -A INPUT -i lo',
    ],
    script: `
      in  @local udp 203.0.113.5:4000 > 198.51.100.1:53
      host       udp 203.0.113.5:4000 > 127.0.0.1:5353
      in  @local udp 127.0.0.1:5353 > 203.0.113.5:4000
      host       udp 198.51.100.1:53 > 203.0.113.5:4000
      in  @local udp 203.0.113.5:4000 > 198.51.100.1:53
      host       udp 203.0.113.5:4000 > 127.0.0.1:5353
    `,
    counters: [
      'nat [1:28] -A OUTPUT -p udp -m udp --dport 53 -j REDIRECT --to-ports 5353',
      'filter [2:56] -A OUTPUT -d 127.0.0.1/32 -o wan',
      'mangle [2:56] -A POSTROUTING -d 127.0.0.1/32 -o lo',
      'raw [2:56] -A PREROUTING -d 127.0.0.1/32 -i lo',
      'nat [0:0] -A PREROUTING -i lo',
      'nat [0:0] -A INPUT -i lo',
    ],
  },
  {
    name: 'DNAT in OUTPUT to somebody on another network is routed anew, and filter OUTPUT still sees the first interface',
    rules: [
      '-t nat -A OUTPUT -d 198.51.100.1/32 -p tcp -m tcp --dport 80 -j DNAT --to-destination 192.168.1.20:8080',
      '-A OUTPUT -d 192.168.1.20/32 -o wan',
      '-t mangle -A POSTROUTING -d 192.168.1.20/32 -o lan',
      '-t nat -A POSTROUTING -o lan -j MASQUERADE',
    ],
    script: `
      in  @local tcp 203.0.113.5:4000 > 198.51.100.1:80 S
      out lan    tcp 192.168.1.1:4000 > 192.168.1.20:8080 S
      in  lan    tcp 192.168.1.20:8080 > 192.168.1.1:4000 SA ack 1001
      host       tcp 198.51.100.1:80 > 203.0.113.5:4000 SA
      in  @local tcp 203.0.113.5:4000 > 198.51.100.1:80 A seq 1001 ack 1001
      out lan    tcp 192.168.1.1:4000 > 192.168.1.20:8080 A
    `,
    counters: [
      'filter [2:80] -A OUTPUT -d 192.168.1.20/32 -o wan',
      'mangle [2:80] -A POSTROUTING -d 192.168.1.20/32 -o lan',
    ],
  },
  {
    name: 'a mark set in mangle OUTPUT is routed anew by ip rule, every packet of the connection',
    host: MARKED_TO_LAN,
    rules: [
      '-t mangle -A OUTPUT -p udp -m udp --dport 53 -j MARK --set-xmark 0x1/0xffffffff',
      '-A OUTPUT -o wan',
      '-t mangle -A POSTROUTING -o lan',
      '-t nat -A POSTROUTING -o lan -j MASQUERADE',
    ],
    script: `
      in  @local udp 203.0.113.5:4000 > 198.51.100.1:53
      out lan    udp 192.168.1.1:4000 > 198.51.100.1:53
      in  lan    udp 198.51.100.1:53 > 192.168.1.1:4000
      host       udp 198.51.100.1:53 > 203.0.113.5:4000
      in  @local udp 203.0.113.5:4000 > 198.51.100.1:53 len 5
      out lan    udp 192.168.1.1:4000 > 198.51.100.1:53
      in  @local udp 203.0.113.5:4000 > 198.51.100.1:54
      out wan    same
    `,
    counters: ['filter [3:89] -A OUTPUT -o wan', 'mangle [2:61] -A POSTROUTING -o lan'],
  },
  {
    name: 'a mark set in raw OUTPUT comes too early to be routed by, unless mangle changes something too',
    host: MARKED_TO_LAN,
    rules: ['-t raw -A OUTPUT -j MARK --set-xmark 0x1/0xffffffff', '-t mangle -A OUTPUT'],
    script: `
      in  @local udp 203.0.113.5:4000 > 198.51.100.1:53
      out wan    same
    `,
  },
  {
    name: 'policy rules know the source address of what the host sends',
    host: {
      ...MARKED_TO_LAN,
      rule: [
        { priority: 0, src: 'all', table: 'local' },
        { priority: 100, src: '192.168.1.1', table: '100' },
        { priority: 32766, src: 'all', table: 'main' },
      ],
    },
    rules: [TRACK],
    script: `
      in  @local udp 192.168.1.1:4000 > 198.51.100.1:53
      out lan    same
      in  @local udp 203.0.113.5:4000 > 198.51.100.1:53
      out wan    same
    `,
  },
  {
    name: 'DNAT in OUTPUT to one of the host’s own addresses leads over loopback',
    rules: ['-t nat -A OUTPUT -d 198.51.100.1/32 -j DNAT --to-destination 192.168.1.1', TRACK],
    script: `
      in  @local tcp 203.0.113.5:4000 > 198.51.100.1:80 S
      host       tcp 203.0.113.5:4000 > 192.168.1.1:80 S
      in  @local tcp 192.168.1.1:80 > 203.0.113.5:4000 SA ack 1001
      host       tcp 198.51.100.1:80 > 203.0.113.5:4000 SA
    `,
  },
  {
    name: 'an exhausted range drops the packet of the host as any other',
    rules: ['-t nat -A POSTROUTING -o wan -p udp -j SNAT --to-source 203.0.113.5:6000-6000'],
    script: `
      in  @local udp 203.0.113.5:4000 > 198.51.100.1:53
      out wan    udp 203.0.113.5:6000 > 198.51.100.1:53
      in  @local udp 203.0.113.5:4001 > 198.51.100.1:53
      drop
    `,
  },
];

const LOOPBACK: readonly Case[] = [
  {
    name: 'from the host to itself: OUTPUT and POSTROUTING, then PREROUTING and INPUT by lo, nat in OUTPUT and POSTROUTING alone',
    rules: [
      '-t raw -A OUTPUT -o lo',
      '-t mangle -A OUTPUT -o lo',
      '-t nat -A OUTPUT -o lo',
      '-A OUTPUT -o lo',
      '-t mangle -A POSTROUTING -o lo',
      '-t nat -A POSTROUTING -o lo',
      '-t raw -A PREROUTING -i lo',
      '-t mangle -A PREROUTING -i lo',
      '-t nat -A PREROUTING -i lo',
      '-t mangle -A INPUT -i lo',
      '-A INPUT -i lo',
      '-t nat -A INPUT -i lo',
      MASQUERADE,
    ],
    script: `
      in  @local udp 127.0.0.1:4000 > 127.0.0.1:53
      host       same
      in  @local udp 203.0.113.5:4000 > 192.168.1.1:53
      host       same
    `,
    counters: [
      'raw [2:56] -A OUTPUT -o lo',
      'nat [2:56] -A OUTPUT -o lo',
      'nat [2:56] -A POSTROUTING -o lo',
      'raw [2:56] -A PREROUTING -i lo',
      'mangle [2:56] -A PREROUTING -i lo',
      'nat [0:0] -A PREROUTING -i lo',
      'filter [2:56] -A INPUT -i lo',
      'nat [0:0] -A INPUT -i lo',
    ],
    connections: [
      'udp 30 127.0.0.1:4000 > 127.0.0.1:53 [UNREPLIED] 127.0.0.1:53 > 127.0.0.1:4000',
      'udp 30 203.0.113.5:4000 > 192.168.1.1:53 [UNREPLIED] 192.168.1.1:53 > 203.0.113.5:4000',
    ],
  },
  {
    name: 'over loopback both directions are the host’s own',
    rules: [TRACK, '-A INPUT -m conntrack --ctstate NEW', '-A INPUT -m conntrack --ctstate ESTABLISHED'],
    script: `
      in  @local tcp 127.0.0.1:4000 > 127.0.0.1:80 S seq 100
      host       same
      in  @local tcp 127.0.0.1:80 > 127.0.0.1:4000 SA seq 900 ack 101
      host       same
      in  @local tcp 127.0.0.1:4000 > 127.0.0.1:80 A seq 101 ack 901
      host       same
    `,
    counters: [
      'filter [1:40] -A INPUT -m conntrack --ctstate NEW',
      'filter [2:80] -A INPUT -m conntrack --ctstate ESTABLISHED',
    ],
    connections: ['tcp ESTABLISHED 127.0.0.1:4000 > 127.0.0.1:80 127.0.0.1:80 > 127.0.0.1:4000 [ASSURED]'],
  },
  {
    name: 'SNAT on loopback gives the host another address to talk to',
    rules: ['-t nat -A POSTROUTING -o lo -p udp -j SNAT --to-source 203.0.113.5'],
    script: `
      in  @local udp 127.0.0.1:4000 > 127.0.0.1:53
      host       udp 203.0.113.5:4000 > 127.0.0.1:53
    `,
  },
  {
    name: 'without connection tracking loopback is plain routing',
    rules: ['-A OUTPUT -o lo', '-A INPUT -i lo'],
    script: `
      in  @local udp 127.0.0.1:4000 > 127.0.0.1:53
      host       same
    `,
    counters: ['filter [1:28] -A OUTPUT -o lo', 'filter [1:28] -A INPUT -i lo'],
    connections: [],
  },
  {
    name: 'untracked over loopback: not tracked in PREROUTING either',
    rules: [
      '-t raw -A OUTPUT -o lo -j CT --notrack',
      TRACK,
      '-A INPUT -m conntrack --ctstate UNTRACKED',
      '-A INPUT -m conntrack --ctstate NEW',
    ],
    script: `
      in  @local udp 127.0.0.1:4000 > 127.0.0.1:53
      host       same
    `,
  },
  {
    name: 'an INVALID packet over loopback',
    rules: [TRACK, '-A INPUT -m conntrack --ctstate INVALID', '-A OUTPUT -m conntrack --ctstate INVALID'],
    script: `
      in  @local tcp 127.0.0.1:4000 > 127.0.0.1:53 SA
      host       same
    `,
    counters: [
      'filter [1:40] -A INPUT -m conntrack --ctstate INVALID',
      'filter [1:40] -A OUTPUT -m conntrack --ctstate INVALID',
    ],
  },
  {
    name: 'what is INVALID in the zone of OUTPUT is looked at anew in PREROUTING, and tracked there',
    host: withSettings(HOME_HOST, { 'net.netfilter.nf_conntrack_tcp_loose': '1' }),
    rules: [
      '-t raw -A OUTPUT -p tcp -j CT --zone 1',
      '-t nat -A PREROUTING -i lo',
      TRACK,
      '-A INPUT -m conntrack --ctstate NEW',
      '-A OUTPUT -m conntrack --ctstate INVALID',
    ],
    script: `
      in  @local tcp 127.0.0.1:4000 > 127.0.0.1:80 S seq 100
      host       same
      in  @local tcp 127.0.0.1:80 > 127.0.0.1:4000 SA seq 900 ack 101 win 10
      host       same
      in  @local tcp 127.0.0.1:4000 > 127.0.0.1:80 A seq 900101 ack 901
      host       same
    `,
    counters: ['filter [1:40] -A OUTPUT -m conntrack --ctstate INVALID', 'nat [1:40] -A PREROUTING -i lo'],
  },
  {
    name: 'what PREROUTING translates over loopback is routed anew, and the address of the host is no source then',
    rules: ANSWERS_KNOWN_IN_PREROUTING,
    script: `
      in  lan    tcp 192.168.1.9:4000 > 203.0.113.5:80 S seq 100
      host       tcp 192.168.1.1:4000 > 203.0.113.5:80 S
      in  @local tcp 203.0.113.5:80 > 192.168.1.1:4000 SA seq 900 ack 101
      drop
    `,
    counters: ['raw [1:40] -A PREROUTING -i lo', 'filter [0:0] -A INPUT -i lo', 'filter :FORWARD ACCEPT [0:0]'],
  },
  {
    name: 'what PREROUTING translates over loopback is routed anew and forwarded, where the host takes its own addresses for sources',
    host: withSettings(HOME_HOST, { 'net.ipv4.conf.all.accept_local': '1' }),
    rules: ANSWERS_KNOWN_IN_PREROUTING,
    script: `
      in  lan    tcp 192.168.1.9:4000 > 203.0.113.5:80 S seq 100
      host       tcp 192.168.1.1:4000 > 203.0.113.5:80 S
      in  @local tcp 203.0.113.5:80 > 192.168.1.1:4000 SA seq 900 ack 101 ttl 64
      out lan    tcp 203.0.113.5:80 > 192.168.1.9:4000 SA ttl 63
    `,
    counters: ['filter [0:0] -A INPUT -i lo', 'filter :FORWARD ACCEPT [1:40]'],
  },
  {
    name: 'a mark is kept over loopback',
    rules: ['-t mangle -A OUTPUT -j MARK --set-xmark 0x9/0xffffffff', '-A INPUT -i lo -m mark --mark 0x9'],
    script: `
      in  @local udp 127.0.0.1:4000 > 127.0.0.1:53
      host       same
    `,
    counters: ['filter [1:28] -A INPUT -i lo -m mark --mark 0x9'],
  },
  {
    name: 'TTL 1 is enough for loopback',
    rules: [TRACK],
    script: `
      in  @local udp 127.0.0.1:4000 > 127.0.0.1:53 ttl 1
      host       same
    `,
  },
];

const DOCKER = [
  '-t nat -N DOCKER',
  '-t nat -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER',
  '-t nat -A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER',
  '-t nat -A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE',
  '-t nat -A POSTROUTING -s 172.17.0.3/32 -d 172.17.0.3/32 -p tcp -m tcp --dport 1337 -j MASQUERADE',
  '-t nat -A DOCKER ! -i docker0 -p tcp -m tcp --dport 8799 -j DNAT --to-destination 172.17.0.3:1337',
];

const WITH_DOCKER: readonly Case[] = [
  {
    name: 'from the host to a published port at its own address: DNAT in OUTPUT, out of docker0, TTL kept',
    rules: DOCKER,
    script: `
      in  @local  tcp 192.0.2.1:40000 > 192.0.2.1:8799 S
      out docker0 tcp 192.0.2.1:40000 > 172.17.0.3:1337 S
      in  docker0 tcp 172.17.0.3:1337 > 192.0.2.1:40000 SA ack 1001
      host        tcp 192.0.2.1:8799 > 192.0.2.1:40000 SA
    `,
    counters: ['nat [1:40] -A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER'],
  },
  {
    name: '127.0.0.1 is left to docker-proxy: over loopback to the host',
    rules: DOCKER,
    script: `
      in  @local  tcp 127.0.0.1:40000 > 127.0.0.1:8799 S
      host        same
    `,
  },
  {
    name: 'DNAT of 127.0.0.1 to a container: without route_localnet there is no way out',
    rules: [
      '-t nat -A OUTPUT -d 127.0.0.1/32 -p tcp -j DNAT --to-destination 172.17.0.3:1337',
      '-t nat -A POSTROUTING -s 127.0.0.0/8 -j MASQUERADE',
    ],
    script: `
      in  @local  tcp 127.0.0.1:40000 > 127.0.0.1:8799 S
      drop
    `,
    connections: [],
  },
  {
    name: 'DNAT of 127.0.0.1 to a container with route_localnet, as Docker without its proxy does',
    host: withSettings(DOCKER_HOST, { 'net.ipv4.conf.docker0.route_localnet': '1' }),
    rules: [
      '-t nat -A OUTPUT -d 127.0.0.1/32 -p tcp -j DNAT --to-destination 172.17.0.3:1337',
      '-t nat -A POSTROUTING -s 127.0.0.0/8 -j MASQUERADE',
    ],
    script: `
      in  @local  tcp 127.0.0.1:40000 > 127.0.0.1:8799 S
      out docker0 tcp 172.17.0.1:40000 > 172.17.0.3:1337 S
      in  docker0 tcp 172.17.0.3:1337 > 172.17.0.1:40000 SA ack 1001
      host        tcp 127.0.0.1:8799 > 127.0.0.1:40000 SA
    `,
  },
  {
    name: 'the host to a container itself',
    rules: DOCKER,
    script: `
      in  @local  tcp 172.17.0.1:40000 > 172.17.0.3:1337 S
      out docker0 same
    `,
  },
];

const ICMP: readonly Case[] = [
  {
    name: 'a ping of the host, and its answer',
    script: `
      in  @local icmp 192.168.1.1 > 198.51.100.1 ping 77
      out wan    icmp 203.0.113.5 > 198.51.100.1 ping 77
      in  wan    icmp 198.51.100.1 > 203.0.113.5 pong 77
      host       icmp 198.51.100.1 > 192.168.1.1 pong 77
    `,
    connections: [
      'icmp 30 192.168.1.1 > 198.51.100.1 type=8 code=0 id=77 198.51.100.1 > 203.0.113.5 type=0 code=0 id=77',
    ],
  },
  {
    name: 'two pings with one id: the second gets another',
    rules: [MASQUERADE],
    script: `
      in  lan    icmp 192.168.1.9 > 198.51.100.1 ping 77
      out wan    icmp 203.0.113.5 > 198.51.100.1 ping 77
      in  @local icmp 203.0.113.5 > 198.51.100.1 ping 77
      out wan    icmp 203.0.113.5 > 198.51.100.1 ping $p(0-65535 but 77)
    `,
  },
  {
    name: 'an echo reply of the host without a request is INVALID, and leaves all the same',
    rules: [MASQUERADE, '-A OUTPUT -m conntrack --ctstate INVALID'],
    script: `
      in  @local icmp 192.168.1.1 > 198.51.100.1 pong 77
      out wan    same
    `,
    counters: ['filter [1:28] -A OUTPUT -m conntrack --ctstate INVALID'],
  },
  {
    name: 'an echo reply of the host to a ping that came in',
    rules: [TRACK, '-A OUTPUT -m conntrack --ctstate ESTABLISHED'],
    script: `
      in  wan    icmp 198.51.100.1 > 203.0.113.5 ping 77
      host       same
      in  @local icmp 203.0.113.5 > 198.51.100.1 pong 77
      out wan    same
    `,
    counters: ['filter [1:28] -A OUTPUT -m conntrack --ctstate ESTABLISHED'],
  },
  {
    name: 'an ICMP error about a connection of the host is translated back and delivered RELATED',
    rules: [MASQUERADE, '-A INPUT -m conntrack --ctstate RELATED'],
    script: `
      in  @local udp 192.168.1.1:4000 > 198.51.100.1:53 len 4
      out wan    udp 203.0.113.5:4000 > 198.51.100.1:53
      in  wan    icmp 198.51.100.99 > 203.0.113.5 unreachable 1 about { udp 203.0.113.5:4000 > 198.51.100.1:53 len 4 }
      host       icmp 198.51.100.99 > 192.168.1.1 about { udp 192.168.1.1:4000 > 198.51.100.1:53 }
    `,
    counters: ['filter [1:60] -A INPUT -m conntrack --ctstate RELATED'],
  },
  {
    name: 'an ICMP error of the host that quotes a packet before its translation belongs to no connection, and leaves all the same',
    rules: [MASQUERADE, '-A OUTPUT -m conntrack --ctstate INVALID', '-t nat -A OUTPUT'],
    script: `
      in  lan    udp 192.168.1.9:4000 > 198.51.100.1:53 len 4
      out wan    udp 203.0.113.5:4000 > 198.51.100.1:53
      in  @local icmp 192.168.1.1 > 192.168.1.9 unreachable 1 about { udp 192.168.1.9:4000 > 198.51.100.1:53 len 4 }
      out lan    same
    `,
    counters: ['filter [1:60] -A OUTPUT -m conntrack --ctstate INVALID', 'nat [0:0] -A OUTPUT'],
  },
  {
    name: 'a port unreachable of the host about a datagram to it',
    rules: [TRACK, '-A OUTPUT -m conntrack --ctstate RELATED'],
    script: `
      in  wan    udp 198.51.100.7:4000 > 203.0.113.5:99 len 4
      host       same
      in  @local icmp 203.0.113.5 > 198.51.100.7 unreachable 3 about { udp 198.51.100.7:4000 > 203.0.113.5:99 len 4 }
      out wan    same
    `,
    counters: ['filter [1:60] -A OUTPUT -m conntrack --ctstate RELATED'],
  },
  {
    name: 'a port unreachable of the host about a redirected datagram: its client hears of the port it had asked for',
    rules: ['-t nat -A PREROUTING -i wan -p udp -m udp --dport 99 -j REDIRECT --to-ports 9999'],
    script: `
      in  wan    udp 198.51.100.7:4000 > 203.0.113.5:99 len 4
      host       udp 198.51.100.7:4000 > 203.0.113.5:9999
      in  @local icmp 203.0.113.5 > 198.51.100.7 unreachable 3 about { udp 198.51.100.7:4000 > 203.0.113.5:9999 len 4 }
      out wan    icmp 203.0.113.5 > 198.51.100.7 about { udp 198.51.100.7:4000 > 203.0.113.5:99 }
    `,
  },
];

const SERVER: readonly Case[] = [
  {
    name: 'the host answers a connection that was redirected to it',
    rules: ['-t nat -A PREROUTING -i wan -p tcp -m tcp --dport 80 -j REDIRECT --to-ports 3128'],
    script: `
      in  wan    tcp 198.51.100.7:4000 > 203.0.113.5:80 S
      host       tcp 198.51.100.7:4000 > 203.0.113.5:3128 S
      in  @local tcp 203.0.113.5:3128 > 198.51.100.7:4000 SA ack 1001
      out wan    tcp 203.0.113.5:80 > 198.51.100.7:4000 SA
      in  wan    tcp 198.51.100.7:4000 > 203.0.113.5:80 A seq 1001 ack 1001
      host       tcp 198.51.100.7:4000 > 203.0.113.5:3128 A
    `,
  },
  {
    name: 'a redirected answer of the host is routed anew: it is for the client as NAT knows it',
    rules: ['-t nat -A INPUT -i wan -p udp -m udp --dport 53 -j SNAT --to-source 192.168.1.77'],
    script: `
      in  wan    udp 198.51.100.7:40000 > 203.0.113.5:53
      host       udp 192.168.1.77:40000 > 203.0.113.5:53
      in  @local udp 203.0.113.5:53 > 192.168.1.77:40000
      out wan    udp 203.0.113.5:53 > 198.51.100.7:40000
    `,
  },
];

const FRAGMENTS: readonly Case[] = [
  {
    name: 'fragments of the host are gathered before OUTPUT and leave as they were cut',
    rules: [MASQUERADE, '-A OUTPUT -f', '-A OUTPUT -p udp -m udp --dport 53'],
    script: `
      in  @local udp 192.168.1.1:4000 > 198.51.100.1:53 id 7 len 40 piece 0-24
      in  @local udp 192.168.1.1:4000 > 198.51.100.1:53 id 7 len 40 piece 24-48
      out wan    udp 203.0.113.5:4000 > 198.51.100.1:53 piece 0-24
      out wan    udp 203.0.113.5:4000 > 198.51.100.1:53 piece 24-48
    `,
    counters: ['filter [0:0] -A OUTPUT -f', 'filter [1:68] -A OUTPUT -p udp -m udp --dport 53'],
  },
  {
    name: 'without connection tracking fragments of the host leave one by one',
    rules: ['-A OUTPUT -f', '-A OUTPUT -o wan'],
    script: `
      in  @local udp 192.168.1.1:4000 > 198.51.100.1:53 id 7 len 40 piece 0-24
      out wan    same
      in  @local udp 192.168.1.1:4000 > 198.51.100.1:53 id 7 len 40 piece 24-48
      out wan    same
    `,
    counters: ['filter [1:44] -A OUTPUT -f', 'filter [2:88] -A OUTPUT -o wan'],
  },
  {
    name: 'fragments over loopback are gathered before INPUT without connection tracking',
    rules: ['-A INPUT -p udp', '-t mangle -A PREROUTING -p udp'],
    script: `
      in  @local udp 127.0.0.1:4000 > 127.0.0.1:53 id 7 len 40 piece 0-24
      in  @local udp 127.0.0.1:4000 > 127.0.0.1:53 id 7 len 40 piece 24-48
      host       udp 127.0.0.1:4000 > 127.0.0.1:53 piece 0-48
    `,
    counters: ['filter [1:68] -A INPUT -p udp', 'mangle [2:88] -A PREROUTING -p udp'],
  },
  {
    name: 'fragments over loopback come in one by one, with the connection they were sent in',
    rules: [TRACK, '-A INPUT -p udp', '-t mangle -A PREROUTING -p udp'],
    script: `
      in  @local udp 127.0.0.1:4000 > 127.0.0.1:53 id 7 len 40 piece 0-24
      in  @local udp 127.0.0.1:4000 > 127.0.0.1:53 id 7 len 40 piece 24-48
      host       udp 127.0.0.1:4000 > 127.0.0.1:53 piece 0-48
    `,
  },
  {
    name: 'untracked fragments over loopback meet PREROUTING one by one, and INPUT together',
    rules: [
      TRACK,
      '-t raw -A OUTPUT -j CT --notrack',
      '-t raw -A PREROUTING -f',
      '-t mangle -A PREROUTING',
      '-t mangle -A PREROUTING -f -m ttl --ttl-eq 9 -j DROP',
      '-A INPUT',
    ],
    script: `
      in  @local udp 127.0.0.1:4000 > 127.0.0.1:53 id 7 len 40 piece 0-24
      in  @local udp 127.0.0.1:4000 > 127.0.0.1:53 id 7 len 40 piece 24-48
      host       udp 127.0.0.1:4000 > 127.0.0.1:53 piece 0-48
      in  @local udp 127.0.0.1:4000 > 127.0.0.1:53 id 8 len 40 piece 0-24 ttl 9
      in  @local udp 127.0.0.1:4000 > 127.0.0.1:53 id 8 len 40 piece 24-48 ttl 9
      drop
    `,
    counters: ['raw [2:88] -A PREROUTING -f', 'mangle [4:176] -A PREROUTING', 'filter [1:68] -A INPUT'],
  },
  {
    name: 'a packet of the host that is routed anew to a narrower link is cut for it',
    host: { ...HOME_HOST, addr: HOME_HOST.addr.map((l) => (l.ifname === 'lan' ? { ...l, mtu: 1280 } : l)) },
    rules: ['-t nat -A OUTPUT -d 198.51.100.1/32 -j DNAT --to-destination 192.168.1.20'],
    script: `
      in  @local udp 203.0.113.5:4000 > 198.51.100.1:53 id 7 len 1392
      out lan    udp 203.0.113.5:4000 > 192.168.1.20:53 piece 0-1256
      out lan    udp 203.0.113.5:4000 > 192.168.1.20:53 piece 1256-1400
      in  @local udp 203.0.113.5:4000 > 198.51.100.1:53 id 7 len 1392 df
      drop
    `,
  },
];

const GROUPS: readonly Case[] = [
  {
    name: 'a broadcast of the host',
    rules: [TRACK, '-t mangle -A POSTROUTING', '-t mangle -A PREROUTING', '-A INPUT', '-A OUTPUT -o lan'],
    script: `
      in  @local udp 192.168.1.1:4000 > 192.168.1.255:137
      out lan    same
      host       same
    `,
  },
  {
    name: 'the copy of a broadcast is delivered before the broadcast itself meets POSTROUTING',
    rules: [
      '-t mangle -A OUTPUT -j CONNMARK --set-xmark 0x1/0xffffffff',
      '-t mangle -A INPUT -j CONNMARK --set-xmark 0x2/0xffffffff',
      '-t mangle -A POSTROUTING -m connmark --mark 0x1',
      '-t mangle -A POSTROUTING -m connmark --mark 0x2',
    ],
    script: `
      in  @local udp 192.168.1.1:4000 > 192.168.1.255:137
      out lan    same
      host       same
    `,
    counters: [
      'mangle [1:28] -A POSTROUTING -m connmark --mark 0x1',
      'mangle [1:28] -A POSTROUTING -m connmark --mark 0x2',
    ],
  },
  {
    name: 'fragments of a broadcast of the host, without connection tracking',
    rules: ['-A INPUT -p udp', '-A OUTPUT', '-t mangle -A PREROUTING'],
    script: `
      in  @local udp 192.168.1.1:4000 > 192.168.1.255:137 id 7 len 40 piece 0-24
      out lan    same
      in  @local udp 192.168.1.1:4000 > 192.168.1.255:137 id 7 len 40 piece 24-48
      out lan    same
      host       udp 192.168.1.1:4000 > 192.168.1.255:137 piece 0-48
    `,
  },
  {
    name: 'a reset is no answer to a broadcast over loopback, and does not close its connection',
    rules: [TRACK, '-A INPUT -p tcp -j REJECT --reject-with tcp-reset'],
    script: `
      in  @local tcp 192.168.1.1:4000 > 192.168.1.255:80 S
      out lan    same
    `,
    connections: [
      'tcp 120 SYN_SENT 192.168.1.1:4000 > 192.168.1.255:80 [UNREPLIED] 192.168.1.255:80 > 192.168.1.1:4000',
    ],
  },
  {
    name: 'a multicast of the host',
    rules: [TRACK, '-t mangle -A POSTROUTING', '-t mangle -A PREROUTING', '-A INPUT', '-A OUTPUT'],
    script: `
      in  @local udp 203.0.113.5:5353 > 224.0.0.251:5353
      out wan    same
    `,
  },
  {
    name: 'a limited broadcast of the host',
    rules: [TRACK, '-t mangle -A POSTROUTING', '-t mangle -A PREROUTING', '-A INPUT', '-A OUTPUT'],
    script: `
      in  @local udp 203.0.113.5:68 > 255.255.255.255:67
      out wan    same
      host       same
    `,
  },
];

// Which iptables loaded the rules makes a difference to how they are walked; what the host does beside is the same.
const defaults = { host: HOME_HOST, rules: [MASQUERADE] };
const both = { ...defaults, backends: ['legacy', 'nft'] as const };
chapter('the way of what the host sends', both, WAY);
chapter('NAT of what the host sends', defaults, NAT);
chapter('from the host to itself', defaults, LOOPBACK);
chapter('from a Docker host to its containers', { ...defaults, host: DOCKER_HOST }, WITH_DOCKER);
chapter('ICMP of the host and for it', defaults, ICMP);
chapter('the host as a server', defaults, SERVER);
chapter('fragments of the host', defaults, FRAGMENTS);
chapter('broadcasts and multicasts of the host', defaults, GROUPS);
