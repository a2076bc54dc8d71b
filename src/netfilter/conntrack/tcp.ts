/**
 * TCP as connection tracking follows it: the state machine (kernel: nf_conntrack_proto_tcp.c). What the entry keeps is
 * in tcpstate.ts, the windows in tcpwindow.ts, resets in tcpreset.ts.
 *
 * Hot path: runs for every TCP packet; no allocation.
 */
import {
  TCP_ACK,
  TCP_ACKNOWLEDGEMENT,
  TCP_DATA_OFFSET,
  TCP_FIN,
  TCP_FLAGS,
  TCP_MIN_HEADER,
  TCP_RST,
  TCP_SEQUENCE,
  TCP_SYN,
  TCP_WINDOW,
} from '../../packet/transport.js';
import { ASSURED, CONFIRMED, type FlowTable, META_EXPIRES, ORIGINAL, REPLY, SEEN_REPLY } from './flowtable.js';
import { highestSack, type PeerOptions } from './tcpoptions.js';
import { judgeReset, RESET_IN_WINDOW, RESET_INVALID, RESET_KEEPS_STATE } from './tcpreset.js';
import { TcpSegment } from './tcpsegment.js';
import {
  ANY_UNACKNOWLEDGED,
  addPeerFlags,
  BE_LIBERAL,
  CLOSE_INIT,
  DATA_UNACKNOWLEDGED,
  END,
  EXPECT_CHALLENGE_ACK,
  forgetPeer,
  LAST_ACK_NUMBER,
  LAST_END,
  LAST_OPTIONS,
  LAST_PACKET,
  LAST_SEQUENCE,
  lastDirection,
  lastFlags,
  lastKind,
  MAX_ACK,
  MAX_ACK_SET,
  MAX_ACK_WINDOW,
  MAX_END,
  MAX_WINDOW,
  PEER_WORDS,
  peerFlags,
  retransmissions,
  SACK_PERMITTED,
  SCALES,
  SIMULTANEOUS_OPEN,
  setLast,
  setLastFlags,
  setPeer,
  WINDOW_SCALE,
} from './tcpstate.js';
import {
  ACK,
  COUNTED_FLAGS,
  FIN,
  FLAGS_VALID,
  IGNORE,
  INVALID,
  KINDS,
  NO_FLAGS,
  RST,
  STATES,
  SYN,
  SYN_ACK,
  TRANSITIONS,
} from './tcptransitions.js';
import { checkWindow, storeOptions, WINDOW_IGNORE, WINDOW_INVALID } from './tcpwindow.js';
import {
  type ConntrackSettings,
  TCP_CLOSE,
  TCP_ESTABLISHED,
  TCP_FIN_WAIT,
  TCP_LAST_ACK,
  TCP_NONE,
  TCP_SYN_RECV,
  TCP_SYN_SENT,
  TCP_SYN_SENT2,
  TCP_TIME_WAIT,
} from './timeouts.js';

/** Verdicts of the tracker. */
export const TRACK_ACCEPT = 1;
/** Not part of the connection: INVALID. */
export const TRACK_INVALID = 2;
/** The entry is dead and the packet begins another: remove it and look up again. */
export const TRACK_REPEAT = 3;
/** The packet passes by this entry, which is deleted at once (an RST that answers a SYN). */
export const TRACK_ACCEPT_AND_DELETE = 4;

/** Of the header's bytes 12 and 13: the flags that tell an acknowledgement from all else (COUNTED_FLAGS but URG). */
const NOT_PLAIN_ACK = TCP_FIN | TCP_SYN | TCP_RST | TCP_ACK;
/** Of an entry's first word. */
const ASSURED_AND_STATE = ASSURED | 0xff00;
const ASSURED_AND_ESTABLISHED = ASSURED | (TCP_ESTABLISHED << 8);

/** Below this many milliseconds a rejected FIN or RST does not shorten an entry's life. */
const SHORT_ENOUGH = 120_000;

const peerOptions: PeerOptions = { scale: 0, flags: 0 };

export class TcpTracker {
  /** The packet in hand. */
  private readonly segment = new TcpSegment();
  /** The packet prolonged its entry's life, or ended it; not one that is let pass without a judgement. */
  refreshed = true;

