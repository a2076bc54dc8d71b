/** The host that goes with the rules: its outside interface, the bridges, routes, and the sysctls Docker sets. */
import { addressBits, formatAddress, formatPrefix, networkOf, type Prefix, sameAddress } from '../../host/address.js';
import {
  EMPTY_HOST,
  type HostDescription,
  makeAddress,
  subnetBroadcast,
  withLoopback,
} from '../../host/description.js';
import { hostFileOf } from '../../host/hostjson.js';
import { applyOptions, type HostOptions } from '../../host/hostoptions.js';
import type { HostFile } from '../../host/hostschema.js';
import type { InterfaceAddress } from '../../host/types.js';
import type { DaemonOptions } from './index.js';
import type { Settled, SettledNetwork } from './settle.js';

/** What the outside is like where nobody says: addresses for documentation (RFC 5737). */
const EXAMPLE_OUTSIDE = 'eth0=192.0.2.1/24';

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

/**
 * The interfaces and routes towards the outside. Where they are not stated: eth0, and the far end of the first interface's
 * subnet as the router. Its address does not matter to what becomes of packets, its interface does.
 */
export function statedOutside({ iface = [], route = [] }: HostOptions): {
  readonly iface: readonly string[];
  readonly route: readonly string[];
} {
  const isOutside = (one: string): boolean => nameIn(one) !== 'docker0' && !nameIn(one).startsWith('br-');
  const interfaces = iface.some(isOutside) ? iface : [EXAMPLE_OUTSIDE, ...iface];
  if (route.length > 0) return { iface: interfaces, route };
  const { interfaces: made } = applyOptions(EMPTY_HOST, { iface: interfaces.filter(isOutside) });
  const routers = ([4, 6] as const).flatMap((family) => {
    const outside = made.filter(({ loopback }) => !loopback);
    const way = outside.flatMap(({ name, addresses }) => addresses.map((address) => ({ name, address })));
    const first = way.find(({ address }) => address.family === family && address.scope === 'global');
    return first === undefined ? [] : [`default${family}=${routerIn(first.address)}@${first.name}`];
  });
  return { iface: interfaces, route: routers };
}

/** An address of the subnet that is not the host's own: .254 of a /24, ::1 of a /64, or the one beside it. */
function routerIn({ family, words, prefixLength }: InterfaceAddress): string {
  if (prefixLength >= addressBits(family) - 1) return '';
  const router = networkOf(family, words, prefixLength);
  const at = family === 4 ? 0 : 3;
  if (family === 4) router[0] = subnetBroadcast(words[0] ?? 0, prefixLength);
  const step = family === 4 ? -1 : 1;
  router[at] = (router[at] ?? 0) + step;
  if (sameAddress(router, words)) router[at] = (router[at] ?? 0) + step;
  return formatAddress(family, router);
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
