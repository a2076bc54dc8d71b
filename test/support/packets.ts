/**
 * Packets, frames and captures as tests say them. The plain packets (ip, tcp, udp, icmp) are those of the kernel tests;
 * here are the rarer protocols, link layers, whole TCP connections and pcap files. Checksums are reckoned the slow and
 * obvious way, so that tests do not lean on the code they test.
 */
import { checksum, type IpFields, ip, type TcpFields, tcp } from '../kernel/packets.js';

export {
  checksum,
  ether,
  type IcmpFields,
  type IpFields,
  icmp,
  ip,
  say,
  type TcpFields,
  tcp,
  type UdpFields,
  udp,
} from '../kernel/packets.js';

/** RFC 2784 without optional fields; `version` 1 is PPTP's (RFC 2637), with its call id. */
export function gre(fields: IpFields & { readonly callId?: number; readonly payload?: string }): Uint8Array {
  const header =
    fields.callId === undefined
      ? Buffer.from([0, 0, 0x08, 0, 0, 0, 0, 0])
      : Buffer.from([0x20, 0x01, 0x88, 0x0b, 0, 0, fields.callId >> 8, fields.callId & 0xff]);
  return ip(fields, 47, Buffer.concat([header, Buffer.from(fields.payload ?? '')]));
}

/** RFC 4303: to everybody but the ends a security parameter index and noise. */
export const esp = (fields: IpFields): Uint8Array => ip(fields, 50, Buffer.from('0000100100000001c0ffee00', 'hex'));

/** An ICMP error about a packet: type, code, and what it quotes (`quote` bytes of it, default all). */
export function icmpError(
  fields: IpFields & {
    readonly type: number;
    readonly code?: number;
    readonly about: Uint8Array;
    readonly quote?: number;
  },
): Uint8Array {
  const quoted = fields.about.subarray(0, fields.quote ?? fields.about.length);
  const message = Buffer.concat([Buffer.from([fields.type, fields.code ?? 0, 0, 0, 0, 0, 0, 0]), quoted]);
  message.writeUInt16BE(checksum(message), 2);
  return ip(fields, 1, message);
}

/** The packet's IP header changed, and its header checksum made right again. */
export function withHeader(packet: Uint8Array, change: (header: Buffer) => void): Uint8Array {
  const copy = Buffer.from(packet);
  const header = copy.subarray(0, ((copy[0] ?? 0) & 15) * 4);
  change(header);
  header.writeUInt16BE(0, 10);
  header.writeUInt16BE(checksum(header), 10);
  return copy;
}

/** TCP options of a SYN, padded with NOPs. */
export function tcpOptions(options: {
  readonly scale?: number;
  readonly sack?: boolean;
  readonly mss?: number;
}): Buffer {
  const bytes: number[] = [];
  if (options.mss !== undefined) bytes.push(2, 4, options.mss >> 8, options.mss & 0xff);
  if (options.sack === true) bytes.push(4, 2);
  if (options.scale !== undefined) bytes.push(3, 3, options.scale);
  while (bytes.length % 4 !== 0) bytes.push(1);
  return Buffer.from(bytes);
}

/** A TCP segment with options: `tcp` with a longer header. */
export function tcpWith(options: Uint8Array, fields: TcpFields): Uint8Array {
  const plain = Buffer.from(tcp(fields));
  const long = Buffer.concat([plain.subarray(0, 40), options, plain.subarray(40)]);
  long[32] = (5 + options.length / 4) << 4;
  long.writeUInt16BE(0, 36);
  const pseudo = Buffer.concat([long.subarray(12, 20), Buffer.from([0, 6, 0, 0])]);
  pseudo.writeUInt16BE(long.length - 20, 10);
  long.writeUInt16BE(checksum(Buffer.concat([pseudo, long.subarray(20)])), 36);
  return withHeader(long, (header) => header.writeUInt16BE(long.length, 2));
}

/** Both ends of a TCP connection, each packet as its sender sends it. */
export class TcpConnection {
  private clientNext: number;
  private serverNext: number;

  /** `client`, `server`: `192.0.2.7:40000`. `seen`: how the server sees the client and the client the server, if translated. */
  constructor(
    private readonly client: string,
    private readonly server: string,
    private readonly seen: { readonly client?: string; readonly server?: string } = {},
    clientIsn = 1000,
    serverIsn = 5000,
  ) {
    this.clientNext = clientIsn;
    this.serverNext = serverIsn;
  }

