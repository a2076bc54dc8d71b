/** The same as scenarios.ts for IPv6. Machines inside have unique local addresses where NAT66 is to hide them. */
import type { HostFile } from '../../src/host/hostschema.js';
import { link } from './hosts.js';
import type { Scenario } from './scenarios.js';
import type { TrafficPlan } from './traffic.js';

/** `lan` fd00:1::1/64 inside, `wan` 2001:db8:5::5/64 outside, each with a link-local address. */
export const HOME_HOST6: HostFile = {
  addr: [
    withLinkLocal(link('lan', 'fd00:1::1/64'), 'fe80::1'),
    withLinkLocal(link('wan', '2001:db8:5::5/64'), 'fe80::5'),
  ],
  route6: [
    { dst: 'default', gateway: '2001:db8:5::fe', dev: 'wan', metric: 1024 },
    { dst: '2001:db8:5::/64', dev: 'wan', protocol: 'kernel', metric: 256 },
    { dst: 'fd00:1::/64', dev: 'lan', protocol: 'kernel', metric: 256 },
    { dst: 'fe80::/64', dev: 'lan', protocol: 'kernel', metric: 256 },
    { dst: 'fe80::/64', dev: 'wan', protocol: 'kernel', metric: 256 },
    { type: 'unreachable', dst: '2001:db8:dead::/48', dev: 'lo', metric: 1024 },
    { type: 'blackhole', dst: '2001:db8:bad::/48', dev: 'lo', metric: 1024 },
    { type: 'prohibit', dst: '2001:db8:f00d::/48', dev: 'lo', metric: 1024 },
  ],
};

function withLinkLocal(iface: ReturnType<typeof link>, address: string): ReturnType<typeof link> {
  const own = { family: 'inet6', local: address, prefixlen: 64, scope: 'link' };
  return { ...iface, addr_info: [...(iface.addr_info ?? []), own] };
}

const NO_RULES = '*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\nCOMMIT\n';
const NAT_CHAINS = ['PREROUTING', 'INPUT', 'OUTPUT', 'POSTROUTING'].map((chain) => `:${chain} ACCEPT [0:0]\n`).join('');
const nat = (...rules: readonly string[]): string =>
  `*nat\n${NAT_CHAINS}${rules.map((rule) => `-A ${rule}\n`).join('')}COMMIT\n`;

const machines = (iface: string, prefix: string, from: number, count: number) =>
  Array.from({ length: count }, (_, i) => ({ iface, address: `${prefix}::${(from + i).toString(16)}` }));

const outbound = (sourcePorts: readonly number[]): TrafficPlan => ({
  clients: machines('lan', 'fd00:1', 0x10, 6),
  targets: [
    { from: ['lan'], address: '2001:db8:100::1', tcp: [80], udp: [53], ping: true },
    { from: ['lan'], address: '2001:db8:100::2', tcp: [80, 443], udp: [53], ping: true, protocols: [50, 132] },
    { from: ['lan'], address: 'fd00:1::1', udp: [53], ping: true },
    { from: ['lan'], address: '2001:db8:5::5', udp: [53] },
  ],
  sourcePorts,
});

const inbound = (tcp: readonly number[], udp: readonly number[]): TrafficPlan => ({
  clients: [...machines('wan', '2001:db8:100', 0x10, 4), ...machines('lan', 'fd00:1', 0x10, 2)],
  targets: [
    { from: ['wan'], address: '2001:db8:5::5', tcp, udp, ping: true },
    { from: ['wan'], address: 'fd00:1::20', tcp: [80], udp: [53] },
    { from: ['lan'], address: '2001:db8:100::10', tcp: [80], udp: [53], ping: true },
  ],
  sourcePorts: [40000, 40001, 40002, 40003, 50000, 50001],
});

