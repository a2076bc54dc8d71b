/** TCP segments inside the windows of an established connection, as TcpTracker.established. */
import { ASSURED, EXPIRES, PROTOCOL_STATE } from './flowtable';
import { tcpMaxRetransmissions, tcpRetransmitted, tcpTimeout, tcpUnacknowledged } from './settings';

// Protocol state of TCP: see netfilter/conntrack/tcp. Words of a peer, then those of both.
const PEER_END: usize = 0;
const PEER_MAX_END: usize = 4;
const PEER_MAX_WINDOW: usize = 8;
const PEER_MAX_ACK: usize = 12;
const SCALES: usize = 32;
const LAST_SEQUENCE: usize = 36;
const LAST_ACK_NUMBER: usize = 40;
const LAST_END: usize = 44;
const LAST_PACKET: usize = 48;
const TCP_ACK: i32 = 0x10;

/** FIN, SYN, RST, ACK. */
const NOT_PLAIN_ACK: i32 = 0x17;
const KIND_ACK: i32 = 3;
const ASSURED_AND_STATE: i32 = ASSURED | 0xff00;
const ASSURED_AND_ESTABLISHED: i32 = ASSURED | (3 << 8);
const SACK_PERMITTED: i32 = 0x02;
const DATA_UNACKNOWLEDGED: i32 = 0x10;
const MAX_ACK_SET: i32 = 0x20;
const ANY_UNACKNOWLEDGED: i32 = (DATA_UNACKNOWLEDGED << 8) | (DATA_UNACKNOWLEDGED << 24);
const MAX_ACK_WINDOW: i32 = 66000;

/** As TcpTracker.established: false, with nothing changed, when anything is out of the ordinary. */
export function established(entry: usize, status: i32, direction: i32, tcp: usize, segment: i32, now: i32): bool {
  if ((status & ASSURED_AND_STATE) !== ASSURED_AND_ESTABLISHED) return false;
  const control = <i32>bswap<u16>(load<u16>(tcp, 12));
  if ((control & NOT_PLAIN_ACK) !== TCP_ACK) return false;
  const headerLength = (control >>> 12) << 2;
  const sequence = <i32>bswap<u32>(load<u32>(tcp, 4));
  const ack = <i32>bswap<u32>(load<u32>(tcp, 8));
  const stated = <i32>bswap<u16>(load<u16>(tcp, 14));
  const end = sequence + segment - headerLength;
  const state = entry + PROTOCOL_STATE;
  const sender = state + ((<usize>direction) << 4);
  const receiver = state + ((<usize>(1 - direction)) << 4);
  const shift = direction << 4;
  const scales = load<i32>(state, SCALES);
  let sack = ack;
  if (((scales >>> (24 - shift)) & SACK_PERMITTED) !== 0 && headerLength !== 20)
    sack = highestSack(tcp, headerLength, ack);
  const senderEnd = load<i32>(sender, PEER_END);
  const senderMaxEnd = load<i32>(sender, PEER_MAX_END);
  const senderWindow = load<i32>(sender, PEER_MAX_WINDOW);
  const receiverEnd = load<i32>(receiver, PEER_END);
  const receiverWindow = load<i32>(receiver, PEER_MAX_WINDOW);
  const lag = max(senderWindow, MAX_ACK_WINDOW);
  if (
    senderWindow <= 0 ||
    receiverWindow <= 0 ||
    ((scales >>> (shift + 8)) & 0xff & MAX_ACK_SET) === 0 ||
    sequence - senderMaxEnd > 0 ||
    end - senderMaxEnd > 0 ||
    sack - receiverEnd > 0 ||
    end - senderEnd + receiverWindow < 0 ||
    sack - receiverEnd + lag < 0
  )
    return false;
  const window = stated << ((scales >>> shift) & 0xff);
  const reach = window + sack - ack;
  if (senderWindow < reach) store<i32>(sender, reach, PEER_MAX_WINDOW);
  let flags = scales;
  if (end - senderEnd > 0) {
    store<i32>(sender, end, PEER_END);
    flags |= DATA_UNACKNOWLEDGED << (shift + 8);
  }
  if (ack - load<i32>(sender, PEER_MAX_ACK) > 0) store<i32>(sender, ack, PEER_MAX_ACK);
  if (sack + window - load<i32>(receiver, PEER_MAX_END) + 1 > 0)
    store<i32>(receiver, sack + window + (window === 0 ? 1 : 0), PEER_MAX_END);
  if (ack === receiverEnd) flags &= ~(DATA_UNACKNOWLEDGED << (24 - shift));
  store<i32>(state, flags, SCALES);
  remember(entry, direction, sequence, ack, end, stated, flags, now);
  return true;
}

/** Notes the segment, to know a retransmission, and sets the entry's expiry. */
function remember(
  entry: usize,
  direction: i32,
  sequence: i32,
  ack: i32,
  end: i32,
  stated: i32,
  flags: i32,
  now: i32,
): void {
  const state = entry + PROTOCOL_STATE;
  const last = load<i32>(state, LAST_PACKET);
  let retransmissions = 0;
  if (
    (last & 0x1ffff) === (stated | (direction << 16)) &&
    load<i32>(state, LAST_SEQUENCE) === sequence &&
    load<i32>(state, LAST_ACK_NUMBER) === ack &&
    load<i32>(state, LAST_END) === end
  )
    retransmissions = (((last >>> 20) & 0xff) + 1) & 0xff;
  store<i32>(state, sequence, LAST_SEQUENCE);
  store<i32>(state, ack, LAST_ACK_NUMBER);
  store<i32>(state, end, LAST_END);
  store<i32>(state, stated | (direction << 16) | (KIND_ACK << 17) | (retransmissions << 20), LAST_PACKET);
  let timeout = tcpTimeout;
  if (retransmissions >= tcpMaxRetransmissions && timeout > tcpRetransmitted) timeout = tcpRetransmitted;
  else if ((flags & ANY_UNACKNOWLEDGED) !== 0 && timeout > tcpUnacknowledged) timeout = tcpUnacknowledged;
  else if (stated === 0 && timeout > tcpRetransmitted) timeout = tcpRetransmitted;
  store<i32>(entry, now + timeout, EXPIRES);
}

/** As highestSack of netfilter/conntrack/tcpoptions; the header is whole. */
function highestSack(tcp: usize, headerLength: i32, ack: i32): i32 {
  const end = tcp + <usize>headerLength;
  let at = tcp + 20;
  // Nearly every segment carries just a timestamp.
  if (headerLength === 32 && load<i32>(at) === 0x0a080101) return ack;
  let highest = ack;
  while (at < end) {
    const kind = load<u8>(at);
    if (kind === 0) return highest;
    if (kind === 1) {
      at++;
      continue;
    }
    if (end - at < 2) return highest;
    const size = <i32>load<u8>(at, 1);
    if (size < 2 || at + <usize>size > end) return highest;
    if (kind === 5 && size >= 10 && ((size - 2) & 7) === 0) {
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