  constructor(
    private readonly table: FlowTable,
    private readonly settings: ConntrackSettings,
  ) {}

  /**
   * Follows a packet whose header is sound. `tcp`: offset of the header, `segmentLength`: bytes of header and data by
   * the IP header, `captureEnd`: past the last captured byte, `now`: milliseconds of capture time (wrapping).
   * Returns TRACK_*.
   */
  packet(
    entry: number,
    direction: number,
    view: DataView,
    tcp: number,
    segmentLength: number,
    captureEnd: number,
    now: number,
  ): number {
    const { table, segment } = this;
    if (FLAGS_VALID[view.getUint8(tcp + TCP_FLAGS) & COUNTED_FLAGS] === 0) return TRACK_INVALID;
    segment.read(view, tcp, segmentLength, captureEnd);
    this.refreshed = false;
    const at = entry * table.entryWords + table.meta;
    if (((table.words[at] as number) & CONFIRMED) === 0 && !this.begin(entry)) return TRACK_INVALID;
    const old = ((table.words[at] as number) >>> 8) & 0xff;
    const next = TRANSITIONS[(direction * KINDS + segment.kind) * STATES + old] as number;
    return this.transition(entry, direction, old, next, now);
  }

  /**
   * A plain segment inside the windows of a connection that both sides have acknowledged: what `packet` would do, in
   * one pass over the entry's state. False, with nothing changed, when anything is out of the
   * ordinary: the packet is for `packet` then. Arguments as there.
   */
  established(
    entry: number,
    direction: number,
    view: DataView,
    tcp: number,
    segmentLength: number,
    captureEnd: number,
    now: number,
  ): boolean {
    const { words, entryWords, meta } = this.table;
    const states = words;
    const base = entry * entryWords + meta;
    if (((words[base] as number) & ASSURED_AND_STATE) !== ASSURED_AND_ESTABLISHED) return false;
    const control = view.getUint16(tcp + TCP_DATA_OFFSET);
    if ((control & NOT_PLAIN_ACK) !== TCP_ACK) return false;
    const headerLength = (control >>> 12) << 2;
    const sequence = view.getInt32(tcp + TCP_SEQUENCE);
    const ack = view.getInt32(tcp + TCP_ACKNOWLEDGEMENT);
    const stated = view.getUint16(tcp + TCP_WINDOW);
    const end = (sequence + segmentLength - headerLength) | 0;
    const at = this.table.stateAt(entry);
    const sender = at + direction * PEER_WORDS;
    const receiver = at + (1 - direction) * PEER_WORDS;
    const shift = direction * 16;
    const scales = states[at + SCALES] as number;
    const senderFlags = (scales >>> (shift + 8)) & 0xff;
    let sack = ack;
    if (((scales >>> (24 - shift)) & SACK_PERMITTED) !== 0 && headerLength !== TCP_MIN_HEADER)
      sack = highestSack(view, tcp, captureEnd, sack);
    const senderEnd = states[sender + END] as number;
    const senderMaxEnd = states[sender + MAX_END] as number;
    const senderWindow = states[sender + MAX_WINDOW] as number;
    const receiverEnd = states[receiver + END] as number;
    const receiverWindow = states[receiver + MAX_WINDOW] as number;
    const lag = Math.max(senderWindow, MAX_ACK_WINDOW);
    if (
      senderWindow <= 0 ||
      receiverWindow <= 0 ||
      (senderFlags & MAX_ACK_SET) === 0 ||
      ((sequence - senderMaxEnd) | 0) > 0 ||
      ((end - senderMaxEnd) | 0) > 0 ||
      ((sack - receiverEnd) | 0) > 0 ||
      ((end - senderEnd + receiverWindow) | 0) < 0 ||
      ((sack - receiverEnd + lag) | 0) < 0
    )
      return false;
    const window = stated << ((scales >>> shift) & 0xff);
    const reach = (window + sack - ack) | 0;
    if (senderWindow < reach) states[sender + MAX_WINDOW] = reach;
    let flags = scales;
    if (((end - senderEnd) | 0) > 0) {
      states[sender + END] = end;
      flags |= DATA_UNACKNOWLEDGED << (shift + 8);
    }
    if (((ack - (states[sender + MAX_ACK] as number)) | 0) > 0) states[sender + MAX_ACK] = ack;
    if (((sack + window - (states[receiver + MAX_END] as number) + 1) | 0) > 0)
      states[receiver + MAX_END] = (sack + window + (window === 0 ? 1 : 0)) | 0;
    if (ack === receiverEnd) flags &= ~(DATA_UNACKNOWLEDGED << (24 - shift));
    states[at + SCALES] = flags;

    const last = states[at + LAST_PACKET] as number;
    let retransmissions = 0;
    if (
      (last & 0x1ffff) === (stated | (direction << 16)) &&
      states[at + LAST_SEQUENCE] === sequence &&
      states[at + LAST_ACK_NUMBER] === ack &&
      states[at + LAST_END] === end
    )
      retransmissions = ((last >> 20) + 1) & 0xff;
    states[at + LAST_SEQUENCE] = sequence;
    states[at + LAST_ACK_NUMBER] = ack;
    states[at + LAST_END] = end;
    states[at + LAST_PACKET] = stated | (direction << 16) | (ACK << 17) | (retransmissions << 20);

    const { settings } = this;
    let timeout = settings.tcp[TCP_ESTABLISHED] as number;
    if (retransmissions >= settings.tcpMaxRetransmissions && timeout > settings.tcpRetransmitted)
      timeout = settings.tcpRetransmitted;
    else if ((flags & ANY_UNACKNOWLEDGED) !== 0 && timeout > settings.tcpUnacknowledged)
      timeout = settings.tcpUnacknowledged;
    else if (stated === 0 && timeout > settings.tcpRetransmitted) timeout = settings.tcpRetransmitted;
    words[base + META_EXPIRES] = now + timeout;
    return true;
  }

