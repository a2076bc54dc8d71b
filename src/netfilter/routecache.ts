/**
 * Route lookups of IPv4, remembered: new connections ask for the same few addresses again and again. The host's routes
 * never change during a run, so an answer stays true. An answer is kept under the destination alone, unless the host has
 * policy rules or routes with a TOS: then also under whatever these look at.
 */
import type { Flow, Host, Route, RoutingDependencies } from '../host/types.js';
import { NO_INTERFACE } from '../host/types.js';
import { INGRESS_LOCAL, INGRESS_UNKNOWN } from './results.js';

/** Slots; a power of two. */
const SLOTS = 4096;
/** Words of a key: destination, source, ingress, mark, TOS, protocol, ports. */
const KEY_WORDS = 7;
const MULTIPLIER = 0x9e3779b1;

export class RouteCache {
  readonly dependsOn: RoutingDependencies;
  private readonly addresses = new Int32Array(SLOTS);
  private readonly routes: (Route | undefined)[] = new Array<Route | undefined>(SLOTS).fill(undefined);
  private readonly filled = new Uint8Array(SLOTS);
  private readonly policy: PolicyCache | undefined;
  private readonly bare: Flow = {
    family: 4,
    source: new Uint32Array(4),
    destination: new Uint32Array(4),
    ingress: NO_INTERFACE,
    egress: NO_INTERFACE,
    mark: 0,
    tos: 0,
    protocol: 0,
    sourcePort: 0,
    destinationPort: 0,
  };

  constructor(private readonly host: Host) {
    this.dependsOn = host.routingDependsOn(4);
    this.policy = this.dependsOn.any ? new PolicyCache(host, this.dependsOn) : undefined;
  }

  /** As Host.route for IPv4. */
  route(destination: Uint32Array): Route | undefined {
    if (this.policy !== undefined) {
      this.bare.destination[0] = destination[0] as number;
      return this.policy.lookUp(this.bare);
    }
    const address = (destination[0] as number) | 0;
    const slot = Math.imul(address, MULTIPLIER) >>> 20;
    if (this.filled[slot] === 1 && this.addresses[slot] === address) return this.routes[slot];
    const route = this.host.route(4, destination);
    this.addresses[slot] = address;
    this.routes[slot] = route;
    this.filled[slot] = 1;
    return route;
  }

  /** Where packets from an address come in that do not state it: the interface towards it, or the host itself if it is its own. */
  towards(address: Uint32Array): number {
    const route = this.route(address);
    if (route === undefined) return INGRESS_UNKNOWN;
    return route.type === 'local' ? INGRESS_LOCAL : route.iface;
  }

  /** As Host.lookUp for IPv4; `egress` of the flow must be NO_INTERFACE. */
  lookUp(flow: Flow): Route | undefined {
    return this.policy === undefined ? this.route(flow.destination) : this.policy.lookUp(flow);
  }
}

class PolicyCache {
  private readonly keys = new Int32Array(SLOTS * KEY_WORDS);
  private readonly routes: (Route | undefined)[] = new Array<Route | undefined>(SLOTS).fill(undefined);
  private readonly filled = new Uint8Array(SLOTS);
  private readonly key = new Int32Array(KEY_WORDS);

  constructor(
    private readonly host: Host,
    private readonly dependsOn: RoutingDependencies,
  ) {}

  lookUp(flow: Flow): Route | undefined {
    const { keys, key, dependsOn } = this;
    key[0] = flow.destination[0] as number;
    key[1] = dependsOn.source ? (flow.source[0] as number) : 0;
    key[2] = dependsOn.ingress ? flow.ingress : 0;
    key[3] = dependsOn.mark ? flow.mark : 0;
    key[4] = dependsOn.tos ? flow.tos : 0;
    key[5] = dependsOn.ports ? flow.protocol : 0;
    key[6] = dependsOn.ports ? (flow.sourcePort << 16) | flow.destinationPort : 0;
    let hash = 0;
    for (let i = 0; i < KEY_WORDS; i++) hash = Math.imul(hash ^ (key[i] as number), MULTIPLIER) ^ (hash >>> 15);
    const slot = hash >>> 20;
    const at = slot * KEY_WORDS;
    if (this.filled[slot] === 1 && isSame(keys, at, key)) return this.routes[slot];
    const route = this.host.lookUp(flow);
    keys.set(key, at);
    this.routes[slot] = route;
    this.filled[slot] = 1;
    return route;
  }
}

function isSame(keys: Int32Array, at: number, key: Int32Array): boolean {
  for (let i = 0; i < KEY_WORDS; i++) if (keys[at + i] !== key[i]) return false;
  return true;
}
