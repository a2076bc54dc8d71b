/**
 * Route lookups of IPv4 destinations, remembered: new connections ask for the same few addresses again and again. The
 * host's routes never change during a run, so an answer stays true.
 */
import type { Host, Route } from '../host/types.js';

/** Slots; a power of two. */
const SLOTS = 4096;

export class RouteCache {
  private readonly addresses = new Int32Array(SLOTS);
  private readonly routes: (Route | undefined)[] = new Array<Route | undefined>(SLOTS).fill(undefined);
  private readonly filled = new Uint8Array(SLOTS);

  constructor(private readonly host: Host) {}

  /** As Host.route for IPv4. */
  route(destination: Uint32Array): Route | undefined {
    const address = (destination[0] as number) | 0;
    const slot = Math.imul(address, 0x9e3779b1) >>> 20;
    if (this.filled[slot] === 1 && this.addresses[slot] === address) return this.routes[slot];
    const route = this.host.route(4, destination);
    this.addresses[slot] = address;
    this.routes[slot] = route;
    this.filled[slot] = 1;
    return route;
  }
}
