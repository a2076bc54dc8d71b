/** What a profile says about its traffic: the gateway it passes, and who talks to whom about what. */
import type { Prefix6 } from './address.js';
import type { FrameSizes } from './sizes.js';

/** A handshake, data both ways, a close; the beginning of that if it is given fewer packets. */
export const TCP = 0;
/** A question, an answer, and more of either. */
export const UDP = 1;
/** ICMP echo requests, each with its reply. */
export const ECHO = 2;
/** UDP that nobody answers. */
export const ONE_WAY = 3;
/** A UDP datagram, and the ICMP error that answers it. */
export const REFUSED = 4;
/** TCP, with an ICMP "fragmentation needed" about one of the initiator's segments. */
export const TOO_BIG = 5;
/** UDP in datagrams of several fragments. */
export const FRAGMENTED = 6;
export type Kind =
  | typeof TCP
  | typeof UDP
  | typeof ECHO
  | typeof ONE_WAY
  | typeof REFUSED
  | typeof TOO_BIG
  | typeof FRAGMENTED;

/** An interface of the gateway, and who is beyond it. */
export interface Interface {
  readonly name: string;
  /** Upper 32 and lower 16 bits. */
  readonly mac: readonly [number, number];
  readonly address: number;
  readonly prefix: number;
  readonly ipv6?: { readonly prefix: Prefix6; readonly low: number };
  /** Everything from there comes through this router. Without one, each sender is a neighbour, with its address in its MAC. */
  readonly router?: { readonly address: number; readonly low6?: number; readonly mac: readonly [number, number] };
  /** TTL of what comes from there. */
  readonly ttl: number;
  readonly bridge?: boolean;
}

export interface Route {
  /** 'default' or a prefix. */
  readonly to: string;
  readonly via: string;
  readonly dev: string;
}

/** The gateway. */
export interface World {
  readonly interfaces: readonly Interface[];
  readonly routes: readonly Route[];
  readonly routes6?: readonly Route[];
}

/** Both ends of a connection as the gateway receives them: what the initiator sends, and what the responder sends back. */
export interface Conversation {
  kind: Kind;
  ipv6: boolean;
  /** Index of the interface that what either sends comes in by. */
  initiatorIngress: number;
  responderIngress: number;
  /** Of IPv6, the lower 32 bits; the others are in `prefixes`. */
  initiatorSource: number;
  initiatorDestination: number;
  /** Source port in the upper, destination port in the lower 16 bits; of ICMP, the identification in both. */
  initiatorPorts: number;
  responderSource: number;
  responderDestination: number;
  responderPorts: number;
  /**
   * Of REFUSED and TOO_BIG, the address that reports the error. Of FRAGMENTED, fragments a datagram. Of IPv6, indices
   * into the plan's `prefixes6`, a byte each, in the order of the four addresses above.
   */
  extra: number;
}

export function emptyConversation(): Conversation {
  return {
    kind: TCP,
    ipv6: false,
    initiatorIngress: 0,
    responderIngress: 0,
    initiatorSource: 0,
    initiatorDestination: 0,
    initiatorPorts: 0,
    responderSource: 0,
    responderDestination: 0,
    responderPorts: 0,
    extra: 0,
  };
}

/** One place in a plan's pattern. */
export interface Shape {
  readonly kind: Kind;
  /** How many packets it always has; without, its share of all. */
  readonly packets?: number;
}

export interface Plan {
  readonly world: World;
  /** Texts as `iptables-save` writes them. */
  readonly rules: string;
  readonly rules6?: string;
  readonly prefixes6?: readonly Prefix6[];
  /** Connection `i` is as `pattern[i % pattern.length]` says; the first one has no fixed number of packets. */
  readonly pattern: readonly Shape[];
  /** The fewest packets of a connection without a fixed number. */
  readonly shortest: number;
  /** Beyond that many connections an address and port would come up again. */
  readonly maxConnections: number;
  /** At most that many connections at a time. */
  readonly maxConcurrent?: number;
  /** Fills `into` with connection `index`, of the kind that the pattern says. */
  conversation(index: number, into: Conversation): void;
}

/** Connections at a time that a processor's own cache holds, in a quarter of a mebibyte. */
export const USUAL_CONCURRENT = 4096;

export interface PlanOptions {
  readonly seed: number;
  readonly rulesCount: number;
}

export interface Profile {
  readonly name: string;
  /** What it is, in a line. */
  readonly about: string;
  readonly sizes: FrameSizes;
  /** Defaults. */
  readonly packets: number;
  readonly connections: number;
  readonly rulesCount: number;
  /** What `rulesCount` counts, in the plural, and how many there may be. */
  readonly rulesAre: string;
  readonly minRules: number;
  readonly maxRules: number;
  plan(options: PlanOptions): Plan;
}
