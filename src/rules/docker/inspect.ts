/** Networks and containers as they are: what `docker network inspect` and `docker inspect` print, in files told apart by what they hold. */
import type { z } from 'zod';
import { NatreplayError } from '../../errors.js';
import { type Address, parseAddress } from '../../host/address.js';
import { findJsonMistake } from '../../host/jsonplace.js';
import { readDriverOptions } from './driveroptions.js';
import { type ContainerJson, containerSchema, type NetworkJson, networkSchema } from './inspectschema.js';
import { expandPorts, type PortRequest, parseHostAddress, parseProtocol, parseRange } from './ports.js';
import { type Fail, failInFile } from './problem.js';
import {
  type AttachmentRequest,
  type ContainerRequest,
  DEFAULT_NETWORK,
  type NetworkRequest,
  type Requests,
  type SubnetRequest,
} from './requests.js';
import { parseSubnet } from './subnets.js';

export interface InspectedFile {
  readonly file: string;
  readonly text: string;
}

const ADVICE = 'give what "docker network inspect NETWORK..." and "docker inspect CONTAINER..." print';

/** Throws DOCKER_INSPECT and what stating the same by options would throw. */
export function readInspected(files: readonly InspectedFile[]): Requests {
  const networks: (readonly [json: NetworkJson, request: NetworkRequest | undefined])[] = [];
  const containers: (readonly [json: ContainerJson, fail: Fail])[] = [];
  const warnings: string[] = [];
  for (const { file, text } of files) {
    for (const [n, value] of objects(text, file).entries()) {
      const fail = failInFile(file);
      if (isObject(value) && 'HostConfig' in value) containers.push([parsed(value, containerSchema, file, n), fail]);
      else if (isObject(value) && 'Driver' in value && 'IPAM' in value) {
        const json = parsed(value, networkSchema, file, n);
        networks.push([json, networkRequest(json, file, warnings)]);
      } else fail('DOCKER_INSPECT', `object ${n + 1} is neither a network nor a container`, ADVICE);
    }
  }
  const inspected = containers
    .sort(([a], [b]) => compare(a.State?.StartedAt, b.State?.StartedAt))
    .flatMap(([json, fail]) => containerRequest(json, networks, fail, warnings));
  const known = new Set(inspected.map(({ name }) => name));
  const listed = networks.flatMap(([json, request]) =>
    request === undefined ? [] : listedContainers(json, request, known),
  );
  return {
    networks: networks
      .sort(
        ([a], [b]) =>
          Number(b.Name === DEFAULT_NETWORK) - Number(a.Name === DEFAULT_NETWORK) || compare(a.Created, b.Created),
      )
      .flatMap(([, request]) => request ?? []),
    containers: [...inspected, ...merged(listed)],
    warnings,
  };
}

const compare = (a: string | null | undefined, b: string | null | undefined): number =>
  (a ?? '') < (b ?? '') ? -1 : (a ?? '') > (b ?? '') ? 1 : 0;

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null;

function objects(text: string, file: string): unknown[] {
  const json = text.startsWith('\ufeff') ? text.slice(1) : text;
  try {
    const value: unknown = JSON.parse(json);
    return Array.isArray(value) ? value : [value];
  } catch (cause) {
    const { line, column, found } = findJsonMistake(json);
    const what = `not JSON: did not expect ${found}`;
    throw new NatreplayError('DOCKER_INSPECT', what, { file, line, column, advice: ADVICE, cause });
  }
}

function parsed<T extends z.ZodType>(value: unknown, schema: T, file: string, n: number): z.infer<T> {
  const checked = schema.safeParse(value);
  if (checked.success) return checked.data;
  const [issue] = checked.error.issues;
  const what = `object ${n + 1}: at ${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'wrong shape'}`;
  throw new NatreplayError('DOCKER_INSPECT', what, { file, advice: ADVICE });
}

function networkRequest(json: NetworkJson, file: string, warnings: string[]): NetworkRequest | undefined {
  const { Name: name, Driver: driver } = json;
  if (driver === 'host' || driver === 'null') return undefined;
  if (driver !== 'bridge') {
    warnings.push(`network ${name}: for the driver ${driver} Docker's bridge writes no rules; left out`);
    return undefined;
  }
  const fail: Fail = (code, what, advice) => failInFile(file)(code, `network ${name}: ${what}`, advice);
  const ipv6 = json.EnableIPv6 ?? false;
  const subnets = (json.IPAM?.Config ?? []).flatMap((config) => subnet(config, fail));
  return {
    ...readDriverOptions(new Map(Object.entries(json.Options ?? {})), () => fail),
    name,
    id: json.Id ?? undefined,
    internal: json.Internal ?? false,
    ipv4: json.EnableIPv4 ?? true,
    ipv6,
    subnets: subnets.filter((one) => one.subnet.family === 4 || ipv6),
    fail,
  };
}

