/**
 * SCTP (RFC 9260) as connection tracking follows it (kernel: nf_conntrack_proto_sctp.c): chunk by chunk through a table
 * of states. Every packet is held to the verification tag of its direction, by the rules of section 8.5.
 */
import { SCTP_HEADER } from '../../packet/transport.js';
import type { Packet } from '../packet.js';
import { ASSURED, CONFIRMED, type FlowTable, META_EXPIRES, ORIGINAL } from './flowtable.js';
import {
  CHUNK_ABORT,
  CHUNK_COOKIE_ACK,
  CHUNK_COOKIE_ECHO,
  CHUNK_DATA,
  CHUNK_HEARTBEAT,
  CHUNK_HEARTBEAT_ACK,
  CHUNK_INIT,
  CHUNK_INIT_ACK,
  CHUNK_SHUTDOWN_ACK,
  CHUNK_SHUTDOWN_COMPLETE,
  SCTP_CLOSED,
  SCTP_ESTABLISHED,
  SCTP_INVALID,
  SCTP_NONE,
  sctpNextState,
} from './sctptransitions.js';
import { TRACK_ACCEPT, TRACK_INVALID } from './tcp.js';
import type { ConntrackSettings } from './timeouts.js';

const SCTP_TAG = 4;
/** Type, flags, length. */
const CHUNK_HEADER = 4;
const CHUNK_FLAGS = 1;
const CHUNK_LENGTH = 2;
/** Initiate tag, window, streams and first TSN of INIT and INIT ACK. */
const INIT_LENGTH = 16;
/** T bit: the tag is the other direction's, reflected (RFC 9260 section 8.4). */
const FLAG_REFLECTED = 1;

/** Words of an entry's state: tag that packets of each direction must carry, then bits. */
const TAGS = 0;
const BITS = 2;
/** An INIT was seen in the original direction; the next bit says it of the other. */
const INIT_SEEN = 1;
/** A heartbeat came with a wrong tag, in the direction that LAST_DIRECTION tells: a peer may have begun anew. */
const HEARTBEAT_FAILED = 4;
const LAST_DIRECTION = 8;

/** What a chunk means for the packet: go on, let it pass without a new lease, or it is INVALID. */
const GO_ON = 0;
const IGNORE = 1;
const INVALID = 2;

const bit = (chunk: number): number => 1 << chunk;
/** Chunks without which the tag must be the direction's own; for these the rules of section 8.5.1 hold. */
const OWN_TAG_RULES =
  bit(CHUNK_INIT) |
  bit(CHUNK_SHUTDOWN_COMPLETE) |
  bit(CHUNK_COOKIE_ECHO) |
  bit(CHUNK_ABORT) |
  bit(CHUNK_SHUTDOWN_ACK) |
  bit(CHUNK_HEARTBEAT) |
  bit(CHUNK_HEARTBEAT_ACK);
/** Out of the blue they begin nothing (section 8.4). */
const NEVER_FIRST = bit(CHUNK_ABORT) | bit(CHUNK_SHUTDOWN_COMPLETE) | bit(CHUNK_COOKIE_ACK);
/** Chunks that must be the only one of their packet, and those that must come first. */
const ALONE = bit(CHUNK_INIT) | bit(CHUNK_INIT_ACK) | bit(CHUNK_SHUTDOWN_COMPLETE);
const FIRST = bit(CHUNK_COOKIE_ACK) | bit(CHUNK_COOKIE_ECHO);

export class SctpTracker {
  /** Types of the packet's chunks below 32, a bit each; set by `sound`. */
  private types = 0;
  private tag = 0;
  private view: DataView = new DataView(new ArrayBuffer(0));
  private end = 0;

  constructor(
    private readonly table: FlowTable,
    private readonly settings: ConntrackSettings,
  ) {}

