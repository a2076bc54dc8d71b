/**
 * The packets that need no thought, in WebAssembly: TCP and UDP over IPv4 in plain Ethernet frames, of connections whose
 * way through the host is known. What it does to a packet is what the TypeScript stages do (packet/parse, ingress,
 * netfilter/fastpath, outputs, padding, summary), which stay the reference that tests hold it against and the way of
 * every packet it stops at.
 *
 * A batch goes through passes: parse and verify checksums, touch the index, touch the entries, then look up, follow,
 * rewrite and count packet by packet. The cache misses of the touching passes wait together.
 *
 * AssemblyScript; all addresses are bytes in the one memory, which TypeScript lays out (memory.ts, layout.ts here).
 */

/** Records of a batch. */
export const BATCH: i32 = 128;

/** Why `run` stopped before the batch's end. */
const STOP_NONE: i32 = 0;
/** The record is none for these loops: it was not parsed. */
const STOP_SLOW: i32 = 1;
/** A TCP segment of a known connection that is more than a plain acknowledgement inside the windows. */
const STOP_TCP: i32 = 2;
/** A packet that was parsed, of no known connection or with something out of the ordinary; it is untouched. */
const STOP_PARSED: i32 = 3;

// Scratch of a batch, an entry per record.
const IP: usize = memory.data(512, 16);
const END: usize = memory.data(512, 16);
const TOTAL: usize = memory.data(512, 16);
const SOURCE: usize = memory.data(512, 16);
const DESTINATION: usize = memory.data(512, 16);
const PORTS: usize = memory.data(512, 16);
const HASH: usize = memory.data(512, 16);
const SLOT: usize = memory.data(512, 16);
/** Protocol of packets that were parsed, 0 of those that others have to look at. */
const PROTOCOL: usize = memory.data(128, 16);

// Columns of the slab's records, and what is known of the capture's interfaces.
let starts: usize = 0;
let ends: usize = 0;
let frames: usize = 0;
let capturedLengths: usize = 0;
let wireLengths: usize = 0;
let sources: usize = 0;
let directions: usize = 0;
let seconds: usize = 0;
let nanoseconds: usize = 0;
let outputs: usize = 0;
let slab: usize = 0;

/** Words of each capture interface: ingress (-1 unknown, NOT_PLAIN), last four bytes of its MAC, 1 if to be checked. */
let inputs: usize = 0;
let inputCount: i32 = 0;
const INPUT_SHIFT: i32 = 4;
const NOT_PLAIN: i32 = -9;

/** Bit per value of a MAC's last two bytes: set where one of the host's interfaces has them. */
let macs: usize = 0;
/** 0 ignore, 1 verify, 2 verify but accept unfinished ones. */
let checksums: i32 = 0;
let writeLocal: bool = false;

// The flow table.
let entries: usize = 0;
let index: usize = 0;
let slotShift: i32 = 0;
let slotMask: i32 = 0;

// Timeouts, milliseconds.
let udpTimeout: i32 = 0;
let udpStreamTimeout: i32 = 0;
let tcpTimeout: i32 = 0;
let tcpRetransmitted: i32 = 0;
let tcpUnacknowledged: i32 = 0;
let tcpMaxRetransmissions: i32 = 0;

/** State of the capture's clock: time, second, base, last sweep, first, begun (doubles). */
let clock: usize = 0;

/** Counters: see `totals`; then rx packets, rx bytes, tx packets, tx bytes of each interface (i64). */
let counters: usize = 0;
const TOTAL_FORWARDED: usize = 0;
const TOTAL_FORWARDED_BYTES: usize = 8;
const TOTAL_LOCAL: usize = 16;
const TOTAL_LOCAL_BYTES: usize = 24;
const TOTAL_TRANSLATED: usize = 32;
const TOTAL_PROBES: usize = 40;
const TOTAL_SHORTENED: usize = 48;
const INTERFACES: usize = 64;
const INTERFACE_SHIFT: i32 = 5;
const RX_PACKETS: usize = 0;
const RX_BYTES: usize = 8;
const TX_PACKETS: usize = 16;
const TX_BYTES: usize = 24;

