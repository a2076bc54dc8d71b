/**
 * The gateway of most profiles, between an inside network and the internet. Inside hosts go out masqueraded behind the
 * one public address, outside clients come in through published (DNATed) ports.
 *
 *   10.0.0.0/16 ---- lan0 10.0.0.1 [ gateway ] wan0 203.0.113.1 ---- 203.0.113.254 ---- 198.18.0.0/15
 *
 * 198.18.0.0/15 is the range for benchmarks (RFC 2544), 203.0.113.0/24 is for documentation (RFC 5737).
 *
 * Replies must be known before anything is translated, so every port has to survive the masquerade. The kernel keeps a
 * source port when no other connection uses it towards the same remote address and port; therefore no two inside
 * hosts share a source port towards a remote here, and no two outside connections share a tuple.
 */
import { address, dotted, ports } from '../address.js';
import type { Conversation, Interface, World } from '../plan.js';
import { EPHEMERALS, ephemeral, mix } from '../random.js';

/** Indices of the interfaces. */
export const LAN = 0;
export const WAN = 1;

export const INSIDE: Interface = {
  name: 'lan0',
  address: address(10, 0, 0, 1),
  prefix: 16,
  mac: [0x02000000, 0x0001],
  ttl: 64,
};
export const UPSTREAM = { address: address(203, 0, 113, 254), mac: [0x0200cb00, 0x71fe] } as const;
export const OUTSIDE: Interface = {
  name: 'wan0',
  address: address(203, 0, 113, 1),
  prefix: 24,
  mac: [0x02000000, 0x0002],
  router: UPSTREAM,
  ttl: 57,
};

export const GATEWAY: World = {
  interfaces: [INSIDE, OUTSIDE],
  routes: [{ to: 'default', via: dotted(UPSTREAM.address), dev: OUTSIDE.name }],
};

/** Inside clients are drawn from 10.0.0.2 .. 10.0.239.255; the published servers live above. */
const FIRST_CLIENT = address(10, 0, 0, 2);
const CLIENTS = 240 * 256 - 2;
const FIRST_SERVER = address(10, 0, 240, 1);
const FIRST_PUBLISHED_PORT = 8000;
export const MAX_PUBLISHED = 3800;

const REMOTES = 4096;
const FIRST_REMOTE = address(198, 18, 0, 1);
const OUTSIDE_CLIENTS = 65521;
const FIRST_OUTSIDE_CLIENT = address(198, 19, 0, 1);
/** Beyond that many connections of either direction a source port would repeat. */
export const MAX_EACH_WAY = REMOTES * EPHEMERALS;
const HTTPS = 443;

/** A published port: outside `port` of the public address leads to `server:serverPort` inside. */
export interface Published {
  readonly protocol: 'tcp' | 'udp';
  readonly port: number;
  readonly server: number;
  readonly serverPort: number;
}

/** `count` published ports, four in five TCP; every one has its own server, so no two lead to the same backend. */
export function publishedPorts(count: number): Published[] {
  const tcp = Math.max(1, Math.floor(count * 0.8));
  return Array.from({ length: count }, (_, i) => ({
    protocol: i < tcp ? 'tcp' : 'udp',
    port: FIRST_PUBLISHED_PORT + i,
    server: FIRST_SERVER + i,
    serverPort: i < tcp ? 80 : HTTPS,
  }));
}

export interface RuleOptions {
  /** Inside hosts may use the public address, too. */
  readonly hairpin?: boolean;
}

/** The rules in `iptables-save` form: one DNAT rule for each published port, and the masquerade. */
export function rulesText(published: readonly Published[], { hairpin = false }: RuleOptions = {}): string {
  const publicAddress = dotted(OUTSIDE.address);
  const from = hairpin ? '' : `-i ${OUTSIDE.name} `;
  return [
    '*nat',
    ':PREROUTING ACCEPT [0:0]',
    ':INPUT ACCEPT [0:0]',
    ':OUTPUT ACCEPT [0:0]',
    ':POSTROUTING ACCEPT [0:0]',
    ...published.map(
      (p) =>
        `-A PREROUTING -d ${publicAddress}/32 ${from}-p ${p.protocol} -m ${p.protocol} --dport ${p.port} ` +
        `-j DNAT --to-destination ${dotted(p.server)}:${p.serverPort}`,
    ),
    ...(hairpin ? ['-A POSTROUTING -s 10.0.0.0/16 -d 10.0.0.0/16 -o lan0 -j MASQUERADE'] : []),
    `-A POSTROUTING -s 10.0.0.0/16 -o ${OUTSIDE.name} -j MASQUERADE`,
    'COMMIT',
    '',
  ].join('\n');
}

