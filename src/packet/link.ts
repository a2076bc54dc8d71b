/**
 * Link layers: where the IP packet begins in a frame, by the capture's link type (LINKTYPE_* of the pcap registry).
 *
 * Ethernet with any stack of VLAN tags (802.1Q 8100, 802.1ad 88a8, the older Q-in-Q 9100/9200/9300), Linux cooked
 * v1 and v2, raw IP, BSD null and loop. Everything else is passed by.
 */
import { FLAG_BROADCAST, FLAG_MULTICAST, FLAG_OTHER_HOST, FLAG_OUTGOING } from './columns.js';

export const LINKTYPE_NULL = 0;
export const LINKTYPE_ETHERNET = 1;
/** LINKTYPE_RAW as some systems wrote it before the registry settled on 101. */
export const LINKTYPE_RAW_BSD = 12;
export const LINKTYPE_RAW = 101;
export const LINKTYPE_LOOP = 108;
export const LINKTYPE_LINUX_SLL = 113;
export const LINKTYPE_IPV4 = 228;
export const LINKTYPE_IPV6 = 229;
export const LINKTYPE_LINUX_SLL2 = 276;

export const ETHERTYPE_IPV4 = 0x0800;
export const ETHERTYPE_IPV6 = 0x86dd;
const ETHERTYPE_VLAN = 0x8100;
const ETHERTYPE_QINQ = 0x88a8;
const ETHERTYPE_QINQ_OLD_FIRST = 0x9100;
const ETHERTYPE_QINQ_OLD_LAST = 0x9300;

export const ETHERNET_HEADER = 14;
export const ETHERNET_SENDER = 6;
export const ETHERNET_TYPE = 12;
const VLAN_TAG = 4;

const SLL_HEADER = 16;
const SLL_PACKET_TYPE = 0;
const SLL_SENDER_LENGTH = 4;
const SLL_SENDER = 6;
const SLL_PROTOCOL = 14;

const SLL2_HEADER = 20;
const SLL2_PROTOCOL = 0;
const SLL2_IFINDEX = 4;
const SLL2_PACKET_TYPE = 10;
const SLL2_SENDER_LENGTH = 11;
const SLL2_SENDER = 12;

/** sll_pkttype, who a packet is for (linux/if_packet.h); the last of those that the host itself sent. */
const PACKET_BROADCAST = 1;
const PACKET_MULTICAST = 2;
const PACKET_OTHERHOST = 3;
const PACKET_OUTGOING = 4;
const MAC_LENGTH = 6;
/** Bit of a MAC's first byte (IEEE 802: I/G) of broadcast and multicast. */
export const MAC_GROUP = 1;

const NULL_HEADER = 4;
const AF_INET = 2;
/** AF_INET6 of Linux, NetBSD/OpenBSD, FreeBSD, macOS: the number depends on the system that captured. */
const AF_INET6 = [10, 24, 28, 30];

/** What a link layer says of its frame; one object, filled anew for each frame. */
export interface LinkInfo {
  /** 4 or 6; 0: no IP inside. */
  version: number;
  /** Offset of the IP header. */
  l3: number;
  /** FLAG_OUTGOING, FLAG_OTHER_HOST, FLAG_BROADCAST, FLAG_MULTICAST or 0. */
  flags: number;
  /** ifindex of SLL2, else -1. */
  ifindex: number;
  /** Offset of the sender's MAC, else -1. */
  sender: number;
}

/** True for a link type that `parseLink` looks into. */
export function isKnownLinkType(linkType: number): boolean {
  switch (linkType) {
    case LINKTYPE_ETHERNET:
    case LINKTYPE_LINUX_SLL:
    case LINKTYPE_LINUX_SLL2:
    case LINKTYPE_RAW:
    case LINKTYPE_RAW_BSD:
    case LINKTYPE_IPV4:
    case LINKTYPE_IPV6:
    case LINKTYPE_NULL:
    case LINKTYPE_LOOP:
      return true;
    default:
      return false;
  }
}

