/**
 * A Docker host with published ports and userland-proxy off: clients come in by them, containers go out masqueraded, and
 * containers use their own published port (the rules' `-s X -d X -j MASQUERADE`).
 *
 *   172.17.0.0/16 ---- docker0 172.17.0.1 [ host ] eth0 192.0.2.1 ---- 192.0.2.254 ---- 198.18.0.0/15
 */
import { address, dotted, ports } from '../address.js';
import {
  type Conversation,
  ECHO,
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

const BRIDGE = 0;
const ETH = 1;
const HOST = address(192, 0, 2, 1);
const BRIDGE_ADDRESS = address(172, 17, 0, 1);
const FIRST_CONTAINER = address(172, 17, 0, 2);
const FIRST_PORT = 8000;
const REMOTES = 4096;
const FIRST_REMOTE = address(198, 18, 0, 1);
const CLIENTS = 65521;
const FIRST_CLIENT = address(198, 19, 0, 1);

const WORLD: World = {
  interfaces: [
    { name: 'docker0', mac: [0x02420000, 0x0001], address: BRIDGE_ADDRESS, prefix: 16, ttl: 64, bridge: true },
    {
      name: 'eth0',
      mac: [0x02000000, 0x0002],
      address: HOST,
      prefix: 24,
      router: { address: address(192, 0, 2, 254), mac: [0x0200c000, 0x02fe] },
      ttl: 57,
    },
  ],
  routes: [{ to: 'default', via: '192.0.2.254', dev: 'eth0' }],
};

/** `-p port:containerPort/protocol` of a container that nothing else is published of. */
interface Published {
  readonly protocol: 'tcp' | 'udp';
  readonly port: number;
  readonly container: number;
  readonly containerPort: number;
}

function publishedPorts(count: number): Published[] {
  return Array.from({ length: count }, (_, i) => ({
    // The first two are one of each.
    protocol: i % 5 === 1 ? 'udp' : 'tcp',
    port: FIRST_PORT + i,
    container: FIRST_CONTAINER + i,
    containerPort: i % 5 === 1 ? 5353 : 1337,
  }));
}

/** As the Docker daemon makes them. */
function rulesText(published: readonly Published[]): string {
  const match = (p: Published, port: number): string => `-p ${p.protocol} -m ${p.protocol} --dport ${port}`;
  return [
    '*nat',
    ':PREROUTING ACCEPT [0:0]',
    ':INPUT ACCEPT [0:0]',
    ':OUTPUT ACCEPT [0:0]',
    ':POSTROUTING ACCEPT [0:0]',
    ':DOCKER - [0:0]',
    '-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER',
    '-A OUTPUT -m addrtype --dst-type LOCAL -j DOCKER',
    '-A POSTROUTING -o docker0 -m addrtype --src-type LOCAL -j MASQUERADE',
    '-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE',
    ...published.map((p) => {
      const container = `${dotted(p.container)}/32`;
      return `-A POSTROUTING -s ${container} -d ${container} ${match(p, p.containerPort)} -j MASQUERADE`;
    }),
    ...published.map(
      (p) => `-A DOCKER ${match(p, p.port)} -j DNAT --to-destination ${dotted(p.container)}:${p.containerPort}`,
    ),
    'COMMIT',
    '*filter',
    ':INPUT ACCEPT [0:0]',
    ':FORWARD DROP [0:0]',
    ':OUTPUT ACCEPT [0:0]',
    ':DOCKER - [0:0]',
    ':DOCKER-ISOLATION-STAGE-1 - [0:0]',
    ':DOCKER-ISOLATION-STAGE-2 - [0:0]',
    ':DOCKER-USER - [0:0]',
    '-A FORWARD -j DOCKER-USER',
    '-A FORWARD -j DOCKER-ISOLATION-STAGE-1',
    '-A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT',
    '-A FORWARD -o docker0 -j DOCKER',
    '-A FORWARD -i docker0 ! -o docker0 -j ACCEPT',
    '-A FORWARD -i docker0 -o docker0 -j ACCEPT',
    ...published.map(
      (p) => `-A DOCKER -d ${dotted(p.container)}/32 ! -i docker0 -o docker0 ${match(p, p.containerPort)} -j ACCEPT`,
    ),
    '-A DOCKER-ISOLATION-STAGE-1 -i docker0 ! -o docker0 -j DOCKER-ISOLATION-STAGE-2',
    '-A DOCKER-ISOLATION-STAGE-1 -j RETURN',
    '-A DOCKER-ISOLATION-STAGE-2 -o docker0 -j DROP',
    '-A DOCKER-ISOLATION-STAGE-2 -j RETURN',
    '-A DOCKER-USER -j RETURN',
    'COMMIT',
    '',
  ].join('\n');
}

type Make = (ordinal: number, into: Conversation) => void;

function plan({ seed, rulesCount }: PlanOptions): Plan {
  const published = publishedPorts(rulesCount);
  const places = placesOf(seed, published);
  return {
    world: WORLD,
    rules: rulesText(published),
    pattern: places,
    shortest: 8,
    maxConnections: places.length * EPHEMERALS,
    maxConcurrent: USUAL_CONCURRENT,
    conversation(index, into) {
      const place = places[index % places.length] as (typeof places)[number];
      into.kind = place.kind;
      place.make(Math.floor(index / places.length), into);
    },
  };
}

function placesOf(seed: number, published: readonly Published[]): (Shape & { make: Make })[] {
  const tcp = published.filter((p) => p.protocol === 'tcp');
  const udp = published.filter((p) => p.protocol === 'udp');
  const any = (list: readonly Published[], ordinal: number): Published => list[ordinal % list.length] as Published;

  const inbound =
    (list: readonly Published[]): Make =>
    (ordinal, into) => {
      const to = any(list, mix(ordinal, seed));
      const client = FIRST_CLIENT + (ordinal % CLIENTS);
      const port = ephemeral(Math.floor(ordinal / CLIENTS), mix(client, seed));
      into.initiatorIngress = ETH;
      into.responderIngress = BRIDGE;
      into.initiatorSource = into.responderDestination = client;
      into.initiatorDestination = HOST;
      into.initiatorPorts = ports(port, to.port);
      into.responderSource = to.container;
      into.responderPorts = ports(to.containerPort, port);
    };

  const outbound =
    (remotePort: number): Make =>
    (ordinal, into) => {
      const remote = FIRST_REMOTE + (ordinal % REMOTES);
      const port = ephemeral(Math.floor(ordinal / REMOTES), mix(remote, seed));
      into.initiatorIngress = BRIDGE;
      into.responderIngress = ETH;
      into.initiatorSource = any(published, mix(ordinal, seed)).container;
      into.initiatorDestination = into.responderSource = remote;
      into.responderDestination = HOST;
      const [to, back] = remotePort === 0 ? [port, port] : [remotePort, remotePort];
      into.initiatorPorts = ports(port, to);
      into.responderPorts = ports(back, port);
    };

  /** The host answers for the container, which would otherwise talk to itself. */
  const hairpin: Make = (ordinal, into) => {
    const to = any(tcp, ordinal);
    const port = ephemeral(Math.floor(ordinal / tcp.length), mix(to.container, seed));
    into.initiatorIngress = into.responderIngress = BRIDGE;
    into.initiatorSource = into.responderSource = to.container;
    into.initiatorDestination = HOST;
    into.initiatorPorts = ports(port, to.port);
    into.responderDestination = BRIDGE_ADDRESS;
    into.responderPorts = ports(to.containerPort, port);
  };

  return [
    { kind: TCP, make: inbound(tcp) },
    { kind: TCP, make: outbound(443) },
    { kind: UDP, make: inbound(udp) },
    { kind: TCP, make: hairpin },
    { kind: UDP, make: outbound(53) },
    { kind: ECHO, make: outbound(0) },
  ];
}

export const docker: Profile = {
  name: 'docker',
  about: 'a Docker host: published ports, containers that go out, hairpin',
  sizes: IMIX,
  packets: 500_000,
  connections: 20_000,
  rulesCount: 10,
  rulesAre: 'published ports, a container each',
  minRules: 2,
  maxRules: 50_000,
  plan,
};
