/**
 * TCP segments that do more than acknowledge inside the windows of an established connection: those of handshakes and of
 * closing connections, as TcpTracker.packet follows them. Only the ordinary ones: whatever is ignored, invalid, a reset,
 * or begins anew is left to it, untouched.
 */
import { ASSURED, EXPIRES, PROTOCOL_STATE, SEEN_REPLY, STATE } from './flowtable';
import { tcpMaxRetransmissions, tcpRetransmitted, tcpUnacknowledged } from './settings';
import { highestSack, peerOptions } from './tcpoptions';
import {
  ANY_UNACKNOWLEDGED,
  BE_LIBERAL,
  CLOSE_INIT,
  DATA_UNACKNOWLEDGED,
  ESTABLISHED,
  FIN_WAIT,
  KIND_ACK,
  KIND_FIN,
  KIND_SYN,
  KIND_SYN_ACK,
  LAST_ACK_NUMBER,
  LAST_END,
  LAST_OPTIONS,
  LAST_PACKET,
  LAST_SEQUENCE,
  MAX_ACK_SET,
  MAX_ACK_WINDOW,
  nextState,
  OUT_OF_THE_ORDINARY,
  PEER_END,
  PEER_MAX_ACK,
  PEER_MAX_END,
  PEER_MAX_WINDOW,
  PEER_SHIFT,
  SACK_PERMITTED,
  SCALES,
  STATES,
  SYN_RECV,
  SYN_SENT,
  SYN_SENT2,
  timeoutOf,
  WINDOW_SCALE,
} from './tcpstate';

/** Of a header's bytes 12 and 13: FIN, SYN, RST, ACK, URG. */
const COUNTED_FLAGS: i32 = 0x37;
const FLAGS_SYN: i32 = 0x02;
const FLAGS_SYN_ACK: i32 = 0x12;
const FLAGS_FIN_ACK: i32 = 0x11;
const FLAGS_ACK: i32 = 0x10;
const REPLY: i32 = 1;

// The segment in hand, as TcpSegment. Without an ACK, what it acknowledges is all that the receiver has sent.
let kind: i32 = 0;
let headerLength: i32 = 0;
let sequence: i32 = 0;
let end: i32 = 0;
let ack: i32 = 0;
let sack: i32 = 0;
let stated: i32 = 0;

// What the entry keeps of the segment's sender, with what a SYN+ACK begins, and of both peers (SCALES).
let senderEnd: i32 = 0;
let senderMaxEnd: i32 = 0;
let senderWindow: i32 = 0;
let scales: i32 = 0;

/** False, with nothing changed, when TcpTracker.packet is to follow the segment. `length`: of header and data. */
export function followSegment(entry: usize, status: i32, direction: i32, tcp: usize, length: i32, now: i32): bool {
  const control = <i32>bswap<u16>(load<u16>(tcp, 12));
  kind = kindOf(control & COUNTED_FLAGS);
  if (kind < 0) return false;
  const state = entry + PROTOCOL_STATE;
  const old = (status >>> 8) & 0xff;
  const next = nextState(direction, kind, old);
  if (!isOrdinary(old, next) || (load<i32>(state, LAST_OPTIONS) & OUT_OF_THE_ORDINARY) !== 0) return false;
  read(control, tcp, length);
  if (!isInWindow(state, direction, tcp)) return false;
  update(state, direction);
  if (kind === KIND_ACK) countRetransmission(state, direction);
  settle(entry, status, direction, next, now);
  return true;
}

/** -1 for what is no matter of these functions: resets, urgent data, flags that don't go together. */
function kindOf(flags: i32): i32 {
  if (flags === FLAGS_ACK) return KIND_ACK;
  if (flags === FLAGS_FIN_ACK) return KIND_FIN;
  if (flags === FLAGS_SYN_ACK) return KIND_SYN_ACK;
  return flags === FLAGS_SYN ? KIND_SYN : -1;
}

