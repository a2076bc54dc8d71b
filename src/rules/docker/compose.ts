/** Compose files: services, their ports and networks. What has no influence on the rules is let pass. */
import { basename, dirname, resolve } from 'node:path';
import { parseAddress } from '../../host/address.js';
import { didYouMean } from '../nearest.js';
import { type ComposeNetwork, composeNetworks } from './composenetworks.js';
import { composePorts } from './composeports.js';
import type { AttachmentRequest, ContainerRequest, Requests } from './requests.js';
import { DEFAULT_NETWORK } from './requests.js';
import { type Environment, readYaml, type YamlValue } from './yamlfile.js';

export interface ComposeOptions {
  /** Name of the project; else the file's own, or the name of its folder. */
  readonly project?: string | undefined;
  readonly environment: Environment;
}

/** Errors, with line and column: DOCKER_YAML, DOCKER_COMPOSE, DOCKER_BAD_PORT, DOCKER_UNKNOWN_NETWORK ... */
export function readCompose(text: string, file: string, options: ComposeOptions): Requests {
  const root = readYaml(text, file, options.environment);
  if (!root.isMapping) root.fail('DOCKER_COMPOSE', 'this is no compose file', 'it begins with services:');
  for (const key of ['include', 'extends']) refuse(root.get(key));
  const project = projectName(root, file, options);
  const warnings: string[] = [];
  const services = inOrder(active(root.get('services'), warnings));
  const networks = composeNetworks(root.get('networks'), project, warnings);
  const containers = services.flatMap((service) => containersOf(service, project, networks, warnings));
  const used = new Set(services.flatMap((service) => networkKeys(service)));
  const wanted = [...networks].filter(([key]) => used.has(key)).flatMap(([, { request }]) => request ?? []);
  return { networks: wanted, containers, warnings };
}

function refuse(value: YamlValue): void {
  if (value.isEmpty) return;
  value.fail('DOCKER_COMPOSE', `${value.name} is not followed`, 'give what "docker compose config" prints');
}

/** As Compose makes it of a folder: small letters, digits, - and _. */
function projectName(root: YamlValue, file: string, { project, environment }: ComposeOptions): string {
  const folder = file === '-' ? '' : basename(dirname(resolve(file)));
  const name = project ?? environment('COMPOSE_PROJECT_NAME') ?? root.get('name').text() ?? folder;
  return (
    name
      .toLowerCase()
      .replace(/[^a-z0-9_-]/g, '')
      .replace(/^[_-]+/, '') || 'project'
  );
}

/** Services of a profile start only when asked for. */
function active(services: YamlValue, warnings: string[]): YamlValue[] {
  if (services.isEmpty) services.fail('DOCKER_COMPOSE', 'there are no services', 'it needs services:');
  return services.entries().flatMap(([name, service]) => {
    if (!service.isMapping)
      return service.fail('DOCKER_COMPOSE', `service ${name} says nothing`, 'it needs image: or build:');
    refuse(service.get('extends'));
    if (service.get('profiles').items().length === 0) return [service];
    warnings.push(`service ${name} is of a profile and left out`);
    return [];
  });
}

/** Those that others depend on start first; otherwise as they stand. */
function inOrder(services: readonly YamlValue[]): YamlValue[] {
  const byName = new Map(services.map((service) => [service.name, service]));
  const done = new Set<YamlValue>();
  const visit = (service: YamlValue, above: readonly YamlValue[]): void => {
    if (done.has(service)) return;
    if (above.includes(service)) {
      const round = [...above, service].map(({ name }) => name).join(' -> ');
      service.get('depends_on').fail('DOCKER_COMPOSE', `services depend on each other: ${round}`, 'leave one out');
    }
    for (const name of namesIn(service.get('depends_on'))) {
      const other = byName.get(name);
      if (other !== undefined) visit(other, [...above, service]);
    }
    done.add(service);
  };
  for (const service of services) visit(service, []);
  return [...done];
}

/** A list of names, or a mapping by name. */
function namesIn(value: YamlValue): string[] {
  if (value.isMapping) return value.entries().map(([name]) => name);
  return value.items().flatMap((item) => item.text() ?? []);
}

