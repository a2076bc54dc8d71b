/**
 * What parsing a slab finds, a column for each field; entry i belongs to record i of the slab. Addresses and ports are
 * kept as they are loaded little-endian from the packet: they are compared, hashed and summed, never reckoned with.
 */
import { type Allocator, separately } from '../workspace.js';

/** Not an IP packet, or a link type that is not understood: passed by. */
export const KIND_OTHER = 0;
/** IPv4 with TCP or UDP, whole, without options, not a fragment: the tuple columns are filled. */
export const KIND_IPV4_PORTS = 1;
/** Any other sound IPv4 packet. */
export const KIND_IPV4 = 2;
/** IPv4 that the kernel drops on receipt, before any hook (`reason` says why). */
export const KIND_IPV4_BROKEN = 3;
/** IPv6, sound as far as the kernel looks at it on receipt. */
export const KIND_IPV6 = 4;
/** IP of which the capture's snaplen left less than the IP header (or an IPv6 packet's hop-by-hop options). */
export const KIND_CUT = 5;
/** IPv6 that the kernel drops on receipt, before any hook (`reason` says why). */
export const KIND_IPV6_BROKEN = 6;

/** Bits of the `flags` column. */
/** The capture says that the host sent it (SLL packet type 4, pcapng direction flag). */
export const FLAG_OUTGOING = 1;
/** A layer-4 checksum was verified and is wrong. */
export const FLAG_BAD_CHECKSUM = 2;
/** The packet was cut by the capture's snaplen. */
export const FLAG_CUT = 4;

/** The frame was not addressed to the host: the kernel never looks at it (PACKET_OTHERHOST). */
export const FLAG_OTHER_HOST = 8;
/** The frame was addressed to everybody, or to a group (PACKET_BROADCAST, PACKET_MULTICAST): never forwarded. */
export const FLAG_BROADCAST = 16;
export const FLAG_MULTICAST = 32;
export const FLAG_TO_GROUP = FLAG_BROADCAST | FLAG_MULTICAST;

/** Values of the `reason` column for KIND_OTHER. */
export const OTHER_PROTOCOL = 1;
export const OTHER_LINK_TYPE = 2;

/** Values of the `reason` column for KIND_IPV4_BROKEN and KIND_IPV6_BROKEN. */
export const BROKEN_HEADER = 1;
export const BROKEN_CHECKSUM = 2;
export const BROKEN_LENGTH = 3;
/** Hop-by-hop options of IPv6. */
export const BROKEN_OPTIONS = 4;

export class PacketColumns {
  readonly kind: Uint8Array;
  readonly flags: Uint8Array;
  readonly reason: Uint8Array;
  readonly protocol: Uint8Array;
  /** Offsets in the slab: of the IP header, of the layer-4 header. */
  readonly l3: Int32Array;
  readonly l4: Int32Array;
  /** Past the last captured byte of the IP packet; link-layer padding is outside. */
  readonly end: Int32Array;
  /** IP total length as the header states it. */
  readonly totalLength: Int32Array;
  readonly source: Int32Array;
  readonly destination: Int32Array;
  /** Source port in the low half, destination port in the high half, both as loaded little-endian. */
  readonly ports: Int32Array;
  readonly hash: Int32Array;
  /** ifindex that an SLL2 header states, else -1. */
  readonly ifindex: Int32Array;
  /** Offset of the six bytes of the sender's link-layer address, -1 if the link type has none. */
  readonly sender: Int32Array;

  constructor(
    readonly capacity: number,
    from: Allocator = separately,
  ) {
    const ints = (): Int32Array => from.ints(capacity);
    const bytes = (): Uint8Array => from.bytes(capacity);
    this.kind = bytes();
    this.flags = bytes();
    this.reason = bytes();
    this.protocol = bytes();
    this.l3 = ints();
    this.l4 = ints();
    this.end = ints();
    this.totalLength = ints();
    this.source = ints();
    this.destination = ints();
    this.ports = ints();
    this.hash = ints();
    this.ifindex = ints();
    this.sender = ints();
  }
}
