/** The layer-4 checksum of a datagram that was put together: its fragments had none of their own. */
import { FLAG_BAD_CHECKSUM, PacketColumns } from '../../packet/columns.js';
import { IPV4_DESTINATION, IPV4_SOURCE } from '../../packet/ipv4.js';
import { type ChecksumMode, verifyUncommon } from '../../packet/parse.js';
import { verifyIpv6 } from '../../packet/parse6.js';
import type { Packet } from '../packet.js';

/** A datagram as the parser would have found it. */
const columns = new PacketColumns(1);

/** True when it was verified and is wrong; one that was left to the network card is finished, as the mode has it. */
export function hasBadChecksum(packet: Packet, mode: ChecksumMode): boolean {
  const { view, l3, l4, end, protocol, cut, family } = packet;
  if (mode === 'ignore' || cut || protocol < 0) return false;
  columns.flags[0] = 0;
  columns.l3[0] = l3;
  columns.l4[0] = l4;
  columns.end[0] = end;
  columns.protocol[0] = protocol;
  if (family === 6) {
    verifyIpv6(view, columns, 0, mode === 'offload');
  } else {
    columns.source[0] = view.getInt32(l3 + IPV4_SOURCE, true);
    columns.destination[0] = view.getInt32(l3 + IPV4_DESTINATION, true);
    verifyUncommon(view, columns, 0, mode === 'offload');
  }
  return ((columns.flags[0] as number) & FLAG_BAD_CHECKSUM) !== 0;
}