  fromClient(flags: string, payload = ''): Uint8Array {
    const packet = tcp({
      src: this.client,
      dst: this.server,
      flags,
      seq: this.clientNext,
      ack: flags.includes('A') ? this.serverNext : 0,
      payload,
    });
    this.clientNext += payload.length + (/[SF]/.test(flags) ? 1 : 0);
    return packet;
  }

  /** As the server sends it: to and from the addresses it knows. */
  fromServer(flags: string, payload = ''): Uint8Array {
    const packet = tcp({
      src: this.seen.server ?? this.server,
      dst: this.seen.client ?? this.client,
      flags,
      seq: this.serverNext,
      ack: flags.includes('A') ? this.clientNext : 0,
      payload,
    });
    this.serverNext += payload.length + (/[SF]/.test(flags) ? 1 : 0);
    return packet;
  }
}

const MACS = Buffer.from('020000000001020000000002', 'hex');

/** Ethernet with tags (`0x8100`, ...) before the type. */
export function vlan(tags: readonly number[], packet: Uint8Array, type = 0x0800): Uint8Array {
  const tagged = tags.map((tag, k) => Buffer.from([tag >> 8, tag & 0xff, 0, 100 + k]));
  return Buffer.concat([MACS, ...tagged, Buffer.from([type >> 8, type & 0xff]), packet]);
}

/** Linux cooked capture v1; `packetType` 0 to us, 1 broadcast, 3 to somebody else, 4 sent by us. */
export function sll(packetType: number, packet: Uint8Array, type = 0x0800): Uint8Array {
  const header = Buffer.from('0000000100060200000000020000', 'hex');
  header.writeUInt16BE(packetType, 0);
  return Buffer.concat([header, Buffer.from([type >> 8, type & 0xff]), packet]);
}

/** Linux cooked capture v2. */
export function sll2(packetType: number, ifindex: number, packet: Uint8Array, type = 0x0800): Uint8Array {
  const header = Buffer.alloc(20);
  header.writeUInt16BE(type, 0);
  header.writeUInt32BE(ifindex, 4);
  header.writeUInt16BE(1, 8);
  header[10] = packetType;
  header[11] = 6;
  header.set(MACS.subarray(6), 12);
  return Buffer.concat([header, packet]);
}

/** BSD null: the address family in the byte order of the machine that captured. */
export function nullFrame(family: number, packet: Uint8Array, bigEndian = false): Uint8Array {
  const header = Buffer.alloc(4);
  if (bigEndian) header.writeUInt32BE(family);
  else header.writeUInt32LE(family);
  return Buffer.concat([header, packet]);
}

/** An Ethernet frame from one MAC to another (`02:00:00:00:00:01`). */
export function frame(from: string, to: string, packet: Uint8Array, type = 0x0800): Uint8Array {
  const mac = (text: string): Buffer => Buffer.from(text.replaceAll(':', ''), 'hex');
  return Buffer.concat([mac(to), mac(from), Buffer.from([type >> 8, type & 0xff]), packet]);
}

export interface CaptureRecord {
  /** Seconds since 1970. */
  readonly at: number;
  readonly frame: Uint8Array;
  /** What the snaplen left of it; default all. */
  readonly captured?: number;
}

/** A little-endian microsecond pcap file. */
export function pcapFile(records: readonly CaptureRecord[], linkType = 1): Buffer {
  const header = Buffer.alloc(24);
  header.writeUInt32LE(0xa1b2c3d4, 0);
  header.writeUInt16LE(2, 4);
  header.writeUInt16LE(4, 6);
  header.writeUInt32LE(262144, 16);
  header.writeUInt32LE(linkType, 20);
  const parts: Buffer[] = [header];
  for (const { at, frame: bytes, captured = bytes.length } of records) {
    const head = Buffer.alloc(16);
    head.writeUInt32LE(Math.floor(at), 0);
    head.writeUInt32LE(Math.round((at % 1) * 1e6), 4);
    head.writeUInt32LE(captured, 8);
    head.writeUInt32LE(bytes.length, 12);
    parts.push(head, Buffer.from(bytes.subarray(0, captured)));
  }
  return Buffer.concat(parts);
}