/** Whether the transition is one to a state, and needs no more than the table says of it (see TcpTracker.transition). */
function isOrdinary(old: i32, next: i32): bool {
  if (next >= STATES || next === SYN_SENT2) return false;
  return next !== SYN_SENT || old === SYN_SENT;
}

function read(control: i32, tcp: usize, length: i32): void {
  headerLength = (control >>> 12) << 2;
  sequence = <i32>bswap<u32>(load<u32>(tcp, 4));
  ack = <i32>bswap<u32>(load<u32>(tcp, 8));
  stated = <i32>bswap<u16>(load<u16>(tcp, 14));
  end = sequence + length - headerLength + (kind === KIND_ACK ? 0 : 1);
}

/** As checkWindow of netfilter/conntrack/tcpwindow, up to where it writes: true for WINDOW_ACCEPT. */
function isInWindow(state: usize, direction: i32, tcp: usize): bool {
  const sender = state + ((<usize>direction) << PEER_SHIFT);
  const receiver = state + ((<usize>(1 - direction)) << PEER_SHIFT);
  const isSyn = kind <= KIND_SYN_ACK;
  scales = load<i32>(state, SCALES);
  senderEnd = load<i32>(sender, PEER_END);
  senderMaxEnd = load<i32>(sender, PEER_MAX_END);
  senderWindow = load<i32>(sender, PEER_MAX_WINDOW);
  const receiverEnd = load<i32>(receiver, PEER_END);
  if (kind === KIND_SYN) ack = receiverEnd;
  sack = ack;
  if (kind !== KIND_SYN && (flagsOf(1 - direction) & SACK_PERMITTED) !== 0) sack = highestSack(tcp, headerLength, ack);
  if (senderWindow === 0) {
    // The first of its side: any other was picked up in the middle of a connection.
    if (kind !== KIND_SYN_ACK) return false;
    beginPeer(direction, tcp);
  } else if (isSyn && senderEnd - end < 0) {
    return false;
  }
  return fits(receiverEnd, load<i32>(receiver, PEER_MAX_WINDOW));
}

/** A SYN+ACK says the window and the options of its side. */
function beginPeer(direction: i32, tcp: usize): void {
  senderEnd = end;
  senderMaxEnd = end;
  senderWindow = stated === 0 ? 1 : stated;
  const shift = direction << 4;
  if (headerLength > 20) {
    const kept = (scales & ~(0xffff << shift)) | (scales & ((BE_LIBERAL << 8) << shift));
    scales = kept | (peerOptions(tcp, headerLength) << shift);
  }
  // RFC 7323 section 2.2: scaling holds only if both sides offered it.
  if (direction === REPLY && (scales & (scales >>> 16) & (WINDOW_SCALE << 8)) === 0) scales &= ~0x00ff00ff;
}

/** The four bounds of the window. */
function fits(receiverEnd: i32, receiverWindow: i32): bool {
  const lag = max(senderWindow, MAX_ACK_WINDOW);
  return (
    sequence - senderMaxEnd - 1 < 0 &&
    sack - receiverEnd - 1 < 0 &&
    (receiverWindow === 0 || senderEnd - receiverWindow - 1 - end < 0) &&
    receiverEnd - lag - 1 - sack < 0
  );
}

