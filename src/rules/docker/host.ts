/** The host that goes with the rules: its outside interface, the bridges, routes, and the sysctls Docker sets. */
import { formatPrefix, type Prefix } from '../../host/address.js';
import { type HostDescription, makeAddress, withLoopback } from '../../host/description.js';
import { hostFileOf } from '../../host/hostjson.js';
import { applyOptions, type HostOptions } from '../../host/hostoptions.js';
import type { HostFile } from '../../host/hostschema.js';
import type { InterfaceAddress } from '../../host/types.js';
import type { DaemonOptions } from './index.js';
import type { Settled, SettledNetwork } from './settle.js';

/** What the outside is like where nobody says: addresses for documentation (RFC 5737). */
export const EXAMPLE_OUTSIDE = { iface: 'eth0=192.0.2.1/24', route: 'default=192.0.2.254@eth0' } as const;

export interface DockerHostOptions extends HostOptions {
  readonly daemon: DaemonOptions;
  readonly iptables: string;
  readonly ip6tables: string;
}

/** A host file as an object. Errors: HOST_BAD_IFACE, HOST_BAD_ROUTE. */
export function dockerHost(settled: Settled, options: DockerHostOptions): HostFile {
  const stated = statedOutside(options);
  const base: HostDescription = {
    interfaces: [],
    routes: [],
    sysctl: new Map(sysctls(settled, options.daemon)),
    iptables: options.iptables,
    ip6tables: options.ip6tables,
    ipset: undefined,
    assumptions: [],
  };
  // What states a bridge for its MAC address alone (`docker0@02:42:...=`) gets its addresses from here.
  const addressed = new Set(stated.iface.filter((one) => !one.endsWith('=')).map(nameIn));
  const bridges = settled.networks
    .filter(({ bridge }) => !addressed.has(bridge))
    .map((network) => `${network.bridge}=${addressesOf(network).map(text).join(',')}`);
  const description = applyOptions(base, { iface: [...stated.iface, ...bridges], route: stated.route });
  const names = new Set(settled.networks.map(({ bridge }) => bridge));
  const file = hostFileOf({ ...description, interfaces: withLoopback(description.interfaces) });
  return {
    ...file,
    addr: file.addr.map((link) =>
      link.ifname !== undefined && names.has(link.ifname) ? { ...link, linkinfo: { info_kind: 'bridge' } } : link,
    ),
  };
}

/** The interfaces and routes towards the outside, eth0 by default. */
export function statedOutside({ iface = [], route = [] }: HostOptions): {
  readonly iface: readonly string[];
  readonly route: readonly string[];
} {
  const names = iface.map(nameIn);
  const isExample = !names.some((name) => name !== 'docker0' && !name.startsWith('br-'));
  const outside = isExample ? [EXAMPLE_OUTSIDE.iface] : [];
  const way = isExample && route.length === 0 ? [EXAMPLE_OUTSIDE.route] : [];
  return { iface: [...outside, ...iface], route: [...way, ...route] };
}

/** Of `eth0@MAC=ADDRESSES`. */
const nameIn = (iface: string): string => iface.split(/[=@]/)[0] ?? '';

/** A network in gateway mode isolated has no address of the host. */
function addressesOf({ sides }: SettledNetwork): InterfaceAddress[] {
  return [...sides].flatMap(([family, { subnet, gateway, mode }]) => {
    if (mode === 'isolated') return [];
    const own = makeAddress(family, gateway.words, subnet.prefixLength);
    const link = makeAddress(6, Uint32Array.of(0xfe800000, 0, 0, 1), 64);
    return family === 4 ? [own] : [own, link];
  });
}

const text = ({ family, words, prefixLength }: InterfaceAddress | Prefix): string =>
  formatPrefix(family, words, prefixLength);

function sysctls({ networks }: Settled, { userlandProxy }: DaemonOptions): [string, string][] {
  const set: [string, string][] = [['net.ipv4.ip_forward', '1']];
  if (networks.some(({ sides }) => sides.has(6))) {
    set.push(['net.ipv6.conf.all.forwarding', '1'], ['net.ipv6.conf.default.forwarding', '1']);
  }
  // Bridged packets must pass the rules where these are to part containers, or to lead them to each other by hairpin.
  const filtered = !userlandProxy || networks.some(({ icc }) => !icc);
  set.push(['net.bridge.bridge-nf-call-iptables', filtered ? '1' : '0']);
  set.push(['net.bridge.bridge-nf-call-ip6tables', filtered && networks.some(({ sides }) => sides.has(6)) ? '1' : '0']);
  // So that what the host sends to 127.0.0.1 may be translated to a container.
  if (!userlandProxy)
    for (const { bridge } of networks) set.push([`net.ipv4.conf.${bridge.replaceAll('.', '/')}.route_localnet`, '1']);
  return set;
}
