/** Requests made definite: every network has its bridge and subnets, every container its addresses and host ports. */
import { createHash } from 'node:crypto';
import type { Address, Prefix } from '../../host/address.js';
import type { Family } from '../../host/types.js';
import { didYouMean } from '../nearest.js';
import { AddressPool } from './addresspool.js';
import type { GatewayMode, Style, Transport } from './firewall.js';
import { type HostBinding, HostPorts, inOrder } from './hostports.js';
import { type PortRequest, portText } from './ports.js';
import { type ContainerRequest, DEFAULT_NETWORK, type NetworkRequest, type SubnetRequest } from './requests.js';
import { SubnetPool, type TakenSubnet } from './subnets.js';

export interface SettledNetwork {
  readonly name: string;
  readonly bridge: string;
  readonly internal: boolean;
  readonly icc: boolean;
  readonly masquerade: boolean;
  readonly sides: ReadonlyMap<Family, SettledSide>;
}

/** What a network is in one address family. */
export interface SettledSide {
  readonly subnet: Prefix;
  readonly gateway: Address;
  readonly mode: GatewayMode;
  readonly snat: Address | undefined;
}

export interface SettledContainer {
  readonly name: string;
  readonly endpoints: readonly SettledEndpoint[];
}

export interface SettledEndpoint {
  readonly network: SettledNetwork;
  readonly addresses: ReadonlyMap<Family, Address>;
  readonly ports: readonly SettledPort[];
}

export interface SettledPort {
  readonly family: Family;
  readonly protocol: Transport;
  readonly containerPort: number;
  readonly hostPort: number;
  readonly hostAddress: Address | undefined;
}

export interface Settled {
  readonly networks: readonly SettledNetwork[];
  readonly containers: readonly SettledContainer[];
  readonly warnings: readonly string[];
}

export interface SettleOptions {
  readonly style: Style;
  readonly userlandProxy: boolean;
  /** Where ports are published that do not say (the daemon's `--ip`). */
  readonly hostAddress: Address | undefined;
  /** What the host itself is connected to. */
  readonly avoid: readonly TakenSubnet[];
}

/** Networks in their order, containers in theirs. Errors: DOCKER_*, each at the place of the request. */
export function settle(
  networks: readonly NetworkRequest[],
  containers: readonly ContainerRequest[],
  options: SettleOptions,
): Settled {
  const warnings: string[] = [];
  const settled = settleNetworks(networks, options, warnings);
  reserve(containers, settled);
  const ports = new HostPorts();
  const names = new Set<string>();
  const done: SettledContainer[] = [];
  for (const container of containers) {
    if (names.has(container.name)) {
      container.fail('DOCKER_NAME_TWICE', `there are two containers ${container.name}`, 'give each its own name');
    }
    names.add(container.name);
    if (container.mode === 'bridge') done.push(settleContainer(container, settled, ports, options, warnings));
    else warnings.push(withoutRules(container));
  }
  return { networks: [...settled.values()].map(({ network }) => network), containers: done, warnings };
}

function withoutRules({ name, mode, ports }: ContainerRequest): string {
  const ignored = ports.length === 0 ? '' : '; what it publishes is ignored';
  const why = mode === 'host' ? "is on the host's own network" : 'has no network';
  return `container ${name} ${why}: Docker writes no rules for it${ignored}`;
}

interface Open {
  readonly request: NetworkRequest;
  readonly network: SettledNetwork;
  readonly pools: ReadonlyMap<Family, AddressPool>;
}