  /** TRACK_ACCEPT or TRACK_INVALID. The common header is there and its checksum right. */
  packet(packet: Packet): number {
    const { table } = this;
    const { entry, direction, l4, view } = packet;
    this.view = view;
    this.end = packet.end;
    this.tag = view.getInt32(l4 + SCTP_TAG);
    if (!this.sound(l4) && !(packet.cut && this.types === 0)) return TRACK_INVALID;
    const at = entry * table.entryWords + table.meta;
    const state = table.stateAt(entry);
    if (((table.words[at] as number) & CONFIRMED) === 0 && !this.begin(l4, state)) return TRACK_INVALID;
    if ((this.types & OWN_TAG_RULES) === 0 && this.tag !== table.words[state + TAGS + direction]) return TRACK_INVALID;
    return this.follow(packet, at, state);
  }

  /** Offset of the chunk after the one at `at`; `end` or more when there is none. */
  private next(at: number): number {
    return at + ((this.view.getUint16(at + CHUNK_LENGTH) + 3) & ~3);
  }

  private isChunk(at: number): boolean {
    return at + CHUNK_HEADER <= this.end;
  }

  /** Chunks that may stand together (kernel: do_basic_checks). Notes their types. */
  private sound(l4: number): boolean {
    let count = 0;
    let alone = false;
    this.types = 0;
    for (let at = l4 + SCTP_HEADER; this.isChunk(at); at = this.next(at)) {
      const type = this.view.getUint8(at);
      const known = type < 32 ? bit(type) : 0;
      if ((known & ALONE) !== 0) alone = true;
      if ((alone || (known & FIRST) !== 0) && count > 0) return false;
      // The walk would not get on; every later one relies on this.
      if (this.view.getUint16(at + CHUNK_LENGTH) === 0) return false;
      this.types |= known;
      count++;
    }
    return count > 0;
  }

  /** Whether the packet may begin an association, and the tags it sets (kernel: sctp_new). */
  private begin(l4: number, state: number): boolean {
    const { words } = this.table;
    if ((this.types & NEVER_FIRST) !== 0) return false;
    for (let at = l4 + SCTP_HEADER; this.isChunk(at); at = this.next(at)) {
      const type = this.view.getUint8(at);
      const next = sctpNextState(ORIGINAL, SCTP_NONE, type);
      if (next === SCTP_NONE || next === SCTP_INVALID) return false;
      if (type === CHUNK_INIT) {
        if (this.tag !== 0 || at + CHUNK_HEADER + INIT_LENGTH > this.end) return false;
        words[state + TAGS + 1] = this.view.getInt32(at + CHUNK_HEADER);
      } else if (type === CHUNK_HEARTBEAT) {
        words[state + TAGS] = this.tag;
      } else {
        words[state + TAGS + 1] = this.tag;
      }
    }
    return true;
  }

  private follow(packet: Packet, meta: number, state: number): number {
    const { words } = this.table;
    const { direction } = packet;
    let ignore = false;
    let now = SCTP_NONE;
    for (let at = packet.l4 + SCTP_HEADER; this.isChunk(at); at = this.next(at)) {
      const type = this.view.getUint8(at);
      const verdict = this.checkTag(at, type, direction, state, ignore);
      if (verdict === INVALID) return TRACK_INVALID;
      if (verdict === IGNORE) {
        ignore = true;
        continue;
      }
      const before = ((words[meta] as number) >>> 8) & 0xff;
      now = sctpNextState(direction, before, type);
      if (now === SCTP_INVALID || !this.noteTags(at, type, direction, state)) return TRACK_INVALID;
      const confirmed = ((words[meta] as number) & CONFIRMED) !== 0;
      // A client that tries again and again from one port must not keep a dead entry alive.
      if (type === CHUNK_INIT && now === SCTP_CLOSED && before === SCTP_CLOSED && confirmed) ignore = true;
      words[meta] = ((words[meta] as number) & ~0xff00) | (now << 8);
      if (now === SCTP_ESTABLISHED && before !== now) words[meta] = (words[meta] as number) | ASSURED;
    }
    if (!ignore) words[meta + META_EXPIRES] = packet.now + (this.settings.sctp[now] as number);
    return TRACK_ACCEPT;
  }

