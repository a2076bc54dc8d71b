/** ICMP errors, fragments, and everything there is at once, through the gateway. */
import type { Prefix6 } from '../address.js';
import { address, ports } from '../address.js';
import {
  type Conversation,
  ECHO,
  FRAGMENTED,
  ONE_WAY,
  type Plan,
  type PlanOptions,
  type Profile,
  REFUSED,
  type Shape,
  TCP,
  TOO_BIG,
  UDP,
  type World,
} from '../plan.js';
import { EPHEMERALS, ephemeral, mix } from '../random.js';
import { IMIX } from '../sizes.js';
import {
  GATEWAY,
  GatewayEnds,
  INSIDE,
  LAN,
  MAX_EACH_WAY,
  MAX_PUBLISHED,
  OUTSIDE,
  publishedPorts,
  rulesText,
  UPSTREAM,
  WAN,
} from './gateway.js';

/** A place in a pattern, and how its connection number `ordinal` (of all at that place) is made. */
interface Place extends Shape {
  make(ends: GatewayEnds, ordinal: number, into: Conversation): void;
}

/** Routers on the way that report errors. */
const FIRST_ROUTER = address(198, 51, 100, 1);
const ROUTERS = 200;
const router = (ordinal: number): number => FIRST_ROUTER + (ordinal % ROUTERS);
/** The tunnel into which inside servers send what is too big. */
const INSIDE_ROUTER = address(10, 0, 0, 254);

// Each place has remote ports or sources of its own, so that no two places can make the same tuple.
const tcpOut: Place = { kind: TCP, make: (ends, n, into) => ends.outbound(n, into, 443) };
const tcpIn: Place = { kind: TCP, make: (ends, n, into) => ends.inbound(4 * n, false, into) };
const udpOut: Place = { kind: UDP, make: (ends, n, into) => ends.outbound(n, into, 443) };
const udpIn: Place = { kind: UDP, make: (ends, n, into) => ends.inbound(4 * n, true, into) };
const refusedOut: Place = {
  kind: REFUSED,
  packets: 2,
  make(ends, n, into) {
    ends.outbound(n, into, 33434);
    // Every other one by the remote itself, the others by a router on the way.
    into.extra = n % 2 === 0 ? into.responderSource : router(n);
  },
};
const refusedIn: Place = {
  kind: REFUSED,
  packets: 2,
  make(ends, n, into) {
    ends.inbound(4 * n + 1, true, into);
    into.extra = into.responderSource;
  },
};
const tooBigOut: Place = {
  kind: TOO_BIG,
  make(ends, n, into) {
    ends.outbound(n, into, 8443);
    into.extra = router(n);
  },
};
const tooBigIn: Place = {
  kind: TOO_BIG,
  make(ends, n, into) {
    ends.inbound(4 * n + 1, false, into);
    into.extra = INSIDE_ROUTER;
  },
};
const fragmentedOut: Place = {
  kind: FRAGMENTED,
  make(ends, n, into) {
    ends.outbound(n, into, 4433);
    into.extra = 2 + (n % 4);
  },
};
const fragmentedIn: Place = {
  kind: FRAGMENTED,
  make(ends, n, into) {
    ends.inbound(4 * n + 2, true, into);
    into.extra = 2 + (n % 4);
  },
};
const ping: Place = { kind: ECHO, make: (ends, n, into) => ends.ping(n, into) };
const oneWay: Place = { kind: ONE_WAY, packets: 3, make: (ends, n, into) => ends.outbound(n, into, 514) };
const synIn: Place = { kind: TCP, packets: 1, make: (ends, n, into) => ends.flood(n, into) };
const hairpin: Place = { kind: TCP, make: (ends, n, into) => ends.hairpin(n, into) };

/** IPv6: inside hosts of a unique local prefix go out masqueraded. */
const INSIDE6: Prefix6 = [0xfd000000, 0x00000001, 0];
const OUTSIDE6: Prefix6 = [0x20010db8, 0x00020000, 0];
const REMOTE6: Prefix6 = [0x20010db8, 0xffff0000, 0];
const PREFIXES6 = [INSIDE6, OUTSIDE6, REMOTE6];
/** Indices of the prefixes: inside and remote as the initiator has them, remote and outside as the responder does. */
const ENDS6 = 0 | (2 << 8) | (2 << 16) | (1 << 24);
const REMOTES6 = 4096;

