/** Cuts packets into fragments, in order or not, whole or not. */
import { ether } from './packets.js';
import type { SeededRandom } from './random.js';

/** Frames of a packet's fragments. A packet too short to be cut, or cut already, comes back as it is. */
export function fragmentsOf(random: SeededRandom, frame: Uint8Array): Uint8Array[] {
  const packet = frame.subarray(14);
  const version6 = (packet[0] ?? 0) >> 4 === 6;
  const headerLength = version6 ? 40 : ((packet[0] ?? 0) & 15) * 4;
  const fragmented = !version6 && (((packet[6] ?? 0) & 0x3f) | (packet[7] ?? 0)) !== 0;
  const payload = packet.subarray(headerLength);
  if (fragmented || payload.length < 16 || frame.length < 34) return [frame];
  const size = 8 * (1 + random.below(Math.min(8, Math.ceil(payload.length / 8) - 1)));
  const id = random.below(0xffff);
  const pieces: Uint8Array[] = [];
  for (let at = 0; at < payload.length; at += size) {
    const last = at + size >= payload.length;
    // An overlap kills the datagram.
    const from = at > 0 && random.chance(0.02) ? at - 8 : at;
    const piece = payload.subarray(from, Math.min(at + size, payload.length));
    pieces.push(ether(version6 ? fragment6(packet, piece, from, !last, id) : fragment4(packet, piece, from, !last)));
  }
  return disturbed(random, pieces);
}

function disturbed(random: SeededRandom, pieces: readonly Uint8Array[]): Uint8Array[] {
  const order = random.chance(0.3) ? [...pieces].reverse() : [...pieces];
  if (random.chance(0.1)) order.splice(random.below(order.length), 0, random.pick(order));
  if (random.chance(0.1)) order.splice(random.below(order.length), 1);
  return order;
}

function fragment4(packet: Uint8Array, piece: Uint8Array, from: number, more: boolean): Uint8Array {
  const headerLength = ((packet[0] ?? 0) & 15) * 4;
  const fragment = Buffer.concat([packet.subarray(0, headerLength), piece]);
  fragment.writeUInt16BE(fragment.length, 2);
  fragment.writeUInt16BE((more ? 0x2000 : 0) | (from / 8), 6);
  fragment.writeUInt16BE(0, 10);
  let sum = 0;
  for (let i = 0; i < headerLength; i += 2) sum += fragment.readUInt16BE(i);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  fragment.writeUInt16BE(~sum & 0xffff, 10);
  return fragment;
}

function fragment6(packet: Uint8Array, piece: Uint8Array, from: number, more: boolean, id: number): Uint8Array {
  const header = Buffer.from([packet[6] ?? 0, 0, 0, 0, 0, 0, id >> 8, id & 255]);
  header.writeUInt16BE(from | (more ? 1 : 0), 2);
  const fragment = Buffer.concat([packet.subarray(0, 40), header, piece]);
  fragment[6] = 44;
  fragment.writeUInt16BE(8 + piece.length, 4);
  return fragment;
}