  /** First packet of an entry: false if it can't begin one (kernel: tcp_new). */
  private begin(entry: number): boolean {
    const { segment } = this;
    const state = TRANSITIONS[segment.kind * STATES + TCP_NONE] as number;
    if (state >= STATES || (state !== TCP_SYN_SENT && !this.settings.tcpLoose)) return false;
    const { words: states } = this.table;
    const at = this.table.stateAt(entry);
    for (let k = at; k <= at + LAST_OPTIONS; k++) states[k] = 0;
    const window = segment.window === 0 ? 1 : segment.window;
    states[at + END] = segment.end;
    states[at + MAX_WINDOW] = window;
    if (state === TCP_SYN_SENT) {
      states[at + MAX_END] = segment.end;
      storeOptions(states, at, ORIGINAL, segment);
    } else {
      // Picked up in the middle: the handshake's options are unknown, so assume SACK and do not insist on windows.
      states[at + MAX_END] = segment.end + window;
      states[at + SCALES] = ((SACK_PERMITTED | BE_LIBERAL) << 8) | ((SACK_PERMITTED | BE_LIBERAL) << 24);
    }
    states[at + LAST_PACKET] = NO_FLAGS << 17;
    return true;
  }

  /** The transitions that need more than the table (kernel: the switch of nf_conntrack_tcp_packet). */
  private transition(entry: number, direction: number, old: number, next: number, now: number): number {
    const { words: states } = this.table;
    const at = this.table.stateAt(entry);
    const { kind } = this.segment;
    let from = old;
    let to = next;
    switch (next) {
      case INVALID:
        return TRACK_INVALID;
      case TCP_SYN_SENT:
        if (old < TCP_TIME_WAIT) break;
        if (this.mayBeReused(at, direction)) return TRACK_REPEAT;
        if (!this.letPass(at, direction, old)) return TRACK_ACCEPT;
        from = TCP_SYN_SENT;
        to = TCP_SYN_RECV;
        break;
      case IGNORE:
        if (!this.letPass(at, direction, old)) return TRACK_ACCEPT;
        from = TCP_SYN_SENT;
        to = TCP_SYN_RECV;
        break;
      case TCP_TIME_WAIT:
        if (old === TCP_LAST_ACK && kind === ACK && this.isChallenge(at, direction)) {
          setLastFlags(states, at, lastFlags(states, at) & ~EXPECT_CHALLENGE_ACK);
          return TRACK_ACCEPT;
        }
        break;
      case TCP_SYN_SENT2:
        setLastFlags(states, at, lastFlags(states, at) | SIMULTANEOUS_OPEN);
        break;
      case TCP_SYN_RECV:
        if (direction === REPLY && kind === ACK && (lastFlags(states, at) & SIMULTANEOUS_OPEN) !== 0)
          to = TCP_ESTABLISHED;
        break;
      case TCP_CLOSE: {
        if (kind !== RST) break;
        const status = states[entry * this.table.entryWords + this.table.meta] as number;
        const judged = judgeReset(states, at, direction, status, this.segment, this.settings.tcpIgnoreInvalidRst);
        if (judged === RESET_INVALID) return TRACK_INVALID;
        if (judged === RESET_KEEPS_STATE) to = old;
        if (judged === RESET_IN_WINDOW) return this.settle(entry, direction, old, to, now);
        break;
      }
      default:
        break;
    }
    return this.inWindow(entry, direction, from, to, now);
  }