  /** RFC 9260 section 8.5.1, and what the kernel makes of heartbeats of a path it did not see begin. */
  private checkTag(at: number, type: number, direction: number, state: number, ignore: boolean): number {
    const { words } = this.table;
    const own = words[state + TAGS + direction] as number;
    switch (type) {
      case CHUNK_INIT:
        return this.tag === 0 ? GO_ON : INVALID;
      case CHUNK_ABORT:
      case CHUNK_SHUTDOWN_COMPLETE: {
        const reflected = (this.view.getUint8(at + CHUNK_FLAGS) & FLAG_REFLECTED) !== 0;
        return this.tag === (reflected ? words[state + TAGS + 1 - direction] : own) ? GO_ON : INVALID;
      }
      case CHUNK_COOKIE_ECHO:
        return this.tag === own ? GO_ON : INVALID;
      case CHUNK_COOKIE_ACK:
        words[state + BITS] = (words[state + BITS] as number) & ~(INIT_SEEN | (INIT_SEEN << 1));
        return GO_ON;
      case CHUNK_HEARTBEAT:
        return this.checkHeartbeat(own, direction, state, ignore);
      case CHUNK_HEARTBEAT_ACK:
        return this.checkHeartbeatAck(own, direction, state, ignore);
      default:
        return GO_ON;
    }
  }

  private checkHeartbeat(own: number, direction: number, state: number, ignore: boolean): number {
    const { words } = this.table;
    const bits = words[state + BITS] as number;
    if (own === 0) {
      words[state + TAGS + direction] = this.tag;
    } else if (this.tag !== own) {
      if ((this.types & bit(CHUNK_DATA)) !== 0 || ignore) return INVALID;
      words[state + BITS] = (bits & ~LAST_DIRECTION) | HEARTBEAT_FAILED | (direction === 0 ? 0 : LAST_DIRECTION);
      return IGNORE;
    } else {
      words[state + BITS] = bits & ~HEARTBEAT_FAILED;
    }
    return GO_ON;
  }

  /** An answer with the tag that the failed heartbeat's sender must use now: its peer has begun anew, and is right. */
  private checkHeartbeatAck(own: number, direction: number, state: number, ignore: boolean): number {
    const { words } = this.table;
    const bits = words[state + BITS] as number;
    if (own === 0) {
      words[state + TAGS + direction] = this.tag;
      return GO_ON;
    }
    if (this.tag !== own) {
      if ((this.types & bit(CHUNK_DATA)) !== 0 || ignore) return INVALID;
      const last = (bits & LAST_DIRECTION) === 0 ? 0 : 1;
      if ((bits & HEARTBEAT_FAILED) === 0 || last === direction) return INVALID;
      words[state + TAGS + direction] = this.tag;
      words[state + TAGS + 1 - direction] = 0;
    }
    words[state + BITS] = bits & ~HEARTBEAT_FAILED;
    return GO_ON;
  }

  /** INIT and INIT ACK say which tag the other side must use. False when that contradicts what was agreed. */
  private noteTags(at: number, type: number, direction: number, state: number): boolean {
    if (type !== CHUNK_INIT && type !== CHUNK_INIT_ACK) return true;
    if (at + CHUNK_HEADER + INIT_LENGTH > this.end) return false;
    const { words } = this.table;
    const stated = this.view.getInt32(at + CHUNK_HEADER);
    const bits = words[state + BITS] as number;
    const ownInit = (bits & (INIT_SEEN << direction)) !== 0;
    const otherInit = (bits & (INIT_SEEN << (1 - direction))) !== 0;
    const known = words[state + TAGS + 1 - direction] as number;
    if (type === CHUNK_INIT) {
      const kept = ownInit && otherInit ? bits & ~(INIT_SEEN << (1 - direction)) : bits;
      words[state + BITS] = kept | (INIT_SEEN << direction);
    } else if (stated !== known && ((!otherInit && known !== 0) || (ownInit && otherInit))) {
      return false;
    }
    words[state + TAGS + 1 - direction] = stated;
    return true;
  }
}
