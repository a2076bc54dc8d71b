/** Parses a record and verifies its checksum, as packet/parse and the ingress stage do for plain frames. */
import { DESTINATION, END, HASH, IP, PORTS, PROTOCOL, SOURCE, slab, TOTAL, word } from './batch';
import { fold, halves, sumBytes } from './checksum';
import {
  capturedLengths,
  directions,
  frames,
  INPUT_SHIFT,
  inputCount,
  inputs,
  macs,
  NOT_PLAIN,
  sources,
} from './columns';
import { checksums } from './settings';

export function parse(i: i32): void {
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
