/**
 * TCP as connection tracking follows it: the state machine and the windows (kernel: nf_conntrack_proto_tcp.c, after
 * van Rooij's "Real Stateful TCP Packet Filtering in IP Filter").
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
  tcpHeaderLength,
} from '../../packet/transport.js';
import { ASSURED, CONFIRMED, type FlowTable, META_EXPIRES, ORIGINAL, REPLY, SEEN_REPLY } from './flowtable.js';
import { afterSequence, beforeSequence, highestSack, type PeerOptions, readPeerOptions } from './tcpoptions.js';
import {
  ACK,
  COUNTED_FLAGS,
  FIN,
  FLAGS_VALID,
  IGNORE,
  INVALID,
  KINDS,
  kindOf,
  NO_FLAGS,
  RST,
  STATES,
  SYN,
  SYN_ACK,
  TRANSITIONS,
} from './tcptransitions.js';
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

/** Words of an entry's state. Of each direction: highest sequence sent, allowed, window, acknowledgement. */
const PEER_WORDS = 4;
const END = 0;
const MAX_END = 1;
const MAX_WINDOW = 2;
const MAX_ACK = 3;
/** Scale and flags: scale, flags of the original direction, then of the reply direction, a byte each. */
const SCALES = 8;
const LAST_SEQUENCE = 9;
const LAST_ACK_NUMBER = 10;
const LAST_END = 11;
/** Window (0-15), direction (16), kind (17-19), retransmissions (20-27). */
const LAST_PACKET = 12;
/** Window scale (0-7) and flags (8-15) of a SYN that was let pass. */
const LAST_OPTIONS = 13;

/** Flags of a peer (kernel: IP_CT_TCP_FLAG_*). */
export const WINDOW_SCALE = 0x01;
export const SACK_PERMITTED = 0x02;
const CLOSE_INIT = 0x04;
const BE_LIBERAL = 0x08;
const DATA_UNACKNOWLEDGED = 0x10;
const MAX_ACK_SET = 0x20;
/** Either peer, in the SCALES word. */
const ANY_UNACKNOWLEDGED = (DATA_UNACKNOWLEDGED << 8) | (DATA_UNACKNOWLEDGED << 24);
/** Of LAST_OPTIONS only. */
const EXPECT_CHALLENGE_ACK = 0x40;
const SIMULTANEOUS_OPEN = 0x80;

/** Of the header's bytes 12 and 13: the flags that tell an acknowledgement from all else (COUNTED_FLAGS but URG). */
const NOT_PLAIN_ACK = TCP_FIN | TCP_SYN | TCP_RST | TCP_ACK;
/** Of an entry's first word. */
const ASSURED_AND_STATE = ASSURED | 0xff00;
const ASSURED_AND_ESTABLISHED = ASSURED | (TCP_ESTABLISHED << 8);

/** An acknowledgement may lag behind this many bytes at least (kernel: MAXACKWINCONST). */
const MAX_ACK_WINDOW = 66_000;
/** Below this many milliseconds a rejected FIN or RST does not shorten an entry's life. */
const SHORT_ENOUGH = 120_000;

const peerOptions: PeerOptions = { scale: 0, flags: 0 };

export class TcpTracker {
  /** Sequence numbers and lengths of the packet in hand. */
  private sequence = 0;
  private acknowledgement = 0;
  private end = 0;
  private window = 0;
  private flags = 0;

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
    const { words, meta, entryWords } = this.table;
    const flags = view.getUint8(tcp + TCP_FLAGS);
    if (FLAGS_VALID[flags & COUNTED_FLAGS] === 0) return TRACK_INVALID;
    this.flags = flags;
    this.sequence = view.getInt32(tcp + TCP_SEQUENCE);
    this.acknowledgement = view.getInt32(tcp + TCP_ACKNOWLEDGEMENT);
    this.window = view.getUint16(tcp + TCP_WINDOW);
    const phantom = ((flags & TCP_SYN) !== 0 ? 1 : 0) + ((flags & TCP_FIN) !== 0 ? 1 : 0);
    this.end = (this.sequence + segmentLength - tcpHeaderLength(view, tcp) + phantom) | 0;

