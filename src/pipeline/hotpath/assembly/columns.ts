// Columns of the slab's records, and what is known of the capture's interfaces.
export let starts: usize = 0;
export let ends: usize = 0;
export let frames: usize = 0;
export let capturedLengths: usize = 0;
export let wireLengths: usize = 0;
export let sources: usize = 0;
export let directions: usize = 0;
export let seconds: usize = 0;
export let nanoseconds: usize = 0;
export let outputs: usize = 0;

/** Words of each capture interface: ingress (-1 unknown, NOT_PLAIN), last four bytes of its MAC, 1 if to be checked. */
export let inputs: usize = 0;
export let inputCount: i32 = 0;
export const INPUT_SHIFT: i32 = 4;
export const NOT_PLAIN: i32 = -9;

/** Bit per value of a MAC's last two bytes: set where one of the host's interfaces has them. */
export let macs: usize = 0;

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
export let kinds: usize = 0;
export let flagBits: usize = 0;
export let protocols: usize = 0;
export let l3s: usize = 0;
export let l4s: usize = 0;
export let packetEnds: usize = 0;
export let totalLengths: usize = 0;
export let sourceAddresses: usize = 0;
export let destinationAddresses: usize = 0;
export let portPairs: usize = 0;
export let hashes: usize = 0;
export let ifindexes: usize = 0;
export let senders: usize = 0;

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

export function setInputs(at: usize, count: i32, macBits: usize): void {
  inputs = at;
  inputCount = count;
  macs = macBits;
}
