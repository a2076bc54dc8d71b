/** Which address and port NAT chooses. */
import type { HostFile } from '../../../src/host/hostschema.js';
import { HOME_HOST, link } from '../hosts.js';
import { type Case, chapter } from './chapter.js';

const MASQUERADE = '-t nat -A POSTROUTING -o wan -j MASQUERADE';
const snat = (to: string, match = ''): string => `-t nat -A POSTROUTING -o wan ${match}-j SNAT --to-source ${to}`;
const dnat = (match: string, to: string): string =>
  `-t nat -A PREROUTING -i wan ${match} -j DNAT --to-destination ${to}`;

/** The home gateway with other addresses on its outside. */
const outside = (...addresses: readonly string[]): HostFile => ({
  addr: [link('lan', '192.168.1.1/24'), link('wan', ...addresses)],
  route: [
    { dst: '203.0.113.0/24', dev: 'wan', scope: 'link' },
    { dst: '10.0.0.0/24', dev: 'wan', scope: 'link' },
    { dst: '192.168.1.0/24', dev: 'lan', scope: 'link' },
    { dst: '198.51.100.0/24', dev: 'wan', gateway: '10.0.0.254' },
    { dst: 'default', dev: 'wan', gateway: '203.0.113.1' },
  ],
});

const COLLISIONS: readonly Case[] = [
  {
    name: 'the port is kept while the tuple is free',
    script: `
      in  lan  udp 192.168.1.9:4000 > 198.51.100.1:53
      out wan  udp 203.0.113.5:4000 > 198.51.100.1:53
    `,
  },
  {
    name: 'free is per remote address and port: the same source port to another remote is no collision',
    script: `
      in  lan  udp 192.168.1.9:4000 > 198.51.100.1:53
      out wan  udp 203.0.113.5:4000 > 198.51.100.1:53
      in  lan  udp 192.168.1.10:4000 > 198.51.100.2:53
      out wan  udp 203.0.113.5:4000 > 198.51.100.2:53
      in  lan  udp 192.168.1.10:4000 > 198.51.100.1:54
      out wan  udp 203.0.113.5:$p(4000-4000) > 198.51.100.1:54
    `,
  },
  {
    name: 'on collision a port from 1024 on is drawn from 1024-65535, and the reply finds its way back',
    script: `
      in  lan  udp 192.168.1.9:4000 > 198.51.100.1:53
      out wan  udp 203.0.113.5:4000 > 198.51.100.1:53
      in  lan  udp 192.168.1.10:4000 > 198.51.100.1:53
      out wan  udp 203.0.113.5:$p(1024-65535 but 4000) > 198.51.100.1:53
      in  wan  udp 198.51.100.1:53 > 203.0.113.5:$p
      out lan  udp 198.51.100.1:53 > 192.168.1.10:4000
    `,
  },
  {
    name: 'on collision a port below 512 is drawn from 1-511',
    script: `
      in  lan  tcp 192.168.1.9:300 > 198.51.100.1:80 S
      out wan  tcp 203.0.113.5:300 > 198.51.100.1:80 S
      in  lan  tcp 192.168.1.10:300 > 198.51.100.1:80 S
      out wan  tcp 203.0.113.5:$p(1-511 but 300) > 198.51.100.1:80 S
      in  lan  tcp 192.168.1.11:300 > 198.51.100.1:80 S
      out wan  tcp 203.0.113.5:$q(1-511 but 300) > 198.51.100.1:80 S
    `,
  },
  {
    name: 'on collision a port of 512-1023 is drawn from 600-1023',
    script: `
      in  lan  tcp 192.168.1.9:512 > 198.51.100.1:80 S
      out wan  tcp 203.0.113.5:512 > 198.51.100.1:80 S
      in  lan  tcp 192.168.1.10:512 > 198.51.100.1:80 S
      out wan  tcp 203.0.113.5:$p(600-1023) > 198.51.100.1:80 S
      in  lan  tcp 192.168.1.9:1023 > 198.51.100.1:80 S
      out wan  tcp 203.0.113.5:$q(600-1023) > 198.51.100.1:80 S
      in  lan  tcp 192.168.1.10:1023 > 198.51.100.1:80 S
      out wan  tcp 203.0.113.5:$r(600-1023 but 1023) > 198.51.100.1:80 S
    `,
  },
  {
    name: 'an ICMP id that is taken is drawn from all there are',
    script: `
      in  lan  icmp 192.168.1.9 > 198.51.100.1 ping 7
      out wan  icmp 203.0.113.5 > 198.51.100.1 ping 7
      in  lan  icmp 192.168.1.10 > 198.51.100.1 ping 7
      out wan  icmp 203.0.113.5 > 198.51.100.1 ping $id(0-65535 but 7)
      in  wan  icmp 198.51.100.1 > 203.0.113.5 pong $id
      out lan  icmp 198.51.100.1 > 192.168.1.10 pong 7
    `,
  },
  {
    name: 'a mapping is reused: the same source to another remote keeps its port, even if its own would be free',
    script: `
      in  lan  udp 192.168.1.9:4000 > 198.51.100.1:53
      out wan  udp 203.0.113.5:4000 > 198.51.100.1:53
      in  lan  udp 192.168.1.10:4000 > 198.51.100.1:53
      out wan  udp 203.0.113.5:$p(1024-65535 but 4000) > 198.51.100.1:53
      in  lan  udp 192.168.1.10:4000 > 198.51.100.77:53
      out wan  udp 203.0.113.5:$p > 198.51.100.77:53
    `,
  },
];

