/** SCTP chunks by the names iptables has for them (RFC 9260 section 3.2 and its extensions), and the flags it knows of them. */

/** Type numbers, in the order of names in help texts. */
export const CHUNK_TYPES: ReadonlyMap<string, number> = new Map([
  ['DATA', 0],
  ['INIT', 1],
  ['INIT_ACK', 2],
  ['SACK', 3],
  ['HEARTBEAT', 4],
  ['HEARTBEAT_ACK', 5],
  ['ABORT', 6],
  ['SHUTDOWN', 7],
  ['SHUTDOWN_ACK', 8],
  ['ERROR', 9],
  ['COOKIE_ECHO', 10],
  ['COOKIE_ACK', 11],
  ['ECN_ECNE', 12],
  ['ECN_CWR', 13],
  ['SHUTDOWN_COMPLETE', 14],
  ['I_DATA', 64],
  ['ASCONF_ACK', 128],
  ['RE_CONFIG', 130],
  ['PAD', 132],
  ['FORWARD_TSN', 192],
  ['ASCONF', 193],
  ['I_FORWARD_TSN', 194],
]);

/** Letters of the chunk's flags, highest bit first; capital: set, small: not set. */
export const CHUNK_FLAGS: ReadonlyMap<number, string> = new Map([
  [0, '----IUBE'],
  [6, '-------T'],
  [14, '-------T'],
  [64, '----IUBE'],
]);
