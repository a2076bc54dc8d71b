/**
 * Reassembly of IPv6 datagrams (RFC 8200 section 4.5; kernel: nf_defrag_ipv6, nf_ct_frag6_gather, nf_ct_frag6_reasm). A
 * fragment header on its own (an atomic fragment, RFC 6946) is taken off like any other.
 */
import type { Host } from '../../host/types.js';
import {
  IPV6_HEADER,
  IPV6_NEXT_HEADER,
  IPV6_PAYLOAD_LENGTH,
  NEXTHDR_AUTH,
  NEXTHDR_DEST,
  NEXTHDR_FRAGMENT,
  NEXTHDR_HOP,
  NEXTHDR_ROUTING,
  skipExtensionHeaders,
  type UpperLayer,
} from '../../packet/ipv6.js';
import { PROTO_ICMPV6, PROTO_TCP, PROTO_UDP } from '../../packet/transport.js';
import type { Packet } from '../packet.js';
import { spreadEcn, withEcn } from './ecn.js';
import type { ExpiryWatch, FirstFragment } from './expired.js';
import { capturedFrom, type Datagram, type GatherFault } from './ipv4.js';
import { FragmentQueue } from './queue.js';
import { type DefragLimits, type Waiting, WaitingDatagrams } from './store.js';

/** RFC 8200 section 4.5: next header, reserved, offset and flag, identification. */
export const FRAGMENT_HEADER = 8;
const OFFSET_FLAGS = 2;
const IDENTIFICATION = 4;
const MORE = 1;
const MAX_PAYLOAD = 65535;
const MAC_LENGTH = 6;
/** Room before the header in a datagram's memory, as for IPv4. */
const ROOM = 8;
/** Upper-layer headers that a first fragment must hold in full. */
const WHOLE_HEADERS = new Map([
  [PROTO_TCP, 20],
  [PROTO_UDP, 8],
  [PROTO_ICMPV6, 8],
]);

/** The kernel leaves the packet alone: it goes on as the fragment it is. */
export const NOT_GATHERED = 'not-gathered';

class Assembly6 implements Waiting {
  since = 0;
  memory = 0;
  fragments = 0;
  readonly queue = new FragmentQueue();
  ecn = 0;
  maxSize = 0;
  /** The unfragmentable part of the first fragment. */
  header: Uint8Array | undefined;
  first: FirstFragment | undefined;
  sourceMac: Uint8Array | undefined;
  mark = 0;
  toGroup = 0;
}

/** The host's sysctls, or the kernel's defaults. */
export function ipv6DefragLimits(host: Host): DefragLimits {
  const number = (name: string, otherwise: number): number => {
    const stated = Number(host.sysctl(`net.netfilter.nf_conntrack_frag6_${name}`) ?? Number.NaN);
    return Number.isFinite(stated) ? stated : otherwise;
  };
  return { timeout: number('timeout', 60) * 1000, memory: number('high_thresh', 4 * 1024 * 1024) };
}

export class Ipv6Reassembler {
  reassembled = 0;
  readonly store: WaitingDatagrams<Assembly6>;

  constructor(
    limits: DefragLimits,
    private readonly watch?: ExpiryWatch,
  ) {
    const expire = ({ first, since }: Assembly6): void => {
      if (first !== undefined) watch?.ipv6.push({ ...first, at: since + limits.timeout });
    };
    this.store = new WaitingDatagrams(limits, () => new Assembly6(), expire);
  }

  /** Takes in a packet with a fragment header; `now`: milliseconds of capture time. */
  gather(packet: Packet, user: 'prerouting' | 'output', now: number): Datagram | GatherFault | typeof NOT_GATHERED {
    const { view, l3 } = packet;
    const header = findFragmentHeader(view, l3, packet.end);
    const payload = view.getUint16(l3 + IPV6_PAYLOAD_LENGTH);
    if (header === undefined || payload === 0) return NOT_GATHERED;
    const { at, nextAt } = header;
    const word = view.getUint16(at + OFFSET_FLAGS);
    const offset = word & 0xfff8;
    const more = (word & MORE) !== 0;
    if (offset === 0 && headerIsCut(packet, at)) return NOT_GATHERED;
    const key = keyOf(packet, user, view.getUint32(at + IDENTIFICATION));
    const assembly = this.store.find(key, now);
    if (assembly === undefined) return 'fragment-memory';
    const from = at + FRAGMENT_HEADER;
    const end = offset + l3 + IPV6_HEADER + payload - from;
    if (end > MAX_PAYLOAD) return 'fragment-too-long';
    assembly.ecn = withEcn(assembly.ecn, view.getUint8(l3 + 1) >> 4);
    if (more && end % 8 !== 0) {
      this.store.remove(key, assembly);
      return NOT_GATHERED;
    }
    const bytes = packet.bytes.slice(from, Math.max(from, Math.min(packet.end, from + end - offset)));
    const addition = assembly.queue.add({ offset, end, bytes }, more);
    if (addition === 'duplicate') return 'fragment-duplicate';
    if (addition === 'overlap') {
      this.store.remove(key, assembly);
      return 'fragment-overlap';
    }
    if (addition === 'inconsistent' || addition === 'empty') return 'fragment-inconsistent';
    this.store.keep(assembly, packet.totalLength);
    assembly.maxSize = Math.max(assembly.maxSize, IPV6_HEADER + payload);
    if (offset === 0) {
      takeHeader(assembly, packet, at, nextAt);
      assembly.first = this.watch?.take(packet, from + end);
    }
    if (addition === 'waiting') return 'held';
    this.store.remove(key, assembly);
    const datagram = putTogether(assembly);
    if (typeof datagram !== 'string') this.reassembled++;
    return datagram;
  }
}

