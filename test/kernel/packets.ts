/**
 * A small packet language for tests: packets written as a network engineer would say them. Checksums are computed here,
 * the slow and obvious way, so that tests do not lean on the code they test.
 */

export interface IpFields {
  /** `192.0.2.7` */
  readonly src: string;
  readonly dst: string;
  readonly ttl?: number;
  readonly id?: number;
  readonly tos?: number;
  readonly df?: boolean;
  /** Flags and fragment offset, as the word in the header; outranks df. */
  readonly fragment?: number;
  /** Options, padded to a multiple of four by the caller. */
  readonly options?: Uint8Array;
  /** A wrong header checksum. */
  readonly badIpChecksum?: boolean;
}

interface TransportFields extends Omit<IpFields, 'src' | 'dst'> {
  /** `192.0.2.7:40000` */
  readonly src: string;
  readonly dst: string;
  readonly payload?: Uint8Array | string;
  /** A wrong transport checksum. */
  readonly badChecksum?: boolean;
}

export interface TcpFields extends TransportFields {
  /** `S`, `SA`, `A`, `PA`, `FA`, `R`, `RA`: letters of FIN SYN RST PSH ACK URG ECE CWR, U for URG, E, C. */
  readonly flags: string;
  readonly seq?: number;
  readonly ack?: number;
  readonly window?: number;
}

export interface UdpFields extends TransportFields {
  /** Checksum 0: none. */
  readonly noChecksum?: boolean;
}

export interface IcmpFields extends IpFields {
  /** 8 echo request, 0 echo reply. */
  readonly type: number;
  readonly code?: number;
  readonly icmpId?: number;
  readonly seq?: number;
  readonly payload?: Uint8Array | string;
  readonly badChecksum?: boolean;
}

const FLAGS = 'FSRPAUEC';

export function tcp(fields: TcpFields): Uint8Array {
  const [src, sport] = endpoint(fields.src);
  const [dst, dport] = endpoint(fields.dst);
  const payload = bytes(fields.payload);
  const segment = Buffer.alloc(20 + payload.length);
  segment.writeUInt16BE(sport, 0);
  segment.writeUInt16BE(dport, 2);
  segment.writeUInt32BE((fields.seq ?? 1000) >>> 0, 4);
  segment.writeUInt32BE((fields.ack ?? (fields.flags.includes('A') ? 5001 : 0)) >>> 0, 8);
  segment[12] = 5 << 4;
  for (const letter of fields.flags) segment[13] = (segment[13] ?? 0) | (1 << FLAGS.indexOf(letter));
  segment.writeUInt16BE(fields.window ?? 29200, 14);
  segment.set(payload, 20);
  segment.writeUInt16BE(transportChecksum(src, dst, 6, segment) ^ (fields.badChecksum === true ? 0x5555 : 0), 16);
  return ip({ ...fields, src, dst }, 6, segment);
}

export function udp(fields: UdpFields): Uint8Array {
  const [src, sport] = endpoint(fields.src);
  const [dst, dport] = endpoint(fields.dst);
  const payload = bytes(fields.payload);
  const datagram = Buffer.alloc(8 + payload.length);
  datagram.writeUInt16BE(sport, 0);
  datagram.writeUInt16BE(dport, 2);
  datagram.writeUInt16BE(datagram.length, 4);
  datagram.set(payload, 8);
  const sum = transportChecksum(src, dst, 17, datagram) || 0xffff;
  datagram.writeUInt16BE(fields.noChecksum === true ? 0 : sum ^ (fields.badChecksum === true ? 0x5555 : 0), 6);
  return ip({ ...fields, src, dst }, 17, datagram);
}

export function icmp(fields: IcmpFields): Uint8Array {
  const payload = bytes(fields.payload);
  const message = Buffer.alloc(8 + payload.length);
  message[0] = fields.type;
  message[1] = fields.code ?? 0;
  message.writeUInt16BE(fields.icmpId ?? 0, 4);
  message.writeUInt16BE(fields.seq ?? 0, 6);
  message.set(payload, 8);
  message.writeUInt16BE(checksum(message) ^ (fields.badChecksum === true ? 0x5555 : 0), 2);
  return ip(fields, 1, message);
}

