/**
 * What is kept of a TCP connection: words in the flow table (kernel: struct ip_ct_tcp), from FlowTable.stateAt on. Each
 * direction has what its peer sent and may send; the rest is about the last packet that told something.
 */

/** Words of each direction: highest sequence number sent, allowed, window, acknowledgement. */
export const PEER_WORDS = 4;
export const END = 0;
export const MAX_END = 1;
export const MAX_WINDOW = 2;
export const MAX_ACK = 3;
/** Scale and flags: scale, flags of the original direction, then of the reply direction, a byte each. */
export const SCALES = 8;
export const LAST_SEQUENCE = 9;
export const LAST_ACK_NUMBER = 10;
export const LAST_END = 11;
/** Window (0-15), direction (16), kind (17-19), retransmissions (20-27). */
export const LAST_PACKET = 12;
/** Window scale (0-7) and flags (8-15) of a SYN that was let pass. */
export const LAST_OPTIONS = 13;

/** Flags of a peer (kernel: IP_CT_TCP_FLAG_*). */
export const WINDOW_SCALE = 0x01;
export const SACK_PERMITTED = 0x02;
export const CLOSE_INIT = 0x04;
export const BE_LIBERAL = 0x08;
export const DATA_UNACKNOWLEDGED = 0x10;
export const MAX_ACK_SET = 0x20;
/** Either peer, in the SCALES word. */
export const ANY_UNACKNOWLEDGED = (DATA_UNACKNOWLEDGED << 8) | (DATA_UNACKNOWLEDGED << 24);
/** Of LAST_OPTIONS only. */
export const EXPECT_CHALLENGE_ACK = 0x40;
export const SIMULTANEOUS_OPEN = 0x80;

/** An acknowledgement may lag behind this many bytes at least (kernel: MAXACKWINCONST). */
export const MAX_ACK_WINDOW = 66_000;

export function peerScale(states: Int32Array, at: number, direction: number): number {
  return ((states[at + SCALES] as number) >>> (direction * 16)) & 0xff;
}

export function peerFlags(states: Int32Array, at: number, direction: number): number {
  return ((states[at + SCALES] as number) >>> (direction * 16 + 8)) & 0xff;
}

export function addPeerFlags(states: Int32Array, at: number, direction: number, flags: number): void {
  states[at + SCALES] = (states[at + SCALES] as number) | (flags << (direction * 16 + 8));
}

export function setPeer(states: Int32Array, at: number, direction: number, scale: number, flags: number): void {
  const shift = direction * 16;
  states[at + SCALES] = ((states[at + SCALES] as number) & ~(0xffff << shift)) | ((scale | (flags << 8)) << shift);
}

/** Nothing is known of the peer any more but that it is treated liberally (kernel: nf_ct_tcp_state_reset). */
export function forgetPeer(states: Int32Array, at: number, direction: number): void {
  const peer = at + direction * PEER_WORDS;
  states.fill(0, peer, peer + PEER_WORDS);
  setPeer(states, at, direction, 0, peerFlags(states, at, direction) & BE_LIBERAL);
}

export function lastKind(states: Int32Array, at: number): number {
  return ((states[at + LAST_PACKET] as number) >> 17) & 7;
}

export function lastDirection(states: Int32Array, at: number): number {
  return ((states[at + LAST_PACKET] as number) >> 16) & 1;
}

/** The last packet's direction and kind; its window and the count of retransmissions stay. */
export function setLast(states: Int32Array, at: number, direction: number, kind: number): void {
  states[at + LAST_PACKET] = ((states[at + LAST_PACKET] as number) & ~0xf0000) | (direction << 16) | (kind << 17);
}

export function retransmissions(states: Int32Array, at: number): number {
  return ((states[at + LAST_PACKET] as number) >> 20) & 0xff;
}

export function lastFlags(states: Int32Array, at: number): number {
  return ((states[at + LAST_OPTIONS] as number) >>> 8) & 0xff;
}

export function setLastFlags(states: Int32Array, at: number, flags: number): void {
  states[at + LAST_OPTIONS] = ((states[at + LAST_OPTIONS] as number) & 0xff) | ((flags & 0xff) << 8);
}
