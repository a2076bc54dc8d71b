/**
 * Reads a recorded session of captures/ and works out what the host did with each packet, from the captures alone: no
 * code of natreplay is used, so that the recordings stand as evidence by themselves. Written for clarity, not speed;
 * knows only what the recordings hold (nanosecond little-endian pcap, Ethernet or SLL2, unfragmented IPv4).
 */
import { readFileSync } from 'node:fs';
import { z } from 'zod';

export interface Packet {
  /** Interface the record was seen on. */
  readonly iface: string;
  /** Nanoseconds since the epoch. */
  readonly time: bigint;
  readonly direction: 'in' | 'out';
  /** Addressed, on the link, to another machine: seen by a promiscuous tcpdump, not taken in by IP. */
  readonly otherHost: boolean;
  /** The IPv4 packet, undefined when the frame carries something else. */
  readonly ip: Buffer | undefined;
}

export interface Twins {
  /** What the host received and what it sent on in its place. */
  readonly forwarded: readonly { readonly before: Packet; readonly after: Packet }[];
  /** Received, and kept: addressed to the host. */
  readonly local: readonly Packet[];
  /** Received, neither kept nor sent on. */
  readonly dropped: readonly Packet[];
  readonly otherHost: readonly Packet[];
  /** Sent, and not because it was received: the host's own. */
  readonly hostMade: readonly Packet[];
  readonly notIp: readonly Packet[];
}

const hostFile = z.object({
  addr: z.array(
    z.object({
      ifindex: z.number(),
      ifname: z.string(),
      address: z.string(),
      addr_info: z.array(z.object({ local: z.string() })),
    }),
  ),
  iptables: z.string(),
});
export type HostFile = z.infer<typeof hostFile>;

export function readHost(path: string): HostFile {
  return hostFile.parse(JSON.parse(readFileSync(path, 'utf8')));
}

const PCAP_NANOSECONDS = 0xa1b23c4d;
const ETHERNET = 1;
const LINUX_SLL2 = 276;
const ETHERTYPE_IPV4 = 0x0800;

/** Records of one capture, in file order. `iface` names them unless the link layer does (SLL2). */
export function readCapture(path: string, iface: string, host: HostFile): Packet[] {
  const file = readFileSync(path);
  if (file.readUInt32LE(0) !== PCAP_NANOSECONDS) throw new Error(`${path}: not a little-endian nanosecond pcap`);
  const linkType = file.readUInt32LE(20);
  const packets: Packet[] = [];
  let at = 24;
  while (at < file.length) {
    const time = BigInt(file.readUInt32LE(at)) * 1_000_000_000n + BigInt(file.readUInt32LE(at + 4));
    const length = file.readUInt32LE(at + 8);
    if (file.readUInt32LE(at + 12) !== length) throw new Error(`${path}: record at ${at} was cut by the snaplen`);
    const frame = file.subarray(at + 16, at + 16 + length);
    packets.push({ time, ...(linkType === LINUX_SLL2 ? fromSll2(frame, host) : fromEthernet(frame, iface, host)) });
    at += 16 + length;
  }
  if (linkType !== ETHERNET && linkType !== LINUX_SLL2) throw new Error(`${path}: link type ${linkType}`);
  return packets;
}

function fromEthernet(frame: Buffer, iface: string, host: HostFile): Omit<Packet, 'time'> {
  const own = host.addr.find((each) => each.ifname === iface)?.address.replaceAll(':', '');
  const out = frame.toString('hex', 6, 12) === own;
  const toGroup = (frame.readUInt8(0) & 1) === 1;
  return {
    iface,
    direction: out ? 'out' : 'in',
    otherHost: !out && !toGroup && frame.toString('hex', 0, 6) !== own,
    ip: ipv4(frame.readUInt16BE(12), frame.subarray(14)),
  };
}

