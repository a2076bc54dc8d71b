/** What is in a generated pcap, read field by field, with every checksum looked at. Slow, and written to be believed. */

export interface Decoded {
  /** Microseconds since 1970. */
  readonly time: number;
  readonly frame: Buffer;
  readonly version: 4 | 6;
  readonly protocol: number;
  readonly source: string;
  readonly destination: string;
  /** Of TCP and UDP (not of later fragments). */
  readonly ports?: readonly [number, number];
  /** IPv4: more fragments, or an offset. */
  readonly fragment?: { readonly id: number; readonly offset: number; readonly more: boolean };
  readonly tcp?: { readonly flags: number; readonly seq: number; readonly ack: number; readonly data: number };
  /** What is behind the IP header, without padding. */
  readonly payload: Buffer;
  /** Names of checksums that are wrong; of fragments, only the header's is looked at. */
  readonly wrong: readonly string[];
}

export function sum(bytes: Buffer, from = 0): number {
  let total = from;
  for (let i = 0; i < bytes.length; i += 2) total += (bytes.readUInt8(i) << 8) | (bytes[i + 1] ?? 0);
  while (total > 0xffff) total = (total >>> 16) + (total & 0xffff);
  return total;
}

export function decode(capture: Buffer): Decoded[] {
  const packets: Decoded[] = [];
  for (let at = 24; at < capture.length; ) {
    const length = capture.readUInt32LE(at + 8);
    const time = capture.readUInt32LE(at) * 1e6 + capture.readUInt32LE(at + 4);
    packets.push(decodeFrame(capture.subarray(at + 16, at + 16 + length), time));
    at += 16 + length;
  }
  return packets;
}

function decodeFrame(frame: Buffer, time: number): Decoded {
  const ip = frame.subarray(14);
  const wrong: string[] = [];
  if (frame.readUInt16BE(12) === 0x86dd) {
    const payload = ip.subarray(40, 40 + ip.readUInt16BE(4));
    const protocol = ip.readUInt8(6);
    const pseudo = sum(ip.subarray(8, 40), protocol + payload.length);
    if (sum(payload, pseudo) !== 0xffff) wrong.push(`protocol ${protocol} over IPv6`);
    const [source, destination] = [ip.toString('hex', 8, 24), ip.toString('hex', 24, 40)];
    return { time, frame, version: 6, protocol, source, destination, payload, wrong, ...transport(protocol, payload) };
  }
  if (sum(ip.subarray(0, 20)) !== 0xffff) wrong.push('ip');
  const payload = ip.subarray(20, ip.readUInt16BE(2));
  const protocol = ip.readUInt8(9);
  const [source, destination] = [[...ip.subarray(12, 16)].join('.'), [...ip.subarray(16, 20)].join('.')];
  const common = { time, frame, version: 4, protocol, source, destination, payload } as const;
  const word = ip.readUInt16BE(6);
  if ((word & 0x3fff) !== 0) {
    const fragment = { id: ip.readUInt16BE(4), offset: (word & 0x1fff) * 8, more: (word & 0x2000) !== 0 };
    const ports = fragment.offset === 0 ? transport(protocol, payload) : {};
    return { ...common, fragment, ...ports, wrong };
  }
  const pseudo = protocol === 1 ? 0 : sum(ip.subarray(12, 20), protocol + payload.length);
  if (sum(payload, pseudo) !== 0xffff) wrong.push(`protocol ${protocol}`);
  return { ...common, wrong, ...transport(protocol, payload) };
}

function transport(protocol: number, payload: Buffer): Pick<Decoded, 'ports' | 'tcp'> {
  if (protocol !== 6 && protocol !== 17) return {};
  const ports = [payload.readUInt16BE(0), payload.readUInt16BE(2)] as const;
  if (protocol === 17) return { ports };
  const tcp = {
    flags: payload.readUInt8(13),
    seq: payload.readUInt32BE(4),
    ack: payload.readUInt32BE(8),
    data: payload.length - (payload.readUInt8(12) >>> 4) * 4,
  };
  return { ports, tcp };
}