    const at = entry * entryWords + meta;
    const word = words[at] as number;
    if ((word & CONFIRMED) === 0 && !this.begin(entry, view, tcp, captureEnd)) return TRACK_INVALID;
    const old = ((words[at] as number) >>> 8) & 0xff;
    const kind = kindOf(flags);
    const next = TRANSITIONS[(direction * KINDS + kind) * STATES + old] as number;
    if (kind === ACK && old === TCP_ESTABLISHED)
      return this.inWindow(entry, direction, kind, old, old, view, tcp, captureEnd, now);
    return this.transition(entry, direction, kind, old, next, view, tcp, captureEnd, now);
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
  private begin(entry: number, view: DataView, tcp: number, captureEnd: number): boolean {
    const state = TRANSITIONS[kindOf(this.flags) * STATES + TCP_NONE] as number;
    if (state >= STATES || (state !== TCP_SYN_SENT && !this.settings.tcpLoose)) return false;
    const { words: states } = this.table;
    const at = this.table.stateAt(entry);
    for (let k = at; k <= at + LAST_OPTIONS; k++) states[k] = 0;
    const window = this.window === 0 ? 1 : this.window;
    states[at + END] = this.end;
    states[at + MAX_WINDOW] = window;
    if (state === TCP_SYN_SENT) {
      states[at + MAX_END] = this.end;
      this.storeOptions(at, ORIGINAL, view, tcp, captureEnd);
    } else {
      // Picked up in the middle: the handshake's options are unknown, so assume SACK and do not insist on windows.
      states[at + MAX_END] = this.end + window;
      states[at + SCALES] = ((SACK_PERMITTED | BE_LIBERAL) << 8) | ((SACK_PERMITTED | BE_LIBERAL) << 24);
    }
    states[at + LAST_PACKET] = NO_FLAGS << 17;
    return true;
  }

  /** The transitions that need more than the table (kernel: the switch of nf_conntrack_tcp_packet). */
  private transition(
    entry: number,
    direction: number,
    kind: number,
    old: number,
    next: number,
    view: DataView,
    tcp: number,
    captureEnd: number,
    now: number,
  ): number {
    const { words: states } = this.table;
    const at = this.table.stateAt(entry);
    const last = states[at + LAST_PACKET] as number;
    const lastKind = (last >> 17) & 7;
    const lastDirection = (last >> 16) & 1;
    let from = old;
    let to = next;
    switch (next) {
      case INVALID:
        return TRACK_INVALID;
      case TCP_SYN_SENT:
        if (old < TCP_TIME_WAIT) break;
        if (
          ((this.peerFlags(at, ORIGINAL) | this.peerFlags(at, REPLY)) & CLOSE_INIT) !== 0 ||
          (lastDirection === direction && lastKind === RST)
        )
          return TRACK_REPEAT;
        if (!this.ignored(entry, direction, kind, old, view, tcp, captureEnd)) return TRACK_ACCEPT;
        from = TCP_SYN_SENT;
        to = TCP_SYN_RECV;
        break;
      case IGNORE:
        if (!this.ignored(entry, direction, kind, old, view, tcp, captureEnd)) return TRACK_ACCEPT;
        from = TCP_SYN_SENT;
        to = TCP_SYN_RECV;
        break;
      case TCP_TIME_WAIT:
        if (
          old === TCP_LAST_ACK &&
          kind === ACK &&
          lastDirection !== direction &&
          lastKind === SYN &&
          (this.lastFlags(at) & EXPECT_CHALLENGE_ACK) !== 0
        ) {
          this.setLastFlags(at, this.lastFlags(at) & ~EXPECT_CHALLENGE_ACK);
          return TRACK_ACCEPT;
        }
        break;
      case TCP_SYN_SENT2:
        this.setLastFlags(at, this.lastFlags(at) | SIMULTANEOUS_OPEN);
        break;
      case TCP_SYN_RECV:
        if (direction === REPLY && kind === ACK && (this.lastFlags(at) & SIMULTANEOUS_OPEN) !== 0) to = TCP_ESTABLISHED;
        break;
      case TCP_CLOSE: {
        if (kind !== RST) break;
        const judged = this.judgeReset(entry, direction, old, lastKind, lastDirection);
        if (judged === RESET_INVALID) return TRACK_INVALID;
        if (judged === RESET_KEEPS_STATE) to = old;
        if (judged === RESET_IN_WINDOW) return this.settle(entry, direction, kind, old, to, now);
        break;
      }
      default:
        break;
    }
    return this.inWindow(entry, direction, kind, from, to, view, tcp, captureEnd, now);
  }