/** LINKTYPE_LINUX_SLL2: protocol, reserved, interface index, ARPHRD, packet type (4: sent by this host), ... 20 bytes. */
function fromSll2(frame: Buffer, host: HostFile): Omit<Packet, 'time'> {
  const index = frame.readUInt32BE(4);
  return {
    iface: host.addr.find((each) => each.ifindex === index)?.ifname ?? `interface ${index}`,
    direction: frame.readUInt8(10) === 4 ? 'out' : 'in',
    otherHost: frame.readUInt8(10) === 3,
    ip: ipv4(frame.readUInt16BE(0), frame.subarray(20)),
  };
}

/** The packet without the padding of short frames. */
function ipv4(etherType: number, rest: Buffer): Buffer | undefined {
  return etherType === ETHERTYPE_IPV4 ? rest.subarray(0, rest.readUInt16BE(2)) : undefined;
}

export function byTime(...captures: Packet[][]): Packet[] {
  return captures.flat().sort((a, b) => (a.time < b.time ? -1 : a.time > b.time ? 1 : 0));
}

/** Pairs what went in with what came out: same packet but for TTL, addresses, ports and checksums, other interface. */
export function findTwins(packets: readonly Packet[], host: HostFile): Twins {
  const own = new Set(host.addr.flatMap((iface) => iface.addr_info.map((info) => info.local)));
  const waiting = new Map<string, Packet[]>();
  const forwarded: { before: Packet; after: Packet }[] = [];
  const hostMade: Packet[] = [];
  const received: Packet[] = [];
  for (const packet of packets) {
    if (packet.ip === undefined || packet.otherHost) continue;
    if (packet.direction === 'in') {
      received.push(packet);
      const key = identity(packet.ip, timeToLive(packet.ip) - 1);
      waiting.set(key, [...(waiting.get(key) ?? []), packet]);
      continue;
    }
    const candidates = waiting.get(identity(packet.ip, timeToLive(packet.ip))) ?? [];
    const place = candidates.findIndex((candidate) => candidate.iface !== packet.iface);
    const [before] = place < 0 ? [] : candidates.splice(place, 1);
    if (before === undefined) hostMade.push(packet);
    else forwarded.push({ before, after: packet });
  }
  const sentOn = new Set(forwarded.map((pair) => pair.before));
  const kept = received.filter((packet) => !sentOn.has(packet));
  return {
    forwarded,
    hostMade,
    local: kept.filter((packet) => own.has(destination(packet.ip))),
    dropped: kept.filter((packet) => !own.has(destination(packet.ip))),
    otherHost: packets.filter((packet) => packet.otherHost),
    notIp: packets.filter((packet) => packet.ip === undefined && !packet.otherHost),
  };
}

/** What NAT and routing leave alone, with the TTL given, as text. */
function identity(ip: Buffer, ttl: number): string {
  const bytes = Buffer.from(ip);
  blank(bytes);
  bytes.writeUInt8(ttl, 8);
  return bytes.toString('latin1');
}

/** Zeroes addresses, ports (or echo id) and checksums; in ICMP errors those of the embedded packet, too. */
function blank(ip: Buffer): void {
  const l4 = ip.subarray((ip.readUInt8(0) & 15) * 4);
  ip.fill(0, 10, 20);
  switch (ip.readUInt8(9)) {
    case TCP:
      l4.fill(0, 0, 4);
      l4.fill(0, 16, 18);
      break;
    case UDP:
      l4.fill(0, 0, 4);
      l4.fill(0, 6, 8);
      break;
    case ICMP:
      l4.fill(0, 2, 4);
      if (isError(l4)) blank(l4.subarray(8));
      else l4.fill(0, 4, 6);
      break;
  }
}

export const ICMP = 1;
export const TCP = 6;
export const UDP = 17;

