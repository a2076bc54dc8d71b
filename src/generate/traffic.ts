/**
 * A generated capture as a stream of blocks: complete connections that run interleaved, byte for byte the same for the
 * same options. Memory depends on how many connections are open at a time, not on how long the capture is.
 *
 * A TCP connection is a handshake, data in both directions that acknowledges all the other side has sent (so it is
 * always in window), and a close from either side. A UDP flow is a question, an answer, and more of either.
 */
import type { CaptureFormat } from '../capture/types.js';
import { ACK, FIN, FrameWriter, PSH, SYN, SYN_HEADER, TCP_HEADER } from './frames.js';
import { Others } from './others.js';
import { type Conversation, emptyConversation, type Plan, TCP, UDP } from './plan.js';
import { mix } from './random.js';
import { captureHeader, putPcapngRecord, putPcapRecord, recordHeader } from './records.js';
import { Shares } from './shares.js';
import type { FrameSizes } from './sizes.js';
import {
  EXTRA,
  FLAGS,
  INDEX,
  INGRESS,
  INITIATOR,
  INITIATOR_INGRESS,
  INITIATOR_SEQ,
  IPV6,
  KIND,
  LAST_SIDE,
  LENGTH,
  POSITION,
  RESPONDER,
  RESPONDER_INGRESS,
  RESPONDER_SEQ,
  RUN,
  SLOT,
} from './slots.js';

export interface Traffic {
  readonly plan: Plan;
  readonly sizes: FrameSizes;
  readonly packets: number;
  readonly connections: number;
  /** Connections that are open at the same time. */
  readonly concurrent: number;
  readonly seed: number;
  /** Packets in a second of capture time. */
  readonly rate: number;
  readonly format: CaptureFormat;
}

/** Bytes of a block: two of them and the open connections find room in a processor's own cache. */
export const BLOCK = 1 << 18;
const LONGEST_RECORD = 2048;
export const FIRST_SECOND = 1_700_000_000;
export const HANDSHAKE = 3;
export const CLOSE = 3;
/** A side sends at most this many packets in a row, which keeps it well inside the other's window. */
const LONGEST_RUN = 8;
const HEADERS = 34;

/**
 * Yields the capture in blocks of at most 256 KiB, in `buffers` of that size taken in turn (one of its own if none are
 * given). A block is only valid until its buffer's turn comes again.
 */
export function* captureBlocks(
  traffic: Traffic,
  buffers: readonly Uint8Array[] = [new Uint8Array(BLOCK)],
): Generator<Uint8Array, void, undefined> {
  const engine = new Engine(traffic);
  const header = captureHeader(traffic.format, traffic.plan.world.interfaces);
  let writers = buffers.map((bytes) => engine.writerInto(bytes));
  const [first] = writers;
  first?.bytes.set(header);
  let end = header.length;
  while (engine.remaining > 0) {
    const [writer] = writers;
    if (writer === undefined) throw new RangeError('captureBlocks needs a buffer');
    end = engine.fill(writer, end, BLOCK - LONGEST_RECORD);
    yield writer.bytes.subarray(0, end);
    end = 0;
    writers = [...writers.slice(1), writer];
  }
}

/** Bytes of a pcap that `packets` packets of those sizes make, on average. */
export function captureBytes(sizes: FrameSizes, packets: number): number {
  const weights = sizes.reduce((sum, s) => sum + s.weight, 0);
  const mean = sizes.reduce((sum, s) => sum + s.weight * s.bytes, 0) / weights;
  return captureHeader('pcap', []).length + packets * (recordHeader('pcap') + mean);
}

/** A buffer, and what writes frames into it. */
interface Writer {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly frames: FrameWriter;
  readonly others: Others;
}

/** Draws packets. The hot path is `fill` with `#tcp` and `#udp`, which allocate nothing. */
class Engine {
  remaining: number;
  readonly #plan: Plan;
  readonly #connections: number;
  readonly #seed: number;
  readonly #slots: Int32Array;
  readonly #lengthOf: (index: number) => number;
  readonly #pcapng: boolean;
  readonly #header: number;
  #open = 0;
  #started = 0;
  #random: number;
  #microseconds = 0;
  #second = 0;
  readonly #meanGap: number;
  /** A data packet takes size `i` when a 32-bit random number is below `#sizeLimit[i]` and no earlier one. */
  readonly #sizeLimit: Float64Array;
  readonly #sizes: Int32Array;
  #id = 0;
  readonly #conversation: Conversation = emptyConversation();

