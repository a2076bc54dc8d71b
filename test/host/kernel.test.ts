/** The host held against the kernel itself: `ip route get`, its own route lists, what MASQUERADE and REDIRECT choose. */
import { afterAll, beforeAll, describe, expect, it, test } from 'vitest';
import { formatAddress } from '../../src/host/address.js';
import { masqueradeAddress, redirectAddress } from '../../src/host/sourceaddress.js';
import type { Host } from '../../src/host/types.js';
import { needs } from '../support/requirements.js';
import { Namespace } from './namespace.js';
import { address, routeText } from './support.js';

const { skip, reason } = needs({
  root: true,
  commands: ['ip', 'unshare', 'nsenter', 'iptables', 'ip6tables', 'conntrack'],
});

/** Links that are up, down, without carrier; subnets of all kinds; routes of all kinds. */
const LINKS = `
  ip link set lo up
  echo 0 > /proc/sys/net/ipv6/conf/all/accept_dad
  echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad
  for i in 0 1 2 3; do ip link add d$i type veth peer name p$i; done
  ip link set p0 up; ip link set p1 up
  ip addr add 192.0.2.1/24 dev d0
  ip addr add 192.0.2.9/24 dev d0
  ip addr add 10.1.0.1/31 dev d1
  ip addr add 10.2.0.1/32 dev d1
  ip addr add 10.3.0.1/30 brd + dev d1
  ip addr add 10.9.0.1 peer 10.9.0.2 dev d1
  ip addr add 10.8.0.1 peer 10.8.0.0/24 dev d1
  ip addr add 10.7.0.1/24 brd 10.7.0.99 dev d1
  ip addr add 10.6.0.1/24 scope link dev d1
  ip addr add 10.4.0.1/24 noprefixroute dev d1
  ip addr add 2001:db8::1/64 dev d0
  ip addr add 2001:db8:1::1/128 dev d1
  ip addr add 2001:db8:2::1/127 dev d1
  ip link set d0 up; ip link set d1 up; ip link set d3 up
  ip addr add 2001:db8:3::1 peer 2001:db8:3::2/128 dev d1
  ip addr add 203.0.113.1/24 dev d2
  ip addr add 198.51.100.1/24 dev d3
`;
const ROUTES = `
  ip route add default via 192.0.2.254
  ip route add default via 192.0.2.253 metric 50
  ip route add 8.0.0.0/8 via 192.0.2.7
  ip route add 8.1.0.0/16 dev d1
  ip route add blackhole 8.2.0.0/16
  ip route add unreachable 8.3.0.0/16
  ip route add prohibit 8.4.0.0/16
  ip route add throw 8.5.0.0/16
  ip route add 8.6.0.0/16 via inet6 fe80::5 dev d0
  ip route add 8.7.0.0/16 via 192.0.2.8 src 192.0.2.9
  ip route add default dev d1 table default
  ip route add 9.0.0.0/8 dev d1 table 100
  ip -6 route add default via fe80::1 dev d0
  ip -6 route add 2001:db8:66::/48 dev d1
  ip -6 route add unreachable 2001:db8:66:6::/64
  ip -6 route add 2001:db8:67::/48 via 2001:db8::99 metric 10
  ip -6 route add 2001:db8:67::/48 via 2001:db8::98 metric 5
`;

const DESTINATIONS = [
  ...['192.0.2.1', '192.0.2.9', '192.0.2.0', '192.0.2.77', '192.0.2.255', '127.0.0.1', '127.1.2.3', '127.255.255.255'],
  ...[
    '10.1.0.0',
    '10.1.0.1',
    '10.2.0.1',
    '10.2.0.2',
    '10.3.0.0',
    '10.3.0.2',
    '10.3.0.3',
    '10.9.0.1',
    '10.9.0.2',
    '10.9.0.3',
  ],
  ...[
    '10.8.0.1',
    '10.8.0.77',
    '10.8.0.255',
    '10.7.0.5',
    '10.7.0.99',
    '10.7.0.255',
    '10.6.0.4',
    '10.6.0.255',
    '10.4.0.1',
    '10.4.0.9',
  ],
  ...[
    '203.0.113.1',
    '203.0.113.2',
    '203.0.113.255',
    '198.51.100.1',
    '198.51.100.2',
    '198.51.100.255',
    '1.1.1.1',
    '9.1.1.1',
  ],
  ...['8.0.0.1', '8.1.0.1', '8.2.0.1', '8.3.0.1', '8.4.0.1', '8.5.0.1', '8.6.0.1', '8.7.0.1', '240.0.0.1', '0.1.1.1'],
  ...['2001:db8::1', '2001:db8::2', '2001:db8:1::1', '2001:db8:1::2', '2001:db8:2::', '2001:db8:2::1', '2001:db8:3::1'],
  ...['2001:db8:3::2', '2001:db8:66::1', '2001:db8:66:6::1', '2001:db8:67::1', '2001:db8:99::1', '::1'],
];

