/** What the flow table keeps of a TCP connection (see netfilter/conntrack/tcpstate), and the facts shared with TypeScript. */

// From PROTOCOL_STATE on: words of a peer, of the other peer, then those of both.
export const PEER_SHIFT: i32 = 4;
export const PEER_END: usize = 0;
export const PEER_MAX_END: usize = 4;
export const PEER_MAX_WINDOW: usize = 8;
export const PEER_MAX_ACK: usize = 12;
export const SCALES: usize = 32;
export const LAST_SEQUENCE: usize = 36;
export const LAST_ACK_NUMBER: usize = 40;
export const LAST_END: usize = 44;
export const LAST_PACKET: usize = 48;
export const LAST_OPTIONS: usize = 52;

// Flags of a peer.
export const WINDOW_SCALE: i32 = 0x01;
export const SACK_PERMITTED: i32 = 0x02;
export const CLOSE_INIT: i32 = 0x04;
export const BE_LIBERAL: i32 = 0x08;
export const DATA_UNACKNOWLEDGED: i32 = 0x10;
export const MAX_ACK_SET: i32 = 0x20;
export const ANY_UNACKNOWLEDGED: i32 = (DATA_UNACKNOWLEDGED << 8) | (DATA_UNACKNOWLEDGED << 24);

/** Of the LAST_OPTIONS word: EXPECT_CHALLENGE_ACK and SIMULTANEOUS_OPEN. */
export const OUT_OF_THE_ORDINARY: i32 = 0xc0 << 8;

export const MAX_ACK_WINDOW: i32 = 66000;

// States.
export const SYN_SENT: i32 = 1;
export const SYN_RECV: i32 = 2;
export const ESTABLISHED: i32 = 3;
export const FIN_WAIT: i32 = 4;
export const SYN_SENT2: i32 = 9;
export const STATES: i32 = 10;

// Kinds of segments.
export const KIND_SYN: i32 = 0;
export const KIND_SYN_ACK: i32 = 1;
export const KIND_FIN: i32 = 2;
export const KIND_ACK: i32 = 3;
export const KINDS: i32 = 6;

/** Table of netfilter/conntrack/tcptransitions: a byte for each direction, kind and old state. */
let transitions: usize = 0;

/** Milliseconds for each state, words. */
let timeouts: usize = 0;

export function setTransitions(transitionsAt: usize, timeoutsAt: usize): void {
  transitions = transitionsAt;
  timeouts = timeoutsAt;
}

/** The state that a segment leads to; from STATES on there is none. */
export function nextState(direction: i32, kind: i32, state: i32): i32 {
  return <i32>load<u8>(transitions + <usize>((direction * KINDS + kind) * STATES + state));
}

export function timeoutOf(state: i32): i32 {
  return load<i32>(timeouts + ((<usize>state) << 2));
}
