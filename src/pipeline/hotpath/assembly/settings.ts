/** What a run is to do: checksums, timeouts, the clock and where to count. */

/** 0 ignore, 1 verify, 2 verify but accept unfinished ones. */
export let checksums: i32 = 0;
export let writeLocal: bool = false;

// Timeouts, milliseconds.
export let udpTimeout: i32 = 0;
export let udpStreamTimeout: i32 = 0;
export let tcpRetransmitted: i32 = 0;
export let tcpUnacknowledged: i32 = 0;
export let tcpMaxRetransmissions: i32 = 0;

/** State of the capture's clock: time, second, base, last sweep, first, begun (doubles). */
export let clock: usize = 0;

/** Counters: see `totals`; then rx packets, rx bytes, tx packets, tx bytes of each interface (i64). */
export let counters: usize = 0;
export const TOTAL_FORWARDED: usize = 0;
export const TOTAL_LOCAL: usize = 8;
export const TOTAL_TRANSLATED: usize = 16;
export const TOTAL_PROBES: usize = 24;
export const TOTAL_SHORTENED: usize = 32;
export const INTERFACES: usize = 64;
export const INTERFACE_SHIFT: i32 = 5;
export const RX_PACKETS: usize = 0;
export const RX_BYTES: usize = 8;
export const TX_PACKETS: usize = 16;
export const TX_BYTES: usize = 24;

/** Rows of the ways: see netfilter/ways. */
export let ways: usize = 0;
export const WAY_SHIFT: i32 = 5;
export const WAY_PACKETS: usize = 8;
export const WAY_BYTES: usize = 16;

export function setPolicy(checksumMode: i32, local: bool, clockAt: usize, countersAt: usize, waysAt: usize): void {
  checksums = checksumMode;
  writeLocal = local;
  clock = clockAt;
  counters = countersAt;
  ways = waysAt;
}

export function setTimeouts(
  udp: i32,
  udpStream: i32,
  retransmitted: i32,
  unacknowledged: i32,
  maxRetransmissions: i32,
): void {
  udpTimeout = udp;
  udpStreamTimeout = udpStream;
  tcpRetransmitted = retransmitted;
  tcpUnacknowledged = unacknowledged;
  tcpMaxRetransmissions = maxRetransmissions;
}