  /** A SYN on an entry that is closed, by its sides or by the sender's own reset, begins another connection. */
  private mayBeReused(at: number, direction: number): boolean {
    const { words: states } = this.table;
    const flags = peerFlags(states, at, ORIGINAL) | peerFlags(states, at, REPLY);
    if ((flags & CLOSE_INIT) !== 0) return true;
    return lastDirection(states, at) === direction && lastKind(states, at) === RST;
  }

  /** An ACK that answers a SYN which was let pass (RFC 5961 section 4.2): not the last one of the connection. */
  private isChallenge(at: number, direction: number): boolean {
    const { words: states } = this.table;
    if ((lastFlags(states, at) & EXPECT_CHALLENGE_ACK) === 0) return false;
    return lastDirection(states, at) !== direction && lastKind(states, at) === SYN;
  }

  /**
   * Packets that may be the peers' own affair (a SYN in a live connection, say) pass and are remembered. True when the
   * packet shows that an earlier SYN which was let pass was right, and the entry is to follow it.
   */
  private letPass(at: number, direction: number, old: number): boolean {
    const { segment } = this;
    const { kind } = segment;
    const { words: states } = this.table;
    if (
      kind === SYN_ACK &&
      lastKind(states, at) === SYN &&
      lastDirection(states, at) !== direction &&
      segment.acknowledgement === states[at + LAST_END]
    ) {
      this.followPassed(at, direction);
      return true;
    }
    const last = states[at + LAST_PACKET] as number;
    states[at + LAST_SEQUENCE] = segment.sequence;
    states[at + LAST_END] = segment.end;
    states[at + LAST_PACKET] = (last & 0x0ff00000) | segment.window | (direction << 16) | (kind << 17);
    if (kind === SYN && direction === ORIGINAL) {
      segment.options(peerOptions);
      const kept = peerOptions.flags & (WINDOW_SCALE | SACK_PERMITTED);
      const challenge = old === TCP_LAST_ACK ? EXPECT_CHALLENGE_ACK : 0;
      const scale = (kept & WINDOW_SCALE) !== 0 ? peerOptions.scale : 0;
      states[at + LAST_OPTIONS] = scale | ((kept | challenge) << 8);
    }
    if (old === TCP_SYN_SENT && kind === ACK && direction === REPLY)
      states[at + LAST_ACK_NUMBER] = segment.acknowledgement;
    return false;
  }

  /** The entry takes over what was noted of the SYN that the packet in hand acknowledges. */
  private followPassed(at: number, direction: number): void {
    const { words: states } = this.table;
    const sender = 1 - direction;
    const peer = at + sender * PEER_WORDS;
    const window = (states[at + LAST_PACKET] as number) & 0xffff;
    states[peer + END] = states[at + LAST_END] as number;
    states[peer + MAX_END] = states[at + LAST_END] as number;
    states[peer + MAX_WINDOW] = window === 0 ? 1 : window;
    setLastFlags(states, at, lastFlags(states, at) & ~EXPECT_CHALLENGE_ACK);
    setPeer(states, at, sender, (states[at + LAST_OPTIONS] as number) & 0xff, lastFlags(states, at));
    forgetPeer(states, at, direction);
  }

