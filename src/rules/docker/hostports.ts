/** Which ports of the host are published: Docker's port allocator. */
import { type Address, formatAddress } from '../../host/address.js';
import type { Family } from '../../host/types.js';
import type { Style } from './firewall.js';
import type { PortRequest } from './ports.js';

/** Where Docker begins when it may choose: net.ipv4.ip_local_port_range. */
const FIRST_DYNAMIC = 32768;
const LAST_DYNAMIC = 60999;

/** An address of the host to publish on; `words` undefined: all of the family. */
export interface HostBinding {
  readonly family: Family;
  readonly address: Address | undefined;
}

interface Taken extends HostBinding {
  readonly container: string;
}

export class HostPorts {
  readonly #taken = new Map<string, Taken[]>();
  #dynamic = FIRST_DYNAMIC;

  /** The port for all of the bindings, which get the same. Throws DOCKER_PORT_TAKEN. */
  allocate(request: PortRequest, bindings: readonly HostBinding[], container: string): number {
    const [first, last] = request.hostPorts ?? [this.#dynamic, LAST_DYNAMIC];
    let other: Taken | undefined;
    for (let port = first; port <= last; port++) {
      const holder = this.#holder(request.protocol, port, bindings);
      other ??= holder;
      if (holder !== undefined) continue;
      const key = `${request.protocol}:${port}`;
      const list = this.#taken.get(key) ?? [];
      this.#taken.set(key, list);
      for (const binding of bindings) list.push({ ...binding, container });
      if (request.hostPorts === undefined) this.#dynamic = port + 1;
      return port;
    }
    const ports =
      first === last
        ? `host port ${first}/${request.protocol} is`
        : `host ports ${first}-${last}/${request.protocol} are`;
    const holder = other === undefined ? '' : ` by container ${other.container}${onAddress(other)}`;
    const what = `container ${container}: ${ports} published already${holder}`;
    return request.fail('DOCKER_PORT_TAKEN', what, 'publish it at another port or address of the host');
  }

  #holder(protocol: string, port: number, bindings: readonly HostBinding[]): Taken | undefined {
    const list = this.#taken.get(`${protocol}:${port}`) ?? [];
    return list.find((taken) => bindings.some((binding) => collide(taken, binding)));
  }
}

function collide(a: HostBinding, b: HostBinding): boolean {
  if (a.family !== b.family) return false;
  if (a.address === undefined || b.address === undefined) return true;
  return formatAddress(a.family, a.address.words) === formatAddress(b.family, b.address.words);
}

function onAddress({ family, address }: Taken): string {
  return address === undefined ? '' : ` on ${formatAddress(family, address.words)}`;
}

const PROTOCOL_ORDER = ['tcp', 'udp', 'sctp'];

/**
 * The ports of a container as Docker takes them one after the other. Up to 27: larger host ports first, then larger
 * container ports, TCP before the others. 28: ports of their own before ranges, then smaller container ports, by protocol,
 * by host port.
 */
export function inOrder(requests: readonly PortRequest[], style: Style): PortRequest[] {
  const host = ({ hostPorts }: PortRequest): number => hostPorts?.[0] ?? 0;
  const protocol = (request: PortRequest): number => PROTOCOL_ORDER.indexOf(request.protocol);
  if (style === 'classic') {
    return [...requests].sort(
      (a, b) => host(b) - host(a) || b.containerPort - a.containerPort || protocol(a) - protocol(b),
    );
  }
  const chosen = ({ hostPorts }: PortRequest): number =>
    hostPorts === undefined || hostPorts[0] !== hostPorts[1] ? 1 : 0;
  return [...requests].sort(
    (a, b) =>
      chosen(a) - chosen(b) || a.containerPort - b.containerPort || protocol(a) - protocol(b) || host(a) - host(b),
  );
}
