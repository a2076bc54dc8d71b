/**
 * The world of the generated captures: a gateway between an inside network and the internet. Inside hosts go out
 * masqueraded behind the one public address, outside clients come in through published (DNATed) ports.
 *
 *   10.0.0.0/16 ---- lan0 10.0.0.1 [ gateway ] wan0 203.0.113.1 ---- 203.0.113.254 ---- 198.18.0.0/15
 *
 * 198.18.0.0/15 is the range for benchmarks (RFC 2544), 203.0.113.0/24 is for documentation (RFC 5737).
 */
import { address, dotted } from './address.js';

export const INSIDE = { iface: 'lan0', address: address(10, 0, 0, 1), prefix: 16, mac: [0x02000000, 0x0001] } as const;
export const OUTSIDE = {
  iface: 'wan0',
  address: address(203, 0, 113, 1),
  prefix: 24,
  mac: [0x02000000, 0x0002],
} as const;
export const UPSTREAM = { address: address(203, 0, 113, 254), mac: [0x0200cb00, 0x71fe] } as const;

/** Inside clients are drawn from 10.0.0.2 .. 10.0.239.255; the published servers live above. */
export const FIRST_CLIENT = address(10, 0, 0, 2);
export const CLIENTS = 240 * 256 - 2;
const FIRST_SERVER = address(10, 0, 240, 1);
const FIRST_PUBLISHED_PORT = 8000;
export const MAX_PUBLISHED = 3800;

/** A published port: outside `port` of the public address leads to `server:serverPort` inside. */
export interface Published {
  readonly protocol: 'tcp' | 'udp';
  readonly port: number;
  readonly server: number;
  readonly serverPort: number;
}

/** `count` published ports, four in five TCP; every one has its own server, so no two lead to the same backend. */
export function publishedPorts(count: number): Published[] {
  if (!Number.isInteger(count) || count < 2 || count > MAX_PUBLISHED) {
    throw new RangeError(`published ports: ${count} is not a whole number from 2 to ${MAX_PUBLISHED}`);
  }
  const tcp = Math.max(1, Math.floor(count * 0.8));
  return Array.from({ length: count }, (_, i) => ({
    protocol: i < tcp ? 'tcp' : 'udp',
    port: FIRST_PUBLISHED_PORT + i,
    server: FIRST_SERVER + i,
    serverPort: i < tcp ? 80 : 443,
  }));
}

/** The rules in `iptables-save` form: one DNAT rule for each published port, and the masquerade. */
export function rulesText(published: readonly Published[]): string {
  const publicAddress = dotted(OUTSIDE.address);
  return [
    '*nat',
    ':PREROUTING ACCEPT [0:0]',
    ':INPUT ACCEPT [0:0]',
    ':OUTPUT ACCEPT [0:0]',
    ':POSTROUTING ACCEPT [0:0]',
    ...published.map(
      (p) =>
        `-A PREROUTING -d ${publicAddress}/32 -i ${OUTSIDE.iface} -p ${p.protocol} -m ${p.protocol} --dport ${p.port} ` +
        `-j DNAT --to-destination ${dotted(p.server)}:${p.serverPort}`,
    ),
    `-A POSTROUTING -s 10.0.0.0/16 -o ${OUTSIDE.iface} -j MASQUERADE`,
    'COMMIT',
    '',
  ].join('\n');
}

/** The host file: what `ip -j addr` and `ip -j route show table all` print on such a gateway. */
export function hostFile(): object {
  return {
    addr: [
      link(1, 'lo', 'loopback', [0, 0], address(127, 0, 0, 1), 8),
      link(2, INSIDE.iface, 'ether', INSIDE.mac, INSIDE.address, INSIDE.prefix),
      link(3, OUTSIDE.iface, 'ether', OUTSIDE.mac, OUTSIDE.address, OUTSIDE.prefix),
    ],
    route: [
      { dst: 'default', gateway: dotted(UPSTREAM.address), dev: OUTSIDE.iface, flags: [] },
      connected(INSIDE.iface, INSIDE.address, INSIDE.prefix),
      connected(OUTSIDE.iface, OUTSIDE.address, OUTSIDE.prefix),
      ...localRoutes('lo', address(127, 0, 0, 1), 8),
      ...localRoutes(INSIDE.iface, INSIDE.address, INSIDE.prefix),
      ...localRoutes(OUTSIDE.iface, OUTSIDE.address, OUTSIDE.prefix),
    ],
    sysctl: { 'net.ipv4.ip_forward': '1' },
  };
}

function link(
  ifindex: number,
  ifname: string,
  type: 'loopback' | 'ether',
  mac: readonly [number, number],
  local: number,
  prefixlen: number,
): object {
  const loopback = type === 'loopback';
  return {
    ifindex,
    ifname,
    flags: loopback ? ['LOOPBACK', 'UP', 'LOWER_UP'] : ['BROADCAST', 'MULTICAST', 'UP', 'LOWER_UP'],
    mtu: loopback ? 65536 : 1500,
    operstate: loopback ? 'UNKNOWN' : 'UP',
    link_type: type,
    address: macText(mac),
    broadcast: loopback ? '00:00:00:00:00:00' : 'ff:ff:ff:ff:ff:ff',
    addr_info: [
      {
        family: 'inet',
        local: dotted(local),
        prefixlen,
        ...(loopback ? {} : { broadcast: dotted(broadcast(local, prefixlen)) }),
        scope: loopback ? 'host' : 'global',
        label: ifname,
      },
    ],
  };
}

function connected(dev: string, local: number, prefix: number): object {
  const dst = `${dotted(network(local, prefix))}/${prefix}`;
  return { dst, dev, protocol: 'kernel', scope: 'link', prefsrc: dotted(local), flags: [] };
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

function network(local: number, prefix: number): number {
  return (local & (-1 << (32 - prefix))) >>> 0;
}

function broadcast(local: number, prefix: number): number {
  return (local | (0xffffffff >>> prefix)) >>> 0;
}

function macText(mac: readonly [number, number]): string {
  const hex = mac[0].toString(16).padStart(8, '0') + mac[1].toString(16).padStart(4, '0');
  return hex.replace(/(..)(?=.)/g, '$1:');
}
