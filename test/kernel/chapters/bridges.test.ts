/** Bridges with ports: what is bridged, what is routed, and what iptables sees of it. */
import type { HostFile, LinkJson } from '../../../src/host/hostschema.js';
import { link } from '../hosts.js';
import { type Case, chapter } from './chapter.js';

/** Docker's: two containers at the ports of docker0, and eth0 to the outside. */
function host(settings: {
  readonly call?: boolean;
  readonly hairpin?: boolean;
  readonly ports?: readonly string[];
}): HostFile {
  const { call = false, hairpin = false, ports = ['pa', 'pb'] } = settings;
  const port = (ifname: string, k: number): LinkJson => ({
    ...link(ifname),
    address: `02:00:00:00:0a:0${k + 1}`,
    master: 'br0',
    linkinfo: { info_slave_kind: 'bridge', info_slave_data: { hairpin } },
  });
  return {
    addr: [
      { ...link('eth0', '192.0.2.1/24'), address: '02:00:00:00:0e:01' },
      { ...link('br0', '172.17.0.1/16'), address: '02:00:00:00:00:01', linkinfo: { info_kind: 'bridge' } },
      ...ports.map(port),
    ],
    sysctl: { 'net.ipv4.ip_forward': '1', 'net.bridge.bridge-nf-call-iptables': call ? '1' : '0' },
  };
}

const PLAIN = host({});
const CALLED = host({ call: true });

const THREE = ['pa', 'pb', 'pc'];
const BEHIND_A_ROUTER = [
  { dst: '192.0.2.0/24', dev: 'eth0', protocol: 'kernel', scope: 'link', prefsrc: '192.0.2.1' },
  { dst: '172.17.0.0/16', dev: 'br0', protocol: 'kernel', scope: 'link', prefsrc: '172.17.0.1' },
  { dst: '10.1.0.0/16', gateway: '172.17.0.254', dev: 'br0' },
];

const STATIONS = {
  bridge: { mac: '02:00:00:00:00:01' },
  a: { mac: '02:aa:00:00:00:02', addresses: ['172.17.0.2'] },
  b: { mac: '02:bb:00:00:00:03', addresses: ['172.17.0.3'] },
  c: { mac: '02:cc:00:00:00:04', addresses: ['172.17.0.4'] },
  router: { mac: '02:ee:00:00:00:09', addresses: ['172.17.0.254'] },
  nobody: { mac: '02:dd:00:00:00:05' },
  all: { mac: 'ff:ff:ff:ff:ff:ff' },
  group: { mac: '01:00:5e:00:00:05' },
};

const PUBLISH =
  '-t nat -A PREROUTING -d 192.0.2.1/32 -p tcp -m tcp --dport 8799 -j DNAT --to-destination 172.17.0.3:1337';
const HAIRPIN = '-t nat -A POSTROUTING -s 172.17.0.0/16 -d 172.17.0.3/32 -p tcp -m tcp --dport 1337 -j MASQUERADE';

