/** Above this many bytes the loop loses to `set`, whose call then hardly counts. */
const LOOP = 16_384;

/**
 * Copies `source[from..to)` to `target[at..]`, a word at a time. `set` takes half as long again for a few hundred bytes
 * and three times as long for 70: it wants a view made for every call, and copies shared memory (which slabs are)
 * cautiously. The two may be aligned differently, hence the DataViews.
 */
export function copyBytes(source: DataView, from: number, to: number, target: DataView, at: number): void {
  if (to - from > LOOP) {
    bytesOf(target).set(bytesOf(source).subarray(from, to), at);
    return;
  }
  let i = from;
  let o = at;
  for (; i <= to - 16; i += 16, o += 16) {
    target.setInt32(o, source.getInt32(i, true), true);
    target.setInt32(o + 4, source.getInt32(i + 4, true), true);
    target.setInt32(o + 8, source.getInt32(i + 8, true), true);
    target.setInt32(o + 12, source.getInt32(i + 12, true), true);
  }
  for (; i < to; i++, o++) target.setUint8(o, source.getUint8(i));
}

const bytesOf = ({ buffer, byteOffset, byteLength }: DataView): Uint8Array =>
  new Uint8Array(buffer, byteOffset, byteLength);
