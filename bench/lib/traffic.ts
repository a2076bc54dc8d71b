/**
 * The generated capture as a stream of blocks: a classic pcap (microseconds, little endian, Ethernet) of complete
 * connections that run interleaved, byte for byte the same for the same options. Memory does not depend on its length.
 *
 * A TCP connection is a handshake, data in both directions that acknowledges all the other side has sent (so it is
 * always in window), and a close from either side. A UDP flow is a question, an answer, and more of either.
 */
import { type Connection, ConnectionPlan, emptyConnection, MAX_CONNECTIONS, mix } from './connections.js';
import { ACK, FIN, FrameWriter, PSH, type Sender, SYN } from './frames.js';
import type { Profile } from './profiles.js';
import type { Published } from './scenario.js';

export interface TrafficOptions {
  readonly profile: Profile;
  readonly packets: number;
  readonly connections: number;
  readonly seed: number;
  readonly published: readonly Published[];
  /** Connections that are open at the same time; by default half of all. */
  readonly concurrent?: number;
  /** Capture time runs at this many packets a second; 1 million by default. */
  readonly rate?: number;
}

export const PCAP_HEADER = 24;
export const RECORD_HEADER = 16;
const BLOCK = 4 << 20;
const LONGEST_RECORD = RECORD_HEADER + 1514;
const FIRST_SECOND = 1_700_000_000;
/** Handshake, a data packet each way, close. */
const SHORTEST_CONNECTION = 8;
const HANDSHAKE = 3;
const CLOSE = 3;
/** A side sends at most this many packets in a row, which keeps it well inside the other's window. */
const LONGEST_RUN = 8;

// A slot holds an open connection's state; 16 words, so that it is one cache line.
const SLOT = 16;
const INDEX = 0;
const POSITION = 1;
const LENGTH = 2;
const INITIATOR_SEQ = 3;
const RESPONDER_SEQ = 4;
const LAST_SIDE = 5;
const RUN = 6;
/** Then the connection's fields, in the order of `loadConnection`. */
const FIELDS = 8;
const OUTBOUND = 1;
const UDP = 2;

/**
 * Yields the capture in blocks of at most 4 MiB. A block is only valid until the next one is asked for: the memory is
 * used again.
 */
export function* captureBlocks(options: TrafficOptions): Generator<Uint8Array, void, undefined> {
  const bytes = new Uint8Array(BLOCK);
  const traffic = new Traffic(options, bytes);
  let end = writePcapHeader(bytes);
  while (traffic.remaining > 0) {
    end = traffic.fill(end, BLOCK - LONGEST_RECORD);
    yield bytes.subarray(0, end);
    end = 0;
  }
}

/** Bytes of the capture that `packets` packets of a profile make, on average for mixed sizes. */
export function captureBytes(profile: Profile, packets: number): number {
  const weights = profile.sizes.reduce((sum, s) => sum + s.weight, 0);
  const mean = profile.sizes.reduce((sum, s) => sum + s.weight * s.bytes, 0) / weights;
  return PCAP_HEADER + packets * (RECORD_HEADER + mean);
}

function writePcapHeader(bytes: Uint8Array): number {
  const view = new DataView(bytes.buffer);
  view.setUint32(0, 0xa1b2c3d4, true);
  view.setUint16(4, 2, true);
  view.setUint16(6, 4, true);
  view.setUint32(16, 262144, true);
  view.setUint32(20, 1, true);
  return PCAP_HEADER;
}

class Traffic {
  remaining: number;
  readonly #profile: Profile;
  readonly #connections: number;
  readonly #packets: number;
  readonly #plan: ConnectionPlan;
  readonly #seed: number;
  readonly #view: DataView;
  readonly #frames: FrameWriter;
  readonly #slots: Int32Array;
  #open = 0;
  #started = 0;
  #random: number;
  #microseconds = 0;
  readonly #meanGap: number;
  /** A data packet takes size `i` when a 32-bit random number is below `#sizeLimit[i]` and no earlier one. */
  readonly #sizeLimit: Float64Array;
  readonly #sizes: Int32Array;
  #id = 0;
  readonly #connection: Connection = emptyConnection();
  readonly #sender: Sender = { source: 0, destination: 0, ports: 0, inside: false };

