/**
 * The frames that few packets are: ICMP, fragments, IPv6. Written for the reader; `frames.ts` has those that must be fast.
 * Every function returns the length of the frame.
 */
import type { Prefix6 } from './address.js';
import {
  complement,
  ETHERNET_HEADER,
  IPV4_HEADER,
  MSS_OPTION,
  PROTOCOL_TCP,
  PROTOCOL_UDP,
  putEthernet,
  SYN,
  SYN_HEADER,
  TCP_HEADER,
  TCP_WINDOW,
  UDP_HEADER,
  words,
} from './frames.js';
import { fill, PAYLOAD_SUM } from './payload.js';
import type { Interface } from './plan.js';

const ETHERTYPE_IPV4 = 0x0800;
const ETHERTYPE_IPV6 = 0x86dd;
const IPV6_HEADER = 40;
const PROTOCOL_ICMP = 1;
const PROTOCOL_ICMPV6 = 58;
const ICMP_HEADER = 8;
const DONT_FRAGMENT = 0x4000;
const MORE_FRAGMENTS = 0x2000;
/** The shortest frame of Ethernet, without the frame check sequence. */
const SHORTEST_FRAME = 60;

/** Data of a fragment that is not the last one: an MTU of 1500. */
export const FRAGMENT = 1480;

/** ICMP types and codes (RFC 792). */
const DESTINATION_UNREACHABLE = 3;
const PORT_UNREACHABLE = 3;
const FRAGMENTATION_NEEDED = 4;
/** Of an error: IPv4 header and eight bytes of what it is about. */
const QUOTED = IPV4_HEADER + 8;
/** A tunnel's MTU, which is what "fragmentation needed" tells. */
const NEXT_HOP_MTU = 1400;

/** A packet as it comes in. */
export interface Sender {
  ingress: number;
  source: number;
  destination: number;
  ports: number;
  /** Of IPv6: indices of the prefixes of both addresses. */
  sourcePrefix: number;
  destinationPrefix: number;
}

export class UncommonFrames {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #interfaces: readonly Interface[];
  readonly #prefixes6: readonly Prefix6[];

  constructor(bytes: Uint8Array, view: DataView, interfaces: readonly Interface[], prefixes6: readonly Prefix6[] = []) {
    this.#bytes = bytes;
    this.#view = view;
    this.#interfaces = interfaces;
    this.#prefixes6 = prefixes6;
  }

  /** An echo request or reply in a frame of `frameLength` bytes; the identification is the sender's source port. */
  echo(at: number, frameLength: number, from: Sender, id: number, reply: boolean, sequence: number): number {
    const payload = frameLength - ETHERNET_HEADER - IPV4_HEADER - ICMP_HEADER;
    this.#ipv4(at, from, id, DONT_FRAGMENT, PROTOCOL_ICMP, ICMP_HEADER + payload);
    this.#echoMessage(at + ETHERNET_HEADER + IPV4_HEADER, reply ? 0 : 8, from.ports >>> 16, sequence, payload, 0);
    return frameLength;
  }

  echo6(at: number, size: number, from: Sender, reply: boolean, sequence: number): number {
    const payload = Math.max(8, size - ETHERNET_HEADER - IPV6_HEADER - ICMP_HEADER);
    const pseudo = this.#ipv6(at, from, PROTOCOL_ICMPV6, ICMP_HEADER + payload);
    const start = at + ETHERNET_HEADER + IPV6_HEADER;
    this.#echoMessage(start, reply ? 129 : 128, from.ports >>> 16, sequence, payload, pseudo);
    return ETHERNET_HEADER + IPV6_HEADER + ICMP_HEADER + payload;
  }

