/**
 * The bytes that go to tcpreplay and come from tcpdump: pcap records, marker frames, cooked (SLL2) and netlink log
 * headers.
 */
import { endianness } from 'node:os';

const ETHERNET_HEADER = 14;
export const ETHERTYPE_IPV4 = 0x0800;
export const ETHERTYPE_IPV6 = 0x86dd;
/** IEEE 802 local experimental ethertype 1. */
const ETHERTYPE_MARKER = 0x88b5;

/** Link types of the two taps (pcap registry). */
export const LINKTYPE_LINUX_SLL2 = 276;
export const LINKTYPE_NFLOG = 239;

export function macBytes(text: string): Uint8Array {
  return Uint8Array.from(text.split(':'), (part) => Number.parseInt(part, 16));
}

/** Header of a pcap file of Ethernet frames. */
export function pcapHeader(): Uint8Array {
  const header = Buffer.alloc(24);
  header.writeUInt32LE(0xa1b2c3d4, 0);
  header.writeUInt16LE(2, 4);
  header.writeUInt16LE(4, 6);
  header.writeUInt32LE(262144, 16);
  header.writeUInt32LE(1, 20);
  return header;
}

/** A pcap record whose frame is `frame` with other link-layer addresses. */
export function injectedRecord(frame: Uint8Array, destination: Uint8Array, source: Uint8Array): Uint8Array {
  const record = Buffer.alloc(16 + frame.length);
  record.writeUInt32LE(frame.length, 8);
  record.writeUInt32LE(frame.length, 12);
  record.set(frame, 16);
  record.set(destination, 16);
  record.set(source, 22);
  return record;
}

/** A pcap record of an IP packet that the host itself sends (hostsender.ts): there is a 1 where others have no time. */
export function hostRecord(packet: Uint8Array): Uint8Array {
  const record = Buffer.alloc(16 + packet.length);
  record.writeUInt32LE(1, 0);
  record.writeUInt32LE(packet.length, 8);
  record.writeUInt32LE(packet.length, 12);
  record.set(packet, 16);
  return record;
}

/** A pcap record of a marker frame: it says that everything before it belongs to packets up to `number`. */
export function markerRecord(number: number, source: Uint8Array): Uint8Array {
  const frame = Buffer.alloc(ETHERNET_HEADER + 6);
  frame.writeUInt16BE(ETHERTYPE_MARKER, 12);
  frame.writeUIntBE(number, ETHERNET_HEADER, 6);
  return injectedRecord(frame, source, source);
}

function markerNumber(bytes: Uint8Array, at: number): number | undefined {
  if (bytes.length < at + 6) return undefined;
  return Buffer.from(bytes.buffer, bytes.byteOffset + at, 6).readUIntBE(0, 6);
}

/** What a tap saw: a marker, or a packet from its IP header on. */
export type Seen =
  | { readonly kind: 'marker'; readonly number: number }
  | { readonly kind: 'packet'; readonly ifindex: number; readonly protocol: number; readonly packet: Uint8Array };

/** Linux cooked v2 (LINKTYPE_LINUX_SLL2): protocol 0-1, ifindex 4-7, packet from byte 20. */
export function readCooked(record: Uint8Array): Seen | undefined {
  if (record.length < 20) return undefined;
  const view = new DataView(record.buffer, record.byteOffset, record.length);
  const protocol = view.getUint16(0);
  if (protocol === ETHERTYPE_MARKER) {
    const number = markerNumber(record, 20);
    return number === undefined ? undefined : { kind: 'marker', number };
  }
  return { kind: 'packet', ifindex: view.getUint32(4), protocol, packet: record.subarray(20) };
}

const NFULA_PACKET_HDR = 1;
const NFULA_IFINDEX_INDEV = 4;
const NFULA_PAYLOAD = 9;
const LITTLE_ENDIAN = endianness() === 'LE';

/**
 * Netlink log (LINKTYPE_NFLOG): a header of four bytes, then attributes, each with its length and type in the
 * machine's own byte order, padded to four bytes (linux/netfilter/nfnetlink_log.h).
 */
export function readLogged(record: Uint8Array): Seen | undefined {
  const view = new DataView(record.buffer, record.byteOffset, record.length);
  let protocol = 0;
  let ifindex = 0;
  let packet: Uint8Array | undefined;
  for (let at = 4; at + 4 <= record.length; ) {
    const length = view.getUint16(at, LITTLE_ENDIAN);
    const end = at + length;
    if (length < 4 || end > record.length) return undefined;
    const type = view.getUint16(at + 2, LITTLE_ENDIAN) & 0x7fff;
    if (type === NFULA_PACKET_HDR && length >= 6) protocol = view.getUint16(at + 4);
    else if (type === NFULA_IFINDEX_INDEV && length >= 8) ifindex = view.getUint32(at + 4);
    else if (type === NFULA_PAYLOAD) packet = record.subarray(at + 4, end);
    at += (length + 3) & ~3;
  }
  if (packet === undefined) return undefined;
  if (protocol === ETHERTYPE_MARKER) {
    const number = markerNumber(packet, 0);
    return number === undefined ? undefined : { kind: 'marker', number };
  }
  return { kind: 'packet', ifindex, protocol, packet };
}

/** An Ethernet frame around a packet that was seen without one. */
export function ethernetFrame(packet: Uint8Array, protocol: number, source: Uint8Array): Uint8Array {
  const frame = new Uint8Array(ETHERNET_HEADER + packet.length);
  frame.set(source, 0);
  frame.set(source, 6);
  frame[12] = protocol >> 8;
  frame[13] = protocol & 0xff;
  frame.set(packet, ETHERNET_HEADER);
  return frame;
}

export interface PcapRecord {
  /** Milliseconds since 1970, to the microsecond. */
  readonly time: number;
  readonly bytes: Uint8Array;
}

/** Cuts a pcap stream, however it arrives, into records. */
export class PcapStream {
  #rest: Buffer = Buffer.alloc(0);
  #linkType: number | undefined;

  /** Undefined until the file's header has arrived. */
  get linkType(): number | undefined {
    return this.#linkType;
  }

  /** Adds bytes and returns the records that are complete with them (views into memory of their own). */
  push(chunk: Buffer): PcapRecord[] {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    let at = 0;
    if (this.#linkType === undefined) {
      if (bytes.length < 24) {
        this.#rest = bytes;
        return [];
      }
      this.#linkType = read32(bytes, 20) & 0xffff;
      at = 24;
    }
    const records: PcapRecord[] = [];
    while (at + 16 <= bytes.length) {
      const length = read32(bytes, at + 8);
      if (at + 16 + length > bytes.length) break;
      const time = read32(bytes, at) * 1e3 + read32(bytes, at + 4) / 1e3;
      records.push({ time, bytes: bytes.subarray(at + 16, at + 16 + length) });
      at += 16 + length;
    }
    this.#rest = bytes.subarray(at);
    return records;
  }
}

/** tcpdump writes in the byte order of the machine it runs on, which is this one. */
function read32(bytes: Buffer, at: number): number {
  return LITTLE_ENDIAN ? bytes.readUInt32LE(at) : bytes.readUInt32BE(at);
}