/** The networks a service names, `default` if none. */
function networkKeys(service: YamlValue): string[] {
  if (service.get('network_mode').text() !== undefined) return [];
  const names = namesIn(service.get('networks'));
  return names.length === 0 ? ['default'] : names;
}

const MOST_REPLICAS = 10_000;

function containersOf(
  service: YamlValue,
  project: string,
  networks: ReadonlyMap<string, ComposeNetwork>,
  warnings: string[],
): ContainerRequest[] {
  const { name: serviceName } = service;
  const own = service.get('container_name').text();
  const count = replicas(service);
  const ports = composePorts(service.get('ports'));
  const place = service.get('ports').isEmpty ? service : service.get('ports');
  const { mode, attachments } = connection(service, networks, warnings);
  if (mode === undefined) return [];
  return Array.from({ length: count }, (_, n) => ({
    name: own ?? `${project}-${serviceName}-${n + 1}`,
    mode,
    attachments,
    ports,
    fail: place.fail,
  }));
}

function replicas(service: YamlValue): number {
  const value = service.get('scale').isEmpty ? service.get('deploy').get('replicas') : service.get('scale');
  const text = value.text() ?? '1';
  const count = /^[0-9]{1,6}$/.test(text) ? Number(text) : Number.NaN;
  if (count <= MOST_REPLICAS) return count;
  return value.fail('DOCKER_COMPOSE', `"${text}" is no number of containers`, `it goes up to ${MOST_REPLICAS}`);
}

interface Connection {
  /** Undefined: no container of its own to the rules. */
  readonly mode: ContainerRequest['mode'] | undefined;
  readonly attachments: readonly AttachmentRequest[];
}

function connection(service: YamlValue, networks: ReadonlyMap<string, ComposeNetwork>, warnings: string[]): Connection {
  const stated = service.get('network_mode');
  const mode = stated.text();
  if (mode === 'host' || mode === 'none') return { mode, attachments: [] };
  if (mode === 'bridge' || mode === 'default') {
    return {
      mode: 'bridge',
      attachments: [{ network: DEFAULT_NETWORK, addresses: [], priority: 0, fail: stated.fail }],
    };
  }
  if (mode?.startsWith('service:') === true || mode?.startsWith('container:') === true) {
    warnings.push(
      `service ${service.name} shares the network of ${mode.slice(mode.indexOf(':') + 1)}: no rules of its own`,
    );
    return { mode: undefined, attachments: [] };
  }
  if (mode !== undefined) {
    const advice = didYouMean(mode, ['bridge', 'host', 'none'], 'name networks under networks:');
    return stated.fail('DOCKER_COMPOSE', `"${mode}" is no network mode`, advice);
  }
  const attachments: AttachmentRequest[] = [];
  for (const key of networkKeys(service)) {
    const found = networks.get(key) ?? unknownNetwork(service.get('networks'), key, networks);
    if (found.mode === 'host' || found.mode === 'none') return { mode: found.mode, attachments: [] };
    if (found.name !== undefined)
      attachments.push(attachment(found.name, service.get('networks').get(key), service.fail));
  }
  return { mode: attachments.length === 0 ? undefined : 'bridge', attachments };
}

function unknownNetwork(value: YamlValue, key: string, networks: ReadonlyMap<string, ComposeNetwork>): never {
  const place = value.isMapping ? value.get(key) : (value.items().find((item) => item.text() === key) ?? value);
  const advice = didYouMean(key, networks.keys(), 'name it under networks: at the end of the file');
  return place.fail('DOCKER_UNKNOWN_NETWORK', `there is no network ${key}`, advice);
}

function attachment(network: string, settings: YamlValue, fail: AttachmentRequest['fail']): AttachmentRequest {
  const addresses = (['ipv4_address', 'ipv6_address'] as const).flatMap((key) => {
    const value = settings.get(key);
    const text = value.text();
    if (text === undefined) return [];
    return (
      parseAddress(text, key === 'ipv4_address' ? 4 : 6) ??
      value.fail('DOCKER_BAD_ADDRESS', `"${text}" is no ${key}`, 'write an address')
    );
  });
  const priority = Number(settings.get('gw_priority').text() ?? settings.get('priority').text() ?? 0);
  return {
    network,
    addresses,
    priority: Number.isFinite(priority) ? priority : 0,
    fail: settings.isEmpty ? fail : settings.fail,
  };
}
