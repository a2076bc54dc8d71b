/** The host file of a generated capture's gateway, in the form of what iproute2 prints there. */
import { broadcast, colons, dotted, network } from './address.js';
import type { Interface, Route, World } from './plan.js';

const LOOPBACK: Interface = { name: 'lo', mac: [0, 0], address: 0x7f000001, prefix: 8, ttl: 64 };

/** What `ip -j addr`, `ip -j route show table all` and the like print. */
export function hostFile(world: World): object {
  const all = [LOOPBACK, ...world.interfaces];
  return {
    addr: all.map((each, i) => link(i + 1, each)),
    route: [
      ...world.routes.map(stated),
      ...world.interfaces.map(connected),
      ...all.flatMap(({ name, address, prefix }) => localRoutes(name, address, prefix)),
    ],
    ...(world.routes6 === undefined
      ? {}
      : { route6: [...world.routes6.map(stated), ...world.interfaces.flatMap(connected6)] }),
    sysctl: {
      'net.ipv4.ip_forward': '1',
      ...(world.routes6 === undefined ? {} : { 'net.ipv6.conf.all.forwarding': '1' }),
    },
  };
}

function stated({ to, via, dev }: Route): object {
  return { dst: to, gateway: via, dev, flags: [] };
}

function link(ifindex: number, { name, mac, address, prefix, ipv6, bridge }: Interface): object {
  const loopback = name === 'lo';
  return {
    ifindex,
    ifname: name,
    flags: loopback ? ['LOOPBACK', 'UP', 'LOWER_UP'] : ['BROADCAST', 'MULTICAST', 'UP', 'LOWER_UP'],
    mtu: loopback ? 65536 : 1500,
    operstate: loopback ? 'UNKNOWN' : 'UP',
    link_type: loopback ? 'loopback' : 'ether',
    address: macText(mac),
    broadcast: loopback ? '00:00:00:00:00:00' : 'ff:ff:ff:ff:ff:ff',
    ...(bridge === true ? { linkinfo: { info_kind: 'bridge' } } : {}),
    addr_info: [
      {
        family: 'inet',
        local: dotted(address),
        prefixlen: prefix,
        ...(loopback ? {} : { broadcast: dotted(broadcast(address, prefix)) }),
        scope: loopback ? 'host' : 'global',
        label: name,
      },
      ...(ipv6 === undefined
        ? []
        : [{ family: 'inet6', local: colons(ipv6.prefix, ipv6.low), prefixlen: 64, scope: 'global' }]),
    ],
  };
}

function connected({ name, address, prefix }: Interface): object {
  const dst = `${dotted(network(address, prefix))}/${prefix}`;
  return { dst, dev: name, protocol: 'kernel', scope: 'link', prefsrc: dotted(address), flags: [] };
}

function connected6({ name, ipv6 }: Interface): object[] {
  if (ipv6 === undefined) return [];
  const common = { dev: name, protocol: 'kernel', flags: [] };
  return [
    { dst: `${colons(ipv6.prefix, 0)}/64`, ...common, metric: 256 },
    { type: 'local', dst: colons(ipv6.prefix, ipv6.low), ...common, table: 'local', metric: 0 },
  ];
}

/** The local table's routes that the kernel makes for an address. */
function localRoutes(dev: string, local: number, prefix: number): object[] {
  const common = { dev, table: 'local', protocol: 'kernel', prefsrc: dotted(local), flags: [] };
  const routes: object[] = [
    { type: 'local', dst: dotted(local), ...common, scope: 'host' },
    { type: 'broadcast', dst: dotted(broadcast(local, prefix)), ...common, scope: 'link' },
  ];
  if (dev === 'lo') {
    routes.unshift({ type: 'local', dst: `${dotted(network(local, prefix))}/${prefix}`, ...common, scope: 'host' });
  }
  return routes;
}

function macText(mac: readonly [number, number]): string {
  const hex = mac[0].toString(16).padStart(8, '0') + mac[1].toString(16).padStart(4, '0');
  return hex.replace(/(..)(?=.)/g, '$1:');
}
