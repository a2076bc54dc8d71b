/** What policy rules may ask about a packet beside its addresses and its ingress, read only on hosts that have such rules. */
import { IPV4_TOS } from '../packet/ipv4.js';
import { PROTO_TCP, PROTO_UDP } from '../packet/transport.js';
import type { Packet } from './packet.js';

export interface FlowDetails {
  mark: number;
  /** TOS byte, or IPv6 traffic class. */
  tos: number;
  /** 0: unknown to rules, as the ports are. */
  protocol: number;
  sourcePort: number;
  destinationPort: number;
}

export const NO_DETAILS: Readonly<FlowDetails> = { mark: 0, tos: 0, protocol: 0, sourcePort: 0, destinationPort: 0 };

const PROTO_DCCP = 33;
const PROTO_SCTP = 132;
const PROTO_UDPLITE = 136;

/** Protocols whose header begins with two ports (kernel: __skb_flow_get_ports). */
function hasPorts(protocol: number): boolean {
  return (
    protocol === PROTO_TCP ||
    protocol === PROTO_UDP ||
    protocol === PROTO_SCTP ||
    protocol === PROTO_DCCP ||
    protocol === PROTO_UDPLITE
  );
}

/** Fills `details` from the packet as it is now. */
export function readDetails(packet: Packet, details: FlowDetails): FlowDetails {
  const { view, l3, l4, end, protocol } = packet;
  details.mark = packet.mark;
  details.tos = packet.family === 4 ? view.getUint8(l3 + IPV4_TOS) : (view.getUint16(l3) >>> 4) & 0xff;
  details.protocol = Math.max(0, protocol);
  const ports = hasPorts(protocol) && !packet.isFragment && l4 + 4 <= end;
  details.sourcePort = ports ? view.getUint16(l4) : 0;
  details.destinationPort = ports ? view.getUint16(l4 + 2) : 0;
  return details;
}
