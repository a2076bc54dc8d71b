/**
 * What a match or target may ask about the packet in hand. Netfilter implements it (one object, reused for every
 * packet: nothing of it may be kept after the call).
 */
import type { Family, Host, InterfaceIndex } from '../host/types.js';
import type { Tuple } from '../packet/tuple.js';
import type { BuiltinChain } from './types.js';

/** Connection state as a rule sees it, bits so that a match is one AND. */
export const STATE_NEW = 1;
export const STATE_ESTABLISHED = 2;
export const STATE_RELATED = 4;
export const STATE_INVALID = 8;
export const STATE_UNTRACKED = 16;
/** Not states proper: the connection is source- or destination-translated. */
export const STATE_SNAT = 32;
export const STATE_DNAT = 64;

/** The connection of the packet, as `-m conntrack` sees it. Tuples in host order, words as in host/types. */
export interface ConnectionView {
  readonly mark: number;
  setMark(value: number): void;
  /** True when the packet travels in the original direction. */
  readonly original: boolean;
  readonly protocol: number;
  readonly originalSource: Uint32Array;
  readonly originalDestination: Uint32Array;
  readonly originalSourcePort: number;
  readonly originalDestinationPort: number;
  readonly replySource: Uint32Array;
  readonly replyDestination: Uint32Array;
  readonly replySourcePort: number;
  readonly replyDestinationPort: number;
  readonly seenReply: boolean;
  readonly assured: boolean;
  readonly confirmed: boolean;
  /** Seconds until it expires. */
  readonly expiresIn: number;
  /** Undefined where no rule counts, or there is nothing to count (nf_conntrack_acct). */
  readonly counters?: ConnectionCounters | undefined;
  /** Labels 0 to 127; undefined where no rule knows of labels. */
  readonly labels?: ConnectionLabels | undefined;
}

/** What has passed by a connection, the packet in hand among it; direction 0 is the original one. */
export interface ConnectionCounters {
  packets(direction: 0 | 1): number;
  bytes(direction: 0 | 1): number;
}

export interface ConnectionLabels {
  has(label: number): boolean;
  set(label: number, on: boolean): void;
}

/** `closed`: in the table yet, but over (TCP in TIME_WAIT or CLOSE). */
export type Standing = 'gone' | 'open' | 'closed';

/** What connection tracking can be asked beside the packet's own connection. */
export interface ConnectionTable {
  /** The original tuple of the packet's connection, or its own where it has none; false where it has no tuple. */
  tupleOfPacket(tuple: Tuple): boolean;
  /** Zone word of the packet's connection. */
  readonly zone: number;
  standing(tuple: Tuple, zone: number): Standing;
}

export interface PacketContext {
  readonly host: Host;
  readonly family: Family;
  readonly hook: BuiltinChain;
  /** NO_INTERFACE where the hook has none. */
  readonly inInterface: InterfaceIndex;
  readonly outInterface: InterfaceIndex;
  /** Port of a bridge it came in by, and is bridged to, where iptables sees bridged packets (br_netfilter); else NO_INTERFACE. */
  readonly bridgeIn?: InterfaceIndex | undefined;
  readonly bridgeOut?: InterfaceIndex | undefined;
  /** Host-order words of the packet as it is now (translated or not). */
  readonly source: Uint32Array;
  readonly destination: Uint32Array;
  /** Layer-4 protocol (after IPv6 extension headers). */
  readonly protocol: number;
  /** Bytes of the capture that hold the packet; offsets below are into them. */
  readonly bytes: Uint8Array;
  readonly view: DataView;
  /** Offset of the IP header, of the layer-4 header, and just past the last captured byte of the IP packet. */
  readonly l3: number;
  readonly l4: number;
  readonly end: number;
  /** Offset in `bytes` of the sender's MAC address; undefined or -1 where the frame has none (then `-m mac` never matches). */
  readonly sourceMac?: number | undefined;
  /** FLAG_BROADCAST or FLAG_MULTICAST if its frame was for more than the host, else 0. */
  readonly toGroup?: number | undefined;
  /** IP total length as the header states it (bytes; what counters count). */
  readonly totalLength: number;
  /** Fragment offset in bytes; a packet with an offset above 0 has no layer-4 header. */
  readonly fragmentOffset: number;
  /** STATE_* bits. */
  readonly state: number;
  /** Undefined for invalid and untracked packets. */
  readonly connection: ConnectionView | undefined;
  /** Undefined where nothing is tracked. */
  readonly connections?: ConnectionTable | undefined;
  readonly mark: number;
  setMark(value: number): void;
  /** Makes room for `count` bytes at offset `at` of the packet, which then lies elsewhere: bytes, view and offsets change. */
  insert(at: number, count: number): void;
  /** To be called when the addresses in the header were changed. */
  loadAddresses(): void;
  /** Asks for the packet to be dropped at once, whatever the rules say (xt_action_param.hotdrop). */
  hotDrop(): void;
  /** Capture time: seconds since 1970 and nanoseconds. */
  readonly seconds: number;
  readonly nanoseconds: number;
  /** Milliseconds since the capture's first packet, wrapping at 2^32, that never run backwards; undefined: not known. */
  readonly now?: number;
}