const RANGES: readonly Case[] = [
  {
    name: 'a range that contains the own port keeps it if it is free',
    rules: [snat('203.0.113.5:4000-4010', '-p udp ')],
    script: `
      in  lan  udp 192.168.1.9:4007 > 198.51.100.1:53
      out wan  udp 203.0.113.5:4007 > 198.51.100.1:53
      in  lan  udp 192.168.1.9:5000 > 198.51.100.1:53
      out wan  udp 203.0.113.5:$p(4000-4010 but 4007) > 198.51.100.1:53
    `,
  },
  {
    name: 'an exhausted range drops the packet, and the rule counts it at every retry',
    rules: [snat('203.0.113.5:4000-4001', '-p udp ')],
    script: `
      in  lan  udp 192.168.1.9:4000 > 198.51.100.1:53
      out wan  udp 203.0.113.5:4000 > 198.51.100.1:53
      in  lan  udp 192.168.1.10:4000 > 198.51.100.1:53
      out wan  udp 203.0.113.5:4001 > 198.51.100.1:53
      in  lan  udp 192.168.1.11:4000 > 198.51.100.1:53
      drop
      in  lan  udp 192.168.1.11:4000 > 198.51.100.1:53
      drop
    `,
    counters: ['nat [4:112] -A POSTROUTING -o wan -p udp -j SNAT --to-source 203.0.113.5:4000-4001'],
    connections: [
      'udp 192.168.1.9:4000 > 198.51.100.1:53 [UNREPLIED] 198.51.100.1:53 > 203.0.113.5:4000',
      'udp 192.168.1.10:4000 > 198.51.100.1:53 [UNREPLIED] 198.51.100.1:53 > 203.0.113.5:4001',
    ],
  },
  {
    name: 'with a full range a SYN takes over the tuple of an RST-closed entry if its sequence number is higher',
    rules: [snat('203.0.113.5:4000-4001', '-p tcp ')],
    script: `
      in  lan  tcp 192.168.1.20:4001 > 198.51.100.1:80 S seq 1
      out wan  tcp 203.0.113.5:4001 > 198.51.100.1:80 S
      in  lan  tcp 192.168.1.9:4000 > 198.51.100.1:80 S seq 1000
      out wan  tcp 203.0.113.5:4000 > 198.51.100.1:80 S
      in  wan  tcp 198.51.100.1:80 > 203.0.113.5:4000 SA seq 9000 ack 1001
      out lan  tcp 198.51.100.1:80 > 192.168.1.9:4000 SA
      in  lan  tcp 192.168.1.9:4000 > 198.51.100.1:80 A seq 1001 ack 9001
      out wan  tcp 203.0.113.5:4000 > 198.51.100.1:80 A
      in  lan  tcp 192.168.1.10:4000 > 198.51.100.1:80 S seq 5000
      drop
      in  lan  tcp 192.168.1.9:4000 > 198.51.100.1:80 R seq 1001
      out wan  tcp 203.0.113.5:4000 > 198.51.100.1:80 R
      in  lan  tcp 192.168.1.10:4000 > 198.51.100.1:80 S seq 500
      drop
      in  lan  tcp 192.168.1.10:4000 > 198.51.100.1:80 S seq 5000
      out wan  tcp 203.0.113.5:4000 > 198.51.100.1:80 S
    `,
    connections: [
      'tcp SYN_SENT 192.168.1.20:4001 > 198.51.100.1:80 [UNREPLIED] 198.51.100.1:80 > 203.0.113.5:4001',
      'tcp SYN_SENT 192.168.1.10:4000 > 198.51.100.1:80 [UNREPLIED] 198.51.100.1:80 > 203.0.113.5:4000',
    ],
  },
  {
    name: 'no SYN takes over the tuple of a connection in FIN_WAIT',
    rules: [snat('203.0.113.5:4000-4001', '-p tcp ')],
    script: `
      in  lan  tcp 192.168.1.20:4001 > 198.51.100.1:80 S seq 1
      out wan  tcp 203.0.113.5:4001 > 198.51.100.1:80 S
      in  lan  tcp 192.168.1.9:4000 > 198.51.100.1:80 S seq 1000
      out wan  tcp 203.0.113.5:4000 > 198.51.100.1:80 S
      in  wan  tcp 198.51.100.1:80 > 203.0.113.5:4000 SA seq 9000 ack 1001
      out lan  tcp 198.51.100.1:80 > 192.168.1.9:4000 SA
      in  lan  tcp 192.168.1.9:4000 > 198.51.100.1:80 FA seq 1001 ack 9001
      out wan  tcp 203.0.113.5:4000 > 198.51.100.1:80 FA
      in  lan  tcp 192.168.1.10:4000 > 198.51.100.1:80 S seq 50000
      drop
    `,
    connections: [
      'tcp SYN_SENT 192.168.1.20:4001 > 198.51.100.1:80 [UNREPLIED] 198.51.100.1:80 > 203.0.113.5:4001',
      'tcp FIN_WAIT 192.168.1.9:4000 > 198.51.100.1:80 198.51.100.1:80 > 203.0.113.5:4000',
    ],
  },
  {
    name: 'a DNAT range of ports keeps a port already in it, else takes the first free one from the bottom',
    rules: [dnat('-p tcp -m tcp --dport 8000:8010', '192.168.1.20:8005-8006')],
    script: `
      in  wan  tcp 198.51.100.7:40000 > 203.0.113.5:8006 S
      out lan  tcp 198.51.100.7:40000 > 192.168.1.20:8006 S
      in  wan  tcp 198.51.100.7:40000 > 203.0.113.5:8000 S
      out lan  tcp 198.51.100.7:40000 > 192.168.1.20:8005 S
      in  wan  tcp 198.51.100.7:40001 > 203.0.113.5:8001 S
      out lan  tcp 198.51.100.7:40001 > 192.168.1.20:8005 S
      in  wan  tcp 198.51.100.7:40001 > 203.0.113.5:8002 S
      out lan  tcp 198.51.100.7:40001 > 192.168.1.20:8006 S
    `,
  },
  {
    name: 'a DNAT range with a base shifts ports',
    rules: [dnat('-p udp -m udp --dport 5000:5010', '192.168.1.21:6000-6010/5000')],
    script: `
      in  wan  udp 198.51.100.7:40000 > 203.0.113.5:5004
      out lan  udp 198.51.100.7:40000 > 192.168.1.21:6004
      in  wan  udp 198.51.100.7:40000 > 203.0.113.5:5010
      out lan  udp 198.51.100.7:40000 > 192.168.1.21:6010
    `,
  },
  {
    name: 'REDIRECT to a range takes the next free port',
    rules: ['-t nat -A PREROUTING -i lan -p udp -m udp --dport 53:54 -j REDIRECT --to-ports 5300-5301'],
    script: `
      in  lan  udp 192.168.1.9:4000 > 198.51.100.1:53
      host     udp 192.168.1.9:4000 > 192.168.1.1:5300
      in  lan  udp 192.168.1.9:4000 > 198.51.100.2:53
      host     udp 192.168.1.9:4000 > 192.168.1.1:5301
    `,
  },
  {
    name: 'DNAT without a port never changes it',
    rules: [dnat('-p tcp', '192.168.1.20')],
    script: `
      in  wan  tcp 198.51.100.7:40000 > 203.0.113.5:8006 S
      out lan  tcp 198.51.100.7:40000 > 192.168.1.20:8006 S
      in  wan  tcp 198.51.100.7:40000 > 203.0.113.6:8006 S
      out lan  tcp 198.51.100.7:$p(1024-65535 but 40000) > 192.168.1.20:8006 S
    `,
  },
  {
    name: '--random draws a port though the own one is free, and the reply finds its way',
    rules: [`${MASQUERADE} --random`],
    script: `
      in  lan  udp 192.168.1.9:4000 > 198.51.100.1:53
      out wan  udp 203.0.113.5:$p(1024-65535) > 198.51.100.1:53
      in  wan  udp 198.51.100.1:53 > 203.0.113.5:$p
      out lan  udp 198.51.100.1:53 > 192.168.1.9:4000
    `,
  },
  {
    name: 'MASQUERADE to ports draws from them',
    rules: ['-t nat -A POSTROUTING -o wan -p tcp -j MASQUERADE --to-ports 20000-20003 --random-fully'],
    script: `
      in  lan  tcp 192.168.1.9:4000 > 198.51.100.1:80 S
      out wan  tcp 203.0.113.5:$p(20000-20003) > 198.51.100.1:80 S
      in  wan  tcp 198.51.100.1:80 > 203.0.113.5:$p SA ack 1001
      out lan  tcp 198.51.100.1:80 > 192.168.1.9:4000 SA
    `,
  },
  {
    name: 'of a range of addresses one is chosen by a hash of source and destination',
    rules: [snat('203.0.113.10-203.0.113.13')],
    script: `
      in  lan  udp 192.168.1.9:4000 > 198.51.100.1:53
      out wan  udp 203.0.113.13:4000 > 198.51.100.1:53
      in  lan  udp 192.168.1.10:4000 > 198.51.100.1:53
      out wan  udp 203.0.113.12:4000 > 198.51.100.1:53
    `,
  },
];