/** Reference in the flow table of the record in hand: entry * 2 + direction. */
let reference: i32 = 0;
/** First record of the batch. */
let batchStart: i32 = 0;
/** Of no meaning: keeps the touching reads from being optimised away. */
let touched: i32 = 0;

export function touchedLines(): i32 {
  return touched;
}

export function setRecords(
  start: usize,
  end: usize,
  frame: usize,
  captured: usize,
  wire: usize,
  source: usize,
  direction: usize,
  second: usize,
  nanosecond: usize,
  output: usize,
): void {
  starts = start;
  ends = end;
  frames = frame;
  capturedLengths = captured;
  wireLengths = wire;
  sources = source;
  directions = direction;
  seconds = second;
  nanoseconds = nanosecond;
  outputs = output;
}

// Columns of the slab's packets, filled only for those that the loops stop at.
let kinds: usize = 0;
let flagBits: usize = 0;
let protocols: usize = 0;
let l3s: usize = 0;
let l4s: usize = 0;
let packetEnds: usize = 0;
let totalLengths: usize = 0;
let sourceAddresses: usize = 0;
let destinationAddresses: usize = 0;
let portPairs: usize = 0;
let hashes: usize = 0;
let ifindexes: usize = 0;
let senders: usize = 0;

export function setColumns(
  kind: usize,
  flag: usize,
  protocol: usize,
  l3: usize,
  l4: usize,
  end: usize,
  totalLength: usize,
  source: usize,
  destination: usize,
  ports: usize,
  hash: usize,
  ifindex: usize,
  sender: usize,
): void {
  kinds = kind;
  flagBits = flag;
  protocols = protocol;
  l3s = l3;
  l4s = l4;
  packetEnds = end;
  totalLengths = totalLength;
  sourceAddresses = source;
  destinationAddresses = destination;
  portPairs = ports;
  hashes = hash;
  ifindexes = ifindex;
  senders = sender;
}

/** KIND_IPV4_PORTS of packet/columns. */
const KIND_PORTS: u8 = 1;

/** Fills the columns of a packet that was parsed, as packet/parse would; returns its stated ingress. */
export function fill(i: i32): i32 {
  const at = word(i);
  const column = (<usize>i) << 2;
  const ip = load<i32>(IP + at) - <i32>slab;
  store<u8>(kinds + <usize>i, KIND_PORTS);
  store<u8>(flagBits + <usize>i, 0);
  store<u8>(protocols + <usize>i, load<u8>(PROTOCOL + (at >>> 2)));
  store<i32>(l3s + column, ip);
  store<i32>(l4s + column, ip + 20);
  store<i32>(packetEnds + column, load<i32>(END + at) - <i32>slab);
  store<i32>(totalLengths + column, load<i32>(TOTAL + at));
  store<i32>(sourceAddresses + column, load<i32>(SOURCE + at));
  store<i32>(destinationAddresses + column, load<i32>(DESTINATION + at));
  store<i32>(portPairs + column, load<i32>(PORTS + at));
  store<i32>(hashes + column, load<i32>(HASH + at));
  store<i32>(ifindexes + column, -1);
  store<i32>(senders + column, load<i32>(frames + column) + 6);
  return load<i32>(inputs + ((<usize>load<i32>(sources + column)) << INPUT_SHIFT));
}

export function setInputs(at: usize, count: i32, macBits: usize): void {
  inputs = at;
  inputCount = count;
  macs = macBits;
}

export function setPolicy(checksumMode: i32, local: bool, clockAt: usize, countersAt: usize): void {
  checksums = checksumMode;
  writeLocal = local;
  clock = clockAt;
  counters = countersAt;
}

export function setTimeouts(
  udp: i32,
  udpStream: i32,
  tcp: i32,
  retransmitted: i32,
  unacknowledged: i32,
  maxRetransmissions: i32,
): void {
  udpTimeout = udp;
  udpStreamTimeout = udpStream;
  tcpTimeout = tcp;
  tcpRetransmitted = retransmitted;
  tcpUnacknowledged = unacknowledged;
  tcpMaxRetransmissions = maxRetransmissions;
}