/** What `ip route get` says, as routeText writes it; the interface of local routes is not compared (the kernel says lo). */
function kernelRoute(namespace: Namespace, destination: string): string {
  const text = namespace.ask(`ip -o route get ${destination}`).trim();
  const error = /RTNETLINK answers: (.*)/.exec(text)?.[1];
  if (error !== undefined) return ERRORS[error] ?? error;
  const type = /^(local|broadcast|multicast|anycast|unreachable)?/.exec(text)?.[0] || 'unicast';
  const device = / dev (\S+)/.exec(text)?.[1];
  const gateway = / via (?!inet6)(\S+)/.exec(text)?.[1];
  return [type, type === 'local' ? undefined : device, gateway && `via ${gateway}`]
    .filter((part) => part !== undefined)
    .join(' ');
}

const ERRORS: Readonly<Record<string, string>> = {
  'Invalid argument': 'blackhole',
  'No route to host': 'unreachable',
  'Permission denied': 'prohibit',
  'Network is unreachable': 'none',
};

function ours(host: Host, destination: string): string {
  return routeText(host, destination)
    .replace(/^(local) .*/, '$1')
    .replace(/^anycast .*/, 'anycast lo');
}

describe.skipIf(skip)(`routes as the kernel looks them up ${reason}`, () => {
  let namespace: Namespace;
  beforeAll(async () => {
    namespace = await Namespace.create();
    namespace.run(LINKS);
  });
  afterAll(() => namespace?.remove());

  it('derives from the addresses the routes the kernel installs for them', () => {
    const derived = namespace.hostOfAddresses();
    const theirs = DESTINATIONS.map((destination) => `${destination}: ${kernelRoute(namespace, destination)}`);
    expect(DESTINATIONS.map((destination) => `${destination}: ${ours(derived, destination)}`)).toEqual(theirs);
  });

  it('finds what ip route get finds, routes of all types, metrics and tables', () => {
    namespace.run(ROUTES);
    const host = namespace.host();
    const theirs = DESTINATIONS.map((destination) => `${destination}: ${kernelRoute(namespace, destination)}`);
    expect(DESTINATIONS.map((destination) => `${destination}: ${ours(host, destination)}`)).toEqual(theirs);
  });
});

/** Addresses of the connection conntrack lists towards `destination`: source and destination, then those of the reply. */
function connection(namespace: Namespace, destination: string): (string | undefined)[] {
  const family = destination.includes(':') ? 'ipv6' : 'ipv4';
  const list = namespace.ask(`conntrack -L -f ${family} -p udp --orig-dst ${destination}`).split('\n');
  const line = list.find((text) => text.startsWith('udp')) ?? '';
  return [...line.matchAll(/ (?:src|dst)=(\S+)/g)].map((match) => match[1]);
}

describe.skipIf(skip)(`the address MASQUERADE takes, as the kernel ${reason}`, () => {
  let namespace: Namespace;
  let host: Host;
  beforeAll(async () => {
    namespace = await Namespace.create();
    namespace.run(`
      ip link set lo up
      echo 0 > /proc/sys/net/ipv6/conf/all/accept_dad; echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad
      ip addr add 10.99.0.1/32 dev lo
      for i in 0 1 2; do ip link add d$i type veth peer name p$i; ip link set p$i up; ip link set d$i up; done
      ip addr add 10.1.0.1/24 dev d0; ip addr add 10.1.0.2/24 dev d0; ip addr add 10.2.0.1/24 dev d0
      ip addr add 10.3.0.1 peer 10.3.9.0/24 dev d0; ip addr add 10.0.0.1/24 scope link dev d0
      ip addr add 10.20.0.1/24 dev d1
      ip addr add 2001:db8:1::1/64 dev d0; ip addr add 2001:db8:2::1/64 dev d0; ip addr add fd00::1/64 dev d0
      ip route add 198.51.100.0/24 via 10.1.0.254 src 10.99.0.1
      ip route add 198.51.101.0/24 via 10.2.0.254 src 10.1.0.2
      ip route add 198.51.102.0/24 dev d0 src 10.99.0.1
      ip route add 198.51.103.0/24 dev d2 src 10.20.0.1
      ip route add 198.51.104.0/24 via 10.3.9.7 src 10.99.0.1
      ip route add 198.51.105.0/24 dev d1 src 10.99.0.1
      ip -6 route add 2001:db8:100::/48 dev d0
      ip -6 route add 2001:db8:200::/48 dev d2
      ip -6 route add fd77::/16 dev d0
      iptables -t nat -A POSTROUTING -o d+ -j MASQUERADE
      ip6tables -t nat -A POSTROUTING -o d+ -p udp -j MASQUERADE
    `);
    host = namespace.host();
  });
  afterAll(() => namespace?.remove());

  test.each([
    ['10.1.0.50', 'on the first subnet'],
    ['10.2.0.50', 'on the second subnet'],
    ['10.3.9.50', 'on the subnet of a peer'],
    ['198.51.100.1', "behind a gateway, the route's src being another interface's"],
    ['198.51.101.1', "behind a gateway of the second subnet, the route's src being a secondary"],
    ['198.51.102.1', 'on the link, in no subnet'],
    ['198.51.103.1', 'over an interface without address'],
    ['198.51.104.1', 'behind a gateway of the subnet of a peer'],
    ['198.51.105.1', 'over an interface with one address'],
    ['2001:db8:1::50', 'on the first IPv6 subnet'],
    ['2001:db8:2::50', 'on the second IPv6 subnet'],
    ['2001:db8:100::1', 'an IPv6 route on the link'],
    ['2001:db8:200::1', 'an IPv6 route over an interface with a link-local address only'],
    ['fd77::1', 'a unique local destination'],
  ])('towards %s: %s', (destination) => {
    namespace.ask(`echo x > /dev/udp/${destination}/9`);
    const { family, words } = address(destination);
    const route = host.route(family, words);
    const chosen = masqueradeAddress(
      host,
      family,
      route?.iface ?? -1,
      family === 4 ? (route?.gateway ?? words) : words,
    );
    expect(chosen && formatAddress(family, chosen)).toBe(connection(namespace, destination)[3]);
  });
});

