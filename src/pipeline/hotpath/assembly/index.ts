/**
 * The packets that need no thought, in WebAssembly: TCP and UDP over IPv4 in plain Ethernet frames, of connections whose
 * way through the host is known. What it does to a packet is what the TypeScript stages do (packet/parse, ingress,
 * netfilter/fastpath, outputs, padding, summary), which stay the reference that tests hold it against and the way of
 * every packet it stops at.
 *
 * A batch goes through passes: parse and verify checksums, touch the index, touch the entries, then look up, follow,
 * rewrite and count packet by packet. The cache misses of the touching passes wait together.
 *
 * AssemblyScript; all addresses are bytes in the one memory, which TypeScript lays out (workspace.ts).
 */
import { DESTINATION, HASH, IP, PORTS, PROTOCOL, SLOT, SOURCE, startBatch, TOTAL, word } from './batch';
import { INPUT_SHIFT, inputs, nanoseconds, seconds, sources } from './columns';
import { finish } from './finish';
import {
  ASSURED,
  EXPIRES,
  entries,
  FAST_ORIGINAL,
  find,
  index,
  likely,
  PATH,
  PROTOCOL_STATE,
  SEEN_REPLY,
  STATE,
  STATED_ORIGINAL,
  slotShift,
} from './flowtable';
import { parse } from './parse';
import { clock, udpStreamTimeout, udpTimeout } from './settings';
import { established } from './tcp';
import { followSegment } from './tcpsegment';

export { BATCH, fill, parsedEnd, parsedIp } from './batch';
export { setColumns, setInputs, setRecords } from './columns';
export { setSlots, setTable } from './flowtable';
export { pack, packedRecords } from './pack';
export { setPolicy, setTimeouts } from './settings';
export { setTransitions } from './tcpstate';

/** Why `run` stopped before the batch's end. */
const STOP_NONE: i32 = 0;

/** The record is none for these loops: it was not parsed. */
const STOP_SLOW: i32 = 1;

/** A TCP segment of a known connection, out of the ordinary; it is untouched. */
const STOP_TCP: i32 = 2;

/** A packet that was parsed, of no known connection or with something out of the ordinary; it is untouched. */
const STOP_PARSED: i32 = 3;

/** Reference in the flow table of the record in hand: entry * 2 + direction. */
let reference: i32 = 0;

/** Of no meaning: keeps the touching reads from being optimised away. */
let touched: i32 = 0;

export function touchedLines(): i32 {
  return touched;
}

/** The reference of the record that `run` stopped at for STOP_TCP. */
export function stoppedReference(): i32 {
  return reference;
}

/** The reference by which the record that `run` stopped at is to be finished. */
export function setReference(value: i32): void {
  reference = value;
}

/** Begins a batch of at most BATCH records: parses them and brings what they need of the flow table near. */
export function begin(slabAt: usize, first: i32, last: i32): void {
  startBatch(slabAt, first);
  for (let i = first; i < last; i++) parse(i);
  const records = last - first;
  const shift = slotShift;
  for (let k = 0; k < records; k++) {
    const at = (<usize>k) << 2;
    store<i32>(SLOT + at, load<i32>(index + ((<usize>(load<u32>(HASH + at) >>> shift)) << 2)));
  }
  let sum = 0;
  for (let k = 0; k < records; k++) {
    const slot = likely(load<u32>(HASH + ((<usize>k) << 2)), load<u32>(SLOT + ((<usize>k) << 2)));
    const entry = entries + ((<usize>((slot >>> 6) - (slot === 0 ? 0 : 1)) >>> 1) << 7);
    sum ^= load<i32>(entry) ^ load<i32>(entry, 64);
  }
  touched = sum;
}

const INGRESS_UNKNOWN: i32 = -1;

/**
 * Takes records `next`..`last` of the batch through; returns STOP_* in the low two bits and the record it stopped at
 * (`last` if at none) above them. `accepted`: record `next` was followed by others, finish it.
 */
export function run(next: i32, last: i32, accepted: bool): i32 {
  let followed = accepted;
  for (let i = next; i < last; i++) {
    const at = word(i);
    const protocol = <i32>load<u8>(PROTOCOL + (at >>> 2));
    if (protocol === 0) return (i << 2) | STOP_SLOW;
    if (!followed) {
      const stop = follow(i, at, protocol);
      if (stop !== STOP_NONE) return (i << 2) | stop;
    }
    followed = false;
    finish(i, at, protocol, reference);
  }
  return last << 2;
}

/** Looks the packet up and follows its connection: 0 when it may be finished. */
function follow(i: i32, at: usize, protocol: i32): i32 {
  const source = load<i32>(SOURCE + at);
  const destination = load<i32>(DESTINATION + at);
  if (source === destination) return STOP_PARSED;
  reference = find(source, destination, load<i32>(PORTS + at), protocol, load<i32>(HASH + at));
  if (reference < 0 || !advanceClock(i)) return STOP_PARSED;
  const now = <i32>(<i64>load<f64>(clock));
  const direction = reference & 1;
  const entry = entries + ((<usize>(reference >>> 1)) << 7);
  const status = load<i32>(entry, STATE);
  const ip = <usize>load<u32>(IP + at);
  const stated = load<i32>(inputs + ((<usize>load<i32>(sources + ((<usize>i) << 2))) << INPUT_SHIFT));
  if (
    (status & (FAST_ORIGINAL << direction)) === 0 ||
    load<i32>(entry, EXPIRES) - now <= 0 ||
    (stated === INGRESS_UNKNOWN
      ? (status & (STATED_ORIGINAL << direction)) !== 0
      : stated !== (load<i32>(entry + ((<usize>direction) << 2), PATH) & 0xffff)) ||
    load<u8>(ip, 8) <= 1
  )
    return STOP_PARSED;
  if (protocol === 6) {
    const l4 = ip + 20;
    const length = load<i32>(TOTAL + at) - 20;
    if (established(entry, status, direction, l4, length, now)) return STOP_NONE;
    return followSegment(entry, status, direction, l4, length, now) ? STOP_NONE : STOP_TCP;
  }
  followUdp(entry, status, now);
  return STOP_NONE;
}

const LEAP: f64 = 0x40000000;
const END_OF_TIME: f64 = 9007199254740992;

/** As CaptureClock; false when it would have to sweep. */
function advanceClock(i: i32): bool {
  const second = load<f64>(seconds + ((<usize>i) << 3));
  if (second !== load<f64>(clock, 8)) {
    const first = load<f64>(clock, 32);
    if (load<f64>(clock, 40) === 0) return false;
    store<f64>(clock, second, 8);
    store<f64>(clock, min<f64>((second - first) * 1000, END_OF_TIME), 16);
  }
  const time = load<f64>(clock, 16) + <f64>(load<i32>(nanoseconds + ((<usize>i) << 2)) / 1000000);
  if (time <= load<f64>(clock)) return true;
  if (time - load<f64>(clock, 24) >= LEAP) return false;
  store<f64>(clock, time);
  return true;
}

function followUdp(entry: usize, status: i32, now: i32): void {
  let timeout = udpTimeout;
  if ((status & SEEN_REPLY) !== 0) {
    if ((status & ASSURED) !== 0) {
      timeout = udpStreamTimeout;
    } else if (now - load<i32>(entry, PROTOCOL_STATE) > 0) {
      timeout = udpStreamTimeout;
      store<i32>(entry, status | ASSURED, STATE);
    }
  }
  store<i32>(entry, now + timeout, EXPIRES);
}
