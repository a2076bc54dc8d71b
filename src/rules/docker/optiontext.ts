/** What options state: `--network`, `--container`, and the daemon's own about docker0. */
import { type Address, parseAddress } from '../../host/address.js';
import { isInterfaceName } from '../../host/hostoptions.js';
import { didYouMean } from '../nearest.js';
import { gatewayMode, yesOrNo } from './driveroptions.js';
import type { GatewayMode } from './firewall.js';
import { type PortRequest, parsePublish } from './ports.js';
import { type Fail, failAtOption } from './problem.js';
import { type ContainerRequest, DEFAULT_NETWORK, type NetworkRequest, type SubnetRequest } from './requests.js';
import { parseSubnet } from './subnets.js';

/** `-p` and `--container` in the order typed: a port is the container's that stands before it. */
export interface ContainerWord {
  readonly kind: 'container' | 'publish';
  readonly text: string;
}

/** Throws DOCKER_BAD_PORT, DOCKER_BAD_CONTAINER. */
export function readContainerWords(words: readonly ContainerWord[]): ContainerRequest[] {
  const containers: (Omit<ContainerRequest, 'ports'> & { readonly ports: PortRequest[] })[] = [];
  for (const [n, { kind, text }] of words.entries()) {
    if (kind === 'container') {
      containers.push({ ...parseContainer(text), ports: [] });
      continue;
    }
    const fail = failAtOption('-p', text);
    if (n === 0 && words.some((word) => word.kind === 'container')) {
      fail(
        'DOCKER_BAD_CONTAINER',
        'no container stands before it',
        'write --container NAME first, then what it publishes',
      );
    }
    if (n === 0) {
      const attachments = [{ network: DEFAULT_NETWORK, addresses: [], priority: 0, fail }];
      containers.push({ name: 'c1', mode: 'bridge', attachments, ports: [], fail });
    }
    containers.at(-1)?.ports.push(...parsePublish(text, fail));
  }
  return containers;
}

const CONTAINER_ADVICE =
  'write --container NAME[=ADDRESS[,ADDRESS]][@NETWORK[,NETWORK]], e.g. web=172.17.0.4 or web@front';

function parseContainer(text: string): Omit<ContainerRequest, 'ports'> {
  const fail = failAtOption('--container', text);
  const [, name = '', addresses, networks] = /^([^=@]*)(?:=([^@]*))?(?:@(.*))?$/.exec(text) ?? [];
  if (!/^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/.test(name)) {
    return fail('DOCKER_BAD_CONTAINER', `"${name}" is no name of a container`, CONTAINER_ADVICE);
  }
  const stated = addresses?.split(',').map((word) => addressOf(word, fail, CONTAINER_ADVICE)) ?? [];
  const [first = DEFAULT_NETWORK, ...others] = networks?.split(',') ?? [];
  if (first === 'host' || first === 'none') return { name, mode: first, attachments: [], fail };
  const attachments = [
    { network: first, addresses: stated, priority: 0, fail },
    ...others.map((network) => ({ network, addresses: [], priority: 0, fail })),
  ];
  return { name, mode: 'bridge', attachments, fail };
}

function addressOf(text: string, fail: Fail, advice: string): Address {
  return parseAddress(text) ?? fail('DOCKER_BAD_ADDRESS', `"${text}" is no address`, advice);
}

const NETWORK_WORDS = [
  'internal',
  'ipv6',
  'gateway',
  'range',
  'icc',
  'ip-masq',
  'gateway-mode',
  'gateway-mode6',
  'bridge',
  'snat',
  'host-ip',
];
const NETWORK_ADVICE = 'write --network NAME[=SUBNET][,internal][,icc=false]..., e.g. back=172.20.0.0/16,internal';