const CASES: readonly Case[] = [
  {
    name: 'E10: from a container to the published port of its own host, with bridge-nf-call-iptables=1 the TTL stays',
    host: CALLED,
    rules: [PUBLISH, HAIRPIN],
    script: `
      in  pb  udp 172.17.0.3:1 > 172.17.0.1:1 from b to bridge
      host same
      in  pa  tcp 172.17.0.2:1005 > 192.0.2.1:8799 S seq 1 from a to bridge
      out pb  tcp 172.17.0.1:1005 > 172.17.0.3:1337 S ttl 64
      in  pb  tcp 172.17.0.3:1337 > 172.17.0.1:1005 SA seq 5 ack 2 from b to bridge
      out pa  tcp 192.0.2.1:8799 > 172.17.0.2:1005 SA ttl 64
    `,
  },
  {
    name: 'E10: with bridge-nf-call-iptables=0 it is routed, and the TTL one less',
    host: PLAIN,
    rules: [PUBLISH, HAIRPIN],
    script: `
      in  pb  udp 172.17.0.3:1 > 172.17.0.1:1 from b to bridge
      host same
      in  pa  tcp 172.17.0.2:1005 > 192.0.2.1:8799 S seq 1 from a to bridge
      out br0 tcp 172.17.0.1:1005 > 172.17.0.3:1337 S
      in  pb  tcp 172.17.0.3:1337 > 172.17.0.1:1005 SA seq 5 ack 2 from b to bridge
      out br0 tcp 192.0.2.1:8799 > 172.17.0.2:1005 SA
    `,
  },
  {
    name: 'E10: back to the port it came from it is dropped, but in hairpin mode',
    host: CALLED,
    rules: [PUBLISH, HAIRPIN],
    script: `
      in  pb  tcp 172.17.0.3:1006 > 192.0.2.1:8799 S from b to bridge
      drop
    `,
  },
  {
    name: 'E10: in hairpin mode the container reaches itself, with its TTL',
    host: host({ call: true, hairpin: true }),
    rules: [PUBLISH, HAIRPIN],
    script: `
      in  pb  tcp 172.17.0.3:1006 > 192.0.2.1:8799 S from b to bridge
      out pb  tcp 172.17.0.1:1006 > 172.17.0.3:1337 S ttl 64
    `,
  },
  {
    name: 'what DNAT leads to an unknown station goes to every other port, to a router of the bridge as if it were that router',
    host: { ...host({ call: true, ports: THREE }), route: BEHIND_A_ROUTER },
    rules: [
      '-t nat -A PREROUTING -d 172.17.0.8/32 -j DNAT --to-destination 172.17.0.77',
      '-t nat -A PREROUTING -d 172.17.0.9/32 -j DNAT --to-destination 10.1.1.1',
    ],
    script: `
      in  pc  udp 172.17.0.254:1 > 172.17.0.1:1 from router to bridge
      host same
      in  pa  udp 172.17.0.2:1008 > 172.17.0.8:7 from a to nobody
      out br0 udp 172.17.0.2:1008 > 172.17.0.77:7 ttl 64
      in  pa  udp 172.17.0.2:1009 > 172.17.0.9:7 from a to nobody
      out pc  udp 172.17.0.2:1009 > 10.1.1.1:7 ttl 64
    `,
  },
  {
    name: 'bridged traffic that DNAT sends to somewhere else is routed',
    rules: ['-t nat -A PREROUTING -d 172.17.0.9/32 -j DNAT --to-destination 192.0.2.7', '-A FORWARD -o eth0'],
    script: `
      in  pa   udp 172.17.0.2:1007 > 172.17.0.9:1007 from a to b
      out eth0 udp 172.17.0.2:1007 > 192.0.2.7:1007
      in  pa   udp 172.17.0.2:1008 > 172.17.0.9:1007 from a to all
      out eth0 udp 172.17.0.2:1008 > 192.0.2.7:1007
      in  eth0 udp 192.0.2.7:1007 > 172.17.0.2:1007
      out br0  udp 172.17.0.9:1007 > 172.17.0.2:1007
    `,
    counters: ['filter [2:56] -A FORWARD -o eth0'],
  },
  {
    name: 'without forwarding nothing is bridged that DNAT readdressed, and what it left alone is',
    host: { ...CALLED, sysctl: { ...CALLED.sysctl, 'net.ipv4.ip_forward': '0' } },
    rules: ['-t nat -A PREROUTING -d 172.17.0.8/32 -j DNAT --to-destination 172.17.0.3'],
    script: `
      in  pb  udp 172.17.0.3:1 > 172.17.0.1:1 from b to bridge
      host same
      in  pa  udp 172.17.0.2:1008 > 172.17.0.8:7 from a to nobody
      drop
      in  pa  udp 172.17.0.2:1009 > 172.17.0.3:7 from a to b
      out pb  bridged
    `,
  },
  {
    name: 'between two ports with bridge-nf-call-iptables=1: PREROUTING, FORWARD and POSTROUTING, TTL 1 passes too',
    rules: [
      '-t mangle -A PREROUTING -i br0 -m physdev --physdev-in pa',
      '-A FORWARD -i br0 -o br0 -m physdev --physdev-in pa --physdev-out pb --physdev-is-bridged',
      '-A FORWARD -m physdev --physdev-in pb',
      '-t mangle -A POSTROUTING -o br0 -m physdev --physdev-out pb --physdev-is-bridged',
      '-A INPUT',
    ],
    script: `
      in  pb  udp 172.17.0.3:1001 > 172.17.0.2:1001 from b to a
      out pa  bridged
      in  pa  udp 172.17.0.2:1001 > 172.17.0.3:1001 from a to b
      out pb  bridged
      in  pa  udp 172.17.0.2:1001 > 172.17.0.3:1001 ttl 1 from a to b
      out pb  bridged
      in  pa  udp 10.9.9.9:1013 > 10.8.8.8:1001 from a to b
      out pb  bridged
    `,
    counters: [
      'mangle [3:84] -A PREROUTING -i br0 -m physdev --physdev-in pa',
      'filter [3:84] -A FORWARD -i br0 -o br0 -m physdev --physdev-in pa --physdev-out pb --physdev-is-bridged',
      'filter [1:28] -A FORWARD -m physdev --physdev-in pb',
      'mangle [3:84] -A POSTROUTING -o br0 -m physdev --physdev-out pb --physdev-is-bridged',
      'filter [0:0] -A INPUT',
    ],
  },
  {
    name: 'FORWARD DROP stops what is bridged, if iptables sees it',
    rules: ['-P FORWARD DROP', '-A FORWARD -m physdev --physdev-in pb -j ACCEPT'],
    script: `
      in  pb  udp 172.17.0.3:1001 > 172.17.0.2:1001 from b to a
      out pa  bridged
      in  pa  udp 172.17.0.2:1001 > 172.17.0.3:1001 from a to b
      drop
    `,
    counters: ['filter :FORWARD DROP [1:28]'],
  },
  {
    name: 'and does not with bridge-nf-call-iptables=0, nor does a broken header: no rule and no connection sees it',
    host: PLAIN,
    rules: ['-P FORWARD DROP', '-A FORWARD -m conntrack --ctstate NEW', '-t mangle -A PREROUTING'],
    script: `
      in  pa  udp 172.17.0.2:1001 > 172.17.0.3:1001 from a to b
      out pb  bridged
      in  pa  udp 172.17.0.2:1001 > 172.17.0.3:1001 bad-ip-checksum from a to b
      out pb  bridged
      in  pa  udp 172.17.0.2:1001 > 172.17.0.3:1001 len 100 id 7 piece 0-64 from a to b
      out pb  bridged
      in  pa  udp 172.17.0.2:1001 > 172.17.0.3:1001 len 100 id 7 piece 64-108 from a to b
      out pb  bridged
    `,
    counters: ['filter :FORWARD DROP [0:0]', 'mangle [0:0] -A PREROUTING'],
    connections: [],
  },
  {
    name: 'a broken header is dropped where iptables sees it',
    rules: ['-t mangle -A PREROUTING'],
    script: `
      in  pa  udp 172.17.0.2:1001 > 172.17.0.3:1001 bad-ip-checksum from a to b
      drop
    `,
    counters: ['mangle [0:0] -A PREROUTING'],
  },
  {
    name: 'sources of what is bridged are translated too, and the reply is bridged or routed as its frame says',
    rules: ['-t nat -A POSTROUTING -s 172.17.0.2/32 -d 172.17.0.3/32 -j SNAT --to-source 172.17.0.44'],
    script: `
      in  pa  udp 172.17.0.2:1020 > 172.17.0.3:7 from a to b
      out pb  udp 172.17.0.44:1020 > 172.17.0.3:7 ttl 64
      in  pb  udp 172.17.0.3:7 > 172.17.0.44:1020 from b to a
      out pa  udp 172.17.0.3:7 > 172.17.0.2:1020 ttl 64
      in  pb  udp 172.17.0.3:7 > 172.17.0.44:1020 from b to bridge
      out pa  udp 172.17.0.3:7 > 172.17.0.2:1020 ttl 64
    `,
    connections: ['udp 172.17.0.2:1020 > 172.17.0.3:7 172.17.0.3:7 > 172.17.0.44:1020'],
  },
  {
    name: 'bridged one way, routed the other: one connection',
    rules: ['-A FORWARD -m conntrack --ctstate ESTABLISHED', '-A FORWARD -m physdev --physdev-is-bridged'],
    script: `
      in  pa  udp 172.17.0.2:1020 > 172.17.0.3:7 from a to b
      out pb  bridged
      in  pb  udp 172.17.0.3:7 > 172.17.0.2:1020 from b to bridge
      out br0 same
      in  pa  udp 172.17.0.2:1020 > 172.17.0.3:7 from a to bridge
      out br0 same
    `,
    counters: [
      'filter [2:56] -A FORWARD -m conntrack --ctstate ESTABLISHED',
      'filter [1:28] -A FORWARD -m physdev --physdev-is-bridged',
    ],
  },
  {
    name: 'an unknown station: a copy for each other port, each with its own way through FORWARD',
    host: host({ call: true, ports: THREE }),
    rules: [
      '-A FORWARD -m physdev --physdev-out pb --physdev-is-bridged',
      '-A FORWARD -p udp -m udp --dport 6666 -m physdev --physdev-out pb --physdev-is-bridged -j DROP',
      '-A FORWARD -p udp -m udp --dport 6667 -j DROP',
      '-t nat -A POSTROUTING -s 172.17.0.2/32 -j SNAT --to-source 172.17.0.44',
    ],
    script: `
      in  pa  udp 172.17.0.2:1010 > 172.17.0.9:53 from a to nobody
      out br0 udp 172.17.0.44:1010 > 172.17.0.9:53 ttl 64
      in  pa  udp 172.17.0.2:1011 > 172.17.0.9:6666 from a to nobody
      out pc  udp 172.17.0.44:1011 > 172.17.0.9:6666 ttl 64
      in  pa  udp 172.17.0.2:1012 > 172.17.0.9:6667 from a to nobody
      drop
    `,
    counters: [
      'filter [3:84] -A FORWARD -m physdev --physdev-out pb --physdev-is-bridged',
      'filter [2:56] -A FORWARD -p udp -m udp --dport 6667 -j DROP',
      'nat [2:56] -A POSTROUTING -s 172.17.0.2/32 -j SNAT --to-source 172.17.0.44',
    ],
  },
  {
    name: 'a broadcast goes to every other port and up to the host, which does not route it',
    host: host({ ports: THREE }),
    rules: ['-A INPUT', '-A FORWARD'],
    script: `
      in  pa  udp 172.17.0.2:137 > 172.17.255.255:137 from a to all
      out br0 bridged
      host same
      in  pa  udp 172.17.0.2:137 > 192.0.2.7:137 from a to all
      out br0 bridged
      in  pa  udp 172.17.0.2:5353 > 224.0.0.251:5353 from a to group
      out br0 bridged
    `,
    counters: ['filter [1:28] -A INPUT', 'filter [0:0] -A FORWARD'],
  },
  {
    name: 'where iptables sees it, the copies come first: the host gets it with the source that POSTROUTING gave them',
    host: host({ call: true, ports: THREE }),
    rules: [
      '-t nat -A POSTROUTING -s 172.17.0.2/32 -j SNAT --to-source 172.17.0.44',
      '-A INPUT -s 172.17.0.44/32 -m physdev --physdev-in pa',
      '-A INPUT -p udp -m udp --dport 7777 -j DROP',
      '-A FORWARD -p udp -m udp --dport 6666 -j DROP',
    ],
    script: `
      in  pa  udp 172.17.0.2:137 > 172.17.255.255:137 from a to all
      out br0 udp 172.17.0.44:137 > 172.17.255.255:137 ttl 64
      host    udp 172.17.0.44:137 > 172.17.255.255:137
      in  pa  udp 172.17.0.2:138 > 172.17.255.255:7777 from a to all
      out br0 udp 172.17.0.44:138 > 172.17.255.255:7777 ttl 64
      in  pa  udp 172.17.0.2:139 > 172.17.255.255:6666 from a to all
      host    udp 172.17.0.2:139 > 172.17.255.255:6666
    `,
    counters: ['filter [2:56] -A FORWARD -p udp -m udp --dport 6666 -j DROP'],
    connections: [
      'udp 172.17.0.2:137 > 172.17.255.255:137 [UNREPLIED] 172.17.255.255:137 > 172.17.0.44:137',
      'udp 172.17.0.2:138 > 172.17.255.255:7777 [UNREPLIED] 172.17.255.255:7777 > 172.17.0.44:138',
      'udp 172.17.0.2:139 > 172.17.255.255:6666 [UNREPLIED] 172.17.255.255:6666 > 172.17.0.2:139',
    ],
  },
  {
    name: 'what was captured on the bridge itself came in by a port that nobody states',
    rules: ['-A FORWARD -m physdev --physdev-in pa', '-A FORWARD -o eth0'],
    script: `
      in  br0  udp 172.17.0.4:2001 > 192.0.2.7:7 from c to bridge
      out eth0 same
      in  br0  udp 172.17.0.4:2002 > 172.17.0.1:7 from c to bridge
      host same
      in  br0  udp 172.17.0.4:2003 > 172.17.255.255:7 from c to all
      host same
    `,
    counters: ['filter [0:0] -A FORWARD -m physdev --physdev-in pa', 'filter [1:28] -A FORWARD -o eth0'],
  },
  {
    name: 'MASQUERADE leaves alone who has no address yet',
    rules: ['-t nat -A POSTROUTING -j MASQUERADE'],
    script: `
      in  pa  udp 0.0.0.0:68 > 255.255.255.255:67 from a to all
      out pb  bridged
      host same
    `,
    connections: ['udp 0.0.0.0:68 > 255.255.255.255:67 [UNREPLIED] 255.255.255.255:67 > 0.0.0.0:68'],
  },
];

const BR_NETFILTER = '/proc/sys/net/bridge/bridge-nf-call-iptables';

chapter('bridges', { host: CALLED, rules: [], stations: STATIONS, kernelFiles: [BR_NETFILTER] }, CASES);
