/** A packet as it was, for what goes more than one way. */
import type { Packet } from './packet.js';

/** From the IP header on, as far as it was captured, and its mark. */
export interface PacketCopy {
  readonly bytes: Uint8Array;
  readonly mark: number;
}

export const copyOf = ({ bytes, l3, end, mark }: Packet): PacketCopy => ({ bytes: bytes.slice(l3, end), mark });

export function restore(packet: Packet, { bytes, mark }: PacketCopy): void {
  packet.bytes.set(bytes, packet.l3);
  packet.mark = mark;
  packet.loadAddresses();
}