function settleNetworks(
  requests: readonly NetworkRequest[],
  { style, avoid }: SettleOptions,
  warnings: string[],
): Map<string, Open> {
  const subnets = new SubnetPool(avoid);
  // First what is stated, so that nothing chosen freely gets in its way.
  for (const { name, subnets: stated, fail } of requests) {
    for (const { subnet } of stated) subnets.take(subnet, `network ${name}`, fail);
  }
  const open = new Map<string, Open>();
  const bridges = new Map<string, string>();
  for (const request of requests) {
    const { name, fail, internal, icc, masquerade } = request;
    if (open.has(name)) fail('DOCKER_NAME_TWICE', `there are two networks ${name}`, 'give each its own name');
    checkModes(request, style);
    const bridge = bridgeOf(request);
    const other = bridges.get(bridge);
    if (other !== undefined) {
      fail('DOCKER_NAME_TWICE', `networks ${other} and ${name} are both on ${bridge}`, 'give each its own bridge');
    }
    bridges.set(bridge, name);
    const pools = new Map<Family, AddressPool>();
    const sides = new Map<Family, SettledSide>();
    for (const family of [4, 6] as const) {
      if (!(family === 4 ? request.ipv4 : request.ipv6)) continue;
      const stated = request.subnets.find(({ subnet }) => subnet.family === family);
      const { subnet, gateway, range } = stated ?? chosen(request, family, subnets, warnings);
      const pool = new AddressPool(subnet, gateway, range, fail);
      pools.set(family, pool);
      sides.set(family, { subnet, gateway: pool.gateway, mode: request.mode[family], snat: request.snat[family] });
    }
    open.set(name, { request, pools, network: { name, bridge, internal, icc, masquerade, sides } });
  }
  return open;
}

function chosen(
  { name, fail }: NetworkRequest,
  family: Family,
  subnets: SubnetPool,
  warnings: string[],
): SubnetRequest {
  if (family === 4) return { subnet: subnets.next4(`network ${name}`, fail) };
  warnings.push(`network ${name}: its IPv6 subnet is not stated; Docker draws one, here it is made of the name`);
  return { subnet: subnets.next6(`network ${name}`, fail) };
}

function checkModes({ mode, internal, fail, name }: NetworkRequest, style: Style): void {
  for (const family of [4, 6] as const) {
    const one = mode[family];
    if (one === 'nat') continue;
    if (style === 'classic') {
      fail('DOCKER_BAD_MODE', `network ${name}: Docker before 28 has no gateway mode ${one}`, 'add --style 28');
    }
    if (one === 'isolated' && !internal) {
      fail('DOCKER_BAD_MODE', `network ${name}: gateway mode isolated is for internal networks`, 'make it internal');
    }
  }
}

/** The name of the bridge's interface; `br-` and twelve digits of the network's ID. */
function bridgeOf({ name, bridge, id }: NetworkRequest): string {
  if (bridge !== undefined) return bridge;
  if (name === DEFAULT_NETWORK) return 'docker0';
  return `br-${(id ?? createHash('sha256').update(name).digest('hex')).slice(0, 12)}`;
}

/** Stated addresses first, as no container may be given what another one asks for. */
function reserve(containers: readonly ContainerRequest[], networks: ReadonlyMap<string, Open>): void {
  for (const container of containers.filter(({ mode }) => mode === 'bridge')) {
    for (const { network, addresses, fail } of container.attachments) {
      const asked = { name: container.name, fail };
      const open = networks.get(network) ?? unknownNetwork(network, asked, networks);
      for (const address of addresses) {
        poolOf(open, address.family, asked).take(address, `container ${container.name}`, fail);
      }
    }
  }
}

function unknownNetwork(
  network: string,
  { name, fail }: Pick<ContainerRequest, 'name' | 'fail'>,
  networks: ReadonlyMap<string, Open>,
): never {
  const advice = didYouMean(network, networks.keys(), `there are ${[...networks.keys()].join(', ')}`);
  return fail('DOCKER_UNKNOWN_NETWORK', `container ${name}: there is no network ${network}`, advice);
}

function poolOf(
  { pools, network }: Open,
  family: Family,
  { name, fail }: Pick<ContainerRequest, 'name' | 'fail'>,
): AddressPool {
  const advice = family === 6 ? 'enable IPv6 on it' : 'leave the address out';
  const what = `container ${name}: network ${network.name} has no IPv${family}`;
  return pools.get(family) ?? fail('DOCKER_BAD_ADDRESS', what, advice);
}

