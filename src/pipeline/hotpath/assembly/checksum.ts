export function fold(sum: i32): i32 {
  const once = (sum & 0xffff) + (sum >>> 16);
  return (once & 0xffff) + (once >>> 16);
}

export function halves(value: i32): i32 {
  return (value & 0xffff) + (value >>> 16);
}

export function applyDelta(checksum: i32, delta: i32): i32 {
  return ~fold((~checksum & 0xffff) + 0xffff + delta) & 0xffff;
}

/** Sum of the 16-bit words of `length` bytes; a last odd byte counts as if a zero followed. */
export function sumBytes(from: usize, length: i32): i32 {
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
