import { formatAddress, parseAddress } from '../../src/host/address.js';
import type { Host } from '../../src/host/types.js';

/** Address of a test, which must be one. */
export function address(text: string): { family: 4 | 6; words: Uint32Array } {
  const parsed = parseAddress(text);
  if (parsed === undefined) throw new Error(`${text} is no address`);
  return parsed;
}

/** A route as a person would write it: `unicast eth0 via 192.0.2.254`. */
export function routeText(host: Host, destination: string): string {
  const { family, words } = address(destination);
  const route = host.route(family, words);
  if (route === undefined) return 'none';
  const device = host.interfaces[route.iface]?.name;
  const parts = [route.type, device, route.gateway && `via ${formatAddress(family, route.gateway)}`];
  return parts.filter((part) => part !== undefined).join(' ');
}

export function typeText(host: Host, text: string, iface?: string): string {
  const { family, words } = address(text);
  return host.addressType(family, words, iface === undefined ? undefined : host.interfaceByName(iface)?.index);
}