/** An IPv4 packet of any protocol. */
export function ip(fields: IpFields, protocol: number, payload: Uint8Array): Uint8Array {
  const options = fields.options ?? new Uint8Array(0);
  const headerLength = 20 + options.length;
  const packet = Buffer.alloc(headerLength + payload.length);
  packet[0] = 0x40 | (headerLength / 4);
  packet[1] = fields.tos ?? 0;
  packet.writeUInt16BE(packet.length, 2);
  packet.writeUInt16BE(fields.id ?? 0x1234, 4);
  packet.writeUInt16BE(fields.fragment ?? (fields.df === true ? 0x4000 : 0), 6);
  packet[8] = fields.ttl ?? 64;
  packet[9] = protocol;
  packet.set(address(fields.src), 12);
  packet.set(address(fields.dst), 16);
  packet.set(options, 20);
  const sum = checksum(packet.subarray(0, headerLength));
  packet.writeUInt16BE(sum ^ (fields.badIpChecksum === true ? 0x5555 : 0), 10);
  packet.set(payload, headerLength);
  return packet;
}

/** An Ethernet frame around an IP packet. */
export function ether(packet: Uint8Array): Uint8Array {
  const frame = Buffer.alloc(14 + packet.length);
  frame.set([2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2], 0);
  frame.writeUInt16BE((packet[0] ?? 0) >> 4 === 6 ? 0x86dd : 0x0800, 12);
  frame.set(packet, 14);
  return frame;
}

/** RFC 1071, as written there. */
export function checksum(data: Uint8Array): number {
  let sum = 0;
  for (let i = 0; i < data.length; i += 2) sum += ((data[i] ?? 0) << 8) | (data[i + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 0x10000);
  return ~sum & 0xffff;
}

function transportChecksum(src: string, dst: string, protocol: number, segment: Uint8Array): number {
  const pseudo = Buffer.alloc(12);
  pseudo.set(address(src), 0);
  pseudo.set(address(dst), 4);
  pseudo[9] = protocol;
  pseudo.writeUInt16BE(segment.length, 10);
  return checksum(Buffer.concat([pseudo, segment]));
}

function endpoint(text: string): [address: string, port: number] {
  const colon = text.lastIndexOf(':');
  return [text.slice(0, colon), Number(text.slice(colon + 1))];
}

function address(text: string): number[] {
  return text.split('.').map(Number);
}

function bytes(payload: Uint8Array | string | undefined): Uint8Array {
  return typeof payload === 'string' ? Buffer.from(payload) : (payload ?? new Uint8Array(0));
}

/** `tcp 192.0.2.7:40000 > 192.0.2.1:80 S ttl 64`: what a packet is, on one line, for JSON output and failures. */
export function say(packet: Uint8Array): string {
  const view = new DataView(packet.buffer, packet.byteOffset, packet.length);
  if (packet.length < 20 || packet[0] === undefined || packet[0] >> 4 !== 4) return `not IPv4, ${packet.length} bytes`;
  const l4 = (packet[0] & 15) * 4;
  const src = packet.subarray(12, 16).join('.');
  const dst = packet.subarray(16, 20).join('.');
  const fragment = view.getUint16(6) & 0x3fff;
  const tail = `ttl ${packet[8]}${fragment === 0 ? '' : ` fragment ${(fragment & 0x1fff) * 8}${fragment & 0x2000 ? '+' : ''}`}`;
  const protocol = packet[9] ?? 0;
  if ((fragment & 0x1fff) !== 0 || packet.length < l4 + 8) return `protocol ${protocol} ${src} > ${dst} ${tail}`;
  if (protocol === 6 || protocol === 17) {
    const ports = `${src}:${view.getUint16(l4)} > ${dst}:${view.getUint16(l4 + 2)}`;
    if (protocol === 17 || packet.length < l4 + 14) return `${protocol === 6 ? 'tcp' : 'udp'} ${ports} ${tail}`;
    const flags = [...FLAGS].filter((_, bit) => (packet[l4 + 13] ?? 0) & (1 << bit)).join('');
    return `tcp ${ports} ${flags} seq ${view.getUint32(l4 + 4)} ack ${view.getUint32(l4 + 8)} ${tail}`;
  }
  if (protocol === 1) {
    return `icmp ${src} > ${dst} type ${packet[l4]} code ${packet[l4 + 1]} id ${view.getUint16(l4 + 4)} ${tail}`;
  }
  return `protocol ${protocol} ${src} > ${dst} ${tail}`;
}
