/** TCP segments inside the windows of an established connection, as TcpTracker.established. */
import { ASSURED, EXPIRES, PROTOCOL_STATE } from './flowtable';
import { tcpMaxRetransmissions, tcpRetransmitted, tcpUnacknowledged } from './settings';
import { highestSack } from './tcpoptions';
import {
  ANY_UNACKNOWLEDGED,
  DATA_UNACKNOWLEDGED,
  ESTABLISHED,
  KIND_ACK,
  LAST_ACK_NUMBER,
  LAST_END,
  LAST_PACKET,
  LAST_SEQUENCE,
  MAX_ACK_SET,
  MAX_ACK_WINDOW,
  PEER_END,
  PEER_MAX_ACK,
  PEER_MAX_END,
  PEER_MAX_WINDOW,
  PEER_SHIFT,
  SACK_PERMITTED,
  SCALES,
  timeoutOf,
} from './tcpstate';

const TCP_ACK: i32 = 0x10;

/** FIN, SYN, RST, ACK. */
const NOT_PLAIN_ACK: i32 = 0x17;
const ASSURED_AND_STATE: i32 = ASSURED | 0xff00;
const ASSURED_AND_ESTABLISHED: i32 = ASSURED | (ESTABLISHED << 8);

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
  const sender = state + ((<usize>direction) << PEER_SHIFT);
  const receiver = state + ((<usize>(1 - direction)) << PEER_SHIFT);
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
  let timeout = timeoutOf(ESTABLISHED);
  if (retransmissions >= tcpMaxRetransmissions && timeout > tcpRetransmitted) timeout = tcpRetransmitted;
  else if ((flags & ANY_UNACKNOWLEDGED) !== 0 && timeout > tcpUnacknowledged) timeout = tcpUnacknowledged;
  else if (stated === 0 && timeout > tcpRetransmitted) timeout = tcpRetransmitted;
  store<i32>(entry, now + timeout, EXPIRES);
}
