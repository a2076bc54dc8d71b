/** Ways in which IPv6 packets are odd or broken, as changes to a frame (14 bytes of Ethernet, then the fixed header). */
import { icmp, tcp } from './packets.js';

const IP = 14;
const LENGTH = IP + 4;
const NEXT_HEADER = IP + 6;
const HOP_LIMIT = IP + 7;
const SOURCE = IP + 8;
const DESTINATION = IP + 24;
const PAYLOAD = IP + 40;
const TCP = 6;

/** Checksum field in the header of each protocol that covers the addresses. */
const CHECKSUMS = new Map([
  [6, 16],
  [17, 6],
  [58, 2],
]);

/** A copy of each frame is changed. */
export const SPOIL6 = {
  'wrong version': (frame: Buffer): Buffer => set(frame, IP, 0x40 | ((frame[IP] ?? 0) & 15)),
  'wrong transport checksum': (frame: Buffer): Buffer => set(frame, frame.length - 1, (frame.at(-1) ?? 0) ^ 0x11),
  'Ethernet padding': (frame: Buffer): Buffer => Buffer.concat([frame, Buffer.alloc(18)]),
  'cut transport header': (frame: Buffer): Buffer => withLength(frame.subarray(0, Math.min(frame.length, PAYLOAD + 6))),
  'nothing behind the fixed header': (frame: Buffer): Buffer => withLength(frame.subarray(0, PAYLOAD)),
  'a length beyond the frame': (frame: Buffer): Buffer => write16(frame, LENGTH, frame.readUInt16BE(LENGTH) + 1),
  'bytes after the segment': (frame: Buffer): Buffer => withLength(Buffer.concat([frame, Buffer.from('more')])),
  'hop limit 1': (frame: Buffer): Buffer => set(frame, HOP_LIMIT, 1),
  'hop limit 0': (frame: Buffer): Buffer => set(frame, HOP_LIMIT, 0),
  'no next header': (frame: Buffer): Buffer => set(frame, NEXT_HEADER, 59),
  'an unknown protocol': (frame: Buffer): Buffer => set(frame, NEXT_HEADER, 253),
  GRE: (frame: Buffer): Buffer => set(frame, NEXT_HEADER, 47),
  'ICMP of IPv4': (frame: Buffer): Buffer => set(frame, NEXT_HEADER, 1),
  'UDP-Lite': (frame: Buffer): Buffer => set(frame, NEXT_HEADER, 136),
  'destination options': (frame: Buffer): Buffer => insert(frame, 60, [0, 0, 1, 4, 0, 0, 0, 0]),
  'a routing header': (frame: Buffer): Buffer =>
    insert(frame, 43, [0, 2, 0, 0, 0, 0, 0, 0, ...new Array<number>(16).fill(0)]),
  'an authentication header': (frame: Buffer): Buffer => insert(frame, 51, [0, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1]),
  'hop-by-hop padding': (frame: Buffer): Buffer => insert(frame, 0, [0, 0, 1, 2, 0, 0, 1, 0]),
  'a router alert': (frame: Buffer): Buffer => insert(frame, 0, [0, 0, 5, 2, 0, 0, 1, 0]),
  'too much hop-by-hop padding': (frame: Buffer): Buffer => insert(frame, 0, [0, 1, ...new Array<number>(14).fill(0)]),
  'hop-by-hop padding that is not zero': (frame: Buffer): Buffer => insert(frame, 0, [0, 0, 1, 4, 0, 1, 0, 0]),
  'an unknown hop-by-hop option to skip': (frame: Buffer): Buffer => insert(frame, 0, [0, 0, 0x1e, 4, 1, 2, 3, 4]),
  'an unknown hop-by-hop option to drop': (frame: Buffer): Buffer => insert(frame, 0, [0, 0, 0x5e, 4, 1, 2, 3, 4]),
  'hop-by-hop options over the end': (frame: Buffer): Buffer => insert(frame, 0, [0, 200, 1, 4, 0, 0, 0, 0]),
  'destination options over the end': (frame: Buffer): Buffer => insert(frame, 60, [0, 200, 1, 4, 0, 0, 0, 0]),
  'a cut extension header': (frame: Buffer): Buffer => withLength(set(frame, NEXT_HEADER, 60).subarray(0, PAYLOAD + 1)),
  'two extension headers': (frame: Buffer): Buffer =>
    insert(insert(frame, 60, [0, 0, 1, 4, 0, 0, 0, 0]), 0, [0, 0, 1, 4, 0, 0, 0, 0]),
  'a multicast source': (frame: Buffer): Buffer => readdress(frame, SOURCE, 'ff020000000000000000000000000009'),
  'a loopback source': (frame: Buffer): Buffer => readdress(frame, SOURCE, '00000000000000000000000000000001'),
  'a mapped source': (frame: Buffer): Buffer => readdress(frame, SOURCE, '00000000000000000000ffffc0000207'),
  'no source': (frame: Buffer): Buffer => readdress(frame, SOURCE, '00000000000000000000000000000000'),
  'a link-local source': (frame: Buffer): Buffer => readdress(frame, SOURCE, 'fe800000000000000000000000000007'),
  'a unique local source': (frame: Buffer): Buffer => readdress(frame, SOURCE, 'fd000000000000000000000000000007'),
  'a loopback destination': (frame: Buffer): Buffer =>
    readdress(frame, DESTINATION, '00000000000000000000000000000001'),
  'no destination': (frame: Buffer): Buffer => readdress(frame, DESTINATION, '00000000000000000000000000000000'),
  'a mapped destination': (frame: Buffer): Buffer => readdress(frame, DESTINATION, '00000000000000000000ffffc0000207'),
  'a link-local destination': (frame: Buffer): Buffer =>
    readdress(frame, DESTINATION, 'fe800000000000000000000000000009'),
  'to all nodes': (frame: Buffer): Buffer => readdress(frame, DESTINATION, 'ff020000000000000000000000000001'),
  'to all routers': (frame: Buffer): Buffer => readdress(frame, DESTINATION, 'ff050000000000000000000000000002'),
  // One that is not the host's own: a gateway's interfaces here have NOARP, and so do not join theirs.
  'to a solicited node': (frame: Buffer): Buffer => readdress(frame, DESTINATION, 'ff0200000000000000000001ff123456'),
  'to a group nobody is in': (frame: Buffer): Buffer =>
    readdress(frame, DESTINATION, 'ff0e0000000000000000000000000099'),
  'to an interface-local group': (frame: Buffer): Buffer =>
    readdress(frame, DESTINATION, 'ff010000000000000000000000000001'),
  'TCP flags that make no sense': (frame: Buffer): Buffer => {
    if (frame[NEXT_HEADER] !== TCP || frame.length < PAYLOAD + 20) return frame;
    const { src, dst } = ends(frame);
    const flags = 'FSRPAU'.split('').filter((_, bit) => (((frame[PAYLOAD + 13] ?? 0) ^ 0x2b) & (1 << bit)) !== 0);
    const segment = {
      seq: frame.readUInt32BE(PAYLOAD + 4),
      ack: frame.readUInt32BE(PAYLOAD + 8),
      flags: flags.join(''),
    };
    const ports = [frame.readUInt16BE(PAYLOAD), frame.readUInt16BE(PAYLOAD + 2)];
    return reframe(frame, tcp({ ...segment, src: `[${src}]:${ports[0]}`, dst: `[${dst}]:${ports[1]}` }));
  },
  'a neighbour solicitation': (frame: Buffer): Buffer => message(frame, 135),
  'a neighbour advertisement': (frame: Buffer): Buffer => message(frame, 136),
  'a router solicitation': (frame: Buffer): Buffer => message(frame, 133),
  'a listener report': (frame: Buffer): Buffer => message(frame, 143),
  'a redirect': (frame: Buffer): Buffer => message(frame, 137),
  'an unknown ICMPv6 message': (frame: Buffer): Buffer => message(frame, 200),
  'an echo reply to nothing': (frame: Buffer): Buffer => message(frame, 129),
} as const;