function outbound6(ordinal: number, into: Conversation, remotePort: number): void {
  const remote = 1 + (ordinal % REMOTES6);
  const port = ephemeral(Math.floor(ordinal / REMOTES6), mix(remote, remotePort));
  into.ipv6 = true;
  into.initiatorIngress = LAN;
  into.responderIngress = WAN;
  into.initiatorSource = 0x100 + (mix(ordinal, 6) & 0xffff);
  into.initiatorDestination = into.responderSource = remote;
  into.initiatorPorts = ports(port, remotePort);
  into.responderDestination = 1;
  into.responderPorts = ports(remotePort, port);
  into.extra = ENDS6;
}

const tcp6: Place = { kind: TCP, make: (_, n, into) => outbound6(n, into, 443) };
const udp6: Place = { kind: UDP, make: (_, n, into) => outbound6(n, into, 443) };
const ping6: Place = {
  kind: ECHO,
  make(_, n, into) {
    outbound6(n, into, 0);
    const id = into.initiatorPorts >>> 16;
    into.initiatorPorts = into.responderPorts = ports(id, id);
  },
};

const GATEWAY6: World = {
  interfaces: [
    { ...INSIDE, ipv6: { prefix: INSIDE6, low: 1 } },
    { ...OUTSIDE, ipv6: { prefix: OUTSIDE6, low: 1 }, router: UPSTREAM },
  ],
  routes: GATEWAY.routes,
  routes6: [{ to: 'default', via: '2001:db8:2::fe', dev: OUTSIDE.name }],
};

const RULES6 = [
  '*nat',
  ':PREROUTING ACCEPT [0:0]',
  ':INPUT ACCEPT [0:0]',
  ':OUTPUT ACCEPT [0:0]',
  ':POSTROUTING ACCEPT [0:0]',
  '-A POSTROUTING -s fd00:0:0:1::/64 -o wan0 -j MASQUERADE',
  'COMMIT',
  '',
].join('\n');

interface OddOptions {
  readonly shortest: number;
  readonly maxConcurrent: number;
  readonly ipv6?: boolean;
}

function oddProfile(name: string, about: string, places: readonly Place[], options: OddOptions): Profile {
  const { shortest, maxConcurrent, ipv6 = false } = options;
  const plan = ({ seed, rulesCount }: PlanOptions): Plan => {
    const published = publishedPorts(rulesCount);
    const ends = new GatewayEnds(seed, published);
    return {
      world: ipv6 ? GATEWAY6 : GATEWAY,
      rules: rulesText(published, { hairpin: places.includes(hairpin) }),
      ...(ipv6 ? { rules6: RULES6, prefixes6: PREFIXES6 } : {}),
      pattern: places,
      shortest,
      // Inbound connections of a place are numbered in steps of four; hairpins have as many as a server has ports.
      maxConnections: places.length * (places.includes(hairpin) ? EPHEMERALS : MAX_EACH_WAY / 4),
      maxConcurrent,
      conversation(index, into) {
        const place = places[index % places.length] as Place;
        into.kind = place.kind;
        into.ipv6 = false;
        into.extra = 0;
        place.make(ends, Math.floor(index / places.length), into);
      },
    };
  };
  return {
    name,
    about,
    sizes: IMIX,
    packets: 200_000,
    connections: 10_000,
    rulesCount: 20,
    rulesAre: 'published ports',
    minRules: 2,
    maxRules: MAX_PUBLISHED,
    plan,
  };
}

export const icmpErrors = oddProfile(
  'icmp-errors',
  'ICMP errors about masqueraded and published connections, from both sides, and pings',
  [tooBigOut, tooBigIn, refusedOut, refusedIn, ping],
  { shortest: 11, maxConcurrent: 16_384 },
);

/**
 * Few at a time: the kernel gives a datagram up when more than 64 other fragments of the same sender come in between its
 * own (net.ipv4.ipfrag_max_dist), and a published server sends to many.
 */
const FEW = 16;
const FEW_AMONG_OTHERS = 64;

export const fragments = oddProfile(
  'fragments',
  'UDP in two to five fragments, in and out of order, masqueraded and to published ports',
  [fragmentedOut, fragmentedIn, tcpOut],
  { shortest: 8, maxConcurrent: FEW },
);

export const mixed = oddProfile(
  'mix',
  'all of it at once, and IPv6, hairpins and one-way traffic',
  [
    tcpOut,
    tcpIn,
    udpOut,
    udpIn,
    tcp6,
    udp6,
    ping,
    ping6,
    hairpin,
    oneWay,
    synIn,
    refusedOut,
    refusedIn,
    tooBigOut,
    tooBigIn,
    fragmentedOut,
    fragmentedIn,
  ],
  { shortest: 11, maxConcurrent: FEW_AMONG_OTHERS, ipv6: true },
);
