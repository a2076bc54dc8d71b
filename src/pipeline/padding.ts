/**
 * Cuts link-layer padding: an Ethernet frame of 60 bytes that holds an IP packet of 40 is sent on with 54. The kernel
 * trims what follows the packet on receipt (ip_rcv_core, ip6_rcv_core: pskb_trim_rcsum to the length that the header
 * states), and pads nothing itself.
 *
 * Hot: a look at each record's lengths; nothing is allocated.
 */
import type { Slab } from '../capture/slab.js';
import { type ResultColumns, VERDICT_FORWARD, VERDICT_LOCAL } from '../netfilter/results.js';
import { KIND_IPV4, KIND_IPV4_PORTS, KIND_IPV6, type PacketColumns } from '../packet/columns.js';

/**
 * Shortens records `start` to `end` (all of the slab if not given) that are forwarded or delivered to the end of their IP
 * packet: as captured and, where the snaplen had cut them before that, on the wire alone. What was not IP or is copied
 * as the host sent it stays as it is.
 */
export function cutPadding(
  slab: Slab,
  columns: PacketColumns,
  results: ResultColumns,
  start = 0,
  end = slab.records.count,
): void {
  const { records } = slab;
  const { frame, capturedLength, wireLength } = records;
  const { kind, l3, totalLength } = columns;
  const { verdict } = results;
  for (let i = start; i < end; i++) {
    if (verdict[i] !== VERDICT_FORWARD && verdict[i] !== VERDICT_LOCAL) continue;
    if (kind[i] !== KIND_IPV4_PORTS && kind[i] !== KIND_IPV4 && kind[i] !== KIND_IPV6) continue;
    const length = (l3[i] as number) + (totalLength[i] as number) - (frame[i] as number);
    const captured = capturedLength[i] as number;
    const wire = wireLength[i] as number;
    if (captured > length || wire > length) records.shorten(i, Math.min(captured, length), Math.min(wire, length));
  }
}
