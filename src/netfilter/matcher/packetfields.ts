/**
 * A packet as prefilters and indexes ask for it. A jump changes none of it, so one object serves every chain of a walk.
 *
 * Hot path of new connections.
 */
import { PROTO_TCP, PROTO_UDP, TCP_MIN_HEADER, UDP_HEADER } from '../../packet/transport.js';
import type { Packet } from '../packet.js';

/** Protocol and destination port as one number: TCP's ports come before UDP's. */
export const serviceOf = (protocol: number, port: number): number => (protocol === PROTO_TCP ? 0 : 65536) + port;

export class PacketFields {
  /** First words of the addresses: of IPv4 all. */
  source = 0;
  destination = 0;
  /** Of IPv6. */
  readonly sourceWords = new Uint32Array(4);
  readonly destinationWords = new Uint32Array(4);
  protocol = 0;
  /** Interface index + 1. */
  inWord = 0;
  outWord = 0;
  /** Destination port, -1 when the packet has no whole TCP or UDP header (then rules are asked themselves). */
  port = -1;
  /** Of TCP and UDP (`serviceOf`), -1 for other protocols. */
  service = -1;
  /** The packet has all that an index goes by. Without, rules have to be asked, for they may drop it at once. */
  isWhole = false;

  load(packet: Packet): void {
    this.loadAddresses(packet);
    const { protocol } = packet;
    this.protocol = protocol;
    this.inWord = packet.inInterface + 1;
    this.outWord = packet.outInterface + 1;
    this.port = -1;
    const needed = protocol === PROTO_TCP ? TCP_MIN_HEADER : UDP_HEADER;
    const hasPorts = protocol === PROTO_TCP || protocol === PROTO_UDP;
    if (hasPorts && packet.fragmentOffset === 0 && packet.l4 + needed <= packet.end)
      this.port = packet.view.getUint16(packet.l4 + 2);
    this.service = this.port < 0 ? -1 : serviceOf(protocol, this.port);
    this.isWhole = hasPorts ? this.port >= 0 : protocol >= 0;
  }

  /** Takes in the addresses of a packet that a target may have changed; true if they are others than before. */
  loadAddresses({ family, source, destination }: Packet): boolean {
    let changed = this.source !== source[0] || this.destination !== destination[0];
    this.source = source[0] as number;
    this.destination = destination[0] as number;
    if (family === 4) return changed;
    for (let k = 0; k < 4; k++) {
      changed ||= this.sourceWords[k] !== source[k] || this.destinationWords[k] !== destination[k];
      this.sourceWords[k] = source[k] as number;
      this.destinationWords[k] = destination[k] as number;
    }
    return changed;
  }
}
