/** `natreplay rules docker`: reads what Docker was told, writes its rules and the host that goes with them. */
import { NatreplayError, printable } from '../errors.js';
import { formatAddress, parseAddress } from '../host/address.js';
import { EMPTY_HOST } from '../host/description.js';
import { applyOptions } from '../host/hostoptions.js';
import type { Family } from '../host/types.js';
import { writeTextFile } from '../report/files.js';
import { readCompose } from '../rules/docker/compose.js';
import { dockerHost, statedOutside } from '../rules/docker/host.js';
import { type DaemonOptions, dockerRules } from '../rules/docker/index.js';
import { readInspected } from '../rules/docker/inspect.js';
import { type ContainerWord, defaultNetwork, parseNetwork, readContainerWords } from '../rules/docker/optiontext.js';
import { DEFAULT_NETWORK, type Requests } from '../rules/docker/requests.js';
import { type Settled, type SettledPort, settle } from '../rules/docker/settle.js';
import type { TakenSubnet } from '../rules/docker/subnets.js';
import { readText } from './inputs.js';
import { checkPaths, type NamedPath } from './paths.js';
import type { RulesDockerOptions } from './rules-docker.js';

/** Throws NatreplayError: DOCKER_*, USAGE_*, HOST_BAD_*, OUTPUT_*. */
export async function writeDockerRules(words: readonly ContainerWord[], options: RulesDockerOptions): Promise<void> {
  checkOptions(options);
  const { networks, containers, warnings } = requests(words, options);
  const settled = settle(networks, containers, {
    style: options.style,
    userlandProxy: options.userlandProxy,
    hostAddress: hostAddress(options.ip),
    avoid: outside(options),
  });
  const daemon: DaemonOptions = {
    style: options.style,
    userlandProxy: options.userlandProxy,
    forwardPolicy: options.forwardPolicy === 'drop' ? 'DROP' : 'ACCEPT',
    allowDirectRouting: options.allowDirectRouting,
  };
  for (const warning of [...warnings, ...settled.warnings, ...leftOut(settled, options)]) {
    process.stderr.write(`natreplay: warning: ${printable(warning)}\n`);
  }
  const [ipv4, ipv6] = ([4, 6] as const).map((family) => withHead(settled, family, daemon)) as [string, string];
  await write(options.output, options.ipv6 === true ? ipv6 : ipv4);
  if (options.out6 !== undefined) await write(options.out6, ipv6);
  if (options.hostOut === undefined) return;
  const host = dockerHost(settled, { ...options, daemon, iptables: ipv4, ip6tables: ipv6 });
  await write(options.hostOut, `${JSON.stringify(host, null, 1)}\n`);
}

async function write(path: string, text: string): Promise<void> {
  if (path === '-') process.stdout.write(text);
  else await writeTextFile(path, text);
}

function checkOptions({ compose, inspect, output, out6, hostOut, ipv6 }: RulesDockerOptions): void {
  const named = (option: string, path: string | undefined): NamedPath[] =>
    path === undefined ? [] : [{ option, path }];
  checkPaths(
    [...compose.flatMap((path) => named('--compose', path)), ...inspect.flatMap((path) => named('--inspect', path))],
    [...named('-o', output), ...named('--out6', out6), ...named('--host-out', hostOut)],
  );
  if (ipv6 !== true || out6 === undefined) return;
  const advice = 'leave one of them out';
  throw new NatreplayError('USAGE_IPV6_TWICE', '-6 and --out6 both ask for the IPv6 rules', { advice });
}

/** The network on docker0 comes first: the daemon makes it when it starts. */
function requests(words: readonly ContainerWord[], options: RulesDockerOptions): Requests {
  const { project } = options;
  const environment = (name: string): string | undefined => process.env[name];
  const sources: Requests[] = [
    { networks: options.network.map(parseNetwork), containers: readContainerWords(words), warnings: [] },
    ...options.compose.map((file) => readCompose(readDockerFile(file), file, { project, environment })),
    readInspected(options.inspect.map((file) => ({ file, text: readDockerFile(file) }))),
  ];
  const networks = sources.flatMap((source) => source.networks);
  const docker0 = networks.find(({ name }) => name === DEFAULT_NETWORK);
  const stated = defaultNetwork({
    bip: options.bip,
    icc: options.icc,
    masquerade: options.ipMasq,
    subnet6: options.fixedCidrV6,
  });
  return {
    networks: [docker0 ?? stated, ...networks.filter((network) => network !== docker0)],
    containers: sources.flatMap(({ containers }) => containers),
    warnings: sources.flatMap(({ warnings }) => warnings),
  };
}

function readDockerFile(file: string): string {
  try {
    return readText(file);
  } catch (error) {
    if (!(error instanceof NatreplayError)) throw error;
    throw new NatreplayError('DOCKER_UNREADABLE', error.what, { file, advice: 'name another file', cause: error });
  }
}

function hostAddress(text: string | undefined): ReturnType<typeof parseAddress> {
  if (text === undefined) return undefined;
  const found = parseAddress(text);
  if (found !== undefined) return found;
  throw new NatreplayError('DOCKER_BAD_ADDRESS', `--ip ${text}: that is no address`, {
    advice: 'write e.g. --ip 127.0.0.1',
  });
}

/** Subnets of the host itself, which no network may have; the example only where it is used. */
function outside({ iface, route, hostOut }: RulesDockerOptions): TakenSubnet[] {
  if (iface.length === 0 && hostOut === undefined) return [];
  const stated = statedOutside({ iface, route });
  const { interfaces } = applyOptions(EMPTY_HOST, { iface: stated.iface });
  return interfaces
    .filter(({ loopback, name }) => !loopback && name !== 'docker0' && !name.startsWith('br-'))
    .flatMap(({ name, addresses }) =>
      addresses.map((prefix) => ({
        prefix,
        owner: iface.length === 0 ? `${name} (an example; --iface states the real one)` : name,
      })),
    );
}

function leftOut({ networks }: Settled, { ipv6, out6 }: RulesDockerOptions): string[] {
  if (ipv6 === true || out6 !== undefined || !networks.some(({ sides }) => sides.has(6))) return [];
  return ['the IPv6 rules are not written; --out6 FILE writes them'];
}

/** The rules below a head that says what they are for; comments, to iptables-restore. */
function withHead(settled: Settled, family: Family, daemon: DaemonOptions): string {
  const which = family === 4 ? 'iptables' : 'ip6tables';
  const version = daemon.style === 'classic' ? 'Docker 20 to 27' : 'Docker 28 and later';
  const lines = [`Generated by natreplay rules docker for ${which}-restore, as ${version} writes them`];
  for (const { name, endpoints } of settled.containers) {
    for (const { network, addresses, ports } of endpoints) {
      const address = addresses.get(family);
      if (address === undefined) continue;
      const published = ports.filter((port) => port.family === family).map(portOf);
      const what = published.length === 0 ? '' : `: ${published.join(', ')}`;
      lines.push(`${name} ${formatAddress(family, address.words)} on ${network.bridge} (${network.name})${what}`);
    }
  }
  return `${lines.map((line) => `# ${printable(line)}\n`).join('')}${dockerRules(settled, family, daemon)}`;
}

function portOf({ family, protocol, containerPort, hostPort, hostAddress: on }: SettledPort): string {
  const inside = `${containerPort}/${protocol}`;
  if (hostPort === 0) return inside;
  const address = on === undefined ? '' : formatAddress(family, on.words);
  const host = address === '' ? '' : family === 6 ? `[${address}]:` : `${address}:`;
  return `${host}${hostPort} -> ${inside}`;
}