type SubnetJson = NonNullable<NonNullable<NetworkJson['IPAM']>['Config']>[number];

function subnet({ Subnet, Gateway, IPRange }: SubnetJson, fail: Fail): SubnetRequest[] {
  if (Subnet === undefined || Subnet === null || Subnet === '') return [];
  const found = parseSubnet(Subnet) ?? fail('DOCKER_INSPECT', `"${Subnet}" is no subnet`, ADVICE);
  // With a prefix in the gateway of IPv6, as some versions print it.
  const gateway =
    Gateway === undefined || Gateway === null ? undefined : parseAddress(Gateway.split('/')[0] ?? '', found.family);
  const range = IPRange === undefined || IPRange === null ? undefined : parseSubnet(IPRange, found.family);
  return [{ subnet: found, gateway, range }];
}

type Networks = readonly (readonly [json: NetworkJson, request: NetworkRequest | undefined])[];

function containerRequest(
  json: ContainerJson,
  networks: Networks,
  failAt: Fail,
  warnings: string[],
): ContainerRequest[] {
  const name = json.Name.replace(/^\//, '');
  const fail: Fail = (code, what, advice) =>
    failAt(code, what.includes(name) ? what : `container ${name}: ${what}`, advice);
  if (json.State?.Running === false) {
    warnings.push(`container ${name} does not run: Docker has no rules for it`);
    return [];
  }
  const ports = portRequests(json.NetworkSettings.Ports ?? json.HostConfig.PortBindings ?? {}, fail);
  const mode = json.HostConfig.NetworkMode ?? DEFAULT_NETWORK;
  if (mode === 'host' || mode === 'none') return [{ name, mode, attachments: [], ports, fail }];
  if (mode.startsWith('container:')) {
    warnings.push(`container ${name} shares the network of another: no rules of its own`);
    return [];
  }
  const attachments = Object.entries(json.NetworkSettings.Networks ?? {}).flatMap(
    ([key, settings]): AttachmentRequest[] => {
      const network = networks.find(([one]) => one.Name === key || (one.Id ?? key) === settings.NetworkID);
      if (network !== undefined && network[1] === undefined) return [];
      if (network === undefined && key !== DEFAULT_NETWORK) {
        fail(
          'DOCKER_UNKNOWN_NETWORK',
          `its network ${key} is not among what was inspected`,
          `add what "docker network inspect ${key}" prints`,
        );
      }
      const addresses = [settings.IPAddress, settings.GlobalIPv6Address].flatMap((text) => addressIn(text));
      return [{ network: network?.[0].Name ?? key, addresses, priority: settings.GwPriority ?? 0, fail }];
    },
  );
  return [{ name, mode: 'bridge', attachments, ports, fail }];
}

/** `172.17.0.2` or `172.17.0.2/16`; nothing where it is empty. */
function addressIn(text: string | null | undefined): Address[] {
  const found = parseAddress((text ?? '').split('/')[0] ?? '');
  return found === undefined ? [] : [found];
}

type Bindings = NonNullable<ContainerJson['NetworkSettings']['Ports']>;

/** `{"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}]}`; a port that is only exposed has null. */
function portRequests(ports: Bindings, fail: Fail): PortRequest[] {
  return Object.entries(ports).flatMap(([port, bindings]) => {
    const [number = '', protocolText] = port.split('/');
    const container = parseRange(number, 'container port', fail);
    const protocol = parseProtocol(protocolText, fail);
    return (bindings ?? []).flatMap(({ HostIp, HostPort }) => {
      const host =
        HostPort === undefined || HostPort === null || HostPort === ''
          ? undefined
          : parseRange(HostPort, 'host port', fail);
      return expandPorts({ protocol, container, host, address: parseHostAddress(HostIp ?? '', fail) }, fail);
    });
  });
}

/** Containers that only their network's inspection shows: addresses, but no ports. */
function listedContainers(json: NetworkJson, request: NetworkRequest, known: ReadonlySet<string>): ContainerRequest[] {
  return Object.values(json.Containers ?? {}).flatMap(({ Name: name, IPv4Address, IPv6Address }) => {
    if (name === undefined || name === null || known.has(name)) return [];
    const addresses = [...addressIn(IPv4Address), ...addressIn(IPv6Address)];
    const attachments = [{ network: json.Name, addresses, priority: 0, fail: request.fail }];
    return [{ name, mode: 'bridge' as const, attachments, ports: [], fail: request.fail }];
  });
}

/** One container is listed by each of its networks. */
function merged(containers: readonly ContainerRequest[]): ContainerRequest[] {
  const byName = new Map<string, ContainerRequest>();
  for (const container of containers) {
    const former = byName.get(container.name);
    const attachments = [...(former?.attachments ?? []), ...container.attachments];
    byName.set(container.name, { ...container, attachments });
  }
  return [...byName.values()];
}
