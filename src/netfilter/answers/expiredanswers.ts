/**
 * Tells senders that the rest of their datagram did not come in time. That is noticed at the next packet which takes the
 * slow path: the answer stands behind it in the output, with the time at which it was due. What has not been noticed when
 * the capture ends is not told.
 */
import type { Slab } from '../../capture/slab.js';
import type { ExtraRecord } from '../../capture/types.js';
import type { PacketColumns } from '../../packet/columns.js';
import { ETHERNET_SENDER, exchangeEthernetAddresses } from '../../packet/link.js';
import type { CaptureClock } from '../clock.js';
import type { ExpiredDatagram, Origin } from '../defrag/expired.js';
import type { Fragments } from '../defrag/fragments.js';
import type { Packet } from '../packet.js';
import { type InputRouter, newRouting } from '../routing.js';
import type { HostAnswers } from './answers.js';

/** What answers are made of, for one family. */
export interface Answering {
  readonly answers: HostAnswers;
  /** One that nobody else has in hand. */
  readonly packet: Packet;
}

export class ExpiredAnswers {
  private readonly records: ExtraRecord[] = [];
  private readonly routing = newRouting();

  constructor(
    private readonly fragments: Fragments,
    private readonly ipv4: Answering & { readonly router: InputRouter },
    private readonly ipv6: () => Answering | undefined,
  ) {}

  /** To be called before record i is judged, and `takeInto` after. */
  tell(slab: Slab, columns: PacketColumns, i: number, clock: CaptureClock): void {
    const { fragments } = this;
    const { expiry } = fragments;
    fragments.now = clock.time;
    fragments.expire();
    expiry.origin = () => originOf(slab, columns, i);
    if (expiry.ipv4.length === 0 && expiry.ipv6.length === 0) return;
    for (const datagram of expiry.ipv4.splice(0)) this.tellIpv4(slab, i, clock, datagram);
    for (const datagram of expiry.ipv6.splice(0)) this.tellIpv6(slab, i, clock, datagram);
  }

  takeInto(extras: ExtraRecord[]): void {
    if (this.records.length > 0) extras.push(...this.records.splice(0));
  }

  /** Only the host that a datagram was for says so (RFC 792; kernel: ip_expire). */
  private tellIpv4(slab: Slab, i: number, clock: CaptureClock, datagram: ExpiredDatagram): void {
    const { packet, answers, router } = this.ipv4;
    const { bytes, ingress } = datagram;
    packet.loadIpv4(bytes, new DataView(bytes.buffer), 0, bytes.length);
    prepare(packet, slab, i, clock, datagram);
    router.route(packet.source, packet.destination, ingress, this.routing);
    if (this.routing.kind !== 'local') return;
    answers.reassemblyTimedOut(packet);
    this.keep(answers, slab, i, clock, datagram);
  }

  /** A router does so too, which gathers what it tracks (kernel: nf_ct_frag6_expire). */
  private tellIpv6(slab: Slab, i: number, clock: CaptureClock, datagram: ExpiredDatagram): void {
    const stack = this.ipv6();
    if (stack === undefined) return;
    const { packet, answers } = stack;
    const { bytes } = datagram;
    packet.loadIpv6(bytes, new DataView(bytes.buffer), 0, bytes.length, bytes.length);
    prepare(packet, slab, i, clock, datagram);
    answers.reassemblyTimedOut(packet);
    this.keep(answers, slab, i, clock, datagram);
  }

  private keep(answers: HostAnswers, slab: Slab, i: number, clock: CaptureClock, datagram: ExpiredDatagram): void {
    const { link, source, at } = datagram;
    const { records } = slab;
    const before = Math.max(0, clock.time - at);
    const nanoseconds = (records.nanoseconds[i] as number) - Math.round((before % 1000) * 1e6);
    for (const { bytes, egress } of answers.sent.splice(0)) {
      const frame = new Uint8Array(link.length + bytes.length);
      frame.set(link);
      frame.set(bytes, link.length);
      this.records.push({
        after: i,
        output: egress,
        source,
        seconds: (records.seconds[i] as number) - Math.floor(before / 1000) - (nanoseconds < 0 ? 1 : 0),
        nanoseconds: nanoseconds < 0 ? nanoseconds + 1e9 : nanoseconds,
        wireLength: frame.length,
        frame,
      });
    }
  }
}

function prepare(
  packet: Packet,
  { records }: Slab,
  i: number,
  { now }: CaptureClock,
  { ingress, toGroup }: ExpiredDatagram,
): void {
  packet.inInterface = ingress;
  packet.toGroup = toGroup;
  packet.now = now;
  packet.seconds = records.seconds[i] as number;
  packet.nanoseconds = records.nanoseconds[i] as number;
}

function originOf({ bytes, records }: Slab, { l3, sender }: PacketColumns, i: number): Origin {
  const from = records.frame[i] as number;
  const link = bytes.slice(from, l3[i] as number);
  if ((sender[i] as number) - from === ETHERNET_SENDER) exchangeEthernetAddresses(link);
  return { link, source: records.source[i] as number };
}