const ADDRESSES: readonly Case[] = [
  {
    name: 'MASQUERADE takes the primary address whose subnet contains the next hop',
    host: outside('203.0.113.5/24', '10.0.0.5/24'),
    rules: [MASQUERADE],
    script: `
      in  lan  udp 192.168.1.9:4000 > 198.51.100.1:53
      out wan  udp 10.0.0.5:4000 > 198.51.100.1:53
      in  lan  udp 192.168.1.9:4000 > 8.8.8.8:53
      out wan  udp 203.0.113.5:4000 > 8.8.8.8:53
    `,
  },
  {
    name: 'MASQUERADE never takes a secondary address, and ignores the src of a route',
    host: {
      ...outside('203.0.113.5/24', '203.0.113.6/24'),
      route: [
        { dst: '203.0.113.0/24', dev: 'wan', scope: 'link' },
        { dst: '192.168.1.0/24', dev: 'lan', scope: 'link' },
        { dst: 'default', dev: 'wan', gateway: '203.0.113.1', prefsrc: '203.0.113.6' },
      ],
    },
    rules: [MASQUERADE],
    script: `
      in  lan  udp 192.168.1.9:4000 > 8.8.8.8:53
      out wan  udp 203.0.113.5:4000 > 8.8.8.8:53
    `,
  },
  {
    name: 'MASQUERADE without an address there takes one of another interface',
    host: {
      addr: [link('lan', '192.168.1.1/24'), link('wan')],
      route: [
        { dst: '192.168.1.0/24', dev: 'lan', scope: 'link' },
        { dst: 'default', dev: 'wan', scope: 'link' },
      ],
    },
    rules: [MASQUERADE],
    script: `
      in  lan  udp 192.168.1.9:4000 > 8.8.8.8:53
      out wan  udp 192.168.1.1:4000 > 8.8.8.8:53
    `,
  },
  {
    name: 'REDIRECT takes the first address of the ingress interface',
    host: { ...HOME_HOST, addr: [link('lan', '192.168.1.1/24', '10.1.1.1/24'), link('wan', '203.0.113.5/24')] },
    rules: ['-t nat -A PREROUTING -i lan -p tcp -m tcp --dport 80 -j REDIRECT --to-ports 3128'],
    script: `
      in  lan  tcp 192.168.1.9:4000 > 198.51.100.1:80 S
      host     tcp 192.168.1.9:4000 > 192.168.1.1:3128 S
    `,
  },
  {
    name: 'REDIRECT drops where the ingress interface has no address',
    host: {
      addr: [link('lan'), link('wan', '203.0.113.5/24')],
      route: [
        { dst: '192.168.1.0/24', dev: 'lan', scope: 'link' },
        { dst: '203.0.113.0/24', dev: 'wan', scope: 'link' },
      ],
    },
    rules: ['-t nat -A PREROUTING -i lan -p tcp -m tcp --dport 80 -j REDIRECT --to-ports 3128'],
    script: `
      in  lan  tcp 192.168.1.9:4000 > 203.0.113.9:80 S
      drop
    `,
    counters: ['nat [1:40] -A PREROUTING -i lan -p tcp -m tcp --dport 80 -j REDIRECT --to-ports 3128'],
    connections: [],
  },
  {
    name: 'NETMAP maps a network onto another, host part kept',
    rules: ['-t nat -A PREROUTING -d 203.0.113.128/25 -i wan -j NETMAP --to 192.168.1.0/25'],
    script: `
      in  wan  udp 198.51.100.7:40000 > 203.0.113.138:53
      out lan  udp 198.51.100.7:40000 > 192.168.1.10:53
      in  lan  udp 192.168.1.10:53 > 198.51.100.7:40000
      out wan  udp 203.0.113.138:53 > 198.51.100.7:40000
    `,
  },
  {
    name: 'statistic nth matches visits p, p+n, p+2n, ... of its rule',
    rules: ['-A FORWARD -m statistic --mode nth --every 3 --packet 1 -j DROP'],
    script: `
      in  lan  udp 192.168.1.9:4000 > 198.51.100.1:53
      out wan  same
      in  lan  udp 192.168.1.9:4001 > 198.51.100.1:53
      drop
      in  lan  udp 192.168.1.9:4002 > 198.51.100.1:53
      out wan  same
      in  lan  udp 192.168.1.9:4003 > 198.51.100.1:53
      out wan  same
      in  lan  udp 192.168.1.9:4004 > 198.51.100.1:53
      drop
    `,
    counters: ['filter [2:56] -A FORWARD -m statistic --mode nth --every 3 --packet 1 -j DROP'],
  },
  {
    name: 'a match that counts its visits counts those which a later match of its rule turns away',
    rules: ['-A FORWARD -p udp -m statistic --mode nth --every 2 --packet 1 -m udp --dport 54 -j DROP'],
    script: `
      in  lan  udp 192.168.1.9:4000 > 198.51.100.1:53
      out wan  same
      in  lan  udp 192.168.1.9:4000 > 198.51.100.1:54
      drop
      in  lan  udp 192.168.1.9:4001 > 198.51.100.1:54
      out wan  same
    `,
  },
  {
    name: 'of protocols without ports only the address is translated, and a second user of the tuple is dropped',
    script: `
      in  lan  esp 192.168.1.9 > 198.51.100.1 len 24
      out wan  esp 203.0.113.5 > 198.51.100.1
      in  lan  esp 192.168.1.10 > 198.51.100.1 len 24
      drop
      in  wan  esp 198.51.100.1 > 203.0.113.5 len 24
      out lan  esp 198.51.100.1 > 192.168.1.9
      in  lan  ipip 192.168.1.10 > 198.51.100.1 len 24
      out wan  ipip 203.0.113.5 > 198.51.100.1
      in  lan  253 192.168.1.10 > 198.51.100.2 len 3
      out wan  253 203.0.113.5 > 198.51.100.2
    `,
    connections: [
      'unknown 600 192.168.1.9 > 198.51.100.1 198.51.100.1 > 203.0.113.5',
      'unknown 600 192.168.1.10 > 198.51.100.1 [UNREPLIED] 198.51.100.1 > 203.0.113.5',
      'unknown 600 192.168.1.10 > 198.51.100.2 [UNREPLIED] 198.51.100.2 > 203.0.113.5',
    ],
  },
  {
    name: 'GRE shorter than 8 bytes is dropped where it would be translated',
    script: `
      in  lan  gre 192.168.1.9 > 198.51.100.1 cut 4 len 8
      drop
      in  lan  gre 192.168.1.9 > 203.0.113.99 cut 0 len 8
      drop
    `,
  },
];

const defaults = { host: HOME_HOST, rules: [MASQUERADE] };
chapter('the choice of a port on collision', defaults, COLLISIONS);
chapter('ranges of ports and addresses', defaults, RANGES);
chapter('the choice of an address', defaults, ADDRESSES);
