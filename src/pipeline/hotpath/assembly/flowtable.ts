/** Look-ups in the flow table, laid out as netfilter/conntrack/flowtable says. */
import { counters, TOTAL_PROBES } from './settings';

// The flow table.
export let entries: usize = 0;
export let index: usize = 0;
export let slotShift: i32 = 0;
let slotMask: i32 = 0;

export function setTable(entriesAt: usize, indexAt: usize): void {
  entries = entriesAt;
  index = indexAt;
}

/** The table's index has this many slots: 2^(32 - shift). */
export function setSlots(shift: i32): void {
  slotShift = shift;
  slotMask = (1 << (32 - shift)) - 1;
}

/** Bits of a hash that an index slot holds. */
const TAG: u32 = 63;

/** What of the index a look-up of `hash`, whose first slot holds `first`, will most likely end at: the first with its tag. */
export function likely(hash: u32, first: u32): u32 {
  let value = first;
  let slot = hash >>> slotShift;
  while (value !== 0 && ((value ^ hash) & TAG) !== 0) {
    slot = (slot + 1) & slotMask;
    value = load<u32>(index + ((<usize>slot) << 2));
  }
  return value;
}

// Entries of the flow table: both tuples, then these (see netfilter/conntrack/flowtable).
export const STATE: usize = 24;
export const EXPIRES: usize = 28;
export const PATH: usize = 36;
export const DELTA: usize = 44;
export const PROTOCOL_STATE: usize = 64;
export const SEEN_REPLY: i32 = 1 << 16;
export const ASSURED: i32 = 1 << 17;
export const SRC_OR_DST_NAT: i32 = (1 << 19) | (1 << 20);
export const FAST_ORIGINAL: i32 = 1 << 23;
export const STATED_ORIGINAL: i32 = 1 << 27;

export function find(source: i32, destination: i32, ports: i32, protocol: i32, hash: i32): i32 {
  let slot = hash >>> slotShift;
  let distance = 0;
  let found = -1;
  for (; ; distance++) {
    const value = load<u32>(index + ((<usize>slot) << 2));
    if (value === 0) break;
    if (((value ^ hash) & TAG) === 0) {
      const candidate = <i32>((value >>> 6) - 1);
      const entry = entries + ((<usize>(candidate >>> 1)) << 7);
      const tuple = entry + ((candidate & 1) === 0 ? 0 : 12);
      if (
        load<i32>(tuple) === source &&
        load<i32>(tuple, 4) === destination &&
        load<i32>(tuple, 8) === ports &&
        <i32>load<u8>(entry, STATE) === protocol
      ) {
        found = candidate;
        break;
      }
    }
    slot = (slot + 1) & slotMask;
  }
  store<i64>(counters, load<i64>(counters, TOTAL_PROBES) + <i64>(distance + 1), TOTAL_PROBES);
  return found;
}
