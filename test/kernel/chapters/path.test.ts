/** The way through tables and hooks, and what counts there. */
import { DOCKER_HOST, HOME_HOST } from '../hosts.js';
import { type Case, chapter } from './chapter.js';

const MASQUERADE = '-t nat -A POSTROUTING -o wan -j MASQUERADE';
const PUBLISH = '-t nat -A PREROUTING -i wan -p tcp -m tcp --dport 8080 -j DNAT --to-destination 192.168.1.20:80';
const PUBLISHED = '-A PREROUTING -i wan -p tcp -m tcp --dport 8080 -j DNAT --to-destination 192.168.1.20:80';

const CASES: readonly Case[] = [
  {
    name: 'a forwarded packet meets raw, mangle and nat PREROUTING with its old destination, FORWARD with its new one, POSTROUTING with its old source',
    rules: [
      '-t raw -A PREROUTING -d 203.0.113.5/32 -i wan',
      '-t mangle -A PREROUTING -d 203.0.113.5/32 -i wan',
      PUBLISH,
      '-t mangle -A FORWARD -d 192.168.1.20/32 -i wan -o lan',
      '-A FORWARD -d 192.168.1.20/32 -i wan -o lan -m ttl --ttl-eq 63',
      '-t mangle -A POSTROUTING -s 198.51.100.7/32 -o lan',
      '-t nat -A POSTROUTING -s 198.51.100.7/32 -o lan -j SNAT --to-source 192.168.1.1',
      '-t mangle -A INPUT',
      '-A INPUT',
    ],
    script: `
      in  wan  tcp 198.51.100.7:40000 > 203.0.113.5:8080 S
      out lan  tcp 192.168.1.1:40000 > 192.168.1.20:80 S
    `,
    counters: [
      'raw [1:40] -A PREROUTING -d 203.0.113.5/32 -i wan',
      'mangle [1:40] -A PREROUTING -d 203.0.113.5/32 -i wan',
      `nat [1:40] ${PUBLISHED}`,
      'mangle [1:40] -A FORWARD -d 192.168.1.20/32 -i wan -o lan',
      'filter [1:40] -A FORWARD -d 192.168.1.20/32 -i wan -o lan -m ttl --ttl-eq 63',
      'mangle [1:40] -A POSTROUTING -s 198.51.100.7/32 -o lan',
      'nat [1:40] -A POSTROUTING -s 198.51.100.7/32 -o lan -j SNAT --to-source 192.168.1.1',
      'mangle [0:0] -A INPUT',
      'filter [0:0] -A INPUT',
      // An accepting NAT rule ends the chain before its policy.
      'nat :PREROUTING ACCEPT [0:0]',
      'nat :POSTROUTING ACCEPT [0:0]',
    ],
  },
  {
    name: 'a packet to the host meets mangle, filter and nat INPUT after routing, and no POSTROUTING',
    rules: [
      '-t mangle -A INPUT -i wan',
      '-A INPUT -i wan',
      '-t nat -A INPUT -i wan',
      '-t nat -A POSTROUTING -j MASQUERADE',
      '-t mangle -A POSTROUTING',
      '-t mangle -A FORWARD',
    ],
    script: `
      in  wan  udp 198.51.100.7:40000 > 203.0.113.5:53 len 4
      host same
    `,
    counters: [
      'mangle [1:32] -A INPUT -i wan',
      'filter [1:32] -A INPUT -i wan',
      'nat [1:32] -A INPUT -i wan',
      'nat [0:0] -A POSTROUTING -j MASQUERADE',
      'mangle [0:0] -A POSTROUTING',
      'mangle [0:0] -A FORWARD',
    ],
  },
  {
    name: 'only the first packet of a connection walks the nat chains, ESTABLISHED ones follow the entry and count nothing there',
    rules: [PUBLISH, MASQUERADE, '-A FORWARD -m conntrack --ctstate ESTABLISHED'],
    script: `
      in  wan  tcp 198.51.100.7:40000 > 203.0.113.5:8080 S seq 100
      out lan  tcp 198.51.100.7:40000 > 192.168.1.20:80 S
      in  lan  tcp 192.168.1.20:80 > 198.51.100.7:40000 SA seq 900 ack 101
      out wan  tcp 203.0.113.5:8080 > 198.51.100.7:40000 SA
      in  wan  tcp 198.51.100.7:40000 > 203.0.113.5:8080 A seq 101 ack 901
      out lan  tcp 198.51.100.7:40000 > 192.168.1.20:80 A
      in  wan  tcp 198.51.100.7:40000 > 203.0.113.5:8080 PA seq 101 ack 901 len 20
      out lan  tcp 198.51.100.7:40000 > 192.168.1.20:80 PA
    `,
    counters: [
      `nat [1:40] ${PUBLISHED}`,
      'nat :POSTROUTING ACCEPT [1:40]',
      'filter [3:140] -A FORWARD -m conntrack --ctstate ESTABLISHED',
    ],
    connections: [
      'tcp ESTABLISHED 198.51.100.7:40000 > 203.0.113.5:8080 192.168.1.20:80 > 198.51.100.7:40000 [ASSURED]',
    ],
  },
  {
    name: 'an ICMP error about a connection is RELATED, follows its entry and counts nothing in nat',
    rules: [MASQUERADE, '-A FORWARD -m conntrack --ctstate RELATED'],
    script: `
      in  lan  udp 192.168.1.9:4000 > 198.51.100.1:53 len 4
      out wan  udp 203.0.113.5:4000 > 198.51.100.1:53
      in  wan  icmp 198.51.100.1 > 203.0.113.5 unreachable 3 about { udp 203.0.113.5:4000 > 198.51.100.1:53 len 4 }
      out lan  icmp 198.51.100.1 > 192.168.1.9 about { udp 192.168.1.9:4000 > 198.51.100.1:53 }
    `,
    counters: [
      'nat [1:32] -A POSTROUTING -o wan -j MASQUERADE',
      'nat :PREROUTING ACCEPT [1:32]',
      'filter [1:60] -A FORWARD -m conntrack --ctstate RELATED',
    ],
  },
  {
    name: 'a packet dropped before confirmation leaves no entry, so the next one is NEW again and nat PREROUTING counts again',
    rules: [PUBLISH, '-A FORWARD -d 192.168.1.20/32 -m conntrack --ctstate NEW -j DROP'],
    script: `
      in  wan  tcp 198.51.100.7:40000 > 203.0.113.5:8080 S
      drop
      in  wan  tcp 198.51.100.7:40000 > 203.0.113.5:8080 S
      drop
      in  wan  tcp 198.51.100.7:40001 > 203.0.113.5:8080 S ttl 1
      drop
    `,
    counters: [
      `nat [3:120] ${PUBLISHED}`,
      'filter [2:80] -A FORWARD -d 192.168.1.20/32 -m conntrack --ctstate NEW -j DROP',
      'nat :POSTROUTING ACCEPT [0:0]',
    ],
    connections: [],
  },
  {
    name: 'without a route a packet leaves no entry either',
    host: { ...HOME_HOST, route: (HOME_HOST.route ?? []).filter((route) => route.dst !== 'default') },
    rules: [MASQUERADE],
    script: `
      in  lan  udp 192.168.1.9:4000 > 8.8.8.8:53
      drop
      in  lan  udp 192.168.1.9:4000 > 8.8.8.8:53
      drop
    `,
    counters: ['nat :PREROUTING ACCEPT [2:56]', 'nat [0:0] -A POSTROUTING -o wan -j MASQUERADE'],
    connections: [],
  },
  {
    name: 'INVALID packets go past nat: an inside address leaks out',
    rules: [MASQUERADE, '-A FORWARD -m conntrack --ctstate INVALID'],
    script: `
      in  lan  tcp 192.168.1.9:80 > 198.51.100.1:4000 SA
      out wan  same
    `,
    counters: [
      'filter [1:40] -A FORWARD -m conntrack --ctstate INVALID',
      'nat [0:0] -A POSTROUTING -o wan -j MASQUERADE',
    ],
    connections: [],
  },
  {
    name: 'INVALID packets go past nat: one to a published port reaches the host instead',
    rules: [PUBLISH],
    script: `
      in  wan  tcp 198.51.100.7:40000 > 203.0.113.5:8080 S bad-checksum
      host same
    `,
    counters: [`nat [0:0] ${PUBLISHED}`],
    connections: [],
  },
  {
    name: 'untracked packets go past nat and are forwarded unchanged',
    rules: ['-t raw -A PREROUTING -p udp -j CT --notrack', MASQUERADE, '-A FORWARD -m conntrack --ctstate UNTRACKED'],
    script: `
      in  lan  udp 192.168.1.9:4000 > 198.51.100.1:53
      out wan  same
      in  lan  tcp 192.168.1.9:4000 > 198.51.100.1:53 S
      out wan  tcp 203.0.113.5:4000 > 198.51.100.1:53 S
    `,
    counters: [
      'raw [1:28] -A PREROUTING -p udp -j CT --notrack',
      'filter [1:28] -A FORWARD -m conntrack --ctstate UNTRACKED',
      'nat [1:40] -A POSTROUTING -o wan -j MASQUERADE',
    ],
  },
  {
    name: 'a null binding draws a new source port where two published ports meet at one backend',
    rules: [PUBLISH, PUBLISH.replace('8080', '8081')],
    script: `
      in  wan  tcp 198.51.100.7:40000 > 203.0.113.5:8080 S
      out lan  tcp 198.51.100.7:40000 > 192.168.1.20:80 S
      in  wan  tcp 198.51.100.7:40000 > 203.0.113.5:8081 S
      out lan  tcp 198.51.100.7:$p(1024-65535 but 40000) > 192.168.1.20:80 S
      in  lan  tcp 192.168.1.20:80 > 198.51.100.7:$p SA ack 1001
      out wan  tcp 203.0.113.5:8081 > 198.51.100.7:40000 SA
    `,
  },
  {
    name: 'a null binding draws a new source port for direct access beside a translated flow',
    rules: [PUBLISH],
    script: `
      in  wan  tcp 198.51.100.7:40000 > 203.0.113.5:8080 S
      out lan  tcp 198.51.100.7:40000 > 192.168.1.20:80 S
      in  wan  tcp 198.51.100.7:40000 > 192.168.1.20:80 S
      out lan  tcp 198.51.100.7:$p(1024-65535 but 40000) > 192.168.1.20:80 S
    `,
  },
  {
    name: 'without a rule that needs it there is no tracking: nothing is INVALID and no entry is left',
    rules: ['-P FORWARD ACCEPT', '-A FORWARD -p tcp -m tcp --tcp-flags SYN,ACK SYN,ACK'],
    script: `
      in  lan  tcp 192.168.1.9:80 > 198.51.100.1:4000 SA bad-checksum
      out wan  same
    `,
    counters: ['filter [1:40] -A FORWARD -p tcp -m tcp --tcp-flags SYN,ACK SYN,ACK'],
    connections: [],
  },
  {
    name: 'rules that only keep packets from being tracked track nothing',
    rules: ['-t raw -A PREROUTING -d 203.0.113.9/32 -j CT --notrack', '-t raw -A PREROUTING -f', '-A FORWARD'],
    script: `
      in  lan  udp 192.168.1.9:4000 > 198.51.100.1:53 fragment 3
      out wan  same
    `,
    counters: ['raw [1:28] -A PREROUTING -f', 'filter [1:28] -A FORWARD'],
    connections: [],
  },
  {
    name: 'a nat table in which no rule translates tracks nothing',
    rules: ['-t nat -A PREROUTING -j ACCEPT'],
    script: `
      in  lan  udp 192.168.1.9:4000 > 198.51.100.1:53
      out wan  same
    `,
    counters: ['nat [0:0] -A PREROUTING -j ACCEPT', 'nat :PREROUTING ACCEPT [0:0]'],
    connections: [],
  },
  {
    name: 'a rule that translates switches tracking on whether or not it can match',
    rules: ['-t nat -A POSTROUTING -d 203.0.113.77/32 -j MASQUERADE'],
    script: `
      in  lan  udp 192.168.1.9:4000 > 198.51.100.1:53
      out wan  same
    `,
    counters: ['nat :PREROUTING ACCEPT [1:28]', 'nat :POSTROUTING ACCEPT [1:28]'],
    connections: ['udp 30 192.168.1.9:4000 > 198.51.100.1:53 [UNREPLIED] 198.51.100.1:53 > 192.168.1.9:4000'],
  },
  {
    name: 'a DROP policy on a nat chain drops NEW packets only',
    rules: ['-t nat -P PREROUTING DROP', '-t nat -A PREROUTING -i lan -j ACCEPT', MASQUERADE],
    script: `
      in  lan  udp 192.168.1.9:4000 > 198.51.100.1:53
      out wan  udp 203.0.113.5:4000 > 198.51.100.1:53
      in  wan  udp 198.51.100.1:53 > 203.0.113.5:4000
      out lan  udp 198.51.100.1:53 > 192.168.1.9:4000
      in  wan  udp 198.51.100.1:53 > 203.0.113.5:4001
      drop
    `,
    counters: ['nat :PREROUTING DROP [1:28]'],
  },
  {
    name: 'marks set with --or-mark and --xor-mark are those of --set-xmark',
    rules: [
      '-t mangle -A PREROUTING -j MARK --or-mark 0x5',
      '-t mangle -A PREROUTING -j MARK --xor-mark 0x4001',
      '-A FORWARD -m mark --mark 0x4004',
    ],
    script: `
      in  lan  udp 192.168.1.9:4000 > 198.51.100.1:53
      out wan  same
    `,
    counters: [
      'mangle [1:28] -A PREROUTING -j MARK --set-xmark 0x5/0x5',
      'mangle [1:28] -A PREROUTING -j MARK --set-xmark 0x4001/0x0',
      'filter [1:28] -A FORWARD -m mark --mark 0x4004',
    ],
  },
  {
    name: 'SNAT in nat INPUT changes what the host sees',
    rules: ['-t nat -A INPUT -i wan -p udp -m udp --dport 53 -j SNAT --to-source 10.1.2.3'],
    script: `
      in  wan  udp 198.51.100.7:40000 > 203.0.113.5:53
      host     udp 10.1.2.3:40000 > 203.0.113.5:53
    `,
    counters: ['nat [1:28] -A INPUT -i wan -p udp -m udp --dport 53 -j SNAT --to-source 10.1.2.3'],
    connections: ['udp 30 198.51.100.7:40000 > 203.0.113.5:53 [UNREPLIED] 203.0.113.5:53 > 10.1.2.3:40000'],
  },
  {
    name: "SNAT addresses need not be the host's",
    rules: ['-t nat -A POSTROUTING -o wan -j SNAT --to-source 198.18.0.1'],
    script: `
      in  lan  udp 192.168.1.9:4000 > 198.51.100.1:53
      out wan  udp 198.18.0.1:4000 > 198.51.100.1:53
      in  wan  udp 198.51.100.1:53 > 198.18.0.1:4000
      out lan  udp 198.51.100.1:53 > 192.168.1.9:4000
    `,
  },
  {
    name: 'user-defined chains: RETURN and the end of the chain go back, a goto does not come back to where it was',
    rules: [
      '-N FIRST',
      '-N SECOND',
      '-A FORWARD -p udp -j FIRST',
      '-A FORWARD -p udp -g SECOND',
      '-A FORWARD',
      '-A FIRST -p udp -m udp --dport 53 -j RETURN',
      '-A FIRST',
      '-A SECOND -p udp -m udp --dport 54 -j DROP',
    ],
    script: `
      in  lan  udp 192.168.1.9:4000 > 198.51.100.1:53
      out wan  same
      in  lan  udp 192.168.1.9:4000 > 198.51.100.1:54
      drop
      in  lan  tcp 192.168.1.9:4000 > 198.51.100.1:80 S
      out wan  same
    `,
    counters: [
      'filter [2:56] -A FORWARD -p udp -j FIRST',
      'filter [2:56] -A FORWARD -p udp -g SECOND',
      'filter [1:40] -A FORWARD',
      'filter [1:28] -A FIRST -p udp -m udp --dport 53 -j RETURN',
      'filter [1:28] -A FIRST',
      'filter :FORWARD ACCEPT [2:68]',
    ],
  },
  {
    name: 'in POSTROUTING a forwarded packet still has the interface it came in by, which a user-defined chain may ask about',
    rules: [
      '-t mangle -N OUT',
      '-t mangle -A POSTROUTING -j OUT',
      '-t mangle -A OUT -i lan',
      '-t mangle -A OUT ! -i lan',
    ],
    script: `
      in  lan  udp 192.168.1.9:4000 > 198.51.100.1:53
      out wan  same
    `,
    counters: ['mangle [1:28] -A OUT -i lan', 'mangle [0:0] -A OUT ! -i lan'],
  },
  {
    name: 'with Docker: a published port from outside, the container outwards, and hairpin through the public address',
    host: DOCKER_HOST,
    rules: [
      '-t nat -N DOCKER',
      '-t nat -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER',
      '-t nat -A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE',
      '-t nat -A DOCKER -i docker0 -j RETURN',
      '-t nat -A DOCKER ! -i docker0 -p tcp -m tcp --dport 8799 -j DNAT --to-destination 172.17.0.3:1337',
    ],
    script: `
      in  eth0    tcp 198.51.100.7:40000 > 192.0.2.1:8799 S
      out docker0 tcp 198.51.100.7:40000 > 172.17.0.3:1337 S
      in  docker0 tcp 172.17.0.3:1337 > 198.51.100.7:40000 SA ack 1001
      out eth0    tcp 192.0.2.1:8799 > 198.51.100.7:40000 SA
      in  docker0 udp 172.17.0.3:5353 > 198.51.100.53:53
      out eth0    udp 192.0.2.1:5353 > 198.51.100.53:53
      in  docker0 tcp 172.17.0.4:5000 > 192.0.2.1:8799 S
      host same
    `,
    counters: ['nat [1:40] -A DOCKER -i docker0 -j RETURN'],
  },
];

chapter('the way of a packet', { host: HOME_HOST, rules: [MASQUERADE], backends: ['legacy', 'nft'] }, CASES);