export function setTable(entriesAt: usize, indexAt: usize): void {
  entries = entriesAt;
  index = indexAt;
}

/** The table's index has this many slots: 2^(32 - shift). */
export function setSlots(shift: i32): void {
  slotShift = shift;
  slotMask = (1 << (32 - shift)) - 1;
}

/** The reference of the record that `run` stopped at for STOP_TCP. */
export function stoppedReference(): i32 {
  return reference;
}
/** What was parsed of a record of the batch: offset of its IP header in the slab. */
export function parsedIp(i: i32): i32 {
  return load<i32>(IP + word(i)) - <i32>slab;
}
export function parsedEnd(i: i32): i32 {
  return load<i32>(END + word(i)) - <i32>slab;
}

function word(i: i32): usize {
  return (<usize>(i - batchStart)) << 2;
}

function fold(sum: i32): i32 {
  const once = (sum & 0xffff) + (sum >>> 16);
  return (once & 0xffff) + (once >>> 16);
}

function halves(value: i32): i32 {
  return (value & 0xffff) + (value >>> 16);
}

function applyDelta(checksum: i32, delta: i32): i32 {
  return ~fold((~checksum & 0xffff) + 0xffff + delta) & 0xffff;
}

/** Begins a batch of at most BATCH records: parses them and brings what they need of the flow table near. */
export function begin(slabAt: usize, first: i32, last: i32): void {
  slab = slabAt;
  batchStart = first;
  for (let i = first; i < last; i++) parse(i);
  const count = last - first;
  const shift = slotShift;
  for (let k = 0; k < count; k++) {
    const at = (<usize>k) << 2;
    store<i32>(SLOT + at, load<i32>(index + ((<usize>(load<u32>(HASH + at) >>> shift)) << 2)));
  }
  let sum = 0;
  for (let k = 0; k < count; k++) {
    const slot = likely(load<u32>(HASH + ((<usize>k) << 2)) >>> shift, load<u32>(SLOT + ((<usize>k) << 2)));
    const entry = entries + ((<usize>((slot >>> 6) - (slot === 0 ? 0 : 1)) >>> 1) << 7);
    sum ^= load<i32>(entry) ^ load<i32>(entry, 64);
  }
  touched = sum;
}

/** What of the index a lookup that begins in slot `home` will most likely find: the first that wanted to be there. */
function likely(home: u32, first: u32): u32 {
  let value = first;
  let slot = home;
  for (let distance: u32 = 0; value !== 0 && (value & 63) !== distance; ) {
    distance++;
    slot = (slot + 1) & slotMask;
    value = load<u32>(index + ((<usize>slot) << 2));
  }
  return value;
}

function parse(i: i32): void {
  const at = word(i);
  const protocol = parsePlain(i, at);
  store<u8>(PROTOCOL + (at >>> 2), <u8>protocol);
  if (protocol === 0) store<i32>(HASH + at, 0);
}

const IPV4_WITHOUT_OPTIONS: i32 = 0x450008;
/** MF and the fragment offset, in the second word of the header as loaded little-endian. */
const IPV4_FRAGMENT: i32 = 0xff3f0000;