/** Fills `link` for the frame at `frame`..`end`. A frame too short for its link layer has no IP inside. */
export function parseLink(linkType: number, view: DataView, frame: number, end: number, link: LinkInfo): void {
  link.version = 0;
  link.l3 = frame;
  link.flags = 0;
  link.ifindex = -1;
  link.sender = -1;
  switch (linkType) {
    case LINKTYPE_ETHERNET:
      if (frame + ETHERNET_HEADER > end) return;
      if ((view.getUint8(frame) & MAC_GROUP) !== 0) link.flags = groupFlag(view, frame);
      link.sender = frame + ETHERNET_SENDER;
      skipTags(view, frame + ETHERNET_TYPE, end, link);
      return;
    case LINKTYPE_LINUX_SLL:
      if (frame + SLL_HEADER > end) return;
      link.flags = packetTypeFlags(view.getUint16(frame + SLL_PACKET_TYPE));
      if (view.getUint16(frame + SLL_SENDER_LENGTH) === MAC_LENGTH) link.sender = frame + SLL_SENDER;
      skipTags(view, frame + SLL_PROTOCOL, end, link);
      return;
    case LINKTYPE_LINUX_SLL2:
      if (frame + SLL2_HEADER > end) return;
      link.flags = packetTypeFlags(view.getUint8(frame + SLL2_PACKET_TYPE));
      if (view.getUint8(frame + SLL2_SENDER_LENGTH) === MAC_LENGTH) link.sender = frame + SLL2_SENDER;
      link.ifindex = view.getInt32(frame + SLL2_IFINDEX);
      typed(view.getUint16(frame + SLL2_PROTOCOL), view, frame + SLL2_HEADER, end, link);
      return;
    case LINKTYPE_RAW:
    case LINKTYPE_RAW_BSD:
    case LINKTYPE_IPV4:
    case LINKTYPE_IPV6:
      parseRaw(linkType, view, frame, end, link);
      return;
    case LINKTYPE_NULL:
    case LINKTYPE_LOOP:
      parseNull(linkType, view, frame, end, link);
      return;
    default:
      return;
  }
}

function packetTypeFlags(type: number): number {
  switch (type) {
    case PACKET_BROADCAST:
      return FLAG_BROADCAST;
    case PACKET_MULTICAST:
      return FLAG_MULTICAST;
    case PACKET_OTHERHOST:
      return FLAG_OTHER_HOST;
    case PACKET_OUTGOING:
      return FLAG_OUTGOING;
    default:
      return 0;
  }
}

/** Of the group MAC at `at` (kernel: eth_skb_pkt_type). */
function groupFlag(view: DataView, at: number): number {
  return view.getUint32(at) === 0xffffffff && view.getUint16(at + 4) === 0xffff ? FLAG_BROADCAST : FLAG_MULTICAST;
}

/** `at`: offset of an EtherType that VLAN tags may follow. */
function skipTags(view: DataView, at: number, end: number, link: LinkInfo): void {
  typed(view.getUint16(at), view, at + 2, end, link);
}

function typed(etherType: number, view: DataView, payload: number, end: number, link: LinkInfo): void {
  let type = etherType;
  let l3 = payload;
  while (isVlanTag(type)) {
    if (l3 + VLAN_TAG > end) return;
    type = view.getUint16(l3 + 2);
    l3 += VLAN_TAG;
  }
  link.l3 = l3;
  if (type === ETHERTYPE_IPV4) link.version = 4;
  else if (type === ETHERTYPE_IPV6) link.version = 6;
}

/** Whether an EtherType is that of a VLAN tag. */
export function isVlanTag(type: number): boolean {
  return (
    type === ETHERTYPE_VLAN ||
    type === ETHERTYPE_QINQ ||
    (type >= ETHERTYPE_QINQ_OLD_FIRST && type <= ETHERTYPE_QINQ_OLD_LAST && (type & 0xff) === 0)
  );
}

/** No link layer: the version is the packet's first nibble; 228 and 229 state it. */
function parseRaw(linkType: number, view: DataView, frame: number, end: number, link: LinkInfo): void {
  if (linkType === LINKTYPE_IPV4) link.version = 4;
  else if (linkType === LINKTYPE_IPV6) link.version = 6;
  else if (frame < end) {
    const nibble = view.getUint8(frame) >> 4;
    if (nibble === 4 || nibble === 6) link.version = nibble;
  }
}

/** Four bytes of address family: in the byte order of the system that captured (null) or big-endian (loop). */
function parseNull(linkType: number, view: DataView, frame: number, end: number, link: LinkInfo): void {
  if (frame + NULL_HEADER > end) return;
  const little = view.getUint32(frame, true);
  const family = linkType === LINKTYPE_NULL && little <= 0xffff ? little : view.getUint32(frame);
  link.l3 = frame + NULL_HEADER;
  if (family === AF_INET) link.version = 4;
  else if (AF_INET6.includes(family)) link.version = 6;
}

/** Turns a frame's link-layer header round, for an answer to it: receiver and sender change places. */
export function exchangeEthernetAddresses(link: Uint8Array): void {
  for (let k = 0; k < ETHERNET_SENDER; k++) {
    const receiver = link[k] as number;
    link[k] = link[k + ETHERNET_SENDER] as number;
    link[k + ETHERNET_SENDER] = receiver;
  }
}
