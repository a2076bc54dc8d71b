/** The addresses a router writes into IP options: what it calls itself towards somebody. */
import { masqueradeAddress } from '../host/sourceaddress.js';
import type { Host } from '../host/types.js';
import type { OptionsHost } from './ipoptions.js';
import type { Packet } from './packet.js';
import type { RouteCache } from './routecache.js';

const NOBODY = new Uint32Array(4);

/** Answers for one packet at a time. */
export class RouterAddresses implements OptionsHost {
  private packet: Packet | undefined;
  private local = false;
  private readonly asked = new Uint32Array(4);

  constructor(
    private readonly host: Host,
    private readonly routes: RouteCache,
  ) {}

  /** For a packet that is delivered here (`local`) or sent on. */
  of(packet: Packet, local: boolean): OptionsHost {
    this.packet = packet;
    this.local = local;
    return this;
  }

  /** Kernel: fib_compute_spec_dst. */
  ownAddress(): number {
    const { packet } = this;
    if (packet === undefined) return 0;
    if (this.local && this.host.addressType(4, packet.destination) === 'local') return packet.destination[0] ?? 0;
    const known = (packet.source[0] ?? 0) === 0 ? undefined : this.routes.route(packet.source);
    if (known !== undefined) return this.towards(packet.source);
    return masqueradeAddress(this.host, 4, packet.inInterface, packet.source)?.[0] ?? 0;
  }

  /** Source address of the route to `destination` (kernel: fib_result_prefsrc). */
  towards(destination: Uint32Array): number {
    const route = this.routes.route(destination);
    if (route === undefined) return 0;
    const { preferredSource, iface, gateway } = route;
    return (preferredSource ?? masqueradeAddress(this.host, 4, iface, gateway ?? NOBODY))?.[0] ?? 0;
  }

  isUnicast(address: number): boolean {
    this.asked[0] = address;
    return this.host.addressType(4, this.asked) === 'unicast';
  }
}
