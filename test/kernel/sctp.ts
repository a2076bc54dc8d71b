/** SCTP packets (RFC 9260) for tests, their CRC32c computed bit by bit. */
import { type IpFields, ip } from './packets.js';

export interface SctpChunk {
  readonly type: number;
  readonly flags?: number;
  /** Of INIT and INIT ACK: the tag that the other side is to use. */
  readonly initiateTag?: number;
  readonly data?: Uint8Array;
}

export interface SctpFields extends Omit<IpFields, 'src' | 'dst'> {
  /** `192.0.2.7:40000` */
  readonly src: string;
  readonly dst: string;
  readonly tag?: number;
  readonly chunks: readonly SctpChunk[];
  readonly badChecksum?: boolean;
}

/** Chunk types by the names of RFC 9260 section 3.2. */
export const CHUNK = {
  data: 0,
  init: 1,
  initAck: 2,
  sack: 3,
  heartbeat: 4,
  heartbeatAck: 5,
  abort: 6,
  shutdown: 7,
  shutdownAck: 8,
  error: 9,
  cookieEcho: 10,
  cookieAck: 11,
  shutdownComplete: 14,
} as const;

export function sctp(fields: SctpFields): Uint8Array {
  const [src = '', sport = '0'] = fields.src.split(':');
  const [dst = '', dport = '0'] = fields.dst.split(':');
  const header = Buffer.alloc(12);
  header.writeUInt16BE(Number(sport), 0);
  header.writeUInt16BE(Number(dport), 2);
  header.writeUInt32BE((fields.tag ?? 0) >>> 0, 4);
  const packet = Buffer.concat([header, ...fields.chunks.map(chunkBytes)]);
  packet.writeUInt32LE((crc32c(packet) ^ (fields.badChecksum === true ? 0x5555 : 0)) >>> 0, 8);
  return ip({ ...fields, src, dst }, 132, packet);
}

function chunkBytes({ type, flags = 0, initiateTag, data }: SctpChunk): Uint8Array {
  let value: Uint8Array = data ?? Buffer.alloc(type === CHUNK.data ? 16 : 4, 'natreplay');
  if (initiateTag !== undefined) {
    const init = Buffer.alloc(16);
    init.writeUInt32BE(initiateTag >>> 0, 0);
    init.writeUInt32BE(65536, 4);
    value = init;
  }
  const chunk = Buffer.alloc(4 + Math.ceil(value.length / 4) * 4);
  chunk[0] = type;
  chunk[1] = flags;
  chunk.writeUInt16BE(4 + value.length, 2);
  chunk.set(value, 4);
  return chunk;
}

/** RFC 9260 appendix A, the slow way. */
export function crc32c(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc & 1) === 0 ? crc >>> 1 : (crc >>> 1) ^ 0x82f63b78;
  }
  return ~crc >>> 0;
}
