/** A described host back as a host file: what `ip -j` would print on it. Needed where a kernel is to be set up like it. */
import { formatAddress, formatIpv4, formatPrefix } from './address.js';
import type { HostDescription, InterfaceDescription, RouteDescription } from './description.js';
import type { AddressJson, HostFile, LinkJson, RouteJson } from './hostschema.js';
import type { InterfaceAddress } from './types.js';

export function hostFileOf(description: HostDescription): HostFile {
  const { interfaces, routes, sysctl, iptables, ip6tables, ipset } = description;
  const ofFamily = (family: number): RouteJson[] => routes.filter((route) => route.family === family).map(routeJson);
  return {
    addr: interfaces.map(linkJson),
    route: ofFamily(4),
    route6: ofFamily(6),
    sysctl: Object.fromEntries(sysctl),
    iptables,
    ip6tables,
    ipset,
  };
}

function linkJson(iface: InterfaceDescription): LinkJson {
  return {
    ifname: iface.name,
    ifindex: iface.ifindex,
    flags: [...(iface.loopback ? ['LOOPBACK'] : []), ...(iface.up ? ['UP'] : [])],
    mtu: iface.mtu,
    address: iface.mac === undefined ? undefined : macText(iface.mac),
    master: iface.master,
    addr_info: iface.addresses.map(addressJson),
  };
}

export const macText = (mac: Uint8Array): string =>
  Buffer.from(mac)
    .toString('hex')
    .replace(/..(?!$)/g, '$&:');

function addressJson(address: InterfaceAddress): AddressJson {
  const { family, words, peer } = address;
  return {
    family: family === 4 ? 'inet' : 'inet6',
    local: formatAddress(family, words),
    prefixlen: address.prefixLength,
    scope: address.scope,
    ...(peer === undefined ? {} : { address: formatAddress(family, peer) }),
    ...(address.broadcast === undefined ? {} : { broadcast: formatIpv4(address.broadcast) }),
    ...(address.secondary ? { secondary: true } : {}),
    ...(address.tentative === true ? { tentative: true } : {}),
    ...(address.deprecated === true ? { deprecated: true } : {}),
    ...(address.noPrefixRoute === true ? { noprefixroute: true } : {}),
  };
}

function routeJson(route: RouteDescription): RouteJson {
  const { family, words, prefixLength, gateway, preferredSource } = route;
  return {
    ...(route.type === 'unicast' ? {} : { type: route.type }),
    dst: prefixLength === 0 ? 'default' : formatPrefix(family, words, prefixLength),
    ...(gateway === undefined ? {} : { gateway: formatAddress(family, gateway) }),
    ...(route.device === undefined ? {} : { dev: route.device }),
    ...(route.table === 'main' ? {} : { table: route.table }),
    ...(route.kernel ? { protocol: 'kernel' } : {}),
    ...(preferredSource === undefined ? {} : { prefsrc: formatAddress(family, preferredSource) }),
    // 1024 is what an IPv6 route has that states none.
    ...(route.metric === 0 ? {} : { metric: route.metric }),
    ...(route.linkdown ? { flags: ['linkdown'] } : {}),
  };
}
