/** Packets of the kinds that are not plain TCP or UDP over IPv4: what comes next in a connection, and its frame. */
import { ACK, complement, FIN, PROTOCOL_UDP, PSH, SYN, UDP_HEADER, words } from './frames.js';
import { PAYLOAD_SUM } from './payload.js';
import { ECHO, FRAGMENTED, type Interface, ONE_WAY, type Plan, REFUSED, TCP, TOO_BIG, UDP } from './plan.js';
import { mix } from './random.js';
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
  RESPONDER,
  RESPONDER_INGRESS,
  RESPONDER_SEQ,
  RUN,
} from './slots.js';
import { FRAGMENT, type Sender, UncommonFrames } from './uncommon.js';

/** What the engine does for all kinds. */
export interface Tools {
  nextId(): number;
  lastId(): number;
  dataSize(): number;
  initiatorsTurn(base: number): boolean;
  /** A segment of TCP over IPv4 with data. */
  tcp(at: number, base: number, position: number, initiator: boolean, size: number): number;
  /** The next segment of TCP over IPv4, whatever it is. */
  plainTcp(at: number, base: number, position: number): number;
}

const HANDSHAKE = 3;
const CLOSE = 3;
/** Of TOO_BIG: the segment that is too big, the error, and the fewest packets for it to have both. */
const LARGE_SEGMENT = 4;
const ERROR = 5;
const LONG_ENOUGH = 11;
/** Frames that the error's MTU lets pass. */
const FITS = 1414;
const IPV4_UDP = 34 + UDP_HEADER;
/** Routers between the gateway and who reports an error. */
const HOPS = 3;