const isError = (icmp: Buffer): boolean => [3, 4, 5, 11, 12].includes(icmp.readUInt8(0));
const dotted = (bytes: Buffer): string => [...bytes].join('.');
export const timeToLive = (ip: Buffer): number => ip.readUInt8(8);
export const source = (ip: Buffer | undefined): string => (ip === undefined ? '' : dotted(ip.subarray(12, 16)));
export const destination = (ip: Buffer | undefined): string => (ip === undefined ? '' : dotted(ip.subarray(16, 20)));

/** `tcp 198.51.100.7:40316 > 192.0.2.1:80`, `icmp 172.17.0.3 > 203.0.113.80 echo 77`. */
export function tuple(ip: Buffer): string {
  const l4 = ip.subarray((ip.readUInt8(0) & 15) * 4);
  const protocol = ip.readUInt8(9);
  if (protocol !== ICMP) {
    const name = protocol === TCP ? 'tcp' : protocol === UDP ? 'udp' : String(protocol);
    return `${name} ${source(ip)}:${l4.readUInt16BE(0)} > ${destination(ip)}:${l4.readUInt16BE(2)}`;
  }
  const detail = isError(l4) ? `error ${l4.readUInt8(0)} about ${tuple(l4.subarray(8))}` : `echo ${l4.readUInt16BE(4)}`;
  return `icmp ${source(ip)} > ${destination(ip)} ${detail}`;
}

/** What a packet of the host's own is. */
export function kindOf(packet: Packet): string {
  if (packet.ip === undefined) return 'arp';
  const l4 = packet.ip.subarray((packet.ip.readUInt8(0) & 15) * 4);
  if (packet.ip.readUInt8(9) === TCP) return (l4.readUInt8(13) & 4) !== 0 ? 'tcp reset' : 'tcp';
  if (packet.ip.readUInt8(9) !== ICMP) return 'other';
  return { 0: 'echo reply', 8: 'echo request', 11: 'time exceeded' }[l4.readUInt8(0)] ?? 'icmp';
}

/** Is every checksum what RFC 1071 makes of the bytes? UDP without a checksum is right. */
export function checksumsAreRight(ip: Buffer): boolean {
  const headerLength = (ip.readUInt8(0) & 15) * 4;
  const protocol = ip.readUInt8(9);
  const l4 = ip.subarray(headerLength);
  if (onesComplementSum(ip.subarray(0, headerLength)) !== 0xffff) return false;
  if (protocol === ICMP) return onesComplementSum(l4) === 0xffff;
  if (protocol === UDP && l4.readUInt16BE(6) === 0) return true;
  const pseudo = Buffer.concat([ip.subarray(12, 20), Buffer.from([0, protocol, l4.length >> 8, l4.length & 255])]);
  return onesComplementSum(Buffer.concat([pseudo, l4])) === 0xffff;
}

function onesComplementSum(bytes: Buffer): number {
  let sum = 0;
  for (let i = 0; i < bytes.length; i++) sum += i % 2 === 0 ? bytes.readUInt8(i) << 8 : bytes.readUInt8(i);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return sum;
}

/** Packets a rule counted, from `iptables-save -c` text. */
export function ruleCount(text: string, rule: string): number {
  const line = text.split('\n').find((each) => each.endsWith(`] ${rule}`));
  if (line === undefined) throw new Error(`no rule ${rule}`);
  return Number(/^\[(\d+):/.exec(line)?.[1]);
}

/** Both tuples of each line of `conntrack -L`, worded as `tuple` does. */
export function conntrackTuples(text: string): { original: string; reply: string }[] {
  return text
    .trimEnd()
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const name = line.split(' ')[0];
      const all = (key: string): string[] =>
        [...line.matchAll(new RegExp(`\\b${key}=(\\S+)`, 'g'))].map((m) => m[1] ?? '');
      const word = (i: number): string =>
        name === 'icmp'
          ? `icmp ${all('src')[i]} > ${all('dst')[i]} echo ${all('id')[i]}`
          : `${name} ${all('src')[i]}:${all('sport')[i]} > ${all('dst')[i]}:${all('dport')[i]}`;
      return { original: word(0), reply: word(1) };
    });
}
