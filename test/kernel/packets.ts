/**
 * A small packet language for tests: packets written as a network engineer would say them. Checksums are computed here,
 * the slow and obvious way, so that tests do not lean on the code they test.
 */

export interface IpFields {
  /** `192.0.2.7` or `2001:db8::7`, which makes it an IPv6 packet: then `ttl` is the hop limit, `tos` the traffic class. */
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
  /** IPv6 extension headers in their order: type, and bytes whose first (next header) is filled in. */
  readonly extensions?: readonly (readonly [type: number, bytes: Uint8Array])[];
  /** A wrong header checksum. */
  readonly badIpChecksum?: boolean;
}

interface TransportFields extends Omit<IpFields, 'src' | 'dst'> {
  /** `192.0.2.7:40000` or `[2001:db8::7]:40000` */
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
  /** TCP options, padded to a multiple of four by the caller. */
  readonly tcpOptions?: Uint8Array;
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
  const options = fields.tcpOptions ?? new Uint8Array(0);
  const segment = Buffer.alloc(20 + options.length + payload.length);
  segment.writeUInt16BE(sport, 0);
  segment.writeUInt16BE(dport, 2);
  segment.writeUInt32BE((fields.seq ?? 1000) >>> 0, 4);
  segment.writeUInt32BE((fields.ack ?? (fields.flags.includes('A') ? 5001 : 0)) >>> 0, 8);
  segment[12] = (5 + options.length / 4) << 4;
  for (const letter of fields.flags) segment[13] = (segment[13] ?? 0) | (1 << FLAGS.indexOf(letter));
  segment.writeUInt16BE(fields.window ?? 29200, 14);
  segment.set(options, 20);
  segment.set(payload, 20 + options.length);
  segment.writeUInt16BE(spoilt(transportChecksum(src, dst, 6, segment), fields.badChecksum), 16);
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
  datagram.writeUInt16BE(fields.noChecksum === true ? 0 : spoilt(sum, fields.badChecksum), 6);
  return ip({ ...fields, src, dst }, 17, datagram);
}

/** ICMP, or ICMPv6 between IPv6 addresses (its types are its own: 128 echo request, 129 echo reply). */
export function icmp(fields: IcmpFields): Uint8Array {
  const payload = bytes(fields.payload);
  const message = Buffer.alloc(8 + payload.length);
  message[0] = fields.type;
  message[1] = fields.code ?? 0;
  message.writeUInt16BE(fields.icmpId ?? 0, 4);
  message.writeUInt16BE(fields.seq ?? 0, 6);
  message.set(payload, 8);
  const version6 = fields.src.includes(':');
  const sum = version6 ? transportChecksum(fields.src, fields.dst, 58, message) : checksum(message);
  message.writeUInt16BE(spoilt(sum, fields.badChecksum), 2);
  return ip(fields, version6 ? 58 : 1, message);
}

/**
 * A wrong checksum is wrong by a number in one's complement arithmetic, so that an incremental update (RFC 1624) keeps
 * it as wrong as it was.
 */
function spoilt(sum: number, bad: boolean | undefined): number {
  const wrong = sum + 0x0101;
  return bad === true ? (wrong & 0xffff) + (wrong >>> 16) : sum;
}

/** An IPv4 or IPv6 packet of any protocol. */
export function ip(fields: IpFields, protocol: number, payload: Uint8Array): Uint8Array {
  return fields.src.includes(':') ? ip6(fields, protocol, payload) : ip4(fields, protocol, payload);
}

function ip6(fields: IpFields, protocol: number, payload: Uint8Array): Uint8Array {
  const extensions = (fields.extensions ?? []).map(([, bytes], i) => {
    const header = Buffer.from(bytes);
    header[0] = fields.extensions?.[i + 1]?.[0] ?? protocol;
    return header;
  });
  const packet = Buffer.concat([Buffer.alloc(40), ...extensions, payload]);
  packet.writeUInt32BE(((6 << 28) | ((fields.tos ?? 0) << 20) | ((fields.id ?? 0) & 0xfffff)) >>> 0, 0);
  packet.writeUInt16BE(packet.length - 40, 4);
  packet[6] = fields.extensions?.[0]?.[0] ?? protocol;
  packet[7] = fields.ttl ?? 64;
  packet.set(address(fields.src), 8);
  packet.set(address(fields.dst), 24);
  return packet;
}

function ip4(fields: IpFields, protocol: number, payload: Uint8Array): Uint8Array {
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
  packet.writeUInt16BE(spoilt(sum, fields.badIpChecksum), 10);
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
  // The order and width of the pseudo header's fields do not matter to its sum, so one layout does for both families.
  const tail = Buffer.from([0, protocol, segment.length >> 8, segment.length & 0xff]);
  return checksum(Buffer.concat([Buffer.from(address(src)), Buffer.from(address(dst)), tail, segment]));
}

