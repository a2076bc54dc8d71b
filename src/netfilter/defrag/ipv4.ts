/**
 * Reassembly of IPv4 datagrams (RFC 791 section 3.2; kernel: nf_defrag_ipv4, ip_defrag, ip_frag_queue, ip_frag_reasm).
 * A datagram is put together in memory of its own; where its fragments were cut is kept, for sending it on.
 */
import type { Host } from '../../host/types.js';
import { fold, sumBytes } from '../../packet/checksum.js';
import {
  IPV4_CHECKSUM,
  IPV4_DF,
  IPV4_FLAGS_OFFSET,
  IPV4_ID,
  IPV4_MF,
  IPV4_TOS,
  IPV4_TOTAL_LENGTH,
  ipv4FragmentOffset,
} from '../../packet/ipv4.js';
import type { Packet } from '../packet.js';
import { spreadEcn, withEcn } from './ecn.js';
import type { ExpiryWatch, FirstFragment } from './expired.js';
import { FragmentQueue, type Piece } from './queue.js';
import { type DefragLimits, type Waiting, WaitingDatagrams } from './store.js';

/** Who asks: the same fragments may be gathered at several places, apart from each other (kernel: ip_defrag_users). */
export type DefragUser = 'prerouting' | 'output' | 'local';

/** Why a fragment went nowhere; `held` is no fault: it waits. */
export type GatherFault =
  | 'held'
  | 'fragment-duplicate'
  | 'fragment-overlap'
  | 'fragment-inconsistent'
  | 'fragment-ecn-mixed'
  | 'fragment-too-long'
  | 'fragment-memory';

/** Where a datagram was cut when it came, for cutting it again. */
export interface FragmentLayout {
  /** The fragments' payloads, by offset. */
  readonly pieces: readonly Piece[];
  /** Length of the largest fragment, its header included (kernel: frag_max_size). */
  readonly maxSize: number;
  /** The largest fragment said DF, so the sender looks for the path's MTU (kernel: IPSKB_FRAG_PMTU). */
  readonly findsMtu: boolean;
  /** IPv6: length of what stood before the fragment header. */
  readonly headerLength?: number;
}

/** A datagram put together. Its IP header is that of the first fragment. */
export interface Datagram {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly l3: number;
  /** Past the last byte before the first that the capture does not hold. */
  readonly end: number;
  /** Some of its bytes were not captured; they are zero. */
  readonly cut: boolean;
  /** Offset in `bytes` of the six bytes of the first fragment's sender, -1 without. */
  readonly sourceMac: number;
  /** Mark of the first fragment. */
  readonly mark: number;
  /** Whom the first fragment's frame was for: see Packet. */
  readonly toGroup: number;
  readonly layout: FragmentLayout;
}

class Assembly implements Waiting {
  since = 0;
  memory = 0;
  fragments = 0;
  readonly queue = new FragmentQueue();
  ecn = 0;
  maxSize = 0;
  maxDfSize = 0;
  /** What stands before the payload: header and options of the first fragment. */
  header: Uint8Array | undefined;
  first: FirstFragment | undefined;
  sourceMac: Uint8Array | undefined;
  mark = 0;
  toGroup = 0;
  /** Fragments its source had sent when the last of this datagram came (kernel: qp->rid). */
  sourceCount = 0;
}

const MAX_DATAGRAM = 65535;
const MAC_LENGTH = 6;
/** Room before the header in a datagram's memory: the sender's MAC, and two bytes so that words lie even. */
const ROOM = 8;
const MORE_THAN_ANY = Number.POSITIVE_INFINITY;

export interface Ipv4DefragLimits extends DefragLimits {
  /** Fragments of other datagrams from the same source after which one that waits is begun anew; 0: never. */
  readonly maxDistance: number;
}

/** The host's sysctls, or the kernel's defaults. */
export function ipv4DefragLimits(host: Host): Ipv4DefragLimits {
  const number = (name: string, otherwise: number): number => {
    const stated = Number(host.sysctl(`net.ipv4.${name}`) ?? Number.NaN);
    return Number.isFinite(stated) ? stated : otherwise;
  };
  return {
    timeout: number('ipfrag_time', 30) * 1000,
    memory: number('ipfrag_high_thresh', 4 * 1024 * 1024),
    maxDistance: number('ipfrag_max_dist', 64),
  };
}

export class Ipv4Reassembler {
  reassembled = 0;
  readonly store: WaitingDatagrams<Assembly>;
  private readonly maxDistance: number;
  /** Fragments by source, all users together (kernel: struct inet_peer). */
  private readonly sourceCounts = new Map<number, number>();

  constructor(
    limits: Ipv4DefragLimits,
    private readonly watch?: ExpiryWatch,
  ) {
    const expire = ({ first, since }: Assembly): void => {
      if (first !== undefined) watch?.ipv4.push({ ...first, at: since + limits.timeout });
    };
    this.store = new WaitingDatagrams(limits, () => new Assembly(), expire);
    this.maxDistance = limits.maxDistance === 0 ? MORE_THAN_ANY : limits.maxDistance;
  }