export type Oddity6 = keyof typeof SPOIL6;
export const ALL_ODDITIES6 = Object.keys(SPOIL6) as Oddity6[];

function set(frame: Buffer, at: number, value: number): Buffer {
  frame[at] = value;
  return frame;
}

function write16(frame: Buffer, at: number, value: number): Buffer {
  frame.writeUInt16BE(value, at);
  return frame;
}

/** Makes the payload length that of the frame. */
function withLength(frame: Buffer): Buffer {
  return write16(Buffer.from(frame), LENGTH, frame.length - PAYLOAD);
}

/** Puts an extension header first; its first byte is filled in. */
function insert(frame: Buffer, type: number, header: readonly number[]): Buffer {
  const bytes = Buffer.from(header);
  bytes[0] = frame[NEXT_HEADER] ?? 0;
  const longer = Buffer.concat([frame.subarray(0, PAYLOAD), bytes, frame.subarray(PAYLOAD)]);
  return withLength(set(longer, NEXT_HEADER, type));
}

/** Another address, and the checksum that goes with it (RFC 1624). */
function readdress(frame: Buffer, at: number, address: string): Buffer {
  const before = Buffer.from(frame.subarray(at, at + 16));
  frame.write(address, at, 'hex');
  const field = PAYLOAD + (CHECKSUMS.get(frame[NEXT_HEADER] ?? 0) ?? Number.NaN);
  if (!(field + 2 <= frame.length)) return frame;
  let sum = ~frame.readUInt16BE(field) & 0xffff;
  for (let k = 0; k < 16; k += 2) sum += (~before.readUInt16BE(k) & 0xffff) + frame.readUInt16BE(at + k);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return write16(frame, field, ~sum & 0xffff);
}

