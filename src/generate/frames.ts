/**
 * TCP and UDP over IPv4, written straight into a block of capture bytes. Runs for nearly every generated packet: no
 * allocation, headers as whole 32-bit words, and checksums as sums of words that are at hand anyway (RFC 1071).
 * Numbers are 32-bit two's complement throughout, which the engine keeps in registers.
 */
import { fill, PAYLOAD_SUM } from './payload.js';
import type { Interface } from './plan.js';

export const ETHERNET_HEADER = 14;
export const IPV4_HEADER = 20;
export const TCP_HEADER = 20;
export const UDP_HEADER = 8;
/** A SYN carries a maximum segment size option. */
export const SYN_HEADER = 24;
export const MSS_OPTION = 0x020405b4;

export const FIN = 0x01;
export const SYN = 0x02;
export const PSH = 0x08;
export const ACK = 0x10;

export const PROTOCOL_TCP = 6;
export const PROTOCOL_UDP = 17;
export const TCP_WINDOW = 64240;
const DONT_FRAGMENT = 0x4000;
const VERSION_IHL = 0x4500;
const ETHERTYPE_AND_VERSION = 0x08004500;
/** Locally administered; the sender's address follows. */
const NEIGHBOUR = 0x0204;

/** Words of an Ethernet header by interface that frames come in by: destination and source MAC, and the sender's TTL. */
const LINK = 4;
const TTL = 3;

export class FrameWriter {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #links: Int32Array;

  /** `bytes` and `view` are the same memory; frames are written at absolute offsets. */
  constructor(bytes: Uint8Array, view: DataView, interfaces: readonly Interface[]) {
    this.#bytes = bytes;
    this.#view = view;
    this.#links = linkWords(interfaces);
  }

  /**
   * A TCP segment with `payload` bytes of data, padded with zeros to `frameLength` bytes. `ports`: source and
   * destination, 16 bits each; a SYN has a maximum segment size option.
   */
  tcp(
    at: number,
    frameLength: number,
    ingress: number,
    source: number,
    destination: number,
    ports: number,
    id: number,
    flags: number,
    seq: number,
    ack: number,
    payload: number,
  ): void {
    const view = this.#view;
    const header = (flags & SYN) !== 0 ? SYN_HEADER : TCP_HEADER;
    const segment = header + payload;
    const addresses = words(source) + words(destination);
    this.#headers(at, ingress, source, destination, id, PROTOCOL_TCP, segment, addresses);
    const offsetAndFlags = (header << 10) | flags;
    let sum = addresses + words(ports) + PROTOCOL_TCP + segment + words(seq) + words(ack);
    sum += offsetAndFlags + TCP_WINDOW + (PAYLOAD_SUM[payload] as number);
    if (header === SYN_HEADER) {
      view.setInt32(at + 54, MSS_OPTION);
      sum += words(MSS_OPTION);
    }
    view.setInt32(at + 32, (destination << 16) | (ports >>> 16));
    view.setInt32(at + 36, (ports << 16) | (seq >>> 16));
    view.setInt32(at + 40, (seq << 16) | (ack >>> 16));
    view.setInt32(at + 44, (ack << 16) | offsetAndFlags);
    view.setInt32(at + 48, (TCP_WINDOW << 16) | complement(sum));
    view.setInt16(at + 52, 0);
    fill(this.#bytes, view, at + ETHERNET_HEADER + IPV4_HEADER + header, payload, at + frameLength);
  }

  /** A UDP datagram that fills a frame of `frameLength` bytes. */
  udp(
    at: number,
    frameLength: number,
    ingress: number,
    source: number,
    destination: number,
    ports: number,
    id: number,
  ): void {
    const view = this.#view;
    const length = frameLength - ETHERNET_HEADER - IPV4_HEADER;
    const payload = length - UDP_HEADER;
    const addresses = words(source) + words(destination);
    this.#headers(at, ingress, source, destination, id, PROTOCOL_UDP, length, addresses);
    const sum = addresses + words(ports) + PROTOCOL_UDP + length + length + (PAYLOAD_SUM[payload] as number);
    view.setInt32(at + 32, (destination << 16) | (ports >>> 16));
    view.setInt32(at + 36, (ports << 16) | length);
    // RFC 768: a checksum that comes out as zero is sent as all ones.
    view.setInt16(at + 40, complement(sum) || 0xffff);
    fill(this.#bytes, view, at + 42, payload, at + frameLength);
  }

  /** Ethernet and IPv4 headers but for the lower half of the destination, for `length` bytes behind them. */
  #headers(
    at: number,
    ingress: number,
    source: number,
    destination: number,
    id: number,
    protocol: number,
    length: number,
    addresses: number,
  ): void {
    const view = this.#view;
    const links = this.#links;
    const link = ingress * LINK;
    const total = IPV4_HEADER + length;
    const ttlAndProtocol = (links[link + TTL] as number) | protocol;
    const sum = VERSION_IHL + total + id + DONT_FRAGMENT + ttlAndProtocol + addresses;
    view.setInt32(at, links[link] as number);
    view.setInt32(at + 4, links[link + 1] as number);
    view.setInt32(at + 8, (links[link + 2] as number) || source);
    view.setInt32(at + 12, ETHERTYPE_AND_VERSION);
    view.setInt32(at + 16, (total << 16) | id);
    view.setInt32(at + 20, (DONT_FRAGMENT << 16) | ttlAndProtocol);
    view.setInt32(at + 24, (complement(sum) << 16) | (source >>> 16));
    view.setInt32(at + 28, (source << 16) | (destination >>> 16));
  }
}

/** By interface: the words of both MACs (the last one 0 where the sender's address stands in it), and TTL << 8. */
function linkWords(interfaces: readonly Interface[]): Int32Array {
  const links = new Int32Array(interfaces.length * LINK);
  for (const [i, { mac, router, ttl }] of interfaces.entries()) {
    const sender = router?.mac;
    links[i * LINK] = mac[0];
    links[i * LINK + 1] = (mac[1] << 16) | (sender === undefined ? NEIGHBOUR : sender[0] >>> 16);
    links[i * LINK + 2] = sender === undefined ? 0 : (sender[0] << 16) | sender[1];
    links[i * LINK + TTL] = ttl << 8;
  }
  return links;
}

/** Writes the Ethernet header of a packet that comes in by `interfaces[ingress]` from `source`. */
export function putEthernet(view: DataView, at: number, from: Interface, source: number, type: number): void {
  const [upper, lower] = from.router?.mac ?? [(NEIGHBOUR << 16) | (source >>> 16), source & 0xffff];
  view.setUint32(at, from.mac[0]);
  view.setUint16(at + 4, from.mac[1]);
  view.setUint32(at + 6, upper);
  view.setUint16(at + 10, lower);
  view.setUint16(at + 12, type);
}

/** Sum of the two 16-bit words of a 32-bit word. */
export function words(word: number): number {
  return (word >>> 16) + (word & 0xffff);
}

/** The 16 bits of a checksum from the sum of what it covers, which is below 2^32. */
export function complement(sum: number): number {
  const once = (sum >>> 16) + (sum & 0xffff);
  return ~((once >>> 16) + once) & 0xffff;
}
