/** The byte that was TOS and is DSCP and ECN: where it lies in both families, and how it is changed. */
import { applyDelta } from '../../packet/checksum.js';
import { IPV4_CHECKSUM, IPV4_TOS } from '../../packet/ipv4.js';
import type { PacketContext } from '../context.js';

/** TOS byte of IPv4, traffic class of IPv6 (kernel: ipv4_get_dsfield, ipv6_get_dsfield). */
export function dsField({ family, view, l3 }: PacketContext): number {
  return family === 4 ? view.getUint8(l3 + IPV4_TOS) : (view.getUint16(l3) >>> 4) & 0xff;
}

/** Writes it, and mends the IPv4 header's checksum. */
export function setDsField(packet: PacketContext, value: number): void {
  const { family, view, l3 } = packet;
  if (family === 6) {
    view.setUint16(l3, (view.getUint16(l3) & 0xf00f) | (value << 4));
    return;
  }
  changeHeaderWord(view, l3, 0, (view.getUint16(l3) & 0xff00) | value);
}

/** Replaces the 16 bits at `offset` of the IPv4 header at `l3`, and mends its checksum. */
export function changeHeaderWord(view: DataView, l3: number, offset: number, value: number): void {
  const before = view.getUint16(l3 + offset, true);
  view.setUint16(l3 + offset, value);
  mend(view, l3 + IPV4_CHECKSUM, before, view.getUint16(l3 + offset, true));
}

/** Mends the checksum at `at` for a word (as it lies in memory) that was replaced. */
export function mend(view: DataView, at: number, before: number, after: number): void {
  view.setUint16(at, applyDelta(view.getUint16(at, true), (~before & 0xffff) + after), true);
}