  constructor(options: TrafficOptions, bytes: Uint8Array) {
    checkOptions(options);
    const concurrent = Math.min(options.connections, options.concurrent ?? Math.ceil(options.connections / 2));
    this.remaining = options.packets;
    this.#packets = options.packets;
    this.#profile = options.profile;
    this.#connections = options.connections;
    this.#seed = options.seed;
    this.#plan = new ConnectionPlan(options.seed, options.published);
    this.#view = new DataView(bytes.buffer);
    this.#frames = new FrameWriter(bytes, this.#view);
    this.#slots = new Int32Array(concurrent * SLOT);
    this.#random = mix(options.seed, 0x5eed) | 1;
    this.#meanGap = 1e6 / (options.rate ?? 1e6);
    this.#sizes = Int32Array.from(this.#profile.sizes, (s) => s.bytes);
    this.#sizeLimit = sizeLimits(options);
    for (let i = 0; i < concurrent; i++) this.#start(i);
    this.#open = concurrent;
  }

  /** Writes records from `at` until one ends beyond `limit` or none is left; returns where the last one ends. */
  fill(at: number, limit: number): number {
    let end = at;
    while (end <= limit && this.remaining > 0) {
      const slot = this.#next() % this.#open;
      end = this.#record(end, slot * SLOT);
      this.remaining--;
      if (this.#slots[slot * SLOT + POSITION] === this.#slots[slot * SLOT + LENGTH]) this.#finish(slot);
    }
    return end;
  }

  /** Opens the next connection in a slot. */
  #start(slot: number): void {
    const slots = this.#slots;
    const base = slot * SLOT;
    const index = this.#started++;
    const connection = this.#connection;
    this.#plan.connection(index, connection);
    slots[base + INDEX] = index;
    slots[base + POSITION] = 0;
    slots[base + LENGTH] = this.#boundary(index + 1) - this.#boundary(index);
    slots[base + INITIATOR_SEQ] = mix(index, this.#seed + 1);
    slots[base + RESPONDER_SEQ] = mix(index, this.#seed + 2);
    slots[base + LAST_SIDE] = 0;
    slots[base + RUN] = 0;
    slots[base + FIELDS] = (connection.outbound ? OUTBOUND : 0) | (connection.udp ? UDP : 0);
    slots[base + FIELDS + 1] = connection.initiatorSource;
    slots[base + FIELDS + 2] = connection.initiatorDestination;
    slots[base + FIELDS + 3] = connection.initiatorPorts;
    slots[base + FIELDS + 4] = connection.responderSource;
    slots[base + FIELDS + 5] = connection.responderDestination;
    slots[base + FIELDS + 6] = connection.responderPorts;
  }

  /** The slot's connection is over: the next one takes its place, or the last slot when there is none. */
  #finish(slot: number): void {
    if (this.#started < this.#connections) {
      this.#start(slot);
      return;
    }
    const last = --this.#open;
    this.#slots.copyWithin(slot * SLOT, last * SLOT, (last + 1) * SLOT);
  }

  /** How many packets connections 0 .. index-1 have together: even shares, moved by up to a quarter of one. */
  #boundary(index: number): number {
    if (index === 0) return 0;
    if (index === this.#connections) return this.#packets;
    const mean = this.#packets / this.#connections;
    const spare = Math.min(mean / 4, Math.max(0, (mean - SHORTEST_CONNECTION - 1) / 2));
    const shift = (mix(index, this.#seed + 3) / 0x80000000 - 1) * spare;
    return Math.round(index * mean + shift);
  }

  #record(at: number, base: number): number {
    const slots = this.#slots;
    const position = slots[base + POSITION] as number;
    slots[base + POSITION] = position + 1;
    const flags = slots[base + FIELDS] as number;
    const frame = at + RECORD_HEADER;
    const length = (flags & UDP) !== 0 ? this.#udp(frame, base, position) : this.#tcp(frame, base, position);
    this.#microseconds += ((this.#next() & 0xffff) / 0x8000) * this.#meanGap;
    const now = Math.floor(this.#microseconds);
    const seconds = Math.floor(now / 1e6);
    const view = this.#view;
    view.setUint32(at, FIRST_SECOND + seconds, true);
    view.setUint32(at + 4, now - seconds * 1e6, true);
    view.setUint32(at + 8, length, true);
    view.setUint32(at + 12, length, true);
    return frame + length;
  }

  #udp(at: number, base: number, position: number): number {
    const initiator = position < 2 ? position === 0 : this.#turn(base);
    const size = this.#dataSize();
    this.#loadSender(base, initiator);
    this.#frames.udp(at, size, this.#sender, this.#nextId());
    return size;
  }

  #tcp(at: number, base: number, position: number): number {
    const slots = this.#slots;
    const closing = position - ((slots[base + LENGTH] as number) - CLOSE);
    const control = position < HANDSHAKE || closing >= 0;
    let initiator: boolean;
    let flags: number;
    if (position < HANDSHAKE) {
      initiator = position !== 1;
      flags = position === 0 ? SYN : position === 1 ? SYN | ACK : ACK;
    } else if (closing >= 0) {
      const initiatorCloses = ((slots[base + INDEX] as number) & 4) === 0;
      initiator = (closing === 1) !== initiatorCloses;
      flags = closing === 2 ? ACK : FIN | ACK;
    } else {
      initiator = this.#turn(base);
      flags = PSH | ACK;
    }
    const size = control ? (this.#sizes[0] as number) : this.#dataSize();
    const own = base + (initiator ? INITIATOR_SEQ : RESPONDER_SEQ);
    const other = base + (initiator ? RESPONDER_SEQ : INITIATOR_SEQ);
    const seq = slots[own] as number;
    const ack = position === 0 ? 0 : (slots[other] as number);
    this.#loadSender(base, initiator);
    const payload = this.#frames.tcp(at, size, this.#sender, this.#nextId(), flags, seq, ack, !control);
    // SYN and FIN take a sequence number each (RFC 9293, 3.4).
    slots[own] = seq + payload + ((flags & (SYN | FIN)) !== 0 ? 1 : 0);
    return size;
  }

  /** Whether the initiator sends next: either side, but nobody for longer than LONGEST_RUN. */
  #turn(base: number): boolean {
    const slots = this.#slots;
    const last = slots[base + LAST_SIDE] as number;
    const run = slots[base + RUN] as number;
    const side = run >= LONGEST_RUN ? 1 - last : this.#next() & 1;
    slots[base + RUN] = side === last ? run + 1 : 1;
    slots[base + LAST_SIDE] = side;
    return side === 0;
  }

  #dataSize(): number {
    const sizes = this.#sizes;
    if (sizes.length === 1) return sizes[0] as number;
    const random = this.#next();
    let i = 0;
    while (i < sizes.length - 1 && random >= (this.#sizeLimit[i] as number)) i++;
    return sizes[i] as number;
  }

  #loadSender(base: number, initiator: boolean): void {
    const slots = this.#slots;
    const into = this.#sender;
    const fields = base + FIELDS + (initiator ? 1 : 4);
    into.source = (slots[fields] as number) >>> 0;
    into.destination = (slots[fields + 1] as number) >>> 0;
    into.ports = (slots[fields + 2] as number) >>> 0;
    into.inside = initiator === (((slots[base + FIELDS] as number) & OUTBOUND) !== 0);
  }

  #nextId(): number {
    this.#id = (this.#id + 1) & 0xffff;
    return this.#id;
  }

