/** What follows when a packet may go on: it is rewritten, its padding is cut, it is counted. */
import { IP, slab, TOTAL } from './batch';
import { applyDelta } from './checksum';
import { capturedLengths, frames, outputs, wireLengths } from './columns';
import { DELTA, entries, PATH, SEEN_REPLY, SRC_OR_DST_NAT, STATE } from './flowtable';
import {
  counters,
  INTERFACE_SHIFT,
  INTERFACES,
  RX_BYTES,
  RX_PACKETS,
  TOTAL_FORWARDED,
  TOTAL_LOCAL,
  TOTAL_SHORTENED,
  TOTAL_TRANSLATED,
  TX_BYTES,
  TX_PACKETS,
  WAY_BYTES,
  WAY_PACKETS,
  WAY_SHIFT,
  ways,
  writeLocal,
} from './settings';

/** Rewrites a packet that was followed, says where it goes, cuts its padding and counts it. */
export function finish(i: i32, at: usize, protocol: i32, reference: i32): void {
  const direction = reference & 1;
  const entry = entries + ((<usize>(reference >>> 1)) << 7);
  let status = load<i32>(entry, STATE);
  if (direction === 1 && (status & SEEN_REPLY) === 0) {
    status |= SEEN_REPLY;
    store<i32>(entry, status, STATE);
  }
  const path = load<i32>(entry + ((<usize>direction) << 2), PATH);
  const way = ways + ((<usize>(path >>> 16)) << WAY_SHIFT);
  const egress = <i32>load<f64>(way);
  const local = egress < 0;
  const ip = <usize>load<u32>(IP + at);
  const total = load<i32>(TOTAL + at);
  const translated = (status & SRC_OR_DST_NAT) !== 0;
  const delta = load<i32>(entry + ((<usize>direction) << 2), DELTA);
  if (!local) store<u8>(ip, load<u8>(ip, 8) - 1, 8);
  if (!local || translated) store<u16>(ip, <u16>applyDelta(<i32>load<u16>(ip, 10), delta & 0xffff), 10);
  if (translated) translate(ip, entry + (direction === 0 ? 12 : 0), protocol, delta >>> 16);
  store<f64>(way, load<f64>(way, WAY_PACKETS) + 1, WAY_PACKETS);
  store<f64>(way, load<f64>(way, WAY_BYTES) + <f64>total, WAY_BYTES);
  count(i, path & 0xffff, egress, translated, ip, total);
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

export function add(at: usize, offset: usize, value: i64): void {
  store<i64>(at + offset, load<i64>(at + offset) + value);
}

export function count(i: i32, ingress: i32, egress: i32, translated: bool, ip: usize, total: i32): void {
  const column = (<usize>i) << 2;
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
  if (egress < 0) {
    add(counters, TOTAL_LOCAL, 1);
    store<i32>(outputs + column, writeLocal ? ingress : -1);
    return;
  }
  add(counters, TOTAL_FORWARDED, 1);
  store<i32>(outputs + column, egress);
  const sender = counters + INTERFACES + ((<usize>egress) << INTERFACE_SHIFT);
  add(sender, TX_PACKETS, 1);
  add(sender, TX_BYTES, <i64>min(wire, length));
}