  /**
   * Packets that may be the peers' own affair (a SYN in a live connection, say) pass and are remembered. True when the
   * packet shows that an earlier ignored SYN was right, and the entry is to follow it.
   */
  private ignored(
    entry: number,
    direction: number,
    kind: number,
    old: number,
    view: DataView,
    tcp: number,
    captureEnd: number,
  ): boolean {
    const { words: states } = this.table;
    const at = this.table.stateAt(entry);
    const last = states[at + LAST_PACKET] as number;
    const lastDirection = (last >> 16) & 1;
    if (
      kind === SYN_ACK &&
      ((last >> 17) & 7) === SYN &&
      lastDirection !== direction &&
      this.acknowledgement === states[at + LAST_END]
    ) {
      const peer = at + lastDirection * PEER_WORDS;
      const window = last & 0xffff;
      states[peer + END] = states[at + LAST_END] as number;
      states[peer + MAX_END] = states[at + LAST_END] as number;
      states[peer + MAX_WINDOW] = window === 0 ? 1 : window;
      this.setLastFlags(at, this.lastFlags(at) & ~EXPECT_CHALLENGE_ACK);
      this.setPeer(at, lastDirection, (states[at + LAST_OPTIONS] as number) & 0xff, this.lastFlags(at));
      states.fill(0, at + direction * PEER_WORDS, at + direction * PEER_WORDS + PEER_WORDS);
      this.setPeer(at, direction, 0, this.peerFlags(at, direction) & BE_LIBERAL);
      return true;
    }
    states[at + LAST_SEQUENCE] = this.sequence;
    states[at + LAST_END] = this.end;
    states[at + LAST_PACKET] = (last & 0x0ff00000) | this.window | (direction << 16) | (kind << 17);
    if (kind === SYN && direction === ORIGINAL) {
      readPeerOptions(view, tcp, captureEnd, peerOptions);
      const kept = peerOptions.flags & (WINDOW_SCALE | SACK_PERMITTED);
      const challenge = old === TCP_LAST_ACK ? EXPECT_CHALLENGE_ACK : 0;
      const scale = (kept & WINDOW_SCALE) !== 0 ? peerOptions.scale : 0;
      states[at + LAST_OPTIONS] = scale | ((kept | challenge) << 8);
    }
    if (old === TCP_SYN_SENT && kind === ACK && direction === REPLY)
      states[at + LAST_ACK_NUMBER] = this.acknowledgement;
    return false;
  }

  /** Whether an RST is to be believed (RESET_*). */
  private judgeReset(entry: number, direction: number, old: number, lastKind: number, lastDirection: number): number {
    const { words, meta, entryWords } = this.table;
    const states = words;
    if (old >= TCP_FIN_WAIT && old <= TCP_CLOSE) return RESET_IN_WINDOW;
    const at = this.table.stateAt(entry);
    const status = words[entry * entryWords + meta] as number;
    const established = old === TCP_ESTABLISHED && (status & ASSURED) !== 0;
    let result = RESET_CHECK_WINDOW;
    const other = 1 - direction;
    if ((this.peerFlags(at, other) & MAX_ACK_SET) !== 0 && lastKind !== SYN) {
      const highest = states[at + other * PEER_WORDS + MAX_ACK] as number;
      if (this.sequence === 0 && !established) return RESET_CHECK_WINDOW;
      if (beforeSequence(this.sequence, highest) && !this.settings.tcpIgnoreInvalidRst) return RESET_INVALID;
      if (!established || this.sequence === highest) return RESET_CHECK_WINDOW;
      if (lastKind === ACK && lastDirection === direction && this.sequence === states[at + LAST_END])
        return RESET_CHECK_WINDOW;
      // Not exactly the next byte: keep the state, a challenge ACK may follow.
      result = RESET_KEEPS_STATE;
    }
    const answersIgnored =
      ((status & SEEN_REPLY) !== 0 && lastKind === SYN && lastDirection !== direction) ||
      ((status & ASSURED) === 0 && lastKind === ACK);
    if (answersIgnored && this.acknowledgement === states[at + LAST_END]) return RESET_IN_WINDOW;
    if (
      old === TCP_SYN_SENT &&
      lastKind === ACK &&
      lastDirection === REPLY &&
      this.sequence === states[at + LAST_ACK_NUMBER]
    )
      return RESET_IN_WINDOW;
    return result;
  }

  /** The window check, then the new state (kernel: tcp_in_window and what follows it). */
  private inWindow(
    entry: number,
    direction: number,
    kind: number,
    old: number,
    next: number,
    view: DataView,
    tcp: number,
    captureEnd: number,
    now: number,
  ): number {
    const result = this.checkWindow(entry, direction, kind, view, tcp, captureEnd);
    if (result === WINDOW_IGNORE) return TRACK_ACCEPT;
    if (result === WINDOW_INVALID) {
      this.shortenLife(entry, direction, kind, now);
      return TRACK_INVALID;
    }
    return this.settle(entry, direction, kind, old, next, now);
  }