  /** The window check, then the new state (kernel: tcp_in_window and what follows it). */
  private inWindow(entry: number, direction: number, old: number, next: number, now: number): number {
    const { table, segment, settings } = this;
    const at = table.stateAt(entry);
    const state = ((table.words[entry * table.entryWords + table.meta] as number) >>> 8) & 0xff;
    const result = checkWindow(table.words, at, direction, state, segment, settings.tcpLiberal);
    if (result === WINDOW_IGNORE) return TRACK_ACCEPT;
    if (result === WINDOW_INVALID) {
      this.shortenLife(entry, direction, now);
      return TRACK_INVALID;
    }
    return this.settle(entry, direction, old, next, now);
  }

  /** The packet belongs: new state, new timeout. */
  private settle(entry: number, direction: number, old: number, next: number, now: number): number {
    const { words, meta, entryWords } = this.table;
    const { kind } = this.segment;
    const at = this.table.stateAt(entry);
    const base = entry * entryWords + meta;
    setLast(words, at, direction, kind);
    if (old !== next && next === TCP_FIN_WAIT) addPeerFlags(words, at, direction, CLOSE_INIT);
    let word = ((words[base] as number) & ~0xff00) | (next << 8);
    let timeout = this.timeoutFor(at, next);
    if ((word & SEEN_REPLY) === 0) {
      words[base] = word;
      this.refreshed = kind === RST;
      if (kind === RST) return TRACK_ACCEPT_AND_DELETE;
      // A SYN sent again does not prolong the entry: port reuse could keep it alive for ever.
      if (kind === SYN && old === TCP_SYN_SENT) return TRACK_ACCEPT;
      if (next === TCP_ESTABLISHED) timeout = Math.min(timeout, this.settings.tcpUnacknowledged);
    } else if (
      (word & ASSURED) === 0 &&
      next === TCP_ESTABLISHED &&
      (old === TCP_SYN_RECV || old === TCP_ESTABLISHED)
    ) {
      word |= ASSURED;
    }
    words[base] = word;
    words[base + META_EXPIRES] = now + timeout;
    this.refreshed = true;
    return TRACK_ACCEPT;
  }

  private timeoutFor(at: number, state: number): number {
    const { settings } = this;
    const { words: states } = this.table;
    const standard = settings.tcp[state] as number;
    if (retransmissions(states, at) >= settings.tcpMaxRetransmissions && standard > settings.tcpRetransmitted)
      return settings.tcpRetransmitted;
    if (this.segment.kind === RST) return settings.tcp[TCP_CLOSE] as number;
    const flags = peerFlags(states, at, ORIGINAL) | peerFlags(states, at, REPLY);
    if ((flags & DATA_UNACKNOWLEDGED) !== 0 && standard > settings.tcpUnacknowledged) return settings.tcpUnacknowledged;
    if (((states[at + LAST_PACKET] as number) & 0xffff) === 0 && standard > settings.tcpRetransmitted)
      return settings.tcpRetransmitted;
    return standard;
  }

  /** Two rejected FINs or RSTs, one each way: the peers are closing without us (kernel: nf_tcp_handle_invalid). */
  private shortenLife(entry: number, direction: number, now: number): void {
    const { words, meta, entryWords } = this.table;
    const { kind } = this.segment;
    const base = entry * entryWords + meta;
    if (((words[base] as number) & ASSURED) === 0 || (kind !== RST && kind !== FIN)) return;
    const at = this.table.stateAt(entry);
    const before = lastKind(words, at);
    if (lastDirection(words, at) !== direction && (before === FIN || before === RST)) {
      const left = ((words[base + META_EXPIRES] as number) - now) | 0;
      if (left >= SHORT_ENOUGH && left > this.settings.tcpUnacknowledged)
        words[base + META_EXPIRES] = now + this.settings.tcpUnacknowledged;
    } else {
      setLast(words, at, direction, kind);
    }
  }
}
