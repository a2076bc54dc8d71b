/**
 * A Kubernetes node with kube-proxy's chains. Its pods use services by cluster IP, whose endpoints are on other nodes,
 * clients come in by node ports of services with `externalTrafficPolicy: Local`, and pods go out masqueraded.
 *
 *   10.244.0.0/24 ---- cni0 10.244.0.1 [ node ] eth0 10.0.0.10 ---- 10.0.0.1 ---- other nodes' pods, 198.18.0.0/15
 *
 * Which of several endpoints a connection gets is chance (`statistic --mode random`), so services with more than one are
 * sent to without an answer; those that answer have one endpoint.
 */
import { createHash } from 'node:crypto';
import { address, dotted, ports } from '../address.js';
import {
  type Conversation,
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

const CNI = 0;
const ETH = 1;
const NODE = address(10, 0, 0, 10);
const FIRST_POD = address(10, 244, 0, 10);
const PODS = 100;
const FIRST_LOCAL_SERVER = address(10, 244, 0, 120);
const LOCAL_SERVERS = 120;
const FIRST_REMOTE_POD = address(10, 244, 1, 2);
const FIRST_CLUSTER_IP = address(10, 96, 0, 10);
const FIRST_NODE_PORT = 30000;
const REMOTES = 4096;
const FIRST_REMOTE = address(198, 18, 0, 1);
const CLIENTS = 65521;
const FIRST_CLIENT = address(198, 19, 0, 1);
const ENDPOINTS = 3;

const WORLD: World = {
  interfaces: [
    { name: 'cni0', mac: [0x02000000, 0x0001], address: address(10, 244, 0, 1), prefix: 24, ttl: 64 },
    {
      name: 'eth0',
      mac: [0x02000000, 0x0002],
      address: NODE,
      prefix: 24,
      router: { address: address(10, 0, 0, 1), mac: [0x02000a00, 0x0001] },
      ttl: 63,
    },
  ],
  routes: [
    { to: 'default', via: '10.0.0.1', dev: 'eth0' },
    { to: '10.244.0.0/16', via: '10.0.0.1', dev: 'eth0' },
  ],
};

/** One port of a service. */
interface Service {
  readonly name: string;
  readonly protocol: 'tcp' | 'udp';
  readonly clusterIp: number;
  readonly port: number;
  readonly endpoints: readonly number[];
  readonly endpointPort: number;
  readonly nodePort?: number;
}

/** In turn: TCP with one endpoint, UDP with one, UDP with several, TCP with a node port. */
function services(count: number): Service[] {
  return Array.from({ length: count }, (_, i): Service => {
    const clusterIp = FIRST_CLUSTER_IP + i;
    const remote = FIRST_REMOTE_POD + ENDPOINTS * i;
    switch (i % 4) {
      case 0:
        return {
          name: `shop/web-${i}:http`,
          protocol: 'tcp',
          clusterIp,
          port: 80,
          endpoints: [remote],
          endpointPort: 8080,
        };
      case 1:
        return {
          name: `infra/dns-${i}:dns`,
          protocol: 'udp',
          clusterIp,
          port: 53,
          endpoints: [remote],
          endpointPort: 53,
        };
      case 2: {
        const endpoints = Array.from({ length: ENDPOINTS }, (_, k) => remote + k);
        return { name: `infra/logs-${i}:syslog`, protocol: 'udp', clusterIp, port: 514, endpoints, endpointPort: 5514 };
      }
      default: {
        const local = FIRST_LOCAL_SERVER + (i % LOCAL_SERVERS);
        const nodePort = FIRST_NODE_PORT + i;
        const endpointPort = 9000 + Math.floor(i / LOCAL_SERVERS);
        return {
          name: `shop/edge-${i}:https`,
          protocol: 'tcp',
          clusterIp,
          port: 443,
          endpoints: [local],
          endpointPort,
          nodePort,
        };
      }
    }
  });
}

/** kube-proxy's names: a prefix and 16 characters of a hash in base 32. */
function chain(kind: string, ...of: readonly string[]): string {
  const digest = createHash('sha256').update(of.join('')).digest();
  const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
  let bits = BigInt(`0x${digest.subarray(0, 10).toString('hex')}`);
  let name = '';
  for (let i = 0; i < 16; i++, bits >>= 5n) name = (letters[Number(bits & 31n)] as string) + name;
  return `${kind}-${name}`;
}

interface ServiceRules {
  readonly chains: string[];
  readonly entry: string[];
  readonly nodePorts: string[];
  readonly rest: string[];
}

function addService(service: Service, into: ServiceRules): void {
  const { name, protocol, clusterIp, port, endpoints, endpointPort, nodePort } = service;
  const comment = (text: string): string => `-m comment --comment "${text}"`;
  const svc = chain('KUBE-SVC', name, protocol);
  const seps = endpoints.map((endpoint) => chain('KUBE-SEP', name, protocol, `${dotted(endpoint)}:${endpointPort}`));
  into.chains.push(svc, ...seps);
  into.entry.push(
    `-A KUBE-SERVICES -d ${dotted(clusterIp)}/32 -p ${protocol} ${comment(`${name} cluster IP`)} ` +
      `-m ${protocol} --dport ${port} -j ${svc}`,
  );
  into.rest.push(
    `-A ${svc} ! -s 10.244.0.0/16 -d ${dotted(clusterIp)}/32 -p ${protocol} ${comment(`${name} cluster IP`)} ` +
      `-m ${protocol} --dport ${port} -j KUBE-MARK-MASQ`,
  );
  for (const [i, endpoint] of endpoints.entries()) {
    const left = endpoints.length - i;
    const to = `${dotted(endpoint)}:${endpointPort}`;
    const chance = left === 1 ? '' : ` -m statistic --mode random --probability ${(1 / left).toFixed(11)}`;
    into.rest.push(`-A ${svc} ${comment(`${name} -> ${to}`)}${chance} -j ${seps[i]}`);
    into.rest.push(
      `-A ${seps[i]} -s ${dotted(endpoint)}/32 ${comment(name)} -j KUBE-MARK-MASQ`,
      `-A ${seps[i]} -p ${protocol} ${comment(name)} -m ${protocol} -j DNAT --to-destination ${to}`,
    );
  }
  if (nodePort === undefined) return;
  const ext = chain('KUBE-EXT', name, protocol);
  const svl = chain('KUBE-SVL', name, protocol);
  into.chains.push(ext, svl);
  into.nodePorts.push(`-A KUBE-NODEPORTS -p ${protocol} ${comment(name)} -m ${protocol} --dport ${nodePort} -j ${ext}`);
  into.rest.push(
    `-A ${ext} -s 10.244.0.0/16 ${comment(`pod traffic for ${name} external destinations`)} -j ${svc}`,
    `-A ${ext} ${comment(`masquerade LOCAL traffic for ${name} external destinations`)} -m addrtype --src-type LOCAL -j KUBE-MARK-MASQ`,
    `-A ${ext} ${comment(`route LOCAL traffic for ${name} external destinations`)} -m addrtype --src-type LOCAL -j ${svc}`,
    `-A ${ext} -j ${svl}`,
    `-A ${svl} ${comment(`${name} -> ${dotted(endpoints[0] as number)}:${endpointPort}`)} -j ${seps[0]}`,
  );
}

function rulesText(list: readonly Service[]): string {
  const rules: ServiceRules = { chains: [], entry: [], nodePorts: [], rest: [] };
  for (const service of list) addService(service, rules);
  const comment = (text: string): string => `-m comment --comment "${text}"`;
  return [
    '*nat',
    ':PREROUTING ACCEPT [0:0]',
    ':INPUT ACCEPT [0:0]',
    ':OUTPUT ACCEPT [0:0]',
    ':POSTROUTING ACCEPT [0:0]',
    ':KUBE-MARK-MASQ - [0:0]',
    ':KUBE-NODEPORTS - [0:0]',
    ':KUBE-POSTROUTING - [0:0]',
    ':KUBE-SERVICES - [0:0]',
    ...rules.chains.map((name) => `:${name} - [0:0]`),
    `-A PREROUTING ${comment('kubernetes service portals')} -j KUBE-SERVICES`,
    `-A OUTPUT ${comment('kubernetes service portals')} -j KUBE-SERVICES`,
    `-A POSTROUTING ${comment('kubernetes postrouting rules')} -j KUBE-POSTROUTING`,
    '-A POSTROUTING -s 10.244.0.0/16 ! -d 10.244.0.0/16 -o eth0 -j MASQUERADE',
    '-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000',
    ...rules.nodePorts,
    '-A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN',
    '-A KUBE-POSTROUTING -j MARK --set-xmark 0x4000/0x0',
    `-A KUBE-POSTROUTING ${comment('kubernetes service traffic requiring SNAT')} -j MASQUERADE --random-fully`,
    ...rules.entry,
    `-A KUBE-SERVICES ${comment('kubernetes service nodeports; NOTE: this must be the last rule in this chain')} ` +
      '-m addrtype --dst-type LOCAL -j KUBE-NODEPORTS',
    ...rules.rest,
    'COMMIT',
    '*filter',
    ':INPUT ACCEPT [0:0]',
    ':FORWARD ACCEPT [0:0]',
    ':OUTPUT ACCEPT [0:0]',
    ':KUBE-FORWARD - [0:0]',
    `-A FORWARD ${comment('kubernetes forwarding rules')} -j KUBE-FORWARD`,
    '-A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP',
    `-A KUBE-FORWARD ${comment('kubernetes forwarding rules')} -m mark --mark 0x4000/0x4000 -j ACCEPT`,
    `-A KUBE-FORWARD ${comment('kubernetes forwarding conntrack rule')} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT`,
    'COMMIT',
    '',
  ].join('\n');
}

interface Place extends Shape {
  make(ordinal: number, into: Conversation): void;
}

/** A pod uses a service of a list; no two connections have pod and port in common. */
function toService(list: readonly Service[], seed: number): Place['make'] {
  return (ordinal, into) => {
    const service = list[mix(ordinal, seed) % list.length] as Service;
    const pod = FIRST_POD + (ordinal % PODS);
    const port = ephemeral(Math.floor(ordinal / PODS), mix(pod, seed));
    into.initiatorIngress = CNI;
    into.responderIngress = ETH;
    into.initiatorSource = into.responderDestination = pod;
    into.initiatorDestination = service.clusterIp;
    into.initiatorPorts = ports(port, service.port);
    into.responderSource = service.endpoints[0] as number;
    into.responderPorts = ports(service.endpointPort, port);
  };
}

function toNodePort(list: readonly Service[], seed: number): Place['make'] {
  return (ordinal, into) => {
    const service = list[mix(ordinal, seed) % list.length] as Service;
    const client = FIRST_CLIENT + (ordinal % CLIENTS);
    const port = ephemeral(Math.floor(ordinal / CLIENTS), mix(client, seed));
    into.initiatorIngress = ETH;
    into.responderIngress = CNI;
    into.initiatorSource = into.responderDestination = client;
    into.initiatorDestination = NODE;
    into.initiatorPorts = ports(port, service.nodePort ?? 0);
    into.responderSource = service.endpoints[0] as number;
    into.responderPorts = ports(service.endpointPort, port);
  };
}

function toInternet(seed: number): Place['make'] {
  return (ordinal, into) => {
    const remote = FIRST_REMOTE + (ordinal % REMOTES);
    const port = ephemeral(Math.floor(ordinal / REMOTES), mix(remote, seed));
    into.initiatorIngress = CNI;
    into.responderIngress = ETH;
    into.initiatorSource = FIRST_POD + (mix(ordinal, seed) % PODS);
    into.initiatorDestination = into.responderSource = remote;
    into.initiatorPorts = ports(port, 443);
    into.responderDestination = NODE;
    into.responderPorts = ports(443, port);
  };
}

function plan({ seed, rulesCount }: PlanOptions): Plan {
  const all = services(rulesCount);
  const every = (turn: number): Service[] => all.filter((_, i) => i % 4 === turn);
  const places: Place[] = [
    { kind: TCP, make: toService(every(0), seed) },
    { kind: UDP, make: toService(every(1), seed) },
    { kind: ONE_WAY, packets: 3, make: toService(every(2), seed + 1) },
    { kind: TCP, make: toNodePort(every(3), seed) },
    { kind: TCP, make: toInternet(seed) },
  ];
  return {
    world: WORLD,
    rules: rulesText(all),
    pattern: places,
    shortest: 8,
    maxConnections: places.length * PODS * EPHEMERALS,
    maxConcurrent: USUAL_CONCURRENT,
    conversation(index, into) {
      const place = places[index % places.length] as Place;
      into.kind = place.kind;
      place.make(Math.floor(index / places.length), into);
    },
  };
}

export const kubernetes: Profile = {
  name: 'kubernetes',
  about: 'a Kubernetes node: services by cluster IP and node port, endpoints by chance, pods that go out',
  sizes: IMIX,
  packets: 500_000,
  connections: 20_000,
  rulesCount: 40,
  rulesAre: 'services',
  minRules: 4,
  maxRules: 2700,
  plan,
};