  private checkWindow(
    entry: number,
    direction: number,
    kind: number,
    view: DataView,
    tcp: number,
    captureEnd: number,
  ): number {
    const { words, entryWords, meta } = this.table;
    const states = words;
    const at = this.table.stateAt(entry);
    const state = ((words[entry * entryWords + meta] as number) >>> 8) & 0xff;
    const sender = at + direction * PEER_WORDS;
    const receiver = at + (1 - direction) * PEER_WORDS;
    const { flags } = this;
    const isSyn = (flags & TCP_SYN) !== 0;
    let sequence = this.sequence;
    let end = this.end;
    let ack = this.acknowledgement;
    let sack = ack;
    if ((this.peerFlags(at, 1 - direction) & SACK_PERMITTED) !== 0) sack = highestSack(view, tcp, captureEnd, sack);

    if (states[sender + MAX_WINDOW] === 0) {
      if (isSyn) {
        this.beginPeer(at, direction, view, tcp, captureEnd);
        if ((flags & TCP_ACK) === 0) return WINDOW_ACCEPT;
      } else {
        const window = this.window << this.peerScale(at, direction);
        states[sender + END] = end;
        states[sender + MAX_WINDOW] = window === 0 ? 1 : window;
        states[sender + MAX_END] = end + (states[sender + MAX_WINDOW] as number);
        if (states[receiver + MAX_WINDOW] === 0) {
          states[receiver + END] = sack;
          states[receiver + MAX_END] = sack;
        } else if (sack === (((states[receiver + END] as number) + 1) | 0)) {
          states[receiver + END] = sack;
        }
      }
    } else if (
      isSyn &&
      afterSequence(end, states[sender + END] as number) &&
      (state === TCP_SYN_SENT || state === TCP_SYN_RECV)
    ) {
      this.beginPeer(at, direction, view, tcp, captureEnd);
      if (direction === REPLY && (flags & TCP_ACK) === 0) return WINDOW_ACCEPT;
    }

    if ((flags & TCP_ACK) === 0 || ((flags & TCP_RST) !== 0 && ack === 0)) {
      ack = states[receiver + END] as number;
      sack = ack;
    }
    if ((flags & TCP_RST) !== 0 && sequence === 0 && state === TCP_SYN_SENT) {
      sequence = states[sender + END] as number;
      end = sequence;
    }
    const fit = this.fits(at, direction, sequence, end, sack);
    if (fit !== WINDOW_ACCEPT) return fit;
    this.updatePeers(at, direction, end, ack, sack);
    if (kind === ACK) this.countRetransmission(at, direction, sequence, ack, end);
    return WINDOW_ACCEPT;
  }

  /** The four bounds of the window (I to IV of the paper). */
  private fits(at: number, direction: number, sequence: number, end: number, sack: number): number {
    const { words: states } = this.table;
    const sender = at + direction * PEER_WORDS;
    const receiver = at + (1 - direction) * PEER_WORDS;
    const liberal = this.settings.tcpLiberal || (this.peerFlags(at, direction) & BE_LIBERAL) !== 0;
    const senderEnd = states[sender + END] as number;
    const senderMaxEnd = states[sender + MAX_END] as number;
    const receiverEnd = states[receiver + END] as number;
    const receiverWindow = states[receiver + MAX_WINDOW] as number;
    const lag = Math.max(states[sender + MAX_WINDOW] as number, MAX_ACK_WINDOW);
    const inReceiveWindow = afterSequence(end, (senderEnd - receiverWindow - 1) | 0);
    const ackNotTooOld = afterSequence(sack, (receiverEnd - lag - 1) | 0);
    const ackNotTooNew = beforeSequence(sack, (receiverEnd + 1) | 0);
    if (!beforeSequence(sequence, (senderMaxEnd + 1) | 0)) {
      const overshot = (end - senderMaxEnd + 1) >>> 0;
      if (receiverWindow !== 0 && inReceiveWindow && ackNotTooOld && overshot <= receiverWindow && ackNotTooNew) {
        states[sender + END] = end;
        this.addPeerFlags(at, direction, DATA_UNACKNOWLEDGED);
        return liberal ? WINDOW_ACCEPT_AS_IS : WINDOW_IGNORE;
      }
      return liberal ? WINDOW_ACCEPT_AS_IS : WINDOW_INVALID;
    }
    if (!ackNotTooNew) return liberal ? WINDOW_ACCEPT_AS_IS : WINDOW_INVALID;
    if ((receiverWindow !== 0 && !inReceiveWindow) || !ackNotTooOld)
      return liberal ? WINDOW_ACCEPT_AS_IS : WINDOW_IGNORE;
    return WINDOW_ACCEPT;
  }