function settleContainer(
  request: ContainerRequest,
  networks: ReadonlyMap<string, Open>,
  hostPorts: HostPorts,
  options: SettleOptions,
  warnings: string[],
): SettledContainer {
  const { name, fail, attachments } = request;
  const joined = attachments.flatMap(({ network, addresses, priority }) => {
    const found = networks.get(network);
    if (found === undefined) return [];
    const own = new Map<Family, Address>();
    for (const [family, pool] of found.pools) {
      own.set(family, addresses.find((one) => one.family === family) ?? pool.give(`container ${name}`, fail));
    }
    return [{ open: found, addresses: own, priority }];
  });
  const candidates = joined
    .filter(({ open }) => !open.network.internal)
    .sort((a, b) => b.priority - a.priority || (a.open.network.name < b.open.network.name ? -1 : 1));
  const ports = publish(request, candidates, hostPorts, options, warnings);
  return {
    name,
    endpoints: joined.map(({ open, addresses }) => ({
      network: open.network,
      addresses,
      ports: ports.get(open) ?? [],
    })),
  };
}

interface Candidate {
  readonly open: Open;
  readonly addresses: ReadonlyMap<Family, Address>;
}

/** Published ports by the network that is the container's gateway: one for each family since 28, one for both before. */
function publish(
  { name, ports }: ContainerRequest,
  candidates: readonly Candidate[],
  hostPorts: HostPorts,
  options: SettleOptions,
  warnings: string[],
): Map<Open, SettledPort[]> {
  const published = new Map<Open, SettledPort[]>();
  const usable = options.style === 'classic' ? candidates.slice(0, 1) : candidates;
  if (ports.length > 0 && usable.length === 0) {
    warnings.push(`container ${name} is on internal networks only: what it publishes is ignored`);
    return published;
  }
  const gateway = (family: Family): Candidate | undefined => usable.find(({ addresses }) => addresses.has(family));
  for (const request of inOrder(ports, options.style)) {
    const settledHost = request.hostAddress ?? usable[0]?.open.request.hostAddress ?? options.hostAddress;
    const bindings = bindingsOf(settledHost).filter(({ family }) => gateway(family) !== undefined);
    if (bindings.length === 0) {
      warnings.push(notTranslated(name, request, settledHost, options));
      continue;
    }
    const mapped = bindings.filter(({ family }) => gateway(family)?.open.request.mode[family] !== 'routed');
    const hostPort = mapped.length === 0 ? 0 : hostPorts.allocate(request, mapped, name);
    if (hostPort !== 0 && request.hostPorts === undefined) {
      warnings.push(
        `container ${name}: ${portText(request)} is published at a host port of Docker's choice; ${hostPort} is assumed`,
      );
    }
    for (const binding of bindings) {
      const { family } = binding;
      const open = gateway(family)?.open;
      if (open === undefined) continue;
      const { protocol, containerPort } = request;
      const list = published.get(open) ?? [];
      published.set(open, list);
      const port = mapped.includes(binding) ? hostPort : 0;
      list.push({ family, protocol, containerPort, hostPort: port, hostAddress: binding.address });
    }
  }
  return published;
}

/** Both families where no address is named; 0.0.0.0 and :: are all addresses of theirs. */
function bindingsOf(address: Address | undefined): HostBinding[] {
  if (address === undefined) {
    return [
      { family: 4, address: undefined },
      { family: 6, address: undefined },
    ];
  }
  const all = address.words.every((word) => word === 0);
  return [{ family: address.family, address: all ? undefined : address }];
}

function notTranslated(
  name: string,
  request: PortRequest,
  address: Address | undefined,
  { userlandProxy }: SettleOptions,
): string {
  const port = `container ${name}: ${portText(request)}`;
  if (address?.family === 6 && userlandProxy) {
    return `${port}: the container has no IPv6 address; docker-proxy carries it over, without rules`;
  }
  return `${port}: the container has no IPv${address?.family ?? 4} address, so it is not published there`;
}
