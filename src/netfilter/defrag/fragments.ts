/**
 * Fragments of the packet in hand: gathers them into datagrams on the way in, and cuts datagrams on the way out. One for
 * an engine.
 */
import type { Host } from '../../host/types.js';
import { IPV4_DF, IPV4_FLAGS_OFFSET } from '../../packet/ipv4.js';
import type { ChecksumMode } from '../../packet/parse.js';
import type { Packet } from '../packet.js';
import { Random } from '../random.js';
import { ExpiryWatch } from './expired.js';
import { fragmentIpv4, type OutputFragment } from './fragment.js';
import { type CutFault, fragmentIpv6 } from './fragment6.js';
import { type DefragUser, type FragmentLayout, type GatherFault, Ipv4Reassembler, ipv4DefragLimits } from './ipv4.js';
import { Ipv6Reassembler, ipv6DefragLimits, NOT_GATHERED } from './ipv6.js';
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
  readonly expiry = new ExpiryWatch();
  readonly ipv4: Ipv4Reassembler;
  readonly ipv6: Ipv6Reassembler;
  /** How the packet in hand came, if in fragments. */
  layout: FragmentLayout | undefined;
  /** Capture time in milliseconds, not wrapped. */
  now = 0;

  /** Where identifications of IPv6 fragments come from: numbers of their own, so that no other choice depends on them. */
  private readonly random: Random;

  constructor(
    host: Host,
    private readonly checksums: ChecksumMode,
    seed = 1,
  ) {
    this.ipv4 = new Ipv4Reassembler(ipv4DefragLimits(host), this.expiry);
    this.ipv6 = new Ipv6Reassembler(ipv6DefragLimits(host), this.expiry);
    this.random = new Random(seed ^ 0x66726167);
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
    packet.toGroup = datagram.toGroup;
    packet.badChecksum = hasBadChecksum(packet, this.checksums);
    this.layout = datagram.layout;
    return undefined;
  }

  /**
   * As `gather`, for a packet with an IPv6 fragment header. Undefined also where the kernel lets the fragment go on as it
   * is: then `packet` still is that fragment.
   */
  gather6(packet: Packet, user: 'prerouting' | 'output'): GatherFault | undefined {
    const datagram = this.ipv6.gather(packet, user, this.now);
    if (datagram === NOT_GATHERED) {
      // Tracking takes it for a whole packet, whose checksum then is wrong.
      packet.badChecksum = packet.fragmentOffset === 0 && hasBadChecksum(packet, this.checksums);
      return undefined;
    }
    if (typeof datagram === 'string') return datagram;
    const { inInterface } = packet;
    const { bytes, view, l3, end } = datagram;
    packet.loadIpv6(bytes, view, l3, end, bytes.length - l3);
    packet.inInterface = inInterface;
    packet.mark = datagram.mark;
    packet.cut = datagram.cut;
    packet.sourceMac = datagram.sourceMac;
    packet.toGroup = datagram.toGroup;
    packet.badChecksum = hasBadChecksum(packet, this.checksums);
    this.layout = datagram.layout;
    return undefined;
  }

  /** What leaves of an IPv6 packet, undefined if it leaves as it is, or why nothing does. */
  cut6(packet: Packet, linear: number): OutputFragment[] | CutFault | undefined {
    if (this.layout === undefined) return undefined;
    return fragmentIpv6(packet, this.layout, linear, () => this.random.next32() || 1);
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

  /** Gives up what has waited too long. */
  expire(): void {
    this.ipv4.store.expire(this.now);
    this.ipv6.store.expire(this.now);
  }

  get counts(): FragmentCounts {
    const { ipv4, ipv6 } = this;
    this.expire();
    const [a, b] = [ipv4.store.waiting, ipv6.store.waiting];
    return {
      reassembled: ipv4.reassembled + ipv6.reassembled,
      expired: ipv4.store.expired + ipv6.store.expired,
      waitingDatagrams: a.datagrams + b.datagrams,
      waitingFragments: a.fragments + b.fragments,
    };
  }
}