/** The connections of the gateway, each a pure function of its number among those of its way and the seed. */
export class GatewayEnds {
  readonly #seed: number;
  readonly #tcp: readonly Published[];
  readonly #udp: readonly Published[];

  constructor(seed: number, published: readonly Published[]) {
    this.#seed = seed;
    this.#tcp = published.filter((p) => p.protocol === 'tcp');
    this.#udp = published.filter((p) => p.protocol === 'udp');
  }

  /** An inside client goes out and is masqueraded. */
  outbound(ordinal: number, into: Conversation, remotePort = HTTPS): void {
    const remote = FIRST_REMOTE + (ordinal % REMOTES);
    const port = ephemeral(Math.floor(ordinal / REMOTES), mix(remote, this.#seed));
    into.initiatorIngress = LAN;
    into.responderIngress = WAN;
    into.initiatorSource = FIRST_CLIENT + (mix(ordinal, this.#seed) % CLIENTS);
    into.initiatorDestination = remote;
    into.initiatorPorts = ports(port, remotePort);
    into.responderSource = remote;
    into.responderDestination = OUTSIDE.address;
    into.responderPorts = ports(remotePort, port);
  }

  /** The same with ICMP echo, whose identification takes the place of both ports. */
  ping(ordinal: number, into: Conversation): void {
    this.outbound(ordinal, into);
    const id = into.initiatorPorts >>> 16;
    into.initiatorPorts = into.responderPorts = ports(id, id);
  }

  /** An outside client comes in by a published port of a protocol. */
  inbound(ordinal: number, udp: boolean, into: Conversation): void {
    const published = this.#published(mix(ordinal, this.#seed), udp);
    const client = FIRST_OUTSIDE_CLIENT + (ordinal % OUTSIDE_CLIENTS);
    const port = ephemeral(Math.floor(ordinal / OUTSIDE_CLIENTS), mix(client, this.#seed));
    into.initiatorIngress = WAN;
    into.responderIngress = LAN;
    into.initiatorSource = client;
    into.initiatorDestination = OUTSIDE.address;
    into.initiatorPorts = ports(port, published.port);
    into.responderSource = published.server;
    into.responderDestination = client;
    into.responderPorts = ports(published.serverPort, port);
  }

  /** An inside client uses a published TCP port; the server sees the gateway. */
  hairpin(ordinal: number, into: Conversation): void {
    const published = this.#published(ordinal, false);
    const port = ephemeral(Math.floor(ordinal / this.#tcp.length), mix(published.server, this.#seed));
    into.initiatorIngress = into.responderIngress = LAN;
    into.initiatorSource = FIRST_CLIENT + (mix(ordinal, this.#seed) % CLIENTS);
    into.initiatorDestination = OUTSIDE.address;
    into.initiatorPorts = ports(port, published.port);
    into.responderSource = published.server;
    into.responderDestination = INSIDE.address;
    into.responderPorts = ports(published.serverPort, port);
  }

  /** A half of a flood: a SYN from an address of its own, among 16.0.0.0 .. 79.255.255.255. */
  flood(ordinal: number, into: Conversation): void {
    this.inbound(ordinal, false, into);
    const source = SPOOFED + (Math.imul(ordinal, SPOOFED_STEP) & (SPOOFED_COUNT - 1));
    const port = 1024 + (mix(source, this.#seed) % 64512);
    into.initiatorSource = into.responderDestination = source;
    into.initiatorPorts = ports(port, into.initiatorPorts & 0xffff);
    into.responderPorts = ports(into.responderPorts >>> 16, port);
  }

  #published(chance: number, udp: boolean): Published {
    const list = udp ? this.#udp : this.#tcp;
    const published = list[chance % list.length];
    if (published === undefined) throw new RangeError('no published port of this protocol');
    return published;
  }
}

/** Sources of a flood, each once: an odd step visits all of a power of two. */
const SPOOFED = address(16, 0, 0, 0);
const SPOOFED_COUNT = 2 ** 30;
const SPOOFED_STEP = 0x2545f491;
