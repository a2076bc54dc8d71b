/** Ports that the kernel drew at random, told to the engine as it comes to choose them. */
import type { PortChoice, PortChooser, PortRefusal } from '../netfilter/nat/portchoice.js';
import { skipExtensionHeaders, type UpperLayer } from '../packet/ipv6.js';
import { PROTO_ICMP, PROTO_ICMPV6 } from '../packet/transport.js';
import { ListedPorts } from './listedports.js';

/** What the kernel sent on or delivered, from the IP header on. */
export type KernelAnswer = Uint8Array | 'nothing';

/**
 * The packet that the kernel made of the one at hand shows the port it chose. Everything else about the choice is the
 * engine's: it refuses a port that the rules do not permit or another connection has, so what is accepted is a bijection.
 */
export class ObservedPorts implements PortChooser {
  /** Ports and ids that were taken over from the kernel. */
  followed = 0;
  /** Why the last packet's port was refused, for its mismatch. */
  refusal: string | undefined;
  #ports: Ports | undefined;
  #dropped = false;
  #listed: ListedPorts | undefined;

  /** `connections`: `conntrack -L` of the kernel once it has had all packets, for the ports of those that it let go nowhere. */
  list(connections: string): void {
    this.#listed = new ListedPorts(connections);
  }

  /** Before each packet. */
  observe(answer: KernelAnswer | undefined): void {
    this.refusal = undefined;
    this.#dropped = answer === 'nothing';
    this.#ports = answer === undefined || answer === 'nothing' ? undefined : portsOf(answer);
  }

  choose({ manipulation, mapping, original }: PortChoice): number | undefined {
    if (this.#dropped && manipulation === 'src') {
      const port = this.#listed?.sourcePort(original);
      if (port !== undefined) this.followed++;
      return port;
    }
    if (this.#ports?.protocol !== mapping.protocol) return undefined;
    this.followed++;
    return this.#ports[manipulation];
  }

  dropped(): boolean {
    return this.#dropped;
  }

  refused({ first, count }: PortChoice, port: number, why: PortRefusal): void {
    this.followed--;
    this.refusal =
      why === 'range'
        ? `the kernel chose ${port}, which is outside ${first}-${first + count - 1}`
        : `the kernel chose ${port}, which another connection has`;
  }
}

interface Ports {
  readonly protocol: number;
  readonly src: number;
  readonly dst: number;
}

const upper: UpperLayer = { protocol: 0, offset: 0, fragmentOffset: 0, isFragment: false };

/** Undefined: a later fragment, or not enough of a packet. */
function portsOf(packet: Uint8Array): Ports | undefined {
  const view = new DataView(packet.buffer, packet.byteOffset, packet.length);
  if (packet.length < 20) return undefined;
  let protocol = packet[9] ?? 0;
  let at = ((packet[0] ?? 0) & 15) * 4;
  if (view.getUint8(0) >> 4 === 6) {
    if (packet.length < 40 || !skipExtensionHeaders(view, 0, packet.length, upper)) return undefined;
    if (upper.fragmentOffset !== 0) return undefined;
    ({ protocol, offset: at } = upper);
  } else if ((view.getUint16(6) & 0x1fff) !== 0) return undefined;
  if (at + 8 > packet.length) return undefined;
  if (protocol !== PROTO_ICMP && protocol !== PROTO_ICMPV6)
    return { protocol, src: view.getUint16(at), dst: view.getUint16(at + 2) };
  const id = view.getUint16(at + 4);
  return { protocol, src: id, dst: id };
}
