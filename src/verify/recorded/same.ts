/** Whether the host sent the packet that was predicted, and if not, which fields differ. */
import { fold, sumBytes } from '../../packet/checksum.js';
import { PROTO_ICMPV6, PROTO_TCP, PROTO_UDP, TCP_CHECKSUM, UDP_CHECKSUM } from '../../packet/transport.js';
import { differingFields, type FieldDifference } from '../fields.js';
import { identificationAt } from '../fragmentid.js';
import { type Anatomy, ipId } from './packet.js';

/** Offset in layer 4 of the checksum that offloading leaves to the network card, undefined for other protocols. */
function offloadedChecksum({ protocol }: Anatomy): number | undefined {
  if (protocol === PROTO_TCP) return TCP_CHECKSUM;
  if (protocol === PROTO_UDP) return UDP_CHECKSUM;
  return protocol === PROTO_ICMPV6 ? 2 : undefined;
}

/**
 * True for a checksum that the network card was to finish: the field holds the sum of the pseudo header alone (kernel:
 * CHECKSUM_PARTIAL), with the length or, from some drivers on the way of segmentation offload, without it.
 */
export function isUnfinished(packet: Anatomy): boolean {
  const field = offloadedChecksum(packet);
  if (field === undefined || !packet.has(field + 2)) return false;
  const stored = packet.view.getUint16(packet.l4 + field, true);
  const sum = pseudoSum(packet, packet.length - packet.l4);
  return stored === fold(sum) || stored === fold(pseudoSum(packet, 0));
}

function pseudoSum({ view, version, protocol }: Anatomy, length: number): number {
  const [at, size] = version === 4 ? [12, 8] : [8, 32];
  const lengthLe = ((length & 0xff) << 8) | ((length >> 8) & 0xff);
  return sumBytes(view, at, size) + (protocol << 8) + lengthLe + (length > 0xffff ? swap(length >>> 16) : 0);
}

const swap = (value: number): number => ((value & 0xff) << 8) | (value >>> 8);

/** True when the checksum of TCP or UDP is right, unfinished, or can't be known because the packet was cut. */
export function checksumGood(packet: Anatomy): boolean {
  const field = offloadedChecksum(packet);
  if (field === undefined || packet.cut || packet.isFragment || !packet.has(field + 2)) return true;
  const { view, l4, length } = packet;
  if (packet.protocol === PROTO_UDP && view.getUint16(l4 + field) === 0) return true;
  const sum = pseudoSum(packet, length - l4) + sumBytes(view, l4, length - l4);
  return fold(sum) === 0xffff || isUnfinished(packet);
}

/** As far as both captures hold the packet: the same bytes, or all but a checksum that the card was to finish. */
export function isSame(recorded: Anatomy, predicted: Anatomy): boolean {
  if (recorded.length !== predicted.length) return false;
  const size = Math.min(recorded.bytes.length, predicted.bytes.length);
  const a = recorded.bytes.subarray(0, size);
  const b = predicted.bytes.subarray(0, size);
  if (Buffer.compare(a, b) === 0) return true;
  const field = offloadedChecksum(recorded);
  if (field === undefined || recorded.l4 !== predicted.l4 || !isUnfinished(recorded)) return false;
  const at = recorded.l4 + field;
  return (
    at + 2 <= size &&
    Buffer.compare(a.subarray(0, at), b.subarray(0, at)) === 0 &&
    Buffer.compare(a.subarray(at + 2), b.subarray(at + 2)) === 0
  );
}

/**
 * The fields in which two packets differ, as far as both were captured; checksums, and identifications of IPv6 fragments,
 * only where nothing else explains them.
 */
export function differences(recorded: Anatomy, predicted: Anatomy): FieldDifference[] {
  const fields = fieldsOf(recorded, withIdOf(predicted, recorded));
  return fields.length > 0 ? fields : fieldsOf(recorded, predicted);
}

function fieldsOf(recorded: Anatomy, predicted: Anatomy): FieldDifference[] {
  const size =
    recorded.cut || predicted.cut ? Math.min(recorded.bytes.length, predicted.bytes.length) : Number.POSITIVE_INFINITY;
  const fields = differingFields(recorded.bytes.subarray(0, size), predicted.bytes.subarray(0, size));
  const plain = fields.filter(({ field }) => !field.endsWith('.checksum'));
  if (plain.length > 0) return plain;
  return isUnfinished(recorded) ? [] : fields;
}

/** `packet` with the identification of `other`, if both are IPv6 fragments; else itself. */
export function withIdOf(packet: Anatomy, other: Anatomy): Anatomy {
  const at = identificationAt(packet.bytes);
  if (at === undefined || at !== identificationAt(other.bytes)) return packet;
  const copy = packet.copy();
  copy.view.setUint32(at, ipId(other));
  return copy;
}
