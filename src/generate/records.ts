/** The formats that captures are generated in. */
import { BLOCK_ENHANCED, buildInterface, buildSection, DEFAULT_TSRESOL, PACKET_MINIMUM } from '../capture/pcapng.js';
import type { CaptureFormat } from '../capture/types.js';
import type { Interface } from './plan.js';

const ETHERNET = 1;
const SNAPLEN = 262144;
const PCAP_HEADER = 24;
const PCAP_RECORD = 16;
const TWO_32 = 0x100000000;

/** Bytes of a record before its frame. */
export function recordHeader(format: CaptureFormat): number {
  return format === 'pcap' ? PCAP_RECORD : PACKET_MINIMUM - 4;
}

/** The bytes that a capture begins with. A pcapng names the gateway's interfaces, in their order. */
export function captureHeader(format: CaptureFormat, interfaces: readonly Interface[]): Uint8Array {
  if (format === 'pcapng') {
    const described = interfaces.map(({ name }) =>
      buildInterface({ name, linkType: ETHERNET, snaplen: SNAPLEN, tsresol: DEFAULT_TSRESOL, tsoffset: 0n }, true),
    );
    return Buffer.concat([buildSection(), ...described]);
  }
  const bytes = new Uint8Array(PCAP_HEADER);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, 0xa1b2c3d4, true);
  view.setUint16(4, 2, true);
  view.setUint16(6, 4, true);
  view.setUint32(16, SNAPLEN, true);
  view.setUint32(20, ETHERNET, true);
  return bytes;
}

/** Puts the header before a frame of `length` bytes; returns where the record ends. */
export function putPcapRecord(view: DataView, at: number, length: number, seconds: number, micros: number): number {
  view.setInt32(at, seconds, true);
  view.setInt32(at + 4, micros, true);
  view.setInt32(at + 8, length, true);
  view.setInt32(at + 12, length, true);
  return at + PCAP_RECORD + length;
}

/** The same for an enhanced packet block, of interface `ingress`. */
export function putPcapngRecord(
  view: DataView,
  at: number,
  length: number,
  seconds: number,
  micros: number,
  ingress: number,
): number {
  const time = seconds * 1e6 + micros;
  const high = Math.floor(time / TWO_32);
  const padded = (length + 3) & ~3;
  const block = PACKET_MINIMUM + padded;
  view.setUint32(at, BLOCK_ENHANCED, true);
  view.setUint32(at + 4, block, true);
  view.setUint32(at + 8, ingress, true);
  view.setUint32(at + 12, high, true);
  view.setUint32(at + 16, time - high * TWO_32, true);
  view.setUint32(at + 20, length, true);
  view.setUint32(at + 24, length, true);
  const frame = at + PACKET_MINIMUM - 4;
  for (let i = frame + length; i < frame + padded; i++) view.setUint8(i, 0);
  view.setUint32(frame + padded, block, true);
  return at + block;
}
