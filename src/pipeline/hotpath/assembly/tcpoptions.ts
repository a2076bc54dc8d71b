/** TCP options, as netfilter/conntrack/tcpoptions reads them; the header is whole. */
import { SACK_PERMITTED, WINDOW_SCALE } from './tcpstate';

const OPTION_END: i32 = 0;
const OPTION_NOP: i32 = 1;
const OPTION_WINDOW_SCALE: i32 = 3;
const OPTION_SACK_PERMITTED: i32 = 4;
const OPTION_SACK: i32 = 5;
const MAX_SCALE: i32 = 14;

/** NOP, NOP, timestamp of ten bytes. */
const JUST_A_TIMESTAMP: i32 = 0x0a080101;

/** As highestSack there. */
export function highestSack(tcp: usize, headerLength: i32, ack: i32): i32 {
  const end = tcp + <usize>headerLength;
  let at = tcp + 20;
  // Nearly every segment carries just a timestamp.
  if (headerLength === 32 && load<i32>(at) === JUST_A_TIMESTAMP) return ack;
  let highest = ack;
  while (at < end) {
    const kind = <i32>load<u8>(at);
    if (kind === OPTION_END) return highest;
    if (kind === OPTION_NOP) {
      at++;
      continue;
    }
    if (end - at < 2) return highest;
    const size = <i32>load<u8>(at, 1);
    if (size < 2 || at + <usize>size > end) return highest;
    if (kind === OPTION_SACK && size >= 10 && ((size - 2) & 7) === 0) {
      for (let block = at + 2; block < at + <usize>size; block += 8) {
        const edge = <i32>bswap<u32>(load<u32>(block, 4));
        if (highest - edge < 0) highest = edge;
      }
      return highest;
    }
    at += <usize>size;
  }
  return highest;
}

/** As readPeerOptions there, of a header with options: scale (low byte) and flags (the next), as SCALES has them. */
export function peerOptions(tcp: usize, headerLength: i32): i32 {
  const end = tcp + <usize>headerLength;
  let at = tcp + 20;
  let scale = 0;
  let flags = 0;
  while (at < end) {
    const kind = <i32>load<u8>(at);
    if (kind === OPTION_END) break;
    if (kind === OPTION_NOP) {
      at++;
      continue;
    }
    if (end - at < 2) break;
    const size = <i32>load<u8>(at, 1);
    if (size < 2 || at + <usize>size > end) break;
    if (kind === OPTION_SACK_PERMITTED && size === 2) flags |= SACK_PERMITTED;
    else if (kind === OPTION_WINDOW_SCALE && size === 3) {
      scale = min(<i32>load<u8>(at, 2), MAX_SCALE);
      flags |= WINDOW_SCALE;
    }
    at += <usize>size;
  }
  return scale | (flags << 8);
}
