/**
 * Frames, written straight into a block of capture bytes. Runs for every generated packet: no allocation, and the
 * checksums are sums of words that are at hand anyway (RFC 1071), with the payload's part known per payload length.
 */
import { INSIDE, OUTSIDE, UPSTREAM } from './scenario.js';

export const ETHERNET_HEADER = 14;
export const IPV4_HEADER = 20;
export const TCP_HEADER = 20;
export const UDP_HEADER = 8;
/** A SYN carries a maximum segment size option. */
const SYN_HEADER = 24;
const MSS_OPTION = 0x020405b4;

export const FIN = 0x01;
export const SYN = 0x02;
export const PSH = 0x08;
export const ACK = 0x10;

const PROTOCOL_TCP = 6;
const PROTOCOL_UDP = 17;
const TCP_WINDOW = 64240;
const TTL_INSIDE = 64;
const TTL_OUTSIDE = 57;
const DONT_FRAGMENT = 0x4000;
const VERSION_IHL = 0x4500;

const LONGEST_PAYLOAD = 1514;
/** Bytes that every payload is a prefix of: printable, and not all the same. */
const PAYLOAD = Uint8Array.from({ length: LONGEST_PAYLOAD }, (_, i) => 0x21 + ((i * 7) % 94));
/** Sum of the 16-bit words of a payload of that many bytes. */
const PAYLOAD_SUM = payloadSums();
/** A view for each length, so that copying one needs no new object. */
const PAYLOADS = Array.from({ length: LONGEST_PAYLOAD + 1 }, (_, n) => PAYLOAD.subarray(0, n));
const SHORT_COPY = 64;

/** One direction of a connection, as its packets reach the gateway. */
export interface Sender {
  source: number;
  destination: number;
  ports: number;
  /** From lan0; else from wan0. */
  inside: boolean;
}

export class FrameWriter {
  /** The same bytes seen twice; frames are written at absolute offsets. */
  constructor(
    readonly bytes: Uint8Array,
    readonly view: DataView,
  ) {}

  /**
   * A TCP segment of `frameLength` bytes, padding included. SYNs and segments with `hasData` false carry no data and are
   * padded with zeros; the others fill the frame. Returns the number of payload bytes.
   */
  tcp(
    at: number,
    frameLength: number,
    sender: Sender,
    id: number,
    flags: number,
    seq: number,
    ack: number,
    hasData: boolean,
  ): number {
    const header = (flags & SYN) !== 0 ? SYN_HEADER : TCP_HEADER;
    const payload = hasData ? frameLength - ETHERNET_HEADER - IPV4_HEADER - header : 0;
    const segment = header + payload;
    this.#networkHeaders(at, sender, id, PROTOCOL_TCP, segment);
    const view = this.view;
    const l4 = at + ETHERNET_HEADER + IPV4_HEADER;
    const offsetAndFlags = ((header / 4) << 12) | flags;
    view.setUint32(l4, sender.ports);
    view.setUint32(l4 + 4, seq);
    view.setUint32(l4 + 8, ack);
    view.setUint16(l4 + 12, offsetAndFlags);
    view.setUint16(l4 + 14, TCP_WINDOW);
    view.setUint16(l4 + 18, 0);
    let sum = pseudoHeaderSum(sender, PROTOCOL_TCP, segment);
    sum += words(seq) + words(ack) + offsetAndFlags + TCP_WINDOW + (PAYLOAD_SUM[payload] as number);
    if (header === SYN_HEADER) {
      view.setUint32(l4 + TCP_HEADER, MSS_OPTION);
      sum += words(MSS_OPTION);
    }
    view.setUint16(l4 + 16, ~fold(sum));
    this.#fill(l4 + header, payload, at + frameLength);
    return payload;
  }

  /** A UDP datagram that fills a frame of `frameLength` bytes. */
  udp(at: number, frameLength: number, sender: Sender, id: number): void {
    const length = frameLength - ETHERNET_HEADER - IPV4_HEADER;
    const payload = length - UDP_HEADER;
    this.#networkHeaders(at, sender, id, PROTOCOL_UDP, length);
    const view = this.view;
    const l4 = at + ETHERNET_HEADER + IPV4_HEADER;
    const sum = pseudoHeaderSum(sender, PROTOCOL_UDP, length) + length + (PAYLOAD_SUM[payload] as number);
    view.setUint32(l4, sender.ports);
    view.setUint16(l4 + 4, length);
    // RFC 768: a checksum that comes out as zero is sent as all ones.
    view.setUint16(l4 + 6, ~fold(sum) & 0xffff || 0xffff);
    this.#fill(l4 + UDP_HEADER, payload, at + frameLength);
  }

  /** Ethernet and IPv4 headers for `l4Length` bytes of transport header and data. */
  #networkHeaders(at: number, sender: Sender, id: number, protocol: number, l4Length: number): void {
    const view = this.view;
    const own = sender.inside ? INSIDE.mac : OUTSIDE.mac;
    view.setUint32(at, own[0]);
    view.setUint16(at + 4, own[1]);
    // An inside host's address is in its MAC; from outside everything comes through the upstream router.
    view.setUint16(at + 6, sender.inside ? 0x0204 : UPSTREAM.mac[0] >>> 16);
    view.setUint32(at + 8, sender.inside ? sender.source : (UPSTREAM.mac[0] << 16) | UPSTREAM.mac[1]);
    view.setUint16(at + 12, 0x0800);
    const ip = at + ETHERNET_HEADER;
    const totalLength = IPV4_HEADER + l4Length;
    const ttlAndProtocol = ((sender.inside ? TTL_INSIDE : TTL_OUTSIDE) << 8) | protocol;
    const sum =
      VERSION_IHL +
      totalLength +
      id +
      DONT_FRAGMENT +
      ttlAndProtocol +
      words(sender.source) +
      words(sender.destination);
    view.setUint16(ip, VERSION_IHL);
    view.setUint16(ip + 2, totalLength);
    view.setUint16(ip + 4, id);
    view.setUint16(ip + 6, DONT_FRAGMENT);
    view.setUint16(ip + 8, ttlAndProtocol);
    view.setUint16(ip + 10, ~fold(sum));
    view.setUint32(ip + 12, sender.source);
    view.setUint32(ip + 16, sender.destination);
  }

  /** `payload` bytes of data, then zeros up to the end of the frame. */
  #fill(at: number, payload: number, end: number): void {
    const bytes = this.bytes;
    if (payload > SHORT_COPY) bytes.set(PAYLOADS[payload] as Uint8Array, at);
    else for (let i = 0; i < payload; i++) bytes[at + i] = PAYLOAD[i] as number;
    for (let i = at + payload; i < end; i++) bytes[i] = 0;
  }
}

function pseudoHeaderSum(from: Sender, protocol: number, length: number): number {
  return words(from.source) + words(from.destination) + words(from.ports) + protocol + length;
}

/** Sum of the two 16-bit words of a 32-bit word. */
function words(word: number): number {
  return (word >>> 16) + (word & 0xffff);
}

function fold(sum: number): number {
  const once = (sum >>> 16) + (sum & 0xffff);
  return (once >>> 16) + (once & 0xffff);
}

function payloadSums(): Uint32Array {
  const sums = new Uint32Array(LONGEST_PAYLOAD + 1);
  for (let n = 1; n <= LONGEST_PAYLOAD; n++) {
    const byte = PAYLOAD[n - 1] as number;
    sums[n] = (sums[n - 1] as number) + (n % 2 === 1 ? byte << 8 : byte);
  }
  return sums;
}
