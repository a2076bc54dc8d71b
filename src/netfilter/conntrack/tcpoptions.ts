/** TCP options that connection tracking reads: window scale and SACK (RFC 7323 section 2.2, RFC 2018), and sequence arithmetic. */
import { TCP_MIN_HEADER, tcpHeaderLength } from '../../packet/transport.js';

const OPTION_END = 0;
const OPTION_NOP = 1;
const OPTION_WINDOW_SCALE = 3;
const OPTION_SACK_PERMITTED = 4;
const OPTION_SACK = 5;
const OPTION_TIMESTAMP = 8;
const MAX_SCALE = 14;

/** Flags as TcpTracker keeps them. */
const FLAG_WINDOW_SCALE = 0x01;
const FLAG_SACK_PERMITTED = 0x02;

export interface PeerOptions {
  scale: number;
  flags: number;
}

/** Sequence numbers wrap: a is after b when it is less than 2^31 ahead (RFC 9293 section 3.4). */
export const afterSequence = (a: number, b: number): boolean => ((b - a) | 0) < 0;
export const beforeSequence = (a: number, b: number): boolean => ((a - b) | 0) < 0;

/**
 * Reads window scale and SACK-permitted of the header at `tcp` into `found`. False when the header has no options at
 * all (kernel: tcp_options then leaves the peer as it was). Stops at the first malformed option.
 */
export function readPeerOptions(view: DataView, tcp: number, captureEnd: number, found: PeerOptions): boolean {
  found.scale = 0;
  found.flags = 0;
  const end = Math.min(tcp + tcpHeaderLength(view, tcp), captureEnd);
  let at = tcp + TCP_MIN_HEADER;
  if (at >= end) return false;
  while (at < end) {
    const kind = view.getUint8(at);
    if (kind === OPTION_END) return true;
    if (kind === OPTION_NOP) {
      at++;
      continue;
    }
    if (end - at < 2) return true;
    const size = view.getUint8(at + 1);
    if (size < 2 || at + size > end) return true;
    if (kind === OPTION_SACK_PERMITTED && size === 2) found.flags |= FLAG_SACK_PERMITTED;
    else if (kind === OPTION_WINDOW_SCALE && size === 3) {
      found.scale = Math.min(view.getUint8(at + 2), MAX_SCALE);
      found.flags |= FLAG_WINDOW_SCALE;
    }
    at += size;
  }
  return true;
}

/** Highest right edge of the first SACK option, or `sack` if none lies after it. */
export function highestSack(view: DataView, tcp: number, captureEnd: number, sack: number): number {
  const end = Math.min(tcp + tcpHeaderLength(view, tcp), captureEnd);
  let at = tcp + TCP_MIN_HEADER;
  // Nearly every segment carries just a timestamp.
  if (
    end - at === 12 &&
    view.getUint32(at) === ((OPTION_NOP << 24) | (OPTION_NOP << 16) | (OPTION_TIMESTAMP << 8) | 10)
  )
    return sack;
  let highest = sack;
  while (at < end) {
    const kind = view.getUint8(at);
    if (kind === OPTION_END) return highest;
    if (kind === OPTION_NOP) {
      at++;
      continue;
    }
    if (end - at < 2) return highest;
    const size = view.getUint8(at + 1);
    if (size < 2 || at + size > end) return highest;
    if (kind === OPTION_SACK && size >= 10 && (size - 2) % 8 === 0) {
      for (let block = at + 2; block < at + size; block += 8) {
        const edge = view.getInt32(block + 4);
        if (afterSequence(edge, highest)) highest = edge;
      }
      return highest;
    }
    at += size;
  }
  return highest;
}