export class Others {
  readonly #frames: UncommonFrames;
  readonly #interfaces: readonly Interface[];
  readonly #slots: Int32Array;
  readonly #sizes: Int32Array;
  readonly #tools: Tools;
  readonly #sender: Sender = {
    ingress: 0,
    source: 0,
    destination: 0,
    ports: 0,
    sourcePrefix: 0,
    destinationPrefix: 0,
  };
  readonly #segment = { payload: 0 };

  constructor(bytes: Uint8Array, view: DataView, plan: Plan, slots: Int32Array, sizes: Int32Array, tools: Tools) {
    this.#frames = new UncommonFrames(bytes, view, plan.world.interfaces, plan.prefixes6);
    this.#interfaces = plan.world.interfaces;
    this.#slots = slots;
    this.#sizes = sizes;
    this.#tools = tools;
  }

  /** Writes packet `position` of the connection at `base`; returns its frame's length. */
  packet(at: number, base: number, position: number): number {
    const flags = this.#slots[base + FLAGS] as number;
    const ipv6 = (flags & IPV6) !== 0;
    switch (flags & KIND) {
      case TCP:
        return this.#tcp6(at, base, position);
      case UDP:
        return this.#udp6(at, base, position);
      case ECHO:
        return this.#echo(at, base, position, ipv6);
      case ONE_WAY:
        return this.#datagram(at, base, this.#tools.dataSize());
      case REFUSED:
        return this.#refused(at, base, position);
      case TOO_BIG:
        return this.#tooBig(at, base, position);
      case FRAGMENTED:
        return this.#fragmented(at, base, position);
      default:
        throw new Error(`no kind ${flags & KIND}`);
    }
  }

  #tcp6(at: number, base: number, position: number): number {
    const slots = this.#slots;
    const closing = position - ((slots[base + LENGTH] as number) - CLOSE);
    let flags = PSH | ACK;
    let initiator: boolean;
    if (position < HANDSHAKE) {
      flags = position === 0 ? SYN : position === 1 ? SYN | ACK : ACK;
      initiator = position !== 1;
    } else if (closing >= 0) {
      flags = closing === 2 ? ACK : FIN | ACK;
      initiator = (closing === 1) !== (((slots[base + INDEX] as number) & 4) === 0);
    } else initiator = this.#tools.initiatorsTurn(base);
    const hasData = flags === (PSH | ACK);
    const size = hasData ? this.#tools.dataSize() : 0;
    const own = base + (initiator ? INITIATOR_SEQ : RESPONDER_SEQ);
    const other = base + (initiator ? RESPONDER_SEQ : INITIATOR_SEQ);
    const seq = slots[own] as number;
    const ack = position === 0 ? 0 : (slots[other] as number);
    const from = this.#from(base, initiator);
    const length = this.#frames.tcp6(at, size, from, flags, seq, ack, hasData, this.#segment);
    slots[own] = (seq + this.#segment.payload + ((flags & (SYN | FIN)) !== 0 ? 1 : 0)) | 0;
    return length;
  }

  #udp6(at: number, base: number, position: number): number {
    const initiator = position < 2 ? position === 0 : this.#tools.initiatorsTurn(base);
    return this.#frames.udp6(at, this.#tools.dataSize(), this.#from(base, initiator));
  }

  /** A reply has what its request had. */
  #echo(at: number, base: number, position: number, ipv6: boolean): number {
    const slots = this.#slots;
    const reply = position % 2 === 1;
    if (!reply) slots[base + INITIATOR_SEQ] = this.#tools.dataSize();
    const size = slots[base + INITIATOR_SEQ] as number;
    const sequence = ((position >> 1) + 1) & 0xffff;
    const from = this.#from(base, !reply);
    if (ipv6) return this.#frames.echo6(at, size, from, reply, sequence);
    return this.#frames.echo(at, size, from, this.#tools.nextId(), reply, sequence);
  }

  /** A datagram of the initiator's. */
  #datagram(at: number, base: number, size: number): number {
    return this.#frames.fragment(at, this.#from(base, true), this.#tools.nextId(), 0, 1, size - 34);
  }

  #refused(at: number, base: number, position: number): number {
    const slots = this.#slots;
    const id = this.#tools.nextId();
    if (position === 0) {
      const size = this.#tools.dataSize();
      slots[base + INITIATOR_SEQ] = size;
      slots[base + RESPONDER_SEQ] = id;
      return this.#frames.fragment(at, this.#from(base, true), id, 0, 1, size - 34);
    }
    const size = slots[base + INITIATOR_SEQ] as number;
    const from = this.#from(base, false);
    const length = size - 34;
    const data = PAYLOAD_SUM[size - IPV4_UDP] as number;
    const sum = words(from.source) + words(from.destination) + words(from.ports) + PROTOCOL_UDP + 2 * length + data;
    return this.#frames.portUnreachable(at, from, slots[base + EXTRA] as number, id, {
      id: slots[base + RESPONDER_SEQ] as number,
      ttl: this.#quotedTtl(base),
      length: size - 14,
      rest: (length << 16) | (complement(sum) || 0xffff),
    });
  }

  #tooBig(at: number, base: number, position: number): number {
    const slots = this.#slots;
    const length = slots[base + LENGTH] as number;
    const isData = position >= HANDSHAKE && position < length - CLOSE;
    if (!isData || length < LONG_ENOUGH) return this.#tools.plainTcp(at, base, position);
    if (position === ERROR) return this.#fragmentationNeeded(at, base);
    if (position === LARGE_SEGMENT) {
      const size = this.#sizes[this.#sizes.length - 1] as number;
      const written = this.#tools.tcp(at, base, position, true, size);
      // No turn is drawn until the error is sent, so the places for turns are free.
      slots[base + RUN] = size;
      slots[base + LAST_SIDE] = this.#tools.lastId();
      return written;
    }
    const initiator = this.#tools.initiatorsTurn(base);
    return this.#tools.tcp(at, base, position, initiator, Math.min(FITS, this.#tools.dataSize()));
  }

  #fragmentationNeeded(at: number, base: number): number {
    const slots = this.#slots;
    const size = slots[base + RUN] as number;
    const about = slots[base + LAST_SIDE] as number;
    slots[base + RUN] = 0;
    slots[base + LAST_SIDE] = 0;
    const id = this.#tools.nextId();
    return this.#frames.tooBig(at, this.#from(base, false), slots[base + EXTRA] as number, id, {
      id: about,
      ttl: this.#quotedTtl(base),
      length: size - 14,
      rest: (slots[base + INITIATOR_SEQ] as number) - (size - 54),
    });
  }

  #quotedTtl(base: number): number {
    const ingress = ((this.#slots[base + FLAGS] as number) >> INITIATOR_INGRESS) & 15;
    return (this.#interfaces[ingress] as Interface).ttl - HOPS;
  }

  /** Datagrams in turn from both sides, each in order, backwards, or with its first fragment last. */
  #fragmented(at: number, base: number, position: number): number {
    const slots = this.#slots;
    const most = slots[base + EXTRA] as number;
    const datagram = Math.floor(position / most);
    const count = Math.min(most, (slots[base + LENGTH] as number) - datagram * most);
    const nth = position - datagram * most;
    if (nth === 0) slots[base + INITIATOR_SEQ] = this.#tools.nextId();
    const chance = mix(slots[base + INDEX] as number, datagram + 11);
    const number = [nth, count - 1 - nth, (nth + 1) % count][chance % 3] as number;
    const last = UDP_HEADER + ((chance >>> 8) % (FRAGMENT - UDP_HEADER + 1));
    const from = this.#from(base, datagram % 2 === 0);
    return this.#frames.fragment(at, from, slots[base + INITIATOR_SEQ] as number, number, count, last);
  }

  /** The side that sends, also noted as where the packet came in. */
  #from(base: number, initiator: boolean): Sender {
    const slots = this.#slots;
    const into = this.#sender;
    const ends = base + (initiator ? INITIATOR : RESPONDER);
    const flags = slots[base + FLAGS] as number;
    const prefixes = slots[base + EXTRA] as number;
    into.ingress = (flags >> (initiator ? INITIATOR_INGRESS : RESPONDER_INGRESS)) & 15;
    into.source = slots[ends] as number;
    into.destination = slots[ends + 1] as number;
    into.ports = slots[ends + 2] as number;
    into.sourcePrefix = (prefixes >>> (initiator ? 0 : 16)) & 255;
    into.destinationPrefix = (prefixes >>> (initiator ? 8 : 24)) & 255;
    slots[base + INGRESS] = into.ingress;
    return into;
  }
}
