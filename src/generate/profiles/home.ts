/**
 * A home gateway: a few machines behind one address, which use the same source ports as one another, towards different
 * remotes, where the kernel keeps them, and now and then towards the same one, where it must draw another. Nobody knows
 * what it draws, so nobody answers those.
 *
 *   192.168.1.0/24 ---- br-lan 192.168.1.1 [ gateway ] wan 203.0.113.5 ---- 203.0.113.1 ---- 198.18.0.0/15
 */
import { address, dotted, ports } from '../address.js';
import {
  type Conversation,
  ECHO,
  ONE_WAY,
  type Plan,
  type PlanOptions,
  type Profile,
  type Shape,
  TCP,
  UDP,
  USUAL_CONCURRENT,
  type World,
} from '../plan.js';
import { EPHEMERALS, ephemeral, mix } from '../random.js';
import { IMIX } from '../sizes.js';

const LAN = 0;
const WAN = 1;
const PUBLIC = address(203, 0, 113, 5);
const FIRST_MACHINE = address(192, 168, 1, 10);
const MACHINES = 12;
const REMOTES = 65536;
const FIRST_REMOTE = address(198, 18, 0, 0);
const CLIENTS = 32749;
const FIRST_CLIENT = address(198, 19, 0, 1);
/** Where everybody's telemetry goes, from the same source ports. */
const COLLECTORS = 256;
const FIRST_COLLECTOR = address(198, 19, 200, 0);
const FIRST_FORWARD = 2000;

const WORLD: World = {
  interfaces: [
    { name: 'br-lan', mac: [0x02000000, 0x0001], address: address(192, 168, 1, 1), prefix: 24, ttl: 64 },
    {
      name: 'wan',
      mac: [0x02000000, 0x0002],
      address: PUBLIC,
      prefix: 24,
      router: { address: address(203, 0, 113, 1), mac: [0x0200cb00, 0x7101] },
      ttl: 57,
    },
  ],
  routes: [{ to: 'default', via: '203.0.113.1', dev: 'wan' }],
};

/** A port of the gateway's that leads to a machine: `port` outside, `to` inside. */
const forwardOf = (i: number): { port: number; machine: number; to: number } => ({
  port: FIRST_FORWARD + i,
  machine: FIRST_MACHINE + (i % MACHINES),
  to: 20000 + i,
});

function rulesText(count: number): string {
  const forwards = Array.from({ length: count }, (_, i) => forwardOf(i));
  return [
    '*mangle',
    ':PREROUTING ACCEPT [0:0]',
    ':INPUT ACCEPT [0:0]',
    ':FORWARD ACCEPT [0:0]',
    ':OUTPUT ACCEPT [0:0]',
    ':POSTROUTING ACCEPT [0:0]',
    '-A FORWARD -o wan -p tcp -m tcp --tcp-flags SYN,RST SYN -j TCPMSS --clamp-mss-to-pmtu',
    'COMMIT',
    '*nat',
    ':PREROUTING ACCEPT [0:0]',
    ':INPUT ACCEPT [0:0]',
    ':OUTPUT ACCEPT [0:0]',
    ':POSTROUTING ACCEPT [0:0]',
    ...forwards.map(
      ({ port, machine, to }) =>
        `-A PREROUTING -i wan -p tcp -m tcp --dport ${port} -j DNAT --to-destination ${dotted(machine)}:${to}`,
    ),
    '-A POSTROUTING -o wan -j MASQUERADE',
    'COMMIT',
    '*filter',
    ':INPUT DROP [0:0]',
    ':FORWARD DROP [0:0]',
    ':OUTPUT ACCEPT [0:0]',
    '-A INPUT -i lo -j ACCEPT',
    '-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT',
    '-A INPUT -i br-lan -j ACCEPT',
    '-A FORWARD -m conntrack --ctstate INVALID -j DROP',
    '-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT',
    '-A FORWARD -i br-lan -o wan -j ACCEPT',
    '-A FORWARD -i wan -m conntrack --ctstate DNAT -j ACCEPT',
    'COMMIT',
    '',
  ].join('\n');
}

interface Place extends Shape {
  make(ordinal: number, into: Conversation): void;
}

/** Machines take turns; in a turn all have the same source port and each its own remote. */
function outbound(remotePort: number, seed: number): Place['make'] {
  return (ordinal, into) => {
    const remote = FIRST_REMOTE + (ordinal % REMOTES);
    const port = ephemeral(Math.floor(ordinal / MACHINES), mix(remotePort, seed));
    into.initiatorIngress = LAN;
    into.responderIngress = WAN;
    into.initiatorSource = FIRST_MACHINE + (ordinal % MACHINES);
    into.initiatorDestination = into.responderSource = remote;
    into.responderDestination = PUBLIC;
    into.initiatorPorts = ports(port, remotePort || port);
    into.responderPorts = ports(remotePort || port, port);
  };
}

/** Two machines after one another, from one port to one collector. */
function colliding(seed: number): Place['make'] {
  return (ordinal, into) => {
    const pair = Math.floor(ordinal / 2);
    const collector = FIRST_COLLECTOR + (pair % COLLECTORS);
    const machine = mix(pair, seed) % MACHINES;
    const port = ephemeral(Math.floor(pair / COLLECTORS), mix(collector, seed));
    into.initiatorIngress = LAN;
    into.responderIngress = WAN;
    into.initiatorSource = FIRST_MACHINE + ((machine + (ordinal % 2)) % MACHINES);
    into.initiatorDestination = into.responderSource = collector;
    into.responderDestination = PUBLIC;
    into.initiatorPorts = ports(port, 8125);
    into.responderPorts = ports(8125, port);
  };
}

function forwarded(count: number, seed: number): Place['make'] {
  return (ordinal, into) => {
    const forward = forwardOf(mix(ordinal, seed) % count);
    const client = FIRST_CLIENT + (ordinal % CLIENTS);
    const port = ephemeral(Math.floor(ordinal / CLIENTS), mix(client, seed));
    into.initiatorIngress = WAN;
    into.responderIngress = LAN;
    into.initiatorSource = into.responderDestination = client;
    into.initiatorDestination = PUBLIC;
    into.initiatorPorts = ports(port, forward.port);
    into.responderSource = forward.machine;
    into.responderPorts = ports(forward.to, port);
  };
}

function plan({ seed, rulesCount }: PlanOptions): Plan {
  const places: Place[] = [
    { kind: TCP, make: outbound(443, seed) },
    { kind: UDP, make: outbound(53, seed) },
    { kind: TCP, make: forwarded(rulesCount, seed) },
    { kind: TCP, make: outbound(80, seed) },
    { kind: UDP, make: outbound(443, seed) },
    { kind: ECHO, make: outbound(0, seed) },
    { kind: ONE_WAY, packets: 3, make: colliding(seed) },
  ];
  return {
    world: WORLD,
    rules: rulesText(rulesCount),
    pattern: places,
    shortest: 8,
    maxConnections: places.length * MACHINES * EPHEMERALS,
    maxConcurrent: USUAL_CONCURRENT,
    conversation(index, into) {
      const place = places[index % places.length] as Place;
      into.kind = place.kind;
      place.make(Math.floor(index / places.length), into);
    },
  };
}

export const home: Profile = {
  name: 'home',
  about: 'a home gateway: machines that use the same source ports behind one address, and forwarded ports',
  sizes: IMIX,
  packets: 500_000,
  connections: 20_000,
  rulesCount: 5,
  rulesAre: 'forwarded ports',
  minRules: 1,
  maxRules: 10_000,
  plan,
};