/** An ICMPv6 message between the same two, with room for what neighbour discovery holds. */
function message(frame: Buffer, type: number): Buffer {
  return reframe(frame, icmp({ ...ends(frame), type, icmpId: 7, payload: Buffer.alloc(24), ttl: 255 }));
}

function reframe(frame: Buffer, packet: Uint8Array): Buffer {
  return Buffer.concat([frame.subarray(0, IP), packet]);
}

function ends(frame: Buffer): { readonly src: string; readonly dst: string } {
  return {
    src: addressText(frame.subarray(SOURCE, SOURCE + 16)),
    dst: addressText(frame.subarray(DESTINATION, PAYLOAD)),
  };
}

/** All eight groups, none left out. */
export function addressText(bytes: Uint8Array): string {
  return Array.from({ length: 8 }, (_, i) => (((bytes[2 * i] ?? 0) << 8) | (bytes[2 * i + 1] ?? 0)).toString(16)).join(
    ':',
  );
}

/** Upper layer of a packet from its IP header on; undefined for a later fragment. */
export function upperLayer(packet: Uint8Array): { readonly protocol: number; readonly offset: number } | undefined {
  if ((packet[0] ?? 0) >> 4 === 4) {
    const later = (((packet[6] ?? 0) & 0x1f) << 8) + (packet[7] ?? 0) !== 0;
    return later ? undefined : { protocol: packet[9] ?? 0, offset: ((packet[0] ?? 0) & 15) * 4 };
  }
  let protocol = packet[6] ?? 0;
  let offset = 40;
  while ([0, 43, 44, 51, 60].includes(protocol) && offset + 2 <= packet.length) {
    const length = protocol === 44 ? 0 : (packet[offset + 1] ?? 0);
    const next = packet[offset] ?? 0;
    if (protocol === 44 && (((packet[offset + 2] ?? 0) << 8) | ((packet[offset + 3] ?? 0) & 0xf8)) !== 0)
      return undefined;
    offset += protocol === 51 ? (length + 2) * 4 : (length + 1) * 8;
    protocol = next;
  }
  return { protocol, offset };
}
