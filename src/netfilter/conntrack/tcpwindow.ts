/**
 * The windows of TCP: whether a segment lies within what both peers have allowed each other (kernel: tcp_in_window,
 * after van Rooij's "Real Stateful TCP Packet Filtering in IP Filter"), and what it tells of them.
 */
import { REPLY } from './flowtable.js';
import { afterSequence, beforeSequence, type PeerOptions } from './tcpoptions.js';
import type { TcpSegment } from './tcpsegment.js';
import {
  addPeerFlags,
  BE_LIBERAL,
  DATA_UNACKNOWLEDGED,
  END,
  LAST_ACK_NUMBER,
  LAST_END,
  LAST_PACKET,
  LAST_SEQUENCE,
  lastDirection,
  MAX_ACK,
  MAX_ACK_SET,
  MAX_ACK_WINDOW,
  MAX_END,
  MAX_WINDOW,
  PEER_WORDS,
  peerFlags,
  peerScale,
  retransmissions,
  SACK_PERMITTED,
  setPeer,
  WINDOW_SCALE,
} from './tcpstate.js';
import { ACK, RST } from './tcptransitions.js';
import { TCP_SYN_RECV, TCP_SYN_SENT } from './timeouts.js';

/** Results of the check. */
export const WINDOW_ACCEPT = 1;
/** The packet passes, but says nothing about the connection. */
export const WINDOW_IGNORE = 2;
export const WINDOW_INVALID = 3;
/** Out of window, but tracking is liberal: accepted, windows left as they are. */
const WINDOW_ACCEPT_AS_IS = 4;

const peerOptions: PeerOptions = { scale: 0, flags: 0 };

/**
 * Checks a segment of `direction` against the entry whose state is at `at` and follows it; `state` is the entry's.
 * `liberal`: nf_conntrack_tcp_be_liberal. Returns WINDOW_ACCEPT, WINDOW_IGNORE or WINDOW_INVALID.
 */
export function checkWindow(
  states: Int32Array,
  at: number,
  direction: number,
  state: number,
  segment: TcpSegment,
  liberal: boolean,
): number {
  const sender = at + direction * PEER_WORDS;
  const receiver = at + (1 - direction) * PEER_WORDS;
  const { isSyn, kind } = segment;
  let { sequence, end, acknowledgement: ack } = segment;
  let sack = (peerFlags(states, at, 1 - direction) & SACK_PERMITTED) !== 0 ? segment.sack() : ack;

  if (states[sender + MAX_WINDOW] === 0) {
    if (isSyn) {
      beginPeer(states, at, direction, segment);
      if (!segment.hasAck) return WINDOW_ACCEPT;
    } else {
      pickUpPeer(states, at, direction, segment, sack);
    }
  } else if (
    isSyn &&
    afterSequence(end, states[sender + END] as number) &&
    (state === TCP_SYN_SENT || state === TCP_SYN_RECV)
  ) {
    beginPeer(states, at, direction, segment);
    if (direction === REPLY && !segment.hasAck) return WINDOW_ACCEPT;
  }

  if (!segment.hasAck || (kind === RST && ack === 0)) {
    ack = states[receiver + END] as number;
    sack = ack;
  }
  // A reset that answers a SYN has no number of its own.
  if (kind === RST && sequence === 0 && state === TCP_SYN_SENT) {
    sequence = states[sender + END] as number;
    end = sequence;
  }
  const forgiving = liberal || (peerFlags(states, at, direction) & BE_LIBERAL) !== 0;
  const fit = fits(states, at, direction, sequence, end, sack, forgiving);
  if (fit === WINDOW_ACCEPT_AS_IS) return WINDOW_ACCEPT;
  if (fit !== WINDOW_ACCEPT) return fit;
  updatePeers(states, at, direction, segment, end, ack, sack);
  if (kind === ACK) countRetransmission(states, at, direction, segment.window, sequence, ack, end);
  return WINDOW_ACCEPT;
}

/** The four bounds of the window (I to IV of the paper). */
function fits(
  states: Int32Array,
  at: number,
  direction: number,
  sequence: number,
  end: number,
  sack: number,
  liberal: boolean,
): number {
  const sender = at + direction * PEER_WORDS;
  const receiver = at + (1 - direction) * PEER_WORDS;
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
      // More than was allowed, yet the receiver may take it: its acknowledgement must not be too new then.
      states[sender + END] = end;
      addPeerFlags(states, at, direction, DATA_UNACKNOWLEDGED);
      return liberal ? WINDOW_ACCEPT_AS_IS : WINDOW_IGNORE;
    }
    return liberal ? WINDOW_ACCEPT_AS_IS : WINDOW_INVALID;
  }
  if (!ackNotTooNew) return liberal ? WINDOW_ACCEPT_AS_IS : WINDOW_INVALID;
  if ((receiverWindow !== 0 && !inReceiveWindow) || !ackNotTooOld) return liberal ? WINDOW_ACCEPT_AS_IS : WINDOW_IGNORE;
  return WINDOW_ACCEPT;
}