  /** Takes in the fragment that `packet` is; `now`: milliseconds of capture time. */
  gather(packet: Packet, user: DefragUser, now: number): Datagram | GatherFault {
    const { view, l3, l4 } = packet;
    const source = packet.source[0] ?? 0;
    const key = `${user} ${source} ${packet.destination[0]} ${view.getUint16(l3 + IPV4_ID)} ${packet.protocol}`;
    const assembly = this.store.find(key, now);
    if (assembly === undefined) return 'fragment-memory';
    if (this.isTooFar(assembly, source)) this.restart(key, assembly, now);
    assembly.ecn = withEcn(assembly.ecn, view.getUint8(l3 + IPV4_TOS));
    const word = view.getUint16(l3 + IPV4_FLAGS_OFFSET);
    const more = (word & IPV4_MF) !== 0;
    const offset = ipv4FragmentOffset(view, l3);
    const stated = offset + packet.wireEnd - l4;
    // Bytes beyond the last whole block of eight cannot be: another fragment has to follow there.
    const end = more ? stated & ~7 : stated;
    const bytes = packet.bytes.slice(l4, Math.min(packet.end, l4 + end - offset));
    const addition = assembly.queue.add({ offset, end, bytes }, more);
    if (addition === 'duplicate') return 'fragment-duplicate';
    if (addition !== 'waiting' && addition !== 'complete') {
      this.store.remove(key, assembly);
      return addition === 'overlap' ? 'fragment-overlap' : 'fragment-inconsistent';
    }
    this.store.keep(assembly, packet.totalLength);
    const size = end - offset + l4 - l3;
    assembly.maxSize = Math.max(assembly.maxSize, size);
    if ((word & IPV4_DF) !== 0) assembly.maxDfSize = Math.max(assembly.maxDfSize, size);
    if (offset === 0) {
      takeHeader(assembly, packet);
      assembly.first = this.watch?.take(packet, l4 + end);
    }
    if (addition === 'waiting') return 'held';
    this.store.remove(key, assembly);
    const datagram = putTogether(assembly);
    if (typeof datagram !== 'string') this.reassembled++;
    return datagram;
  }

  /** Ids come round again: fragments that are too far apart are not of one datagram (kernel: ip_frag_too_far). */
  private isTooFar(assembly: Assembly, source: number): boolean {
    const before = assembly.sourceCount;
    const count = (this.sourceCounts.get(source) ?? 0) + 1;
    this.sourceCounts.set(source, count);
    assembly.sourceCount = count;
    return !assembly.queue.isEmpty && count - before > this.maxDistance;
  }

  private restart(key: string, assembly: Assembly, now: number): void {
    this.store.restart(key, assembly, now);
    assembly.queue.clear();
    assembly.ecn = 0;
    assembly.first = undefined;
  }
}

function takeHeader(assembly: Assembly, packet: Packet): void {
  const { bytes, l3, l4, sourceMac } = packet;
  assembly.header = bytes.slice(l3, l4);
  assembly.sourceMac = sourceMac < 0 ? undefined : bytes.slice(sourceMac, sourceMac + MAC_LENGTH);
  assembly.mark = packet.mark;
  assembly.toGroup = packet.toGroup;
}

function putTogether(assembly: Assembly): Datagram | GatherFault {
  const { queue, header, sourceMac } = assembly;
  const ecn = spreadEcn(assembly.ecn);
  if (ecn === undefined) return 'fragment-ecn-mixed';
  if (header === undefined) return 'fragment-inconsistent';
  const totalLength = header.length + queue.length;
  if (totalLength > MAX_DATAGRAM) return 'fragment-too-long';
  const bytes = new Uint8Array(ROOM + totalLength);
  const view = new DataView(bytes.buffer);
  if (sourceMac !== undefined) bytes.set(sourceMac, ROOM - MAC_LENGTH);
  bytes.set(header, ROOM);
  const l4 = ROOM + header.length;
  for (const piece of queue.pieces) bytes.set(piece.bytes, l4 + piece.offset);
  const findsMtu = assembly.maxDfSize === assembly.maxSize;
  view.setUint16(ROOM + IPV4_TOTAL_LENGTH, totalLength);
  view.setUint8(ROOM + IPV4_TOS, view.getUint8(ROOM + IPV4_TOS) | ecn);
  view.setUint16(ROOM + IPV4_FLAGS_OFFSET, findsMtu ? IPV4_DF : 0);
  writeHeaderChecksum(view, ROOM, header.length);
  const captured = capturedFrom(queue.pieces, 0, queue.length);
  return {
    bytes,
    view,
    l3: ROOM,
    end: l4 + captured,
    cut: captured < queue.length,
    sourceMac: sourceMac === undefined ? -1 : ROOM - MAC_LENGTH,
    mark: assembly.mark,
    toGroup: assembly.toGroup,
    layout: { pieces: [...queue.pieces], maxSize: assembly.maxSize, findsMtu },
  };
}

/** Kernel: ip_send_check. */
export function writeHeaderChecksum(view: DataView, ip: number, headerLength: number): void {
  view.setUint16(ip + IPV4_CHECKSUM, 0);
  view.setUint16(ip + IPV4_CHECKSUM, ~fold(sumBytes(view, ip, headerLength)) & 0xffff, true);
}

/** How many bytes of the payload from `from` to `to` the capture holds without a gap. */
export function capturedFrom(pieces: readonly Piece[], from: number, to: number): number {
  let at = from;
  for (const { offset, end, bytes } of pieces) {
    if (end <= at || at >= to) continue;
    const held = offset + bytes.length;
    if (held <= at) break;
    at = held;
    if (held < end) break;
  }
  return Math.min(at, to) - from;
}