  /** 32 random bits (xorshift32; Marsaglia 2003). */
  #next(): number {
    let x = this.#random;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#random = x;
    return x >>> 0;
  }
}

/**
 * Limits of 32-bit random numbers for the sizes of data packets, such that all packets together have the profile's
 * shares: packets without data already account for some of the smallest size.
 */
function sizeLimits(options: TrafficOptions): Float64Array {
  const sizes = options.profile.sizes;
  const total = sizes.reduce((sum, s) => sum + s.weight, 0);
  const tcpShare = 0.8;
  const control = (tcpShare * (HANDSHAKE + CLOSE) * options.connections) / options.packets;
  const smallest = Math.max(0, sizes[0].weight / total - control);
  const others = 1 - sizes[0].weight / total;
  const scale = 2 ** 32 / (smallest + others);
  let sum = 0;
  return Float64Array.from(sizes, (s, i) => {
    sum += i === 0 ? smallest : s.weight / total;
    return sum * scale;
  });
}

function checkOptions(options: TrafficOptions): void {
  const { packets, connections, concurrent } = options;
  for (const [name, value] of [
    ['packets', packets],
    ['connections', connections],
    ['concurrent', concurrent ?? 1],
  ] as const) {
    if (!Number.isInteger(value) || value < 1) throw new RangeError(`${name}: ${value} is not a positive whole number`);
  }
  if (connections > MAX_CONNECTIONS) throw new RangeError(`connections: at most ${MAX_CONNECTIONS}`);
  if (packets < connections * SHORTEST_CONNECTION) {
    throw new RangeError(`packets: ${connections} connections need at least ${connections * SHORTEST_CONNECTION}`);
  }
}