/** The interface counts only where the destination is of a link or a group (kernel: fq_find). */
function keyOf({ source, destination, inInterface }: Packet, user: string, id: number): string {
  const high = destination[0] ?? 0;
  const scoped = high >>> 24 === 0xff || high >>> 22 === 0xfe80 >>> 6;
  return `${user} ${source.join()} ${destination.join()} ${id} ${scoped ? inInterface : 0}`;
}

/** Offset of the fragment header and of the byte that announces it; undefined if it is not there (find_prev_fhdr). */
function findFragmentHeader(
  view: DataView,
  ip: number,
  end: number,
): { readonly at: number; readonly nextAt: number } | undefined {
  let nextAt = ip + IPV6_NEXT_HEADER;
  let at = ip + IPV6_HEADER;
  while (at + FRAGMENT_HEADER <= end) {
    switch (view.getUint8(nextAt)) {
      case NEXTHDR_FRAGMENT:
        return { at, nextAt };
      case NEXTHDR_HOP:
      case NEXTHDR_ROUTING:
      case NEXTHDR_DEST:
        nextAt = at;
        at += (view.getUint8(at + 1) + 1) << 3;
        break;
      case NEXTHDR_AUTH:
        nextAt = at;
        at += (view.getUint8(at + 1) + 2) << 2;
        break;
      default:
        return undefined;
    }
  }
  return undefined;
}

const upper: UpperLayer = { protocol: 0, offset: 0, fragmentOffset: 0, isFragment: false };

/** A first fragment must hold all headers up to the upper layer's (RFC 7112), else the kernel leaves it alone. */
function headerIsCut(packet: Packet, fragmentHeader: number): boolean {
  const { view, l3, end, wireEnd } = packet;
  if (!skipExtensionHeaders(view, l3, end, upper) || upper.offset < fragmentHeader) return false;
  return upper.offset + (WHOLE_HEADERS.get(upper.protocol) ?? 1) > wireEnd;
}

function takeHeader(assembly: Assembly6, packet: Packet, fragmentHeader: number, nextAt: number): void {
  const { bytes, view, l3, sourceMac } = packet;
  const header = bytes.slice(l3, fragmentHeader);
  header[nextAt - l3] = view.getUint8(fragmentHeader);
  assembly.header = header;
  assembly.sourceMac = sourceMac < 0 ? undefined : bytes.slice(sourceMac, sourceMac + MAC_LENGTH);
  assembly.mark = packet.mark;
  assembly.toGroup = packet.toGroup;
}

function putTogether(assembly: Assembly6): Datagram | GatherFault {
  const { queue, header, sourceMac } = assembly;
  const ecn = spreadEcn(assembly.ecn);
  if (ecn === undefined) return 'fragment-ecn-mixed';
  if (header === undefined) return 'fragment-inconsistent';
  const payload = header.length - IPV6_HEADER + queue.length;
  if (payload > MAX_PAYLOAD) return 'fragment-too-long';
  const bytes = new Uint8Array(ROOM + IPV6_HEADER + payload);
  const view = new DataView(bytes.buffer);
  if (sourceMac !== undefined) bytes.set(sourceMac, ROOM - MAC_LENGTH);
  bytes.set(header, ROOM);
  const start = ROOM + header.length;
  for (const piece of queue.pieces) bytes.set(piece.bytes, start + piece.offset);
  view.setUint16(ROOM + IPV6_PAYLOAD_LENGTH, payload);
  view.setUint8(ROOM + 1, view.getUint8(ROOM + 1) | (ecn << 4));
  const captured = capturedFrom(queue.pieces, 0, queue.length);
  return {
    bytes,
    view,
    l3: ROOM,
    end: start + captured,
    cut: captured < queue.length,
    sourceMac: sourceMac === undefined ? -1 : ROOM - MAC_LENGTH,
    mark: assembly.mark,
    toGroup: assembly.toGroup,
    layout: { pieces: [...queue.pieces], maxSize: assembly.maxSize, findsMtu: false, headerLength: header.length },
  };
}