  /** A TCP segment over IPv6, in about `size` bytes; returns frame length and, in `payload`, how much data it has. */
  tcp6(
    at: number,
    size: number,
    from: Sender,
    flags: number,
    seq: number,
    ack: number,
    hasData: boolean,
    into: { payload: number },
  ): number {
    const header = (flags & SYN) !== 0 ? SYN_HEADER : TCP_HEADER;
    const payload = hasData ? Math.max(8, size - ETHERNET_HEADER - IPV6_HEADER - header) : 0;
    into.payload = payload;
    const view = this.#view;
    const start = at + ETHERNET_HEADER + IPV6_HEADER;
    let sum = this.#ipv6(at, from, PROTOCOL_TCP, header + payload) + (PAYLOAD_SUM[payload] as number);
    view.setInt32(start, from.ports);
    view.setInt32(start + 4, seq);
    view.setInt32(start + 8, ack);
    view.setUint16(start + 12, (header << 10) | flags);
    view.setUint16(start + 14, TCP_WINDOW);
    view.setUint32(start + 16, 0);
    if (header === SYN_HEADER) view.setUint32(start + TCP_HEADER, MSS_OPTION);
    sum += this.#sum(start, header);
    view.setUint16(start + 16, complement(sum));
    fill(this.#bytes, view, start + header, payload, start + header + payload);
    return ETHERNET_HEADER + IPV6_HEADER + header + payload;
  }

  udp6(at: number, size: number, from: Sender): number {
    const payload = Math.max(8, size - ETHERNET_HEADER - IPV6_HEADER - UDP_HEADER);
    const length = UDP_HEADER + payload;
    const sum = this.#ipv6(at, from, PROTOCOL_UDP, length) + (PAYLOAD_SUM[payload] as number);
    const start = at + ETHERNET_HEADER + IPV6_HEADER;
    this.#udpHeader(start, from.ports, length, sum);
    fill(this.#bytes, this.#view, start + UDP_HEADER, payload, start + length);
    return ETHERNET_HEADER + IPV6_HEADER + length;
  }

  /**
   * Fragment `number` of a UDP datagram of `count` fragments, the last of which has `last` bytes of data; one alone is
   * no fragment.
   */
  fragment(at: number, from: Sender, id: number, number: number, count: number, last: number): number {
    const length = number === count - 1 ? last : FRAGMENT;
    const flags = (number < count - 1 ? MORE_FRAGMENTS : 0) | ((number * FRAGMENT) / 8);
    this.#ipv4(at, from, id, flags, PROTOCOL_UDP, length);
    const start = at + ETHERNET_HEADER + IPV4_HEADER;
    let header = 0;
    if (number === 0) {
      const whole = (count - 1) * FRAGMENT + last;
      header = UDP_HEADER;
      let data = PAYLOAD_SUM[(count === 1 ? last : FRAGMENT) - UDP_HEADER] as number;
      if (count > 1) data += (count - 2) * (PAYLOAD_SUM[FRAGMENT] as number) + (PAYLOAD_SUM[last] as number);
      const pseudo = words(from.source) + words(from.destination) + PROTOCOL_UDP + whole;
      this.#udpHeader(start, from.ports, whole, pseudo + data);
    }
    const end = Math.max(at + SHORTEST_FRAME, start + length);
    fill(this.#bytes, this.#view, start + header, length - header, end);
    return end - at;
  }

  /** "Port unreachable" about a UDP datagram of `size` bytes of IPv4 that `from` got. */
  portUnreachable(at: number, from: Sender, reporter: number, id: number, about: Quoted): number {
    return this.#error(at, from, reporter, id, PORT_UNREACHABLE, 0, about, PROTOCOL_UDP);
  }

  /** "Fragmentation needed" about a TCP segment that was on its way to `from`. */
  tooBig(at: number, from: Sender, reporter: number, id: number, about: Quoted): number {
    return this.#error(at, from, reporter, id, FRAGMENTATION_NEEDED, NEXT_HOP_MTU, about, PROTOCOL_TCP);
  }

  #error(
    at: number,
    from: Sender,
    reporter: number,
    id: number,
    code: number,
    more: number,
    about: Quoted,
    protocol: number,
  ): number {
    const view = this.#view;
    this.#ipv4(at, { ...from, source: reporter }, id, 0, PROTOCOL_ICMP, ICMP_HEADER + QUOTED);
    const start = at + ETHERNET_HEADER + IPV4_HEADER;
    view.setUint16(start, (DESTINATION_UNREACHABLE << 8) | code);
    view.setUint16(start + 2, 0);
    view.setUint32(start + 4, more);
    const quoted = start + ICMP_HEADER;
    // What the gateway sent: from where answers go to where they come from, some hops later.
    this.#ipv4Header(quoted, from.destination, from.source, about.id, DONT_FRAGMENT, about.ttl, protocol, about.length);
    view.setUint16(quoted + IPV4_HEADER, from.ports & 0xffff);
    view.setUint16(quoted + IPV4_HEADER + 2, from.ports >>> 16);
    view.setInt32(quoted + IPV4_HEADER + 4, about.rest);
    view.setUint16(start + 2, complement(this.#sum(start, ICMP_HEADER + QUOTED)));
    const end = start + ICMP_HEADER + QUOTED;
    return end - at;
  }

  #echoMessage(at: number, type: number, id: number, sequence: number, payload: number, pseudo: number): void {
    const view = this.#view;
    view.setUint32(at, type << 24);
    view.setUint16(at + 4, id);
    view.setUint16(at + 6, sequence);
    const sum = pseudo + this.#sum(at, ICMP_HEADER) + (PAYLOAD_SUM[payload] as number);
    view.setUint16(at + 2, complement(sum));
    fill(this.#bytes, view, at + ICMP_HEADER, payload, at + ICMP_HEADER + payload);
  }

  /** `sum`: of pseudo header and data. */
  #udpHeader(at: number, ports: number, length: number, sum: number): void {
    const view = this.#view;
    view.setInt32(at, ports);
    view.setUint16(at + 4, length);
    view.setUint16(at + 6, complement(sum + words(ports) + length) || 0xffff);
  }

  #ipv4(at: number, from: Sender, id: number, fragmentation: number, protocol: number, length: number): void {
    const ingress = this.#interfaces[from.ingress] as Interface;
    putEthernet(this.#view, at, ingress, from.source, ETHERTYPE_IPV4);
    const { source, destination } = from;
    const total = IPV4_HEADER + length;
    this.#ipv4Header(at + ETHERNET_HEADER, source, destination, id, fragmentation, ingress.ttl, protocol, total);
  }

  #ipv4Header(
    at: number,
    source: number,
    destination: number,
    id: number,
    fragmentation: number,
    ttl: number,
    protocol: number,
    total: number,
  ): void {
    const view = this.#view;
    view.setUint16(at, 0x4500);
    view.setUint16(at + 2, total);
    view.setUint16(at + 4, id);
    view.setUint16(at + 6, fragmentation);
    view.setUint16(at + 8, (ttl << 8) | protocol);
    view.setUint16(at + 10, 0);
    view.setInt32(at + 12, source);
    view.setInt32(at + 16, destination);
    view.setUint16(at + 10, complement(this.#sum(at, IPV4_HEADER)));
  }

  /** Ethernet and IPv6 headers; returns the sum of the pseudo header (RFC 8200, 8.1). */
  #ipv6(at: number, from: Sender, protocol: number, length: number): number {
    const view = this.#view;
    const ingress = this.#interfaces[from.ingress] as Interface;
    putEthernet(view, at, ingress, from.source, ETHERTYPE_IPV6);
    const ip = at + ETHERNET_HEADER;
    view.setUint32(ip, 0x60000000);
    view.setUint16(ip + 4, length);
    view.setUint8(ip + 6, protocol);
    view.setUint8(ip + 7, ingress.ttl);
    this.#address6(ip + 8, from.sourcePrefix, from.source);
    this.#address6(ip + 24, from.destinationPrefix, from.destination);
    return this.#sum(ip + 8, 32) + protocol + length;
  }

  #address6(at: number, prefix: number, low: number): void {
    const [a, b, c] = this.#prefixes6[prefix] as Prefix6;
    this.#view.setUint32(at, a);
    this.#view.setUint32(at + 4, b);
    this.#view.setUint32(at + 8, c);
    this.#view.setInt32(at + 12, low);
  }

  /** Of `length` bytes, an even number, as 16-bit words. */
  #sum(at: number, length: number): number {
    let sum = 0;
    for (let i = 0; i < length; i += 2) sum += this.#view.getUint16(at + i);
    return sum;
  }
}

/** What an error is about. */
export interface Quoted {
  readonly id: number;
  readonly ttl: number;
  /** IPv4 total length. */
  readonly length: number;
  /** The second four bytes behind the IPv4 header. */
  readonly rest: number;
}
