/** Published ports: `-p [ip:][host]:container[/protocol]` as Docker reads it, and the host ports that come of it. */
import { type Address, formatAddress, parseAddress } from '../../host/address.js';
import { didYouMean } from '../nearest.js';
import type { Transport } from './firewall.js';
import type { Fail } from './problem.js';

/** From and to, both of them in it. */
export type PortRange = readonly [first: number, last: number];

/** A container port that is to be published. */
export interface PortRequest {
  readonly protocol: Transport;
  readonly containerPort: number;
  /** The host port, or several of which one is taken; undefined: whichever is free. */
  readonly hostPorts: PortRange | undefined;
  /** Undefined: every address of the host. */
  readonly hostAddress: Address | undefined;
  readonly fail: Fail;
}

const PROTOCOLS: readonly Transport[] = ['tcp', 'udp', 'sctp'];
const LARGEST = 65535;
const PORT_ADVICE =
  'ports are written [IP:][HOST-PORT:]CONTAINER-PORT[/tcp|udp|sctp], e.g. 8799:1337 or [::1]:8000-8010:80-90/udp';

/** One request for every container port. Throws DOCKER_BAD_PORT. */
export function parsePublish(text: string, fail: Fail): PortRequest[] {
  const [ports = '', protocolText, ...more] = text.split('/');
  if (more.length > 0) return fail('DOCKER_BAD_PORT', 'there is more than one "/"', PORT_ADVICE);
  const parts = splitParts(ports, fail);
  if (parts.container === '') return fail('DOCKER_BAD_PORT', 'there is no container port', PORT_ADVICE);
  return expandPorts(
    {
      protocol: parseProtocol(protocolText, fail),
      container: parseRange(parts.container, 'container port', fail),
      host: parts.host === '' ? undefined : parseRange(parts.host, 'host port', fail),
      address: parseHostAddress(parts.address, fail),
    },
    fail,
  );
}

interface Parts {
  readonly address: string;
  readonly host: string;
  readonly container: string;
}

/** From behind, since an IPv6 address has colons of its own, in brackets or not. */
function splitParts(text: string, fail: Fail): Parts {
  const bracket = /^\[([^\]]*)\](?::(.*))?$/.exec(text);
  if (bracket !== null) {
    const [, address = '', rest] = bracket;
    const parts = rest?.split(':') ?? [];
    const [host = '', container = ''] = parts;
    if (parts.length !== 2) return fail('DOCKER_BAD_PORT', 'behind the address two ports must follow', PORT_ADVICE);
    return { address, host, container };
  }
  if (text.includes('[') || text.includes(']')) return fail('DOCKER_BAD_PORT', 'the brackets do not fit', PORT_ADVICE);
  const words = text.split(':');
  const container = words.at(-1) ?? '';
  const host = words.length > 1 ? (words.at(-2) ?? '') : '';
  return { address: words.slice(0, -2).join(':'), host, container };
}

export function parseProtocol(text: string | undefined, fail: Fail): Transport {
  if (text === undefined) return 'tcp';
  const found = PROTOCOLS.find((name) => name === text.toLowerCase());
  const advice = didYouMean(text, PROTOCOLS, `Docker publishes ${PROTOCOLS.join(', ')}`);
  return found ?? fail('DOCKER_BAD_PORT', `"${text}" is no protocol that can be published`, advice);
}

export function parseHostAddress(text: string, fail: Fail): Address | undefined {
  if (text === '') return undefined;
  const bare = text.replace(/^\[(.*)\]$/, '$1');
  return parseAddress(bare) ?? fail('DOCKER_BAD_PORT', `"${text}" is no address of the host`, PORT_ADVICE);
}

/** `80` or `80-90`. */
export function parseRange(text: string, what: string, fail: Fail): PortRange {
  const [first, last, ...more] = text.split('-').map((part) => parsePort(part, text, what, fail));
  if (first === undefined || more.length > 0) return fail('DOCKER_BAD_PORT', `"${text}" is no ${what}`, PORT_ADVICE);
  const range: PortRange = [first, last ?? first];
  if (range[1] < range[0]) {
    return fail('DOCKER_BAD_PORT', `the ${what}s ${text} run backwards`, `write ${range[1]}-${range[0]}`);
  }
  return range;
}

function parsePort(text: string, whole: string, what: string, fail: Fail): number {
  if (!/^[0-9]{1,7}$/.test(text)) return fail('DOCKER_BAD_PORT', `"${whole}" is no ${what}`, PORT_ADVICE);
  const port = Number(text);
  if (port > LARGEST) return fail('DOCKER_BAD_PORT', `${text} is no ${what}`, `the largest port is ${LARGEST}`);
  return port;
}

export interface PublishedRange {
  readonly protocol: Transport;
  readonly container: PortRange;
  readonly host: PortRange | undefined;
  readonly address: Address | undefined;
}

/** Two ranges of one length go port by port; for a single container port, one of the host's range is taken. */
export function expandPorts({ protocol, container, host, address }: PublishedRange, fail: Fail): PortRequest[] {
  const [first, last] = container;
  if (first === 0) return fail('DOCKER_BAD_PORT', 'a container port cannot be 0', PORT_ADVICE);
  // Port 0 of the host is any that is free.
  const hosts = host !== undefined && host[0] === 0 && host[1] === 0 ? undefined : host;
  if (hosts?.[0] === 0) return fail('DOCKER_BAD_PORT', 'a range of host ports cannot begin with 0', PORT_ADVICE);
  const length = last - first + 1;
  const hostLength = hosts === undefined ? length : hosts[1] - hosts[0] + 1;
  if (length !== hostLength && length !== 1) {
    const what = `${hostLength} host ports stand for ${length} container ports`;
    return fail('DOCKER_BAD_PORT', what, 'make both ranges equally long');
  }
  return Array.from({ length }, (_, i) => ({
    protocol,
    containerPort: first + i,
    hostPorts: hosts === undefined ? undefined : length === 1 ? hosts : [hosts[0] + i, hosts[0] + i],
    hostAddress: address,
    fail,
  }));
}

/** As `docker ps` writes it, for messages. */
export function portText({ protocol, containerPort, hostPorts, hostAddress }: PortRequest): string {
  const [first, last] = hostPorts ?? [];
  const host = first === undefined ? '' : first === last ? `${first}` : `${first}-${last}`;
  const address = hostAddress === undefined ? '' : addressText(hostAddress);
  return `${address === '' ? '' : `${address}:`}${host}${host === '' && address === '' ? '' : ':'}${containerPort}/${protocol}`;
}

function addressText({ family, words }: Address): string {
  const text = formatAddress(family, words);
  return family === 6 ? `[${text}]` : text;
}
