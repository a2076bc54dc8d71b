/**
 * Fragments of the packet in hand: gathers them into datagrams on the way in, and cuts datagrams on the way out. One for
 * an engine.
 */
import type { Host } from '../../host/types.js';
import { IPV4_DF, IPV4_FLAGS_OFFSET } from '../../packet/ipv4.js';
import type { ChecksumMode } from '../../packet/parse.js';
import type { Packet } from '../packet.js';
import { fragmentIpv4, type OutputFragment } from './fragment.js';
import { type DefragUser, type FragmentLayout, type GatherFault, Ipv4Reassembler, ipv4DefragLimits } from './ipv4.js';
import { hasBadChecksum } from './transportsum.js';

/** What the report says about fragments. */
export interface FragmentCounts {
  /** Datagrams put together, and given up because their time was over. */
  readonly reassembled: number;
  readonly expired: number;
  /** What still waits at the end. */
  readonly waitingDatagrams: number;
  readonly waitingFragments: number;
}

export class Fragments {
  readonly ipv4: Ipv4Reassembler;
  /** How the packet in hand came, if in fragments. */
  layout: FragmentLayout | undefined;
  /** Capture time in milliseconds, not wrapped. */
  now = 0;

  constructor(
    host: Host,
    private readonly checksums: ChecksumMode,
  ) {
    this.ipv4 = new Ipv4Reassembler(ipv4DefragLimits(host));
  }

  /**
   * Gathers the fragment that `packet` is. Undefined: with it the datagram is complete, and `packet` is now the datagram.
   * Else why it goes no further.
   */
  gather(packet: Packet, user: DefragUser): GatherFault | undefined {
    const datagram = this.ipv4.gather(packet, user, this.now);
    if (typeof datagram === 'string') return datagram;
    const { inInterface, outInterface, nextHop } = packet;
    packet.loadIpv4(datagram.bytes, datagram.view, datagram.l3, datagram.end);
    packet.inInterface = inInterface;
    packet.outInterface = outInterface;
    packet.nextHop = nextHop;
    packet.mark = datagram.mark;
    packet.cut = datagram.cut;
    packet.sourceMac = datagram.sourceMac;
    packet.badChecksum = hasBadChecksum(packet, this.checksums);
    this.layout = datagram.layout;
    return undefined;
  }

  /** Whether the packet would have to be cut to leave over a link of this MTU, but says that it must not be. */
  isTooBig({ view, l3, totalLength }: Packet, mtu: number): boolean {
    if ((view.getUint16(l3 + IPV4_FLAGS_OFFSET) & IPV4_DF) === 0) return false;
    return this.layout === undefined ? totalLength > mtu : this.layout.maxSize > mtu;
  }

  /** What leaves of the packet, undefined if it leaves as it is. `linear`: see `linearBytes`. */
  cut(packet: Packet, mtu: number, linear: number): OutputFragment[] | undefined {
    if (this.layout === undefined && packet.totalLength <= mtu) return undefined;
    return fragmentIpv4(packet, mtu, this.layout, linear);
  }

  get counts(): FragmentCounts {
    const { reassembled, store } = this.ipv4;
    const { datagrams, fragments } = store.waiting;
    return { reassembled, expired: store.expired, waitingDatagrams: datagrams, waitingFragments: fragments };
  }
}