function endpoint(text: string): [address: string, port: number] {
  const colon = text.lastIndexOf(':');
  return [text.slice(0, colon).replace(/^\[|\]$/g, ''), Number(text.slice(colon + 1))];
}

/** Bytes of an address of either family. */
export function address(text: string): number[] {
  if (!text.includes(':')) return text.split('.').map(Number);
  const [head = '', tail] = text.split('::');
  const words = (part: string): number[] =>
    part === '' ? [] : part.split(':').map((word) => Number.parseInt(word, 16));
  const start = words(head);
  const end = words(tail ?? '');
  const zeros = tail === undefined ? [] : new Array<number>(8 - start.length - end.length).fill(0);
  return [...start, ...zeros, ...end].flatMap((word) => [word >> 8, word & 0xff]);
}

function bytes(payload: Uint8Array | string | undefined): Uint8Array {
  return typeof payload === 'string' ? Buffer.from(payload) : (payload ?? new Uint8Array(0));
}

/** `tcp 192.0.2.7:40000 > 192.0.2.1:80 S ttl 64`: what a packet is, on one line, for JSON output and failures. */
export function say(packet: Uint8Array): string {
  const view = new DataView(packet.buffer, packet.byteOffset, packet.length);
  if ((packet[0] ?? 0) >> 4 === 6 && packet.length >= 40) return say6(packet, view);
  if (packet.length < 20 || packet[0] === undefined || packet[0] >> 4 !== 4) return `not IP, ${packet.length} bytes`;
  const l4 = (packet[0] & 15) * 4;
  const src = packet.subarray(12, 16).join('.');
  const dst = packet.subarray(16, 20).join('.');
  const fragment = view.getUint16(6) & 0x3fff;
  const tail = `ttl ${packet[8]}${fragment === 0 ? '' : ` fragment ${(fragment & 0x1fff) * 8}${fragment & 0x2000 ? '+' : ''}`}`;
  const protocol = packet[9] ?? 0;
  if ((fragment & 0x1fff) !== 0) return `protocol ${protocol} ${src} > ${dst} ${tail}`;
  return sayTransport(packet, view, { protocol, l4, src, dst, tail });
}

function say6(packet: Uint8Array, view: DataView): string {
  const words = (at: number): string =>
    Array.from({ length: 8 }, (_, k) => view.getUint16(at + 2 * k).toString(16))
      .join(':')
      .replace(/(^|:)0(:0)+(:|$)/, '::');
  const [src, dst] = [words(8), words(24)];
  let protocol = packet[6] ?? 59;
  let l4 = 40;
  let fragment = '';
  while ([0, 43, 44, 60].includes(protocol) && l4 + 8 <= packet.length) {
    const length = protocol === 44 ? 8 : ((packet[l4 + 1] ?? 0) + 1) * 8;
    if (protocol === 44)
      fragment = ` fragment ${view.getUint16(l4 + 2) & 0xfff8}${view.getUint16(l4 + 2) & 1 ? '+' : ''}`;
    protocol = packet[l4] ?? 59;
    l4 += length;
  }
  const tail = `hl ${packet[7]}${fragment}`;
  if (/fragment [1-9]/.test(fragment)) return `protocol ${protocol} ${src} > ${dst} ${tail}`;
  return sayTransport(packet, view, { protocol, l4, src, dst, tail });
}

interface Said {
  readonly protocol: number;
  readonly l4: number;
  readonly src: string;
  readonly dst: string;
  readonly tail: string;
}

function sayTransport(packet: Uint8Array, view: DataView, { protocol, l4, src, dst, tail }: Said): string {
  if (packet.length < l4 + 8) return `protocol ${protocol} ${src} > ${dst} ${tail}`;
  if (protocol === 6 || protocol === 17) {
    const at = (host: string, port: number): string => `${host.includes(':') ? `[${host}]` : host}:${port}`;
    const ports = `${at(src, view.getUint16(l4))} > ${at(dst, view.getUint16(l4 + 2))}`;
    if (protocol === 17 || packet.length < l4 + 14) return `${protocol === 6 ? 'tcp' : 'udp'} ${ports} ${tail}`;
    const flags = [...FLAGS].filter((_, bit) => (packet[l4 + 13] ?? 0) & (1 << bit)).join('');
    return `tcp ${ports} ${flags} seq ${view.getUint32(l4 + 4)} ack ${view.getUint32(l4 + 8)} ${tail}`;
  }
  if (protocol === 1 || protocol === 58) {
    return `icmp ${src} > ${dst} type ${packet[l4]} code ${packet[l4 + 1]} id ${view.getUint16(l4 + 4)} ${tail}`;
  }
  return `protocol ${protocol} ${src} > ${dst} ${tail}`;
}