  constructor(traffic: Traffic) {
    const { plan, packets, connections, concurrent, seed, sizes } = traffic;
    this.remaining = packets;
    this.#plan = plan;
    this.#connections = connections;
    this.#seed = seed;
    this.#slots = pageAligned(concurrent * SLOT);
    this.#lengthOf = new Shares(plan).lengths(connections, packets, seed);
    this.#pcapng = traffic.format === 'pcapng';
    this.#header = recordHeader(traffic.format);
    this.#random = mix(seed, 0x5eed) | 1;
    this.#meanGap = 1e6 / traffic.rate;
    this.#sizes = Int32Array.from(sizes, (s) => s.bytes);
    this.#sizeLimit = sizeLimits(traffic);
    for (let i = 0; i < concurrent; i++) this.#start(i);
    this.#open = concurrent;
  }

  writerInto(bytes: Uint8Array): Writer {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const { interfaces } = this.#plan.world;
    const frames = new FrameWriter(bytes, view, interfaces);
    const tools = {
      nextId: () => this.#nextId(),
      lastId: () => this.#id,
      dataSize: () => this.#dataSize(),
      initiatorsTurn: (base: number) => this.#turn(base),
      tcp: (at: number, base: number, position: number, initiator: boolean, size: number) =>
        this.#segment(frames, at, base, position, initiator, PSH | ACK, size),
      plainTcp: (at: number, base: number, position: number) => this.#tcp(frames, at, base, position),
    };
    return { bytes, view, frames, others: new Others(bytes, view, this.#plan, this.#slots, this.#sizes, tools) };
  }

  /** Writes records from `at` until one ends beyond `limit` or none is left; returns where the last one ends. */
  fill(writer: Writer, at: number, limit: number): number {
    const slots = this.#slots;
    const { view, frames, others } = writer;
    let end = at;
    let remaining = this.remaining;
    let open = this.#open;
    let inverse = 1 / open;
    while (end <= limit && remaining > 0) {
      const slot = remainder(this.#next(), open, inverse);
      const base = slot * SLOT;
      const position = slots[base + POSITION] as number;
      slots[base + POSITION] = position + 1;
      const flags = slots[base + FLAGS] as number;
      const frame = end + this.#header;
      let length: number;
      if ((flags & (KIND | IPV6)) === TCP) length = this.#tcp(frames, frame, base, position);
      else if ((flags & (KIND | IPV6)) === UDP) length = this.#udp(frames, frame, base, position);
      else length = others.packet(frame, base, position);
      end = this.#finishRecord(view, end, length, slots[base + INGRESS] as number);
      remaining--;
      if (slots[base + LENGTH] === position + 1) {
        this.#finish(slot);
        open = this.#open;
        inverse = 1 / open;
      }
    }
    this.remaining = remaining;
    return end;
  }

  /** Opens the next connection in a slot. */
  #start(slot: number): void {
    const slots = this.#slots;
    const base = slot * SLOT;
    const index = this.#started++;
    const c = this.#conversation;
    this.#plan.conversation(index, c);
    slots[base + INDEX] = index;
    slots[base + POSITION] = 0;
    slots[base + LENGTH] = this.#lengthOf(index);
    slots[base + INITIATOR_SEQ] = mix(index, this.#seed + 1);
    slots[base + RESPONDER_SEQ] = mix(index, this.#seed + 2);
    slots[base + LAST_SIDE] = 0;
    slots[base + RUN] = 0;
    slots[base + INGRESS] = 0;
    slots[base + FLAGS] =
      c.kind |
      (c.ipv6 ? IPV6 : 0) |
      (c.initiatorIngress << INITIATOR_INGRESS) |
      (c.responderIngress << RESPONDER_INGRESS);
    slots[base + INITIATOR] = c.initiatorSource;
    slots[base + INITIATOR + 1] = c.initiatorDestination;
    slots[base + INITIATOR + 2] = c.initiatorPorts;
    slots[base + RESPONDER] = c.responderSource;
    slots[base + RESPONDER + 1] = c.responderDestination;
    slots[base + RESPONDER + 2] = c.responderPorts;
    slots[base + EXTRA] = c.extra;
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

  #finishRecord(view: DataView, at: number, length: number, ingress: number): number {
    this.#microseconds += ((this.#next() & 0xffff) / 0x8000) * this.#meanGap;
    const now = Math.floor(this.#microseconds);
    let micros = now - this.#second * 1e6;
    if (micros >= 1e6) {
      this.#second = Math.floor(now / 1e6);
      micros = now - this.#second * 1e6;
    }
    const seconds = FIRST_SECOND + this.#second;
    return this.#pcapng
      ? putPcapngRecord(view, at, length, seconds, micros, ingress)
      : putPcapRecord(view, at, length, seconds, micros);
  }

  #udp(frames: FrameWriter, at: number, base: number, position: number): number {
    const slots = this.#slots;
    const initiator = position < 2 ? position === 0 : this.#turn(base);
    const size = this.#dataSize();
    const ends = base + (initiator ? INITIATOR : RESPONDER);
    const ingress = ((slots[base + FLAGS] as number) >> (initiator ? INITIATOR_INGRESS : RESPONDER_INGRESS)) & 15;
    slots[base + INGRESS] = ingress;
    const source = slots[ends] as number;
    const destination = slots[ends + 1] as number;
    const ports = slots[ends + 2] as number;
    frames.udp(at, size, ingress, source, destination, ports, this.#nextId());
    return size;
  }

  #tcp(frames: FrameWriter, at: number, base: number, position: number): number {
    const slots = this.#slots;
    const closing = position - ((slots[base + LENGTH] as number) - CLOSE);
    if (position < HANDSHAKE) {
      const flags = position === 0 ? SYN : position === 1 ? SYN | ACK : ACK;
      return this.#segment(frames, at, base, position, position !== 1, flags, 0);
    }
    if (closing >= 0) {
      const initiatorCloses = ((slots[base + INDEX] as number) & 4) === 0;
      const initiator = (closing === 1) !== initiatorCloses;
      return this.#segment(frames, at, base, position, initiator, closing === 2 ? ACK : FIN | ACK, 0);
    }
    const initiator = this.#turn(base);
    return this.#segment(frames, at, base, position, initiator, PSH | ACK, this.#dataSize());
  }

  /** A segment that fills a frame of `size` bytes, or one without data in the smallest frame if that is 0. */
  #segment(
    frames: FrameWriter,
    at: number,
    base: number,
    position: number,
    initiator: boolean,
    flags: number,
    size: number,
  ): number {
    const slots = this.#slots;
    const own = base + (initiator ? INITIATOR_SEQ : RESPONDER_SEQ);
    const other = base + (initiator ? RESPONDER_SEQ : INITIATOR_SEQ);
    const seq = slots[own] as number;
    const ack = position === 0 ? 0 : (slots[other] as number);
    const header = (flags & SYN) !== 0 ? SYN_HEADER : TCP_HEADER;
    const payload = size === 0 ? 0 : size - HEADERS - header;
    const length = size === 0 ? (this.#sizes[0] as number) : size;
    const ends = base + (initiator ? INITIATOR : RESPONDER);
    const ingress = ((slots[base + FLAGS] as number) >> (initiator ? INITIATOR_INGRESS : RESPONDER_INGRESS)) & 15;
    slots[base + INGRESS] = ingress;
    const source = slots[ends] as number;
    const destination = slots[ends + 1] as number;
    const ports = slots[ends + 2] as number;
    frames.tcp(at, length, ingress, source, destination, ports, this.#nextId(), flags, seq, ack, payload);
    // SYN and FIN take a sequence number each (RFC 9293, 3.4).
    slots[own] = (seq + payload + ((flags & (SYN | FIN)) !== 0 ? 1 : 0)) | 0;
    return length;
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
    const random = this.#next() >>> 0;
    let i = 0;
    while (i < sizes.length - 1 && random >= (this.#sizeLimit[i] as number)) i++;
    return sizes[i] as number;
  }

  #nextId(): number {
    this.#id = (this.#id + 1) & 0xffff;
    return this.#id;
  }

  /** 32 random bits, as a signed number (xorshift32; Marsaglia 2003). */
  #next(): number {
    this.#random = xorshift(this.#random);
    return this.#random;
  }
}

/** Words that begin where a cache line does, so that a slot is one: WebAssembly's memory begins at a page. */
function pageAligned(words: number): Int32Array {
  const page = 65536;
  const pages = Math.ceil((words * 4) / page);
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
  return new Int32Array(memory.buffer, 0, words);
}

function xorshift(state: number): number {
  let x = state;
  x ^= x << 13;
  x ^= x >>> 17;
  return x ^ (x << 5);
}

/** The unsigned word modulo `divisor`; a division of doubles would take longer than all else that a packet needs. */
function remainder(word: number, divisor: number, inverse: number): number {
  const value = word >>> 0;
  // Wraps around as 32-bit numbers do, which leaves the difference as it is.
  const rest = (word - Math.imul(value * inverse, divisor)) | 0;
  return rest < 0 ? rest + divisor : rest >= divisor ? rest - divisor : rest;
}

/**
 * Limits of 32-bit random numbers for the sizes of data packets, such that all packets together have the profile's
 * shares: packets without data already account for some of the smallest size.
 */
function sizeLimits({ plan, sizes, connections, packets }: Traffic): Float64Array {
  const total = sizes.reduce((sum, s) => sum + s.weight, 0);
  const tcpShare = plan.pattern.filter(({ kind }) => kind === TCP).length / plan.pattern.length;
  const control = (tcpShare * (HANDSHAKE + CLOSE) * connections) / packets;
  const smallest = Math.max(0, sizes[0].weight / total - control);
  const others = 1 - sizes[0].weight / total;
  const scale = 2 ** 32 / (smallest + others);
  let sum = 0;
  return Float64Array.from(sizes, (s, i) => {
    sum += i === 0 ? smallest : s.weight / total;
    return sum * scale;
  });
}