function updatePeers(
  states: Int32Array,
  at: number,
  direction: number,
  segment: TcpSegment,
  end: number,
  ack: number,
  sack: number,
): void {
  const sender = at + direction * PEER_WORDS;
  const receiver = at + (1 - direction) * PEER_WORDS;
  const window = segment.isSyn ? segment.window : segment.window << peerScale(states, at, direction);
  const reach = (window + sack - ack) >>> 0;
  if ((states[sender + MAX_WINDOW] as number) >>> 0 < reach) states[sender + MAX_WINDOW] = reach;
  if (afterSequence(end, states[sender + END] as number)) {
    states[sender + END] = end;
    addPeerFlags(states, at, direction, DATA_UNACKNOWLEDGED);
  }
  if (segment.hasAck) {
    const set = (peerFlags(states, at, direction) & MAX_ACK_SET) !== 0;
    if (!set || afterSequence(ack, states[sender + MAX_ACK] as number)) states[sender + MAX_ACK] = ack;
    if (!set) addPeerFlags(states, at, direction, MAX_ACK_SET);
  }
  const senderMaxEnd = states[sender + MAX_END] as number;
  if (states[receiver + MAX_WINDOW] !== 0 && afterSequence(end, senderMaxEnd))
    states[receiver + MAX_WINDOW] = (states[receiver + MAX_WINDOW] as number) + end - senderMaxEnd;
  if (afterSequence((sack + window) | 0, ((states[receiver + MAX_END] as number) - 1) | 0))
    states[receiver + MAX_END] = sack + window + (window === 0 ? 1 : 0);
  if (ack === states[receiver + END]) {
    const other = 1 - direction;
    const flags = peerFlags(states, at, other) & ~DATA_UNACKNOWLEDGED;
    setPeer(states, at, other, peerScale(states, at, other), flags);
  }
}

/** The same acknowledgement again, or another one to compare the next with. */
function countRetransmission(
  states: Int32Array,
  at: number,
  direction: number,
  window: number,
  sequence: number,
  ack: number,
  end: number,
): void {
  const last = states[at + LAST_PACKET] as number;
  const same =
    lastDirection(states, at) === direction &&
    (last & 0xffff) === window &&
    states[at + LAST_SEQUENCE] === sequence &&
    states[at + LAST_ACK_NUMBER] === ack &&
    states[at + LAST_END] === end;
  if (same) {
    // A byte that wraps (kernel: u_int8_t retrans).
    const count = (retransmissions(states, at) + 1) & 0xff;
    states[at + LAST_PACKET] = (last & ~0x0ff00000) | (count << 20);
    return;
  }
  states[at + LAST_SEQUENCE] = sequence;
  states[at + LAST_ACK_NUMBER] = ack;
  states[at + LAST_END] = end;
  states[at + LAST_PACKET] = (last & 0xe0000) | window | (direction << 16);
}

/** A SYN or SYN+ACK sets a peer's window anew (kernel: tcp_init_sender). */
function beginPeer(states: Int32Array, at: number, direction: number, segment: TcpSegment): void {
  const peer = at + direction * PEER_WORDS;
  states[peer + END] = segment.end;
  states[peer + MAX_END] = segment.end;
  states[peer + MAX_WINDOW] = segment.window === 0 ? 1 : segment.window;
  storeOptions(states, at, direction, segment);
  // RFC 7323 section 2.2: scaling holds only if both sides offered it.
  if (direction !== REPLY) return;
  const original = peerFlags(states, at, 1 - direction);
  const reply = peerFlags(states, at, direction);
  if ((original & reply & WINDOW_SCALE) !== 0) return;
  setPeer(states, at, 1 - direction, 0, original);
  setPeer(states, at, direction, 0, reply);
}

/** A peer whose SYN was not seen: what its segment says is all that is known. */
function pickUpPeer(states: Int32Array, at: number, direction: number, segment: TcpSegment, sack: number): void {
  const sender = at + direction * PEER_WORDS;
  const receiver = at + (1 - direction) * PEER_WORDS;
  const window = segment.window << peerScale(states, at, direction);
  states[sender + END] = segment.end;
  states[sender + MAX_WINDOW] = window === 0 ? 1 : window;
  states[sender + MAX_END] = segment.end + (states[sender + MAX_WINDOW] as number);
  if (states[receiver + MAX_WINDOW] === 0) {
    states[receiver + END] = sack;
    states[receiver + MAX_END] = sack;
  } else if (sack === (((states[receiver + END] as number) + 1) | 0)) {
    // Likely the answer to a keepalive.
    states[receiver + END] = sack;
  }
}

/** Options of a SYN; a header without any leaves the peer as it was. */
export function storeOptions(states: Int32Array, at: number, direction: number, segment: TcpSegment): void {
  if (!segment.options(peerOptions)) return;
  const flags = (peerFlags(states, at, direction) & BE_LIBERAL) | peerOptions.flags;
  setPeer(states, at, direction, peerOptions.scale, flags);
}
