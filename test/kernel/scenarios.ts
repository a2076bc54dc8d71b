/** Hosts, rules and the traffic that makes them work: what the engine is compared with the kernel over. */
import type { HostFile } from '../../src/host/hostschema.js';
import { DOCKER_HOST, DOCKER_RULES, HOME_HOST, HOME_RULES, link } from './hosts.js';
import type { TrafficPlan } from './traffic.js';

export interface Scenario {
  readonly name: string;
  readonly host: HostFile;
  readonly rules: string;
  /** IPv6 rules; undefined: none. */
  readonly rules6?: string;
  readonly traffic: TrafficPlan;
}

const machines = (iface: string, prefix: string, from: number, count: number) =>
  Array.from({ length: count }, (_, i) => ({ iface, address: `${prefix}.${from + i}` }));

/** The chains are declared because iptables-nft makes, and counts, only those that are. */
const NAT_CHAINS = ['PREROUTING', 'INPUT', 'OUTPUT', 'POSTROUTING'].map((chain) => `:${chain} ACCEPT [0:0]\n`).join('');
const nat = (...rules: readonly string[]): string =>
  `*nat\n${NAT_CHAINS}${rules.map((rule) => `-A ${rule}\n`).join('')}COMMIT\n`;

/** A gateway between `lan` 192.168.1.0/24 and `wan` 203.0.113.0/24, and machines that open connections outwards. */
const outbound = (sourcePorts: readonly number[]): TrafficPlan => ({
  clients: machines('lan', '192.168.1', 10, 6),
  targets: [
    { from: ['lan'], address: '198.51.100.1', tcp: [80], udp: [53], ping: true },
    { from: ['lan'], address: '198.51.100.2', tcp: [80, 443], udp: [53], ping: true, protocols: [50] },
    { from: ['lan'], address: '192.168.1.1', udp: [53], ping: true },
  ],
  sourcePorts,
});

/** The same gateway, and strangers who open connections to its public address. */
const inbound = (tcp: readonly number[], udp: readonly number[]): TrafficPlan => ({
  clients: [...machines('wan', '198.51.100', 10, 4), ...machines('lan', '192.168.1', 10, 2)],
  targets: [
    { from: ['wan'], address: '203.0.113.5', tcp, udp, ping: true },
    { from: ['wan'], address: '192.168.1.20', tcp: [80], udp: [53] },
    { from: ['lan'], address: '198.51.100.10', tcp: [80], udp: [53], ping: true },
  ],
  sourcePorts: [40000, 40001, 40002, 40003, 50000, 50001],
});