describe.skipIf(skip)(`the address REDIRECT takes, as the kernel ${reason}`, () => {
  let gateway: Namespace;
  let client: Namespace;
  let host: Host;
  beforeAll(async () => {
    gateway = await Namespace.create();
    client = await Namespace.create();
    gateway.run(`
      ip link set lo up
      echo 0 > /proc/sys/net/ipv6/conf/all/accept_dad; echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad
      echo 1 > /proc/sys/net/ipv4/ip_forward; echo 1 > /proc/sys/net/ipv6/conf/all/forwarding
      for i in 0 1; do ip link add d$i type veth peer name c$i; ip link set c$i netns ${client.pid}; ip link set d$i up; done
      ip addr add 10.1.0.1/24 dev d0; ip addr add 10.1.0.2/24 dev d0; ip addr add 10.2.0.1/24 dev d0
      ip addr add 2001:db8:1::1/64 dev d0; ip addr add 2001:db8:2::1/64 dev d0
      ip route add 10.9.0.0/24 dev d1
      iptables -t nat -A PREROUTING -p udp -j REDIRECT --to-ports 53
      iptables -t nat -A OUTPUT -p udp -j REDIRECT --to-ports 53
      ip6tables -t nat -A PREROUTING -p udp -j REDIRECT --to-ports 53
      ip6tables -t nat -A OUTPUT -p udp -j REDIRECT --to-ports 53
    `);
    client.run(`
      echo 0 > /proc/sys/net/ipv6/conf/all/accept_dad; echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad
      ip link set c0 up; ip link set c1 up
      ip addr add 10.1.0.50/24 dev c0; ip addr add 2001:db8:1::50/64 dev c0
      ip addr add 10.9.0.50/24 dev c1
      ip route add 198.51.100.0/24 via 10.1.0.1; ip route add 198.51.101.0/24 dev c1
      ip -6 route add 2001:db8:100::/48 via 2001:db8:1::1
    `);
    host = gateway.host();
    const mac = [...(host.interfaceByName('d1')?.mac ?? [])].map((octet) => octet.toString(16)).join(':');
    client.run(`ip neigh add 198.51.101.7 lladdr ${mac} dev c1`);
  });
  afterAll(() => {
    gateway?.remove();
    client?.remove();
  });

  test.each([
    ['198.51.100.7', 'd0', 'client'],
    ['10.1.0.2', 'd0', 'client'],
    ['2001:db8:100::7', 'd0', 'client'],
    ['10.9.0.7', '@local', 'gateway'],
    ['198.51.101.7', 'd1', 'client'],
  ])('towards %s, come in by %s', async (destination, iface, from) => {
    const { family, words } = address(destination);
    const chosen = redirectAddress(host, family, host.interfaceByName(iface)?.index ?? -1, words);
    // The first packets may be lost while the link comes up.
    const theirs = (): string | undefined => {
      (from === 'client' ? client : gateway).ask(`echo x > /dev/udp/${destination}/9`);
      return connection(gateway, destination)[2];
    };
    await expect.poll(theirs, { timeout: 10_000 }).toBe(chosen && formatAddress(family, chosen));
  });
});
