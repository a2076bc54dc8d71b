/**
 * Datagrams whose rest did not come in time, for the host to say so (kernel: ip_expire, ip6frag_expire_frag_queue). Only
 * those whose first fragment came, which is what is sent back.
 */
import type { InterfaceIndex } from '../../host/types.js';
import type { Packet } from '../packet.js';

/** How the first fragment came: what an answer goes back with. */
export interface Origin {
  /** Link-layer header of a frame that goes back to where the fragment came from. */
  readonly link: Uint8Array;
  /** Capture interface. */
  readonly source: number;
}

export interface FirstFragment extends Origin {
  /** From the IP header on, without what was beyond its last whole block of eight. */
  readonly bytes: Uint8Array;
  readonly ingress: InterfaceIndex;
  readonly toGroup: number;
}

export interface ExpiredDatagram extends FirstFragment {
  /** When its time was over, milliseconds of capture time. */
  readonly at: number;
}

/** Of one engine and both families. */
export class ExpiryWatch {
  /** Whoever takes them empties these. */
  readonly ipv4: ExpiredDatagram[] = [];
  readonly ipv6: ExpiredDatagram[] = [];
  /** Of the packet in hand. Undefined: nobody wants to know of datagrams that expire. */
  origin: (() => Origin) | undefined;

  /** The first fragment that `packet` is, up to `end`; undefined if nothing would be said about it. */
  take({ bytes, l3, end: captured, inInterface, toGroup }: Packet, end: number): FirstFragment | undefined {
    if (this.origin === undefined || inInterface < 0) return undefined;
    return { ...this.origin(), bytes: bytes.slice(l3, Math.min(captured, end)), ingress: inInterface, toGroup };
  }
}