export const SCENARIOS: readonly Scenario[] = [
  {
    name: 'docker',
    host: DOCKER_HOST,
    rules: DOCKER_RULES,
    traffic: {
      clients: [...machines('eth0', '198.51.100', 10, 5), ...machines('docker0', '172.17.0', 3, 3)],
      targets: [
        { from: ['eth0'], address: '192.0.2.1', tcp: [80, 8799, 22], udp: [53], ping: true },
        { from: ['eth0', 'docker0'], address: '172.17.0.3', tcp: [1337] },
        { from: ['docker0'], address: '198.51.100.10', tcp: [80, 443], udp: [53], ping: true, protocols: [50] },
        { from: ['docker0'], address: '192.0.2.1', tcp: [80, 8799] },
      ],
      sourcePorts: [40000, 40001, 40002, 40003, 300, 800],
    },
  },
  {
    name: 'masquerade with collisions',
    host: HOME_HOST,
    rules: HOME_RULES,
    traffic: outbound([4000, 4001, 300, 301, 800]),
  },
  {
    name: 'SNAT to a range of addresses',
    host: HOME_HOST,
    rules: nat('POSTROUTING -o wan -j SNAT --to-source 203.0.113.10-203.0.113.13'),
    traffic: outbound([4000, 4001, 4002]),
  },
  {
    name: 'SNAT to a range of addresses, persistent',
    host: HOME_HOST,
    rules: nat('POSTROUTING -o wan -j SNAT --to-source 203.0.113.10-203.0.113.13 --persistent'),
    traffic: outbound([4000, 4001, 4002]),
  },
  {
    name: 'SNAT to a range of ports',
    host: HOME_HOST,
    rules: nat(
      'POSTROUTING -o wan -p tcp -j SNAT --to-source 203.0.113.5:10000-10200',
      'POSTROUTING -o wan -p udp -j SNAT --to-source 203.0.113.6:3900-4500',
      'POSTROUTING -o wan -j SNAT --to-source 203.0.113.7',
    ),
    traffic: outbound([4000, 4001, 10010]),
  },
  {
    name: 'DNAT to a range of addresses',
    host: HOME_HOST,
    rules: nat(
      'PREROUTING -i wan -p tcp --dport 80 -j DNAT --to-destination 192.168.1.20-192.168.1.25',
      'PREROUTING -i wan -p udp --dport 53 -j DNAT --to-destination 192.168.1.30-192.168.1.33:5300',
      'POSTROUTING -o wan -j MASQUERADE',
    ),
    traffic: inbound([80, 443], [53]),
  },
  {
    name: 'DNAT to a range of ports',
    host: HOME_HOST,
    rules: nat(
      'PREROUTING -i wan -p tcp --dport 8000:8010 -j DNAT --to-destination 192.168.1.20:8005-8020',
      'PREROUTING -i wan -p udp --dport 5000:5010 -j DNAT --to-destination 192.168.1.21:6000-6010/5000',
      'POSTROUTING -o wan -j MASQUERADE',
    ),
    traffic: inbound([8000, 8003, 8006, 8010], [5000, 5004, 5010]),
  },
  {
    name: 'REDIRECT',
    host: HOME_HOST,
    rules: nat(
      'PREROUTING -i lan -p tcp --dport 80 -j REDIRECT --to-ports 3128',
      'PREROUTING -i lan -p udp --dport 53 -j REDIRECT --to-ports 5300-5310',
      'POSTROUTING -o wan -j MASQUERADE',
    ),
    traffic: outbound([4000, 4001, 4002, 4003]),
  },
  {
    name: 'NETMAP',
    host: { ...HOME_HOST, addr: [...HOME_HOST.addr, link('vpn', '10.9.0.1/24')] },
    rules: nat(
      'PREROUTING -i wan -d 203.0.113.128/25 -j NETMAP --to 192.168.1.0/25',
      'POSTROUTING -o wan -s 192.168.1.0/25 -j NETMAP --to 203.0.113.128/25',
    ),
    traffic: {
      clients: [...machines('lan', '192.168.1', 10, 4), ...machines('wan', '198.51.100', 10, 3)],
      targets: [
        { from: ['lan'], address: '198.51.100.10', tcp: [80], udp: [53], ping: true, protocols: [50] },
        { from: ['wan'], address: '203.0.113.138', tcp: [80], udp: [53], ping: true },
        { from: ['wan'], address: '203.0.113.140', tcp: [80], udp: [53], protocols: [50] },
      ],
      sourcePorts: [4000, 4001, 4002, 80, 53],
    },
  },
  {
    name: 'null bindings that collide',
    host: HOME_HOST,
    rules: nat(
      'PREROUTING -i wan -p tcp --dport 8080 -j DNAT --to-destination 192.168.1.20:80',
      'PREROUTING -i wan -p tcp --dport 8081 -j DNAT --to-destination 192.168.1.20:80',
      'PREROUTING -i wan -p udp --dport 5301 -j DNAT --to-destination 192.168.1.20:53',
      'PREROUTING -i wan -p udp --dport 5302 -j DNAT --to-destination 192.168.1.20:53',
    ),
    traffic: inbound([8080, 8081], [5301, 5302]),
  },
  {
    name: 'a firewall by state beside masquerading',
    host: HOME_HOST,
    rules: `*raw
:PREROUTING ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
-A PREROUTING -p udp -m udp --dport 5353 -j CT --notrack
COMMIT
*mangle
:PREROUTING ACCEPT [0:0]
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
-A PREROUTING -i lan -p tcp -m tcp --dport 443 -j MARK --set-xmark 0x1/0xffffffff
-A FORWARD -m mark --mark 0x1
COMMIT
*nat
${NAT_CHAINS}-A PREROUTING -i wan -p tcp -m multiport --dports 8080,8081 -j DNAT --to-destination 192.168.1.20:80
-A POSTROUTING -o wan -j MASQUERADE
COMMIT
*filter
:INPUT DROP [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
:NEW - [0:0]
-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A INPUT -p icmp -m icmp --icmp-type 8 -j ACCEPT
-A FORWARD -m conntrack --ctstate INVALID -j DROP
-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -m conntrack --ctstate NEW -j NEW
-A FORWARD -m conntrack --ctstate UNTRACKED -j ACCEPT
-A NEW -i wan -m conntrack --ctstate DNAT -j ACCEPT
-A NEW -i wan -j RETURN
-A NEW -p tcp -m tcp ! --tcp-flags FIN,SYN,RST,ACK SYN -j DROP
-A NEW -j ACCEPT
COMMIT
`,
    traffic: {
      clients: [...machines('lan', '192.168.1', 10, 4), ...machines('wan', '198.51.100', 10, 3)],
      targets: [
        { from: ['lan'], address: '198.51.100.10', tcp: [80, 443], udp: [53, 5353], ping: true, protocols: [50] },
        { from: ['lan', 'wan'], address: '203.0.113.5', tcp: [22, 8080, 8081], udp: [53], ping: true },
        { from: ['wan'], address: '192.168.1.20', tcp: [80], udp: [5353] },
      ],
      sourcePorts: [4000, 4001, 4002, 300],
    },
  },
];
