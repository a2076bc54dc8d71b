/**
 * What iptables-nft makes of `-m tcp` and `-m udp`: a comparison for each field, which fails for a field that lies beyond
 * the packet's end (nft_payload_eval: NFT_BREAK) but drops nothing, while iptables-legacy drops a packet whose transport
 * header is cut short. What is not such a comparison (`--tcp-option`, or nothing asked at all) it leaves to the match of
 * iptables-legacy.
 */
import type { PacketContext } from '../context.js';
import type { PortRange } from '../values/ports.js';

export interface FieldTest {
  /** Bytes into the transport header. */
  readonly offset: number;
  readonly bytes: 1 | 2 | 4;
  holds(value: number): boolean;
}

export function matchesFields(tests: readonly FieldTest[]): (packet: PacketContext) => boolean {
  return (packet) => {
    if (packet.fragmentOffset !== 0) return tests.length === 0;
    for (const { offset, bytes, holds } of tests) {
      const at = packet.l4 + offset;
      if (at + bytes > packet.end) return false;
      if (!holds(readField(packet.view, at, bytes))) return false;
    }
    return true;
  };
}

function readField(view: DataView, at: number, bytes: FieldTest['bytes']): number {
  if (bytes === 1) return view.getUint8(at);
  return bytes === 2 ? view.getUint16(at) : view.getUint32(at);
}

interface PortTest {
  readonly negated: boolean;
  readonly value: PortRange;
}

/**
 * Tests of source and destination port; of none where none is asked for. Two single ports are one comparison of both, so
 * that `! --sport A ! --dport B` turns away only what has A and B together (iptables 1.8.9, add_nft_tcpudp).
 */
export function portTests(source: PortTest | undefined, destination: PortTest | undefined): FieldTest[] {
  const from = singlePort(source);
  const to = singlePort(destination);
  if (from > 0 && to > 0 && source?.negated === true && destination?.negated === true) {
    const both = from * 0x10000 + to;
    return [{ offset: 0, bytes: 4, holds: (ports) => ports !== both }];
  }
  return [source, destination].flatMap((port, k): FieldTest[] => {
    if (port === undefined) return [];
    const { negated, value } = port;
    return [{ offset: 2 * k, bytes: 2, holds: (n) => (n >= value.min && n <= value.max) !== negated }];
  });
}

/** 0 for none and for a range. */
function singlePort(port: PortTest | undefined): number {
  return port !== undefined && port.value.min === port.value.max ? port.value.min : 0;
}