/** As parsePlain of packet/parse, with the ingress stage's look at MACs and the checksum: the protocol, or 0. */
function parsePlain(i: i32, at: usize): i32 {
  const column = (<usize>i) << 2;
  const from = load<i32>(sources + column);
  if (from >= inputCount || load<u8>(directions + <usize>i) === 2) return 0;
  const input = inputs + ((<usize>from) << INPUT_SHIFT);
  const frame = slab + <usize>load<i32>(frames + column);
  const end = frame + <usize>load<i32>(capturedLengths + column);
  const ip = frame + 14;
  const l4 = ip + 20;
  if (l4 + 8 > end || (load<i32>(frame, 12) & 0xffffff) !== IPV4_WITHOUT_OPTIONS) return 0;
  if (load<i32>(input) === NOT_PLAIN || !addressed(frame, input)) return 0;
  const w0 = load<i32>(ip);
  const w1 = load<i32>(ip, 4);
  const w2 = load<i32>(ip, 8);
  const source = load<i32>(ip, 12);
  const destination = load<i32>(ip, 16);
  if (fold(halves(w0) + halves(w1) + halves(w2) + halves(source) + halves(destination)) !== 0xffff) return 0;
  const total = ((w0 >>> 8) & 0xff00) | (w0 >>> 24);
  const protocol = (w2 >>> 8) & 0xff;
  const packetEnd = ip + <usize>total;
  if (packetEnd > end || (w1 & IPV4_FRAGMENT) !== 0) return 0;
  if (!hasWholeHeader(protocol, l4, packetEnd)) return 0;
  const ports = load<i32>(l4);
  if (checksums !== 0 && !checksumOk(protocol, l4, <i32>(packetEnd - l4), halves(source) + halves(destination)))
    return 0;
  store<i32>(IP + at, <i32>ip);
  store<i32>(END + at, <i32>packetEnd);
  store<i32>(TOTAL + at, total);
  store<i32>(SOURCE + at, source);
  store<i32>(DESTINATION + at, destination);
  store<i32>(PORTS + at, ports);
  store<i32>(HASH + at, tupleHash(source, destination, ports, protocol));
  return protocol;
}

/** False where the stages have to look: the host may have sent the frame, or it is not for the host, or not alone. */
function addressed(frame: usize, input: usize): bool {
  // The sender's last two bytes are those of one of the host's own.
  const sender = <u32>load<u16>(frame, 10);
  if (((<u32>load<u8>(macs + <usize>(sender >>> 3)) >>> (sender & 7)) & 1) !== 0) return false;
  if ((load<u8>(frame) & 1) !== 0) return false;
  return load<i32>(input, 8) === 0 || load<i32>(frame, 2) === load<i32>(input, 4);
}

function hasWholeHeader(protocol: i32, l4: usize, end: usize): bool {
  if (protocol === 6) {
    if (l4 + 20 > end) return false;
    const length = (<usize>(load<u8>(l4, 12) >>> 4)) << 2;
    return length >= 20 && l4 + length <= end;
  }
  if (protocol !== 17) return false;
  const length = <usize>bswap<u16>(load<u16>(l4, 4));
  return length >= 8 && l4 + length <= end;
}

function tupleHash(source: i32, destination: i32, ports: i32, protocol: i32): i32 {
  let h = source * <i32>0x9e3779b1 + (destination ^ protocol) * <i32>0x85ebca6b;
  h = (h ^ (h >>> 15)) * <i32>0x2c1b3c6d + ports * <i32>0xc2b2ae35;
  h ^= h >>> 13;
  return h * <i32>0x27d4eb2f;
}

/** Sum of the 16-bit words of `length` bytes; a last odd byte counts as if a zero followed. */
function sumBytes(from: usize, length: i32): i32 {
  let at = from;
  const end = from + <usize>length;
  let sum: i64 = 0;
  if (length >= 64) {
    let lanes = i32x4.splat(0);
    for (; at + 16 <= end; at += 16) lanes = i32x4.add(lanes, i32x4.extadd_pairwise_i16x8_u(v128.load(at)));
    sum =
      <i64>(<u32>i32x4.extract_lane(lanes, 0)) +
      <i64>(<u32>i32x4.extract_lane(lanes, 1)) +
      <i64>(<u32>i32x4.extract_lane(lanes, 2)) +
      <i64>(<u32>i32x4.extract_lane(lanes, 3));
  }
  for (; at + 8 <= end; at += 8) {
    const eight = load<u64>(at);
    sum += <i64>(eight & 0xffffffff) + <i64>(eight >>> 32);
  }
  if (at + 4 <= end) {
    sum += <i64>load<u32>(at);
    at += 4;
  }
  if (at + 2 <= end) {
    sum += <i64>load<u16>(at);
    at += 2;
  }
  if (at < end) sum += <i64>load<u8>(at);
  sum = (sum & 0xffffffff) + (sum >>> 32);
  sum = (sum & 0xffff) + ((sum >>> 16) & 0xffff) + (sum >>> 32);
  return <i32>sum;
}