/** As updatePeers there. */
function update(state: usize, direction: i32): void {
  const sender = state + ((<usize>direction) << PEER_SHIFT);
  const receiver = state + ((<usize>(1 - direction)) << PEER_SHIFT);
  const shift = direction << 4;
  const window = kind <= KIND_SYN_ACK ? stated : stated << ((scales >>> shift) & 0xff);
  const reach = window + sack - ack;
  store<i32>(sender, <u32>senderWindow < <u32>reach ? reach : senderWindow, PEER_MAX_WINDOW);
  store<i32>(sender, senderMaxEnd, PEER_MAX_END);
  const isNew = senderEnd - end < 0;
  store<i32>(sender, isNew ? end : senderEnd, PEER_END);
  if (isNew) scales |= DATA_UNACKNOWLEDGED << (shift + 8);
  if (kind !== KIND_SYN) {
    if ((flagsOf(direction) & MAX_ACK_SET) === 0 || load<i32>(sender, PEER_MAX_ACK) - ack < 0)
      store<i32>(sender, ack, PEER_MAX_ACK);
    scales |= MAX_ACK_SET << (shift + 8);
  }
  const receiverWindow = load<i32>(receiver, PEER_MAX_WINDOW);
  if (receiverWindow !== 0 && senderMaxEnd - end < 0)
    store<i32>(receiver, receiverWindow + end - senderMaxEnd, PEER_MAX_WINDOW);
  if (load<i32>(receiver, PEER_MAX_END) - 1 - (sack + window) < 0)
    store<i32>(receiver, sack + window + (window === 0 ? 1 : 0), PEER_MAX_END);
  if (ack === load<i32>(receiver, PEER_END)) scales &= ~(DATA_UNACKNOWLEDGED << (24 - shift));
  store<i32>(state, scales, SCALES);
}

/** As there. */
function countRetransmission(state: usize, direction: i32): void {
  const last = load<i32>(state, LAST_PACKET);
  if (
    (last & 0x1ffff) === (stated | (direction << 16)) &&
    load<i32>(state, LAST_SEQUENCE) === sequence &&
    load<i32>(state, LAST_ACK_NUMBER) === ack &&
    load<i32>(state, LAST_END) === end
  ) {
    const count = ((last >>> 20) + 1) & 0xff;
    store<i32>(state, (last & ~0x0ff00000) | (count << 20), LAST_PACKET);
    return;
  }
  store<i32>(state, sequence, LAST_SEQUENCE);
  store<i32>(state, ack, LAST_ACK_NUMBER);
  store<i32>(state, end, LAST_END);
  store<i32>(state, (last & 0xe0000) | stated | (direction << 16), LAST_PACKET);
}

/** As TcpTracker.settle: new state, new timeout. */
function settle(entry: usize, status: i32, direction: i32, next: i32, now: i32): void {
  const state = entry + PROTOCOL_STATE;
  const old = (status >>> 8) & 0xff;
  const last = (load<i32>(state, LAST_PACKET) & ~0xf0000) | (direction << 16) | (kind << 17);
  store<i32>(state, last, LAST_PACKET);
  if (old !== next && next === FIN_WAIT)
    store<i32>(state, load<i32>(state, SCALES) | (CLOSE_INIT << ((direction << 4) + 8)), SCALES);
  let word = (status & ~0xff00) | (next << 8);
  let timeout = timeoutFor(load<i32>(state, SCALES), last, next);
  if ((word & SEEN_REPLY) === 0) {
    // A SYN sent again does not prolong the entry.
    if (kind === KIND_SYN && old === SYN_SENT) timeout = load<i32>(entry, EXPIRES) - now;
    else if (next === ESTABLISHED) timeout = min(timeout, tcpUnacknowledged);
  } else if ((word & ASSURED) === 0 && next === ESTABLISHED && (old === SYN_RECV || old === ESTABLISHED)) {
    word |= ASSURED;
  }
  store<i32>(entry, word, STATE);
  store<i32>(entry, now + timeout, EXPIRES);
}

function timeoutFor(flags: i32, last: i32, next: i32): i32 {
  const standard = timeoutOf(next);
  if (((last >>> 20) & 0xff) >= tcpMaxRetransmissions && standard > tcpRetransmitted) return tcpRetransmitted;
  if ((flags & ANY_UNACKNOWLEDGED) !== 0 && standard > tcpUnacknowledged) return tcpUnacknowledged;
  if ((last & 0xffff) === 0 && standard > tcpRetransmitted) return tcpRetransmitted;
  return standard;
}

function flagsOf(direction: i32): i32 {
  return (scales >>> ((direction << 4) + 8)) & 0xff;
}
