/** The layer-4 checksum of a datagram that was put together: its fragments had none of their own. */
import { fold, ipv4PseudoSum, sumBytes } from '../../packet/checksum.js';
import { IPV4_DESTINATION, IPV4_SOURCE } from '../../packet/ipv4.js';
import type { ChecksumMode } from '../../packet/parse.js';
import {
  PROTO_ICMP,
  PROTO_TCP,
  PROTO_UDP,
  TCP_CHECKSUM,
  TCP_MIN_HEADER,
  UDP_CHECKSUM,
  UDP_HEADER,
} from '../../packet/transport.js';
import type { Packet } from '../packet.js';

/** True when it was verified and is wrong; one that was left to the network card is finished, as the mode has it. */
export function hasBadChecksum(packet: Packet, mode: ChecksumMode): boolean {
  const { view, l3, l4, end, protocol, cut } = packet;
  const length = end - l4;
  if (mode === 'ignore' || cut) return false;
  if (protocol === PROTO_ICMP) return fold(sumBytes(view, l4, length)) !== 0xffff;
  const needed = protocol === PROTO_TCP ? TCP_MIN_HEADER : UDP_HEADER;
  if ((protocol !== PROTO_TCP && protocol !== PROTO_UDP) || length < needed) return false;
  const field = l4 + (protocol === PROTO_TCP ? TCP_CHECKSUM : UDP_CHECKSUM);
  const stored = view.getUint16(field, true);
  if (protocol === PROTO_UDP && stored === 0) return false;
  const source = view.getInt32(l3 + IPV4_SOURCE, true);
  const destination = view.getInt32(l3 + IPV4_DESTINATION, true);
  const pseudo = ipv4PseudoSum(source, destination, protocol, length);
  const sum = fold(pseudo + sumBytes(view, l4, length));
  if (sum === 0xffff) return false;
  if (mode !== 'offload' || stored !== fold(pseudo)) return true;
  const finished = ~fold(sum + (~stored & 0xffff)) & 0xffff;
  view.setUint16(field, finished === 0 && protocol === PROTO_UDP ? 0xffff : finished, true);
  return false;
}
