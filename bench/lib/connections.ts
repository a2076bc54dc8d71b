/**
 * Who talks to whom: connection `i` of a generated capture as a pure function of `i` and the seed.
 *
 * Replies must be known before anything is translated, so every port has to survive the masquerade. The kernel keeps a
 * source port when no other connection uses it towards the same remote address and port; therefore no two inside
 * hosts share a source port towards a remote here, and no two outside connections share a tuple.
 */

import { address } from './address.js';
import { CLIENTS, FIRST_CLIENT, OUTSIDE, type Published } from './scenario.js';

/** Source ports are Linux's default ephemeral range, net.ipv4.ip_local_port_range. */
const FIRST_EPHEMERAL = 32768;
const EPHEMERALS = 28232;
/** Steps through all of the ephemeral ports before it repeats one: 5^6 has no factor in common with 28232. */
const PORT_STEP = 15625;

const REMOTES = 4096;
const FIRST_REMOTE = address(198, 18, 0, 1);
const OUTSIDE_CLIENTS = 65521;
const FIRST_OUTSIDE_CLIENT = address(198, 19, 0, 1);
/** Beyond that many a source port would repeat. */
export const MAX_CONNECTIONS = 2 * REMOTES * EPHEMERALS;

/** Both ends as the gateway receives them: what the initiator sends, and what the responder sends back. */
export interface Connection {
  /** True: an inside client goes out and is masqueraded. False: an outside client comes in and is DNATed. */
  outbound: boolean;
  udp: boolean;
  initiatorSource: number;
  initiatorDestination: number;
  /** Source port in the upper, destination port in the lower 16 bits. */
  initiatorPorts: number;
  responderSource: number;
  responderDestination: number;
  responderPorts: number;
}

export function emptyConnection(): Connection {
  return {
    outbound: false,
    udp: false,
    initiatorSource: 0,
    initiatorDestination: 0,
    initiatorPorts: 0,
    responderSource: 0,
    responderDestination: 0,
    responderPorts: 0,
  };
}

export class ConnectionPlan {
  readonly #seed: number;
  readonly #tcp: readonly Published[];
  readonly #udp: readonly Published[];

  constructor(seed: number, published: readonly Published[]) {
    this.#seed = seed;
    this.#tcp = published.filter((p) => p.protocol === 'tcp');
    this.#udp = published.filter((p) => p.protocol === 'udp');
  }

  /** Fills `into` with connection `index`: every other one is outbound, one in five of either kind is UDP. */
  connection(index: number, into: Connection): void {
    const ordinal = Math.floor(index / 2);
    into.outbound = index % 2 === 0;
    into.udp = ordinal % 5 === 4;
    if (into.outbound) this.#outbound(ordinal, into);
    else this.#inbound(ordinal, into);
  }

  #outbound(ordinal: number, into: Connection): void {
    const remote = FIRST_REMOTE + (ordinal % REMOTES);
    const port = ephemeral(Math.floor(ordinal / REMOTES), mix(remote, this.#seed));
    const remotePort = 443;
    into.initiatorSource = FIRST_CLIENT + (mix(ordinal, this.#seed) % CLIENTS);
    into.initiatorDestination = remote;
    into.initiatorPorts = ports(port, remotePort);
    into.responderSource = remote;
    into.responderDestination = OUTSIDE.address;
    into.responderPorts = ports(remotePort, port);
  }

  #inbound(ordinal: number, into: Connection): void {
    const list = into.udp ? this.#udp : this.#tcp;
    const published = list[mix(ordinal, this.#seed) % list.length];
    if (published === undefined) throw new RangeError('no published port of this protocol');
    const client = FIRST_OUTSIDE_CLIENT + (ordinal % OUTSIDE_CLIENTS);
    const port = ephemeral(Math.floor(ordinal / OUTSIDE_CLIENTS), mix(client, this.#seed));
    into.initiatorSource = client;
    into.initiatorDestination = OUTSIDE.address;
    into.initiatorPorts = ports(port, published.port);
    into.responderSource = published.server;
    into.responderDestination = client;
    into.responderPorts = ports(published.serverPort, port);
  }
}

/** 32 well-spread bits of a number and a seed (the finalizer of MurmurHash3). */
export function mix(value: number, seed: number): number {
  let h = (value ^ Math.imul(seed, 0x9e3779b1)) | 0;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

function ephemeral(turn: number, start: number): number {
  return FIRST_EPHEMERAL + ((start + turn * PORT_STEP) % EPHEMERALS);
}

function ports(source: number, destination: number): number {
  return ((source << 16) | destination) >>> 0;
}
