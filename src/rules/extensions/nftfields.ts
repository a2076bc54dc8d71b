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
  readonly bytes: 1 | 2;
  holds(value: number): boolean;
}

export function matchesFields(tests: readonly FieldTest[]): (packet: PacketContext) => boolean {
  return (packet) => {
    if (packet.fragmentOffset !== 0) return tests.length === 0;
    for (const { offset, bytes, holds } of tests) {
      const at = packet.l4 + offset;
      if (at + bytes > packet.end) return false;
      if (!holds(bytes === 1 ? packet.view.getUint8(at) : packet.view.getUint16(at))) return false;
    }
    return true;
  };
}

/** Tests of source and destination port; of none where none is asked for. */
export function portTests(
  ...ports: readonly ({ readonly negated: boolean; readonly value: PortRange } | undefined)[]
): FieldTest[] {
  return ports.flatMap((port, k): FieldTest[] => {
    if (port === undefined) return [];
    const { negated, value } = port;
    return [{ offset: 2 * k, bytes: 2, holds: (n) => (n >= value.min && n <= value.max) !== negated }];
  });
}