  private updatePeers(at: number, direction: number, end: number, ack: number, sack: number): void {
    const { words: states } = this.table;
    const sender = at + direction * PEER_WORDS;
    const receiver = at + (1 - direction) * PEER_WORDS;
    const window = (this.flags & TCP_SYN) !== 0 ? this.window : this.window << this.peerScale(at, direction);
    const reach = (window + sack - ack) >>> 0;
    if ((states[sender + MAX_WINDOW] as number) >>> 0 < reach) states[sender + MAX_WINDOW] = reach;
    if (afterSequence(end, states[sender + END] as number)) {
      states[sender + END] = end;
      this.addPeerFlags(at, direction, DATA_UNACKNOWLEDGED);
    }
    if ((this.flags & TCP_ACK) !== 0) {
      const set = (this.peerFlags(at, direction) & MAX_ACK_SET) !== 0;
      if (!set || afterSequence(ack, states[sender + MAX_ACK] as number)) states[sender + MAX_ACK] = ack;
      if (!set) this.addPeerFlags(at, direction, MAX_ACK_SET);
    }
    const senderMaxEnd = states[sender + MAX_END] as number;
    if (states[receiver + MAX_WINDOW] !== 0 && afterSequence(end, senderMaxEnd))
      states[receiver + MAX_WINDOW] = (states[receiver + MAX_WINDOW] as number) + end - senderMaxEnd;
    if (afterSequence((sack + window) | 0, ((states[receiver + MAX_END] as number) - 1) | 0))
      states[receiver + MAX_END] = sack + window + (window === 0 ? 1 : 0);
    if (ack === states[receiver + END])
      this.setPeer(
        at,
        1 - direction,
        this.peerScale(at, 1 - direction),
        this.peerFlags(at, 1 - direction) & ~DATA_UNACKNOWLEDGED,
      );
  }

  private countRetransmission(at: number, direction: number, sequence: number, ack: number, end: number): void {
    const { words: states } = this.table;
    const last = states[at + LAST_PACKET] as number;
    const same =
      ((last >> 16) & 1) === direction &&
      (last & 0xffff) === this.window &&
      states[at + LAST_SEQUENCE] === sequence &&
      states[at + LAST_ACK_NUMBER] === ack &&
      states[at + LAST_END] === end;
    if (same) {
      // A byte that wraps (kernel: u_int8_t retrans).
      const count = ((last >> 20) + 1) & 0xff;
      states[at + LAST_PACKET] = (last & ~0x0ff00000) | (count << 20);
      return;
    }
    states[at + LAST_SEQUENCE] = sequence;
    states[at + LAST_ACK_NUMBER] = ack;
    states[at + LAST_END] = end;
    states[at + LAST_PACKET] = (last & 0xe0000) | this.window | (direction << 16);
  }