/** `front=172.18.0.0/16,fd00:18::/64,icc=false`. Throws DOCKER_BAD_NETWORK, DOCKER_BAD_OPTION, DOCKER_BAD_ADDRESS. */
export function parseNetwork(text: string): NetworkRequest {
  const fail = failAtOption('--network', text);
  const [, name = '', rest = ''] = /^([^=,]*)[=,]?(.*)$/.exec(text) ?? [];
  if (!/^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/.test(name) || ['host', 'none', DEFAULT_NETWORK].includes(name)) {
    return fail('DOCKER_BAD_NETWORK', `a network cannot be named "${name}"`, NETWORK_ADVICE);
  }
  const words = new Map<string, string>();
  const subnets: SubnetRequest[] = [];
  for (const word of rest === '' ? [] : rest.split(',')) {
    const [key = '', ...values] = word.split('=');
    if (NETWORK_WORDS.includes(key)) words.set(key, values.join('='));
    else subnets.push({ subnet: subnetOf(word, fail) });
  }
  const mode = gatewayMode(words.get('gateway-mode'), fail);
  const mode6: GatewayMode = words.has('gateway-mode6') ? gatewayMode(words.get('gateway-mode6'), fail) : mode;
  const address = (word: string): Address | undefined => {
    const value = words.get(word);
    return value === undefined ? undefined : addressOf(value, fail, NETWORK_ADVICE);
  };
  const snat = address('snat');
  return {
    name,
    bridge: bridgeName(words.get('bridge'), fail),
    id: undefined,
    internal: flag(words, 'internal', fail),
    icc: yesOrNo(words.get('icc'), fail),
    masquerade: yesOrNo(words.get('ip-masq'), fail),
    ipv4: true,
    ipv6: flag(words, 'ipv6', fail) || subnets.some(({ subnet }) => subnet.family === 6),
    mode: { 4: mode, 6: mode6 },
    snat: { 4: snat?.family === 4 ? snat : undefined, 6: snat?.family === 6 ? snat : undefined },
    hostAddress: address('host-ip'),
    subnets: withDetails(subnets, address('gateway'), words.get('range'), fail),
    fail,
  };
}

function withDetails(
  subnets: readonly SubnetRequest[],
  gateway: Address | undefined,
  range: string | undefined,
  fail: Fail,
): SubnetRequest[] {
  const part = range === undefined ? undefined : subnetOf(range, fail);
  for (const { family } of [gateway, part].filter((one) => one !== undefined)) {
    if (subnets.some(({ subnet }) => subnet.family === family)) continue;
    fail('DOCKER_BAD_NETWORK', 'a gateway or a range without the subnet', NETWORK_ADVICE);
  }
  return subnets.map(({ subnet }) => ({
    subnet,
    gateway: gateway?.family === subnet.family ? gateway : undefined,
    range: part?.family === subnet.family ? part : undefined,
  }));
}

function flag(words: ReadonlyMap<string, string>, name: string, fail: Fail): boolean {
  const value = words.get(name);
  return value !== undefined && (value === '' || yesOrNo(value, fail));
}

function bridgeName(text: string | undefined, fail: Fail): string | undefined {
  if (text === undefined || isInterfaceName(text)) return text;
  return fail(
    'DOCKER_BAD_OPTION',
    `"${text}" is no interface name`,
    'it has up to 15 letters, digits, "-", "_" and "."',
  );
}

function subnetOf(text: string, fail: Fail): SubnetRequest['subnet'] {
  const [key = ''] = text.split('=');
  const advice = text.includes('/') ? NETWORK_ADVICE : didYouMean(key, NETWORK_WORDS, NETWORK_ADVICE);
  return parseSubnet(text) ?? fail('DOCKER_BAD_NETWORK', `"${text}" is no subnet`, advice);
}

export interface DefaultNetworkOptions {
  /** `--bip`: the address of docker0 with its prefix. */
  readonly bip?: string | undefined;
  readonly icc: boolean;
  readonly masquerade: boolean;
  /** `--fixed-cidr-v6`: docker0's IPv6 subnet. */
  readonly subnet6?: string | undefined;
}

/** The network on docker0, as the daemon's options make it. */
export function defaultNetwork({ bip, icc, masquerade, subnet6 }: DefaultNetworkOptions): NetworkRequest {
  const fail = failAtOption('--bip', bip ?? '172.17.0.1/16');
  const subnet = parseSubnet(bip ?? '172.17.0.1/16', 4);
  const gateway = parseAddress((bip ?? '172.17.0.1/16').split('/')[0] ?? '', 4);
  if (subnet === undefined || gateway === undefined) {
    return fail('DOCKER_BAD_NETWORK', 'that is no address with a prefix', 'write e.g. --bip 172.17.0.1/16');
  }
  const failAt6 = failAtOption('--fixed-cidr-v6', subnet6 ?? '');
  const six = subnet6 === undefined ? undefined : parseSubnet(subnet6, 6);
  if (subnet6 !== undefined && six === undefined) {
    return failAt6('DOCKER_BAD_NETWORK', 'that is no IPv6 subnet', 'write e.g. --fixed-cidr-v6 fd00:17::/64');
  }
  return {
    name: DEFAULT_NETWORK,
    bridge: 'docker0',
    id: undefined,
    internal: false,
    icc,
    masquerade,
    ipv4: true,
    ipv6: six !== undefined,
    mode: { 4: 'nat', 6: 'nat' },
    snat: { 4: undefined, 6: undefined },
    hostAddress: undefined,
    subnets: [{ subnet, gateway }, ...(six === undefined ? [] : [{ subnet: six }])],
    fail,
  };
}
