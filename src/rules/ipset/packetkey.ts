/** What a packet is to a set: the words of the element it stands for (kernel: the kadt functions, ip_set_getport.c). */
import { NO_INTERFACE } from '../../host/types.js';
import type { PacketContext } from '../context.js';

const ICMP = 1;
const TCP = 6;
const UDP = 17;
const ICMPV6 = 58;
const SCTP = 132;
const UDPLITE = 136;

/** Bytes of the header that must be there. */
const HEADERS: ReadonlyMap<number, number> = new Map([
  [TCP, 20],
  [UDP, 8],
  [UDPLITE, 8],
  [SCTP, 12],
  [ICMP, 8],
  [ICMPV6, 8],
]);

/**
 * Protocol (bits 16-23) and port of a packet; of ICMP type and code; port 0 where the protocol has none. -1 where they
 * can't be read.
 */
export function portWord({ view, l4, end, protocol, fragmentOffset }: PacketContext, source: boolean): number {
  if (protocol < 0 || fragmentOffset !== 0) return -1;
  const header = HEADERS.get(protocol);
  if (header === undefined) return protocol << 16;
  if (l4 + header > end) return -1;
  const at = protocol === ICMP || protocol === ICMPV6 || source ? l4 : l4 + 2;
  return (protocol << 16) | view.getUint16(at);
}

/** The port alone, as bitmap:port has it: of TCP and UDP only. -1 where there is none. */
export function plainPort(packet: PacketContext, source: boolean): number {
  const word = portWord(packet, source);
  const protocol = word >> 16;
  return word >= 0 && (protocol === TCP || protocol === UDP) ? word & 0xffff : -1;
}

/** Writes a station's address into two words; false where the packet has none, or it is zero. */
export function macWords(packet: PacketContext, source: boolean, key: Int32Array, at: number): boolean {
  const { bytes, sourceMac = -1, inInterface } = packet;
  if (sourceMac < 0 || inInterface === NO_INTERFACE) return false;
  const from = source ? sourceMac : sourceMac - 6;
  const byte = (k: number): number => bytes[from + k] ?? 0;
  key[at] = (byte(0) << 24) | (byte(1) << 16) | (byte(2) << 8) | byte(3);
  key[at + 1] = (byte(4) << 8) | byte(5);
  return key[at] !== 0 || key[at + 1] !== 0;
}

/** Name of the interface that the packet came in by, or goes out by; '' without one. */
export function interfaceName({ host, inInterface, outInterface }: PacketContext, source: boolean): string {
  return host.interfaces[source ? inInterface : outInterface]?.name ?? '';
}