/** Verifies the layer-4 checksum and finishes an unfinished one; false if it is wrong. `addresses`: their partial sum. */
function checksumOk(protocol: i32, l4: usize, length: i32, addresses: i32): bool {
  const field = l4 + (protocol === 6 ? 16 : 6);
  const stored = <i32>load<u16>(field);
  if (stored === 0 && protocol === 17) return true;
  const pseudo = addresses + (protocol << 8) + (((length & 0xff) << 8) | (length >>> 8));
  const sum = fold(pseudo + sumBytes(l4, length));
  if (sum === 0xffff) return true;
  if (checksums !== 2 || stored !== fold(pseudo)) return false;
  const finished = ~fold(sum + (~stored & 0xffff)) & 0xffff;
  store<u16>(field, <u16>(finished === 0 && protocol === 17 ? 0xffff : finished));
  return true;
}

// Entries of the flow table: both tuples, then these (see netfilter/conntrack/flowtable).
const STATE: usize = 24;
const EXPIRES: usize = 28;
const PATH: usize = 36;
const DELTA: usize = 44;
const PROTOCOL_STATE: usize = 64;
const SEEN_REPLY: i32 = 1 << 16;
const ASSURED: i32 = 1 << 17;
const SRC_OR_DST_NAT: i32 = (1 << 19) | (1 << 20);
const FAST_ORIGINAL: i32 = 1 << 23;
const PATH_LOCAL: i32 = 0xffff;
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
    finish(i, at, protocol);
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
    (stated !== INGRESS_UNKNOWN && stated !== (load<i32>(entry + ((<usize>direction) << 2), PATH) & 0xffff)) ||
    load<u8>(ip, 8) <= 1
  )
    return STOP_PARSED;
  if (protocol === 6) {
    const l4 = ip + 20;
    return established(entry, status, direction, l4, load<i32>(TOTAL + at) - 20, now) ? STOP_NONE : STOP_TCP;
  }
  followUdp(entry, status, now);
  return STOP_NONE;
}

