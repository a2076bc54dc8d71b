/** Where an IPv4 packet goes that the host itself sends (kernel: ip_route_output_key_hash_rcu, __mkroute_output). */
import type { Host, InterfaceIndex, Route } from '../host/types.js';
import { NO_INTERFACE } from '../host/types.js';
import type { FlowDetails } from './flow.js';
import { settingsOf } from './interfacesettings.js';
import type { InputRouter } from './routing.js';

const LIMITED_BROADCAST = 0xffffffff;
/** Every host is a member of the all-hosts group (RFC 1112 section 4); which others it has joined is not known. */
const ALL_HOSTS = 0xe0000001;
const isMulticast = (a: number): boolean => a >>> 28 === 0xe;
const isLoopback = (a: number): boolean => a >>> 24 === 127;

export class OutputRouter {
  /** By the host's addresses the first interface that has it (__ip_dev_find). */
  private readonly owners = new Map<number, InterfaceIndex>();
  private readonly loopback: InterfaceIndex;
  /** Interfaces that addresses of loopback may leave by. */
  private readonly letLoopbackOut: readonly boolean[];

  constructor(
    host: Host,
    private readonly router: InputRouter,
  ) {
    for (const { index, addresses } of host.interfaces)
      for (const { family, words } of addresses) {
        const [address = 0] = words;
        if (family === 4 && !this.owners.has(address)) this.owners.set(address, index);
      }
    this.loopback = host.interfaces.find(({ loopback }) => loopback)?.index ?? NO_INTERFACE;
    this.letLoopbackOut = host.interfaces.map((iface) => iface.loopback || settingsOf(host, iface).routeLocalnet);
  }

  /** Undefined: there is none that it could take. Of type `local` for all that stays with the host. */
  route(source: Uint32Array, destination: Uint32Array, details: Readonly<FlowDetails>): Route | undefined {
    const from = source[0] ?? 0;
    const to = destination[0] ?? 0;
    const route = isForAll(to) ? this.towardsAll(from, to) : this.router.outgoing(source, destination, details);
    if (route === undefined) return undefined;
    const { type, iface } = route;
    if (type === 'local') return { ...route, iface: this.loopback };
    if (type !== 'unicast' && type !== 'broadcast' && type !== 'multicast') return undefined;
    return isLoopback(from) && this.letLoopbackOut[iface] !== true ? undefined : route;
  }

  /** A packet to a group or to everybody leaves by the interface whose address it is from, whatever routes there are. */
  private towardsAll(from: number, to: number): Route | undefined {
    const iface = this.owners.get(from) ?? (isLoopback(from) ? this.loopback : undefined);
    if (iface === undefined) return undefined;
    const type = isMulticast(to) ? 'multicast' : 'broadcast';
    return { type, iface, gateway: undefined, preferredSource: undefined, metric: 0 };
  }

  /** Whether the host gets a copy of what it sends by this route (ip_mc_output). */
  comesBack({ type, iface }: Route, destination: Uint32Array): boolean {
    if (iface === this.loopback) return false;
    return type === 'broadcast' || (type === 'multicast' && (destination[0] ?? 0) >>> 0 === ALL_HOSTS);
  }
}

const isForAll = (to: number): boolean => isMulticast(to) || to >>> 0 === LIMITED_BROADCAST;
