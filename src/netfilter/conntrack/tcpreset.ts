/**
 * Whether an RST is to be believed (kernel: case TCP_CONNTRACK_CLOSE of nf_conntrack_tcp_packet): RFC 5961 has hosts
 * answer a reset that is not exactly the next byte with a challenge ACK, and a reset may answer what was let pass.
 */
import { ASSURED, REPLY, SEEN_REPLY } from './flowtable.js';
import { beforeSequence } from './tcpoptions.js';
import type { TcpSegment } from './tcpsegment.js';
import {
  LAST_ACK_NUMBER,
  LAST_END,
  lastDirection,
  lastKind,
  MAX_ACK,
  MAX_ACK_SET,
  PEER_WORDS,
  peerFlags,
} from './tcpstate.js';
import { ACK, SYN } from './tcptransitions.js';
import { TCP_CLOSE, TCP_ESTABLISHED, TCP_FIN_WAIT, TCP_SYN_SENT } from './timeouts.js';

export const RESET_CHECK_WINDOW = 1;
/** To be believed whatever the window says. */
export const RESET_IN_WINDOW = 2;
/** The window decides, and the state stays: a challenge ACK may follow. */
export const RESET_KEEPS_STATE = 3;
export const RESET_INVALID = 4;

/** `status`: the entry's first word, `ignoreInvalid`: nf_conntrack_tcp_ignore_invalid_rst. Returns RESET_*. */
export function judgeReset(
  states: Int32Array,
  at: number,
  direction: number,
  status: number,
  segment: TcpSegment,
  ignoreInvalid: boolean,
): number {
  const state = (status >>> 8) & 0xff;
  // What is closing may be in use again already: numbers mean nothing.
  if (state >= TCP_FIN_WAIT && state <= TCP_CLOSE) return RESET_IN_WINDOW;
  const { sequence, acknowledgement } = segment;
  const kind = lastKind(states, at);
  const fromOther = lastDirection(states, at) !== direction;
  const other = 1 - direction;
  let result = RESET_CHECK_WINDOW;
  if ((peerFlags(states, at, other) & MAX_ACK_SET) !== 0 && kind !== SYN) {
    const established = state === TCP_ESTABLISHED && (status & ASSURED) !== 0;
    const highest = states[at + other * PEER_WORDS + MAX_ACK] as number;
    if (sequence === 0 && !established) return RESET_CHECK_WINDOW;
    if (beforeSequence(sequence, highest) && !ignoreInvalid) return RESET_INVALID;
    if (!established || sequence === highest) return RESET_CHECK_WINDOW;
    // Right behind its own data.
    if (kind === ACK && !fromOther && sequence === states[at + LAST_END]) return RESET_CHECK_WINDOW;
    result = RESET_KEEPS_STATE;
  }
  const answersIgnored =
    ((status & SEEN_REPLY) !== 0 && kind === SYN && fromOther) || ((status & ASSURED) === 0 && kind === ACK);
  if (answersIgnored && acknowledgement === states[at + LAST_END]) return RESET_IN_WINDOW;
  const challenged = state === TCP_SYN_SENT && kind === ACK && lastDirection(states, at) === REPLY;
  return challenged && sequence === states[at + LAST_ACK_NUMBER] ? RESET_IN_WINDOW : result;
}