function find(source: i32, destination: i32, ports: i32, protocol: i32, hash: i32): i32 {
  let slot = hash >>> slotShift;
  let distance = 0;
  let found = -1;
  for (; ; distance++) {
    const value = load<u32>(index + ((<usize>slot) << 2));
    if (value === 0) break;
    const displacement = value & 63;
    if (displacement === distance || displacement === 63) {
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
function established(entry: usize, status: i32, direction: i32, tcp: usize, segment: i32, now: i32): bool {
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

/** Rewrites a packet that was followed, says where it goes, cuts its padding and counts it. */
function finish(i: i32, at: usize, protocol: i32): void {
  const direction = reference & 1;
  const entry = entries + ((<usize>(reference >>> 1)) << 7);
  let status = load<i32>(entry, STATE);
  if (direction === 1 && (status & SEEN_REPLY) === 0) {
    status |= SEEN_REPLY;
    store<i32>(entry, status, STATE);
  }
  const path = load<i32>(entry + ((<usize>direction) << 2), PATH);
  const local = path >>> 16 === PATH_LOCAL;
  const ip = <usize>load<u32>(IP + at);
  const total = load<i32>(TOTAL + at);
  const translated = (status & SRC_OR_DST_NAT) !== 0;
  const delta = load<i32>(entry + ((<usize>direction) << 2), DELTA);
  if (!local) store<u8>(ip, load<u8>(ip, 8) - 1, 8);
  if (!local || translated) store<u16>(ip, <u16>applyDelta(<i32>load<u16>(ip, 10), delta & 0xffff), 10);
  if (translated) translate(ip, entry + (direction === 0 ? 12 : 0), protocol, delta >>> 16);
  count(i, path, local, translated, ip, total);
}

/** `other`: the other direction's tuple, which turned round is what the packet becomes. */
function translate(ip: usize, other: usize, protocol: i32, delta: i32): void {
  store<i32>(ip, load<i32>(other, 4), 12);
  store<i32>(ip, load<i32>(other), 16);
  store<i32>(ip, rotl<i32>(load<i32>(other, 8), 16), 20);
  if (protocol === 6) {
    store<u16>(ip, <u16>applyDelta(<i32>load<u16>(ip, 36), delta), 36);
    return;
  }
  const stored = <i32>load<u16>(ip, 26);
  // 0 means that the sender made none (RFC 768).
  if (stored === 0) return;
  const changed = applyDelta(stored, delta);
  store<u16>(ip, <u16>(changed === 0 ? 0xffff : changed), 26);
}

function add(at: usize, offset: usize, value: i64): void {
  store<i64>(at + offset, load<i64>(at + offset) + value);
}

function count(i: i32, path: i32, local: bool, translated: bool, ip: usize, total: i32): void {
  const column = (<usize>i) << 2;
  const ingress = path & 0xffff;
  const egress = path >>> 16;
  const wire = load<i32>(wireLengths + column);
  const captured = load<i32>(capturedLengths + column);
  const length = <i32>(ip - slab) + total - load<i32>(frames + column);
  const receiver = counters + INTERFACES + ((<usize>ingress) << INTERFACE_SHIFT);
  add(receiver, RX_PACKETS, 1);
  add(receiver, RX_BYTES, <i64>wire);
  if (translated) add(counters, TOTAL_TRANSLATED, 1);
  if (captured > length || wire > length) {
    store<i32>(capturedLengths + column, min(captured, length));
    store<i32>(wireLengths + column, min(wire, length));
    add(counters, TOTAL_SHORTENED, 1);
  }
  if (local) {
    add(counters, TOTAL_LOCAL, 1);
    add(counters, TOTAL_LOCAL_BYTES, <i64>total);
    store<i32>(outputs + column, writeLocal ? ingress : -1);
    return;
  }
  add(counters, TOTAL_FORWARDED, 1);
  add(counters, TOTAL_FORWARDED_BYTES, <i64>total);
  store<i32>(outputs + column, egress);
  const sender = counters + INTERFACES + ((<usize>egress) << INTERFACE_SHIFT);
  add(sender, TX_PACKETS, 1);
  add(sender, TX_BYTES, <i64>min(wire, length));
}

/** Records that the last `pack` put together. */
let packed: i32 = 0;
export function packedRecords(): i32 {
  return packed;
}

/**
 * Moves the records of a pcap slab that go out side by side, from its first byte on, in order, and returns where the last
 * ends. The headers of those that were shortened are made right. `bigEndian`: byte order of the record headers.
 */
export function pack(slabAt: usize, count: i32, anyShortened: bool, bigEndian: bool): i32 {
  let to = slabAt;
  let from = slabAt;
  let until = slabAt;
  packed = 0;
  for (let i = 0; i < count; i++) {
    const column = (<usize>i) << 2;
    if (load<i32>(outputs + column) === -1) continue;
    packed++;
    const start = slabAt + <usize>load<i32>(starts + column);
    if (start !== until) {
      to = moved(to, from, until);
      from = start;
    }
    until = slabAt + <usize>load<i32>(ends + column);
    if (anyShortened) until = shorten(start, slabAt, column, until, bigEndian);
  }
  to = moved(to, from, until);
  return <i32>(to - slabAt);
}

function moved(to: usize, from: usize, until: usize): usize {
  if (to !== from) memory.copy(to, from, until - from);
  return to + (until - from);
}

/** As shortenPcapRecord of capture/write/shorten: the header's lengths are lowered to those of the columns. */
function shorten(start: usize, slabAt: usize, column: usize, end: usize, bigEndian: bool): usize {
  const frame = slabAt + <usize>load<i32>(frames + column);
  const captured = load<u32>(capturedLengths + column);
  const first = load<u32>(start, 8);
  // Files of old versions may have the lengths the other way round.
  const swapped = (bigEndian ? bswap<u32>(first) : first) !== <u32>(end - frame);
  lower(start + (swapped ? 12 : 8), captured, bigEndian);
  lower(start + (swapped ? 8 : 12), load<u32>(wireLengths + column), bigEndian);
  return frame + <usize>captured;
}

function lower(at: usize, length: u32, bigEndian: bool): void {
  const stored = load<u32>(at);
  const stated = bigEndian ? bswap<u32>(stored) : stored;
  if (length >= stated) return;
  store<u32>(at, bigEndian ? bswap<u32>(length) : length);
}