export const SCENARIOS6: readonly Scenario[] = [
  {
    name: 'IPv6 forwarding without rules',
    host: HOME_HOST6,
    rules: NO_RULES,
    rules6: NO_RULES,
    traffic: {
      clients: [...machines('lan', 'fd00:1', 0x10, 3), ...machines('wan', '2001:db8:100', 0x10, 3)],
      targets: [
        { from: ['lan'], address: '2001:db8:100::10', tcp: [80], udp: [53], ping: true, protocols: [50, 47] },
        { from: ['wan'], address: 'fd00:1::10', tcp: [80], udp: [53], ping: true },
        { from: ['lan', 'wan'], address: '2001:db8:5::5', tcp: [22], udp: [53], ping: true },
        // The anycast address of routers on that link, and addresses that lead nowhere.
        { from: ['lan', 'wan'], address: 'fd00:1::', udp: [53], ping: true },
        { from: ['lan', 'wan'], address: '2001:db8:dead::1', udp: [53] },
        { from: ['lan', 'wan'], address: '2001:db8:bad::1', udp: [53] },
        { from: ['lan', 'wan'], address: '2001:db8:f00d::1', udp: [53] },
        { from: ['lan', 'wan'], address: 'fe80::1', udp: [53], ping: true },
        { from: ['lan', 'wan'], address: 'fe80::77', udp: [53], ping: true },
      ],
      sourcePorts: [4000, 4001],
    },
  },
  {
    name: 'IPv6 DNAT and masquerading',
    host: HOME_HOST6,
    rules: NO_RULES,
    rules6: nat(
      'PREROUTING -i wan -p tcp -m tcp --dport 8080 -j DNAT --to-destination [fd00:1::20]:80',
      'PREROUTING -i wan -p tcp -m tcp --dport 8081 -j DNAT --to-destination [fd00:1::20]:80',
      'PREROUTING -i wan -p udp -m udp --dport 5301 -j DNAT --to-destination [fd00:1::20]:53',
      'PREROUTING -i wan -p ipv6-icmp -m icmp6 --icmpv6-type 128 -j DNAT --to-destination fd00:1::21',
      'POSTROUTING -o wan -j MASQUERADE',
    ),
    traffic: inbound([8080, 8081, 22], [5301, 53]),
  },
  {
    name: 'IPv6 masquerade with collisions',
    host: HOME_HOST6,
    rules: NO_RULES,
    rules6: nat('POSTROUTING -o wan -j MASQUERADE'),
    traffic: outbound([4000, 4001, 300, 301, 800]),
  },
  {
    name: 'IPv6 masquerade by the destination',
    host: {
      ...HOME_HOST6,
      addr: [link('lan', 'fd00:1::1/64'), link('wan', '2001:db8:5::5/64', 'fd00:5::5/64', '2001:db8:6::5/64')],
      route6: [
        { dst: 'default', gateway: '2001:db8:5::fe', dev: 'wan', metric: 1024 },
        { dst: '2001:db8:5::/64', dev: 'wan', protocol: 'kernel', metric: 256 },
        { dst: '2001:db8:6::/64', dev: 'wan', protocol: 'kernel', metric: 256 },
        { dst: 'fd00:5::/64', dev: 'wan', protocol: 'kernel', metric: 256 },
        { dst: 'fd00:1::/64', dev: 'lan', protocol: 'kernel', metric: 256 },
      ],
    },
    rules: NO_RULES,
    rules6: nat('POSTROUTING -o wan -p tcp -j MASQUERADE --to-ports 20000-20400', 'POSTROUTING -o wan -j MASQUERADE'),
    traffic: {
      clients: machines('lan', 'fd00:1', 0x10, 4),
      targets: [
        { from: ['lan'], address: '2001:db8:6:1::1', tcp: [80], udp: [53], ping: true },
        { from: ['lan'], address: 'fd00:9::1', tcp: [80], udp: [53], ping: true },
        { from: ['lan'], address: '2002:c000:201::1', tcp: [80], udp: [53] },
        { from: ['lan'], address: '64:ff9b::1', udp: [53] },
      ],
      sourcePorts: [4000, 4001],
    },
  },
  {
    name: 'IPv6 SNAT to a range of addresses',
    host: HOME_HOST6,
    rules: NO_RULES,
    rules6: nat('POSTROUTING -o wan -j SNAT --to-source 2001:db8:5::1:fffe-2001:db8:5::2:5'),
    traffic: outbound([4000, 4001, 4002]),
  },
  {
    name: 'IPv6 SNAT to ranges of prefixes and ports',
    host: HOME_HOST6,
    rules: NO_RULES,
    rules6: nat(
      'POSTROUTING -o wan -p tcp -j SNAT --to-source [2001:db8:7::]:10000-10200',
      'POSTROUTING -o wan -p udp -j SNAT --to-source 2001:db8:7::-2001:db8:7:ff:ffff:ffff:ffff:ffff --persistent',
      'POSTROUTING -o wan -j SNAT --to-source 2001:db8:8::1-2001:db8:8::3',
    ),
    traffic: outbound([4000, 4001, 10010]),
  },
  {
    name: 'IPv6 DNAT to ranges',
    host: HOME_HOST6,
    rules: NO_RULES,
    rules6: nat(
      'PREROUTING -i wan -p tcp -m tcp --dport 80 -j DNAT --to-destination fd00:1::20-fd00:1::25',
      'PREROUTING -i wan -p udp -m udp --dport 53 -j DNAT --to-destination fd00:1::1:30-fd00:1::3:33',
      'PREROUTING -i wan -p tcp -m tcp --dport 8000:8010 -j DNAT --to-destination [fd00:1::20]:8005-8020',
      'POSTROUTING -o wan -j MASQUERADE',
    ),
    traffic: inbound([80, 443, 8000, 8006], [53]),
  },
  {
    name: 'IPv6 REDIRECT',
    host: HOME_HOST6,
    rules: NO_RULES,
    rules6: nat(
      'PREROUTING -i lan -p tcp -m tcp --dport 80 -j REDIRECT --to-ports 3128',
      'PREROUTING -i lan -p udp -m udp --dport 53 -j REDIRECT --to-ports 5300-5310',
      'POSTROUTING -o wan -j MASQUERADE',
    ),
    traffic: outbound([4000, 4001, 4002, 4003]),
  },
  {
    name: 'IPv6 NETMAP',
    host: HOME_HOST6,
    rules: NO_RULES,
    rules6: nat(
      'PREROUTING -i wan -d 2001:db8:55::/64 -j NETMAP --to fd00:1::/64',
      'POSTROUTING -o wan -s fd00:1::/64 -j NETMAP --to 2001:db8:55::/64',
    ),
    traffic: {
      clients: [...machines('lan', 'fd00:1', 0x10, 4), ...machines('wan', '2001:db8:100', 0x10, 3)],
      targets: [
        { from: ['lan'], address: '2001:db8:100::10', tcp: [80], udp: [53], ping: true, protocols: [50] },
        { from: ['wan'], address: '2001:db8:55::10', tcp: [80], udp: [53], ping: true },
      ],
      sourcePorts: [4000, 4001, 4002],
    },
  },
  {
    name: 'an IPv6 firewall by state beside masquerading',
    host: HOME_HOST6,
    rules: NO_RULES,
    rules6: `*raw
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
-A PREROUTING -m addrtype --dst-type LOCAL
-A PREROUTING -m addrtype --dst-type MULTICAST
-A PREROUTING -m addrtype --src-type UNICAST
-A PREROUTING -m iprange --src-range fd00:1::11-fd00:1::12
-A PREROUTING -m length --length 0:100
-A FORWARD -m mark --mark 0x1
COMMIT
*nat
${NAT_CHAINS}-A PREROUTING -i wan -p tcp -m multiport --dports 8080,8081 -j DNAT --to-destination [fd00:1::20]:80
-A POSTROUTING -o wan -j MASQUERADE
COMMIT
*filter
:INPUT DROP [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
:NEW - [0:0]
-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A INPUT -p ipv6-icmp -m icmp6 --icmpv6-type 128 -j ACCEPT
-A INPUT -p ipv6-icmp -m icmp6 --icmpv6-type 135 -m conntrack --ctstate UNTRACKED -j ACCEPT
-A FORWARD -m conntrack --ctstate INVALID -j DROP
-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -m conntrack --ctstate NEW -j NEW
-A FORWARD -m conntrack --ctstate UNTRACKED -j ACCEPT
-A NEW -i wan -m conntrack --ctstate DNAT -j ACCEPT
-A NEW -i wan ! -d fd00:1::/96 -j RETURN
-A NEW -i wan -j REJECT --reject-with icmp6-adm-prohibited
-A NEW -p tcp -m tcp ! --tcp-flags FIN,SYN,RST,ACK SYN -j DROP
-A NEW -j ACCEPT
COMMIT
`,
    traffic: {
      clients: [...machines('lan', 'fd00:1', 0x10, 4), ...machines('wan', '2001:db8:100', 0x10, 3)],
      targets: [
        { from: ['lan'], address: '2001:db8:100::10', tcp: [80, 443], udp: [53, 5353], ping: true, protocols: [50] },
        { from: ['lan', 'wan'], address: '2001:db8:5::5', tcp: [22, 8080, 8081], udp: [53], ping: true },
        { from: ['wan'], address: 'fd00:1::20', tcp: [80], udp: [5353] },
      ],
      sourcePorts: [4000, 4001, 4002, 300],
    },
  },
];
