/** Random hosts, and who lives around them. */
import type { HostFile, RouteJson } from '../../../src/host/hostschema.js';
import { link } from '../hosts.js';
import type { SeededRandom } from '../random.js';
import type { Client } from '../traffic.js';

export type Family = 4 | 6;

export interface Subnet {
  readonly iface: string;
  /** `192.168.2.0/24` */
  readonly prefix: string;
  /** The address in it that ends so: 1 is the host's own. */
  at(last: number): string;
}

/** A host and everything about it that rules and traffic may name. */
export interface World {
  readonly family: Family;
  readonly host: HostFile;
  readonly interfaces: readonly string[];
  readonly subnets: readonly Subnet[];
  /** The host's own addresses. */
  readonly own: readonly string[];
  /** Machines at its interfaces and behind their routers. */
  readonly machines: readonly Client[];
  /** Addresses behind no interface in particular: routes that drop, broadcasts, nobody at all. */
  readonly nowhere: readonly string[];
}

const NAMES = ['eth0', 'eth1', 'wan', 'lan', 'docker0', 'br-7f', 'veth12', 'wg0'];

/** Two to four interfaces with up to three addresses each, routes with gateways, sources and types, a default or none. */
export function randomWorld(random: SeededRandom, family: Family): World {
  const names = shuffled(random, NAMES).slice(0, 2 + random.below(3));
  const subnets: Subnet[] = [];
  const addresses = new Map<string, string[]>();
  names.forEach((iface, k) => {
    const own: string[] = [];
    const count = [1, 1, 1, 2, 2, 3][random.below(6)] ?? 1;
    for (let n = 0; n < count; n++) {
      const last = subnets.at(-1);
      // Another address in the same subnet is a secondary one.
      const subnet = n > 0 && last !== undefined && random.chance(0.5) ? last : newSubnet(random, family, iface, k, n);
      if (subnet !== last) subnets.push(subnet);
      own.push(`${subnet.at(1 + n)}/${subnet.prefix.split('/')[1]}`);
    }
    addresses.set(iface, own);
  });
  const routes = randomRoutes(random, family, subnets);
  const addr = names.map((iface) => withSecondaries(link(iface, ...(addresses.get(iface) ?? []))));
  const sysctl = randomSettings(random, names);
  const host: HostFile = family === 4 ? { addr, route: routes, sysctl } : { addr, route6: routes, sysctl };
  const behind = routes.flatMap(({ dst, dev, type }) =>
    dev === undefined || type !== undefined ? [] : [{ iface: dev, address: inside(random, family, dst) }],
  );
  const machines = [
    ...subnets.flatMap((subnet) =>
      Array.from({ length: 3 }, (_, n) => ({ iface: subnet.iface, address: subnet.at(20 + n) })),
    ),
    ...behind,
  ];
  return {
    family,
    host,
    interfaces: names,
    subnets,
    own: [...addresses.values()].flat().map((text) => text.split('/')[0] ?? ''),
    machines,
    nowhere: nowhere(random, family, subnets, routes),
  };
}

function newSubnet(random: SeededRandom, family: Family, iface: string, k: number, n: number): Subnet {
  if (family === 6) {
    const net = `${random.pick(['2001:db8', 'fd00:77'])}:${k}${n}:`;
    return { iface, prefix: `${net}:/64`, at: (last) => `${net}:${last.toString(16)}` };
  }
  const [net, length] = random.pick([
    [`192.168.${10 * k + n}.`, 24],
    [`203.0.${113 + 10 * k + n}.`, 24],
    [`172.${16 + k}.${n}.`, 24],
    [`10.${k}.${n}.`, 25],
  ] as const);
  return { iface, prefix: `${net}0/${length}`, at: (last) => `${net}${last}` };
}

function withSecondaries<T extends ReturnType<typeof link>>(entry: T): T {
  const seen = new Set<string>();
  for (const address of entry.addr_info ?? []) {
    const [, net] = /^(.*[.:])[^.:]*$/.exec(address.local ?? '') ?? [];
    if (address.family === 'inet' && seen.has(net ?? '')) address.secondary = true;
    seen.add(net ?? '');
  }
  return entry;
}

function randomRoutes(random: SeededRandom, family: Family, subnets: readonly Subnet[]): RouteJson[] {
  const routes: RouteJson[] = subnets.map(({ iface, prefix }) => ({ dst: prefix, dev: iface, protocol: 'kernel' }));
  const remote =
    family === 4
      ? ['198.51.100.0/24', '198.51.101.0/26', '100.64.0.0/10', '8.8.8.8', 'default']
      : ['2001:db8:f00::/48', '2600:1::/32', '2001:db8:f00:9::9', 'default'];
  for (const dst of remote) {
    if (dst !== 'default' && random.chance(0.3)) continue;
    if (dst === 'default' && random.chance(0.1)) continue;
    const subnet = random.pick(subnets);
    const type = dst !== 'default' && random.chance(0.12) ? random.pick(['blackhole', 'unreachable', 'prohibit']) : '';
    if (type !== '') routes.push({ type, dst });
    else routes.push({ dst, dev: subnet.iface, gateway: subnet.at(100) });
  }
  return routes;
}

/** Now and then a switch that changes what becomes of packets. */
function randomSettings(random: SeededRandom, interfaces: readonly string[]): Record<string, string> {
  // Nothing is to expire while a busy machine takes its time.
  const settings: Record<string, string> = { 'net.netfilter.nf_conntrack_tcp_timeout_close': '60' };
  const sometimes = (name: string, value: string): void => {
    if (random.chance(0.08)) settings[name] = value;
  };
  sometimes('net.netfilter.nf_conntrack_tcp_be_liberal', '1');
  sometimes('net.netfilter.nf_conntrack_tcp_loose', '0');
  sometimes('net.netfilter.nf_conntrack_checksum', '0');
  for (const name of [...interfaces, 'all']) {
    sometimes(`net.ipv4.conf.${name}.rp_filter`, random.pick(['1', '2']));
    sometimes(`net.ipv4.conf.${name}.accept_local`, '1');
    sometimes(`net.ipv4.conf.${name}.route_localnet`, '1');
  }
  return settings;
}

/** An address behind a route. */
function inside(random: SeededRandom, family: Family, dst: string): string {
  if (!dst.includes('/') && dst !== 'default') return dst;
  if (family === 6) {
    const net = dst === 'default' ? '2a00:99::' : dst.split('/')[0];
    return `${net}${(0x30 + random.below(3)).toString(16)}`;
  }
  const [a, b, c] = (dst === 'default' ? '93.184.216.0' : (dst.split('/')[0] ?? '')).split('.');
  return `${a}.${b}.${c}.${30 + random.below(3)}`;
}

function nowhere(
  random: SeededRandom,
  family: Family,
  subnets: readonly Subnet[],
  routes: readonly RouteJson[],
): string[] {
  const dropped = routes.filter((route) => route.type !== undefined).map(({ dst }) => inside(random, family, dst));
  const unused = subnets.map((subnet) => subnet.at(77));
  if (family === 6) return [...dropped, ...unused, 'ff02::1', '::1', '::', 'fe80::77'];
  const broadcasts = subnets.map((s) => s.at(s.prefix.endsWith('/25') ? 127 : 255));
  return [...dropped, ...unused, ...broadcasts, '255.255.255.255', '224.0.0.1', '127.0.0.1', '0.0.0.0', '240.0.0.1'];
}

export function shuffled<T>(random: SeededRandom, items: readonly T[]): T[] {
  const rest = [...items];
  return items.map(() => rest.splice(random.below(rest.length), 1)[0] as T);
}
