/** The batch in hand: what was parsed of its records, apart from the slab-wide columns so that it stays in the cache. */
import {
  destinationAddresses,
  flagBits,
  frames,
  hashes,
  INPUT_SHIFT,
  ifindexes,
  inputs,
  kinds,
  l3s,
  l4s,
  packetEnds,
  portPairs,
  protocols,
  senders,
  sourceAddresses,
  sources,
  totalLengths,
} from './columns';

/** Records of a batch. */
export const BATCH: i32 = 128;

// Scratch of a batch, an entry per record.
export const IP: usize = memory.data(512, 16);
export const END: usize = memory.data(512, 16);
export const TOTAL: usize = memory.data(512, 16);
export const SOURCE: usize = memory.data(512, 16);
export const DESTINATION: usize = memory.data(512, 16);
export const PORTS: usize = memory.data(512, 16);
export const HASH: usize = memory.data(512, 16);
export const SLOT: usize = memory.data(512, 16);

/** Protocol of packets that were parsed, 0 of those that others have to look at. */
export const PROTOCOL: usize = memory.data(128, 16);
export let slab: usize = 0;

/** First record of the batch. */
let batchStart: i32 = 0;

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

/** What was parsed of a record of the batch: offset of its IP header in the slab. */
export function parsedIp(i: i32): i32 {
  return load<i32>(IP + word(i)) - <i32>slab;
}

export function parsedEnd(i: i32): i32 {
  return load<i32>(END + word(i)) - <i32>slab;
}

/** Begins a batch with record `first` of a slab. */
export function startBatch(slabAt: usize, first: i32): void {
  slab = slabAt;
  batchStart = first;
}

export function word(i: i32): usize {
  return (<usize>(i - batchStart)) << 2;
}