  /** The packet belongs: new state, new timeout. */
  private settle(entry: number, direction: number, kind: number, old: number, next: number, now: number): number {
    const { words, meta, entryWords } = this.table;
    const states = words;
    const at = this.table.stateAt(entry);
    const base = entry * entryWords + meta;
    const last = states[at + LAST_PACKET] as number;
    states[at + LAST_PACKET] = (last & ~0xf0000) | (direction << 16) | (kind << 17);
    if (old !== next && next === TCP_FIN_WAIT) this.addPeerFlags(at, direction, CLOSE_INIT);
    let word = ((words[base] as number) & ~0xff00) | (next << 8);
    let timeout = this.timeoutFor(at, next, kind, last);
    if ((word & SEEN_REPLY) === 0) {
      words[base] = word;
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
    return TRACK_ACCEPT;
  }

  private timeoutFor(at: number, state: number, kind: number, last: number): number {
    const { settings } = this;
    const standard = settings.tcp[state] as number;
    if (((last >> 20) & 0xff) >= settings.tcpMaxRetransmissions && standard > settings.tcpRetransmitted)
      return settings.tcpRetransmitted;
    if (kind === RST) return settings.tcp[TCP_CLOSE] as number;
    const flags = this.peerFlags(at, ORIGINAL) | this.peerFlags(at, REPLY);
    if ((flags & DATA_UNACKNOWLEDGED) !== 0 && standard > settings.tcpUnacknowledged) return settings.tcpUnacknowledged;
    if ((last & 0xffff) === 0 && standard > settings.tcpRetransmitted) return settings.tcpRetransmitted;
    return standard;
  }

  /** Two rejected FINs or RSTs, one each way: the peers are closing without us (kernel: nf_tcp_handle_invalid). */
  private shortenLife(entry: number, direction: number, kind: number, now: number): void {
    const { words, meta, entryWords } = this.table;
    const states = words;
    const base = entry * entryWords + meta;
    if (((words[base] as number) & ASSURED) === 0 || (kind !== RST && kind !== FIN)) return;
    const at = this.table.stateAt(entry);
    const last = states[at + LAST_PACKET] as number;
    const lastKind = (last >> 17) & 7;
    if (((last >> 16) & 1) !== direction && (lastKind === FIN || lastKind === RST)) {
      const left = ((words[base + META_EXPIRES] as number) - now) | 0;
      if (left >= SHORT_ENOUGH && left > this.settings.tcpUnacknowledged)
        words[base + META_EXPIRES] = now + this.settings.tcpUnacknowledged;
    } else {
      states[at + LAST_PACKET] = (last & ~0xf0000) | (direction << 16) | (kind << 17);
    }
  }

  /** A SYN or SYN+ACK sets a peer's window anew (kernel: tcp_init_sender). */
  private beginPeer(at: number, direction: number, view: DataView, tcp: number, captureEnd: number): void {
    const { words: states } = this.table;
    const peer = at + direction * PEER_WORDS;
    states[peer + END] = this.end;
    states[peer + MAX_END] = this.end;
    states[peer + MAX_WINDOW] = this.window === 0 ? 1 : this.window;
    this.storeOptions(at, direction, view, tcp, captureEnd);
    // RFC 7323 section 2.2: scaling holds only if both sides offered it.
    if (direction !== REPLY) return;
    const both = this.peerFlags(at, ORIGINAL) & this.peerFlags(at, REPLY) & WINDOW_SCALE;
    if (both === 0) {
      this.setPeer(at, ORIGINAL, 0, this.peerFlags(at, ORIGINAL));
      this.setPeer(at, REPLY, 0, this.peerFlags(at, REPLY));
    }
  }

  /** Options of a SYN; a header without any leaves the peer as it was. */
  private storeOptions(at: number, direction: number, view: DataView, tcp: number, captureEnd: number): void {
    if (!readPeerOptions(view, tcp, captureEnd, peerOptions)) return;
    this.setPeer(at, direction, peerOptions.scale, (this.peerFlags(at, direction) & BE_LIBERAL) | peerOptions.flags);
  }

  private peerScale(at: number, direction: number): number {
    return ((this.table.words[at + SCALES] as number) >>> (direction * 16)) & 0xff;
  }

  private peerFlags(at: number, direction: number): number {
    return ((this.table.words[at + SCALES] as number) >>> (direction * 16 + 8)) & 0xff;
  }

  private addPeerFlags(at: number, direction: number, flags: number): void {
    const { words: states } = this.table;
    states[at + SCALES] = (states[at + SCALES] as number) | (flags << (direction * 16 + 8));
  }

  private setPeer(at: number, direction: number, scale: number, flags: number): void {
    const { words: states } = this.table;
    const shift = direction * 16;
    states[at + SCALES] = ((states[at + SCALES] as number) & ~(0xffff << shift)) | ((scale | (flags << 8)) << shift);
  }

  private lastFlags(at: number): number {
    return ((this.table.words[at + LAST_OPTIONS] as number) >>> 8) & 0xff;
  }

  private setLastFlags(at: number, flags: number): void {
    const { words: states } = this.table;
    states[at + LAST_OPTIONS] = ((states[at + LAST_OPTIONS] as number) & 0xff) | ((flags & 0xff) << 8);
  }
}

/** Results of the window check. */
const WINDOW_ACCEPT = 1;
const WINDOW_IGNORE = 2;
const WINDOW_INVALID = 3;
/** Out of window, but tracking is liberal: accepted, windows left as they are. */
const WINDOW_ACCEPT_AS_IS = 4;

/** Results of judging an RST. */
const RESET_CHECK_WINDOW = 1;
const RESET_IN_WINDOW = 2;
const RESET_KEEPS_STATE = 3;
const RESET_INVALID = 4;
