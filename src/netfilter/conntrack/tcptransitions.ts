/**
 * What a TCP packet does to a connection's state (kernel: tcp_conntracks of nf_conntrack_proto_tcp.c): kinds of packets by
 * their flags, and the new state by direction, kind and old state.
 */
import { TCP_ACK, TCP_FIN, TCP_RST, TCP_SYN, TCP_URG } from '../../packet/transport.js';
import {
  TCP_CLOSE,
  TCP_CLOSE_WAIT,
  TCP_ESTABLISHED,
  TCP_FIN_WAIT,
  TCP_LAST_ACK,
  TCP_NONE,
  TCP_SYN_RECV,
  TCP_SYN_SENT,
  TCP_SYN_SENT2,
  TCP_TIME_WAIT,
} from './timeouts.js';

/** Kinds of packets (kernel: enum tcp_bit_set). */
export const SYN = 0;
export const SYN_ACK = 1;
export const FIN = 2;
export const ACK = 3;
export const RST = 4;
export const NO_FLAGS = 5;

/** Marks of the transition table: not a state. */
export const IGNORE = 10;
export const INVALID = 11;

const [sNO, sSS, sSR, sES, sFW, sCW, sLA, sTW, sCL, sS2, sIG, sIV] = [
  TCP_NONE,
  TCP_SYN_SENT,
  TCP_SYN_RECV,
  TCP_ESTABLISHED,
  TCP_FIN_WAIT,
  TCP_CLOSE_WAIT,
  TCP_LAST_ACK,
  TCP_TIME_WAIT,
  TCP_CLOSE,
  TCP_SYN_SENT2,
  IGNORE,
  INVALID,
] as const;
void sNO;

/** New state by direction, kind of packet and old state. */
// biome-ignore format: a table
export const TRANSITIONS = new Uint8Array([
  // original       NONE SYN_SENT SYN_RECV ESTABL. FIN_WAIT CLOSE_W. LAST_ACK TIME_W. CLOSE SYN_SENT2
  /* SYN      */    sSS, sSS,     sIG,     sIG,    sIG,     sIG,     sIG,     sSS,    sSS,  sS2,
  /* SYN+ACK  */    sIV, sIV,     sSR,     sIV,    sIV,     sIV,     sIV,     sIV,    sIV,  sSR,
  /* FIN      */    sIV, sIV,     sFW,     sFW,    sLA,     sLA,     sLA,     sTW,    sCL,  sIV,
  /* ACK      */    sES, sIV,     sES,     sES,    sCW,     sCW,     sTW,     sTW,    sCL,  sIV,
  /* RST      */    sIV, sCL,     sCL,     sCL,    sCL,     sCL,     sCL,     sCL,    sCL,  sCL,
  /* none     */    sIV, sIV,     sIV,     sIV,    sIV,     sIV,     sIV,     sIV,    sIV,  sIV,
  // reply
  /* SYN      */    sIV, sS2,     sIV,     sIV,    sIV,     sIV,     sIV,     sSS,    sIV,  sS2,
  /* SYN+ACK  */    sIV, sSR,     sIG,     sIG,    sIG,     sIG,     sIG,     sIG,    sIG,  sSR,
  /* FIN      */    sIV, sIV,     sFW,     sFW,    sLA,     sLA,     sLA,     sTW,    sCL,  sIV,
  /* ACK      */    sIV, sIG,     sSR,     sES,    sCW,     sCW,     sTW,     sTW,    sCL,  sIG,
  /* RST      */    sIV, sCL,     sCL,     sCL,    sCL,     sCL,     sCL,     sCL,    sCL,  sCL,
  /* none     */    sIV, sIV,     sIV,     sIV,    sIV,     sIV,     sIV,     sIV,    sIV,  sIV,
]);
export const KINDS = 6;
export const STATES = 10;

/** Flag combinations that are no attack: FIN, SYN, RST, ACK and URG; PSH, ECE and CWR go with any. */
const VALID_FLAGS = new Set([
  TCP_SYN,
  TCP_SYN | TCP_URG,
  TCP_SYN | TCP_ACK,
  TCP_RST,
  TCP_RST | TCP_ACK,
  TCP_FIN | TCP_ACK,
  TCP_FIN | TCP_ACK | TCP_URG,
  TCP_ACK,
  TCP_ACK | TCP_URG,
]);
export const COUNTED_FLAGS = TCP_FIN | TCP_SYN | TCP_RST | TCP_ACK | TCP_URG;
export const FLAGS_VALID = Uint8Array.from({ length: 64 }, (_, flags) => (VALID_FLAGS.has(flags) ? 1 : 0));

/** The kind of a packet by the flags byte of its header. */
export function kindOf(flags: number): number {
  if ((flags & TCP_RST) !== 0) return RST;
  if ((flags & TCP_SYN) !== 0) return (flags & TCP_ACK) !== 0 ? SYN_ACK : SYN;
  if ((flags & TCP_FIN) !== 0) return FIN;
  return (flags & TCP_ACK) !== 0 ? ACK : NO_FLAGS;
}
