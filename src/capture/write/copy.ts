/** Up to this many bytes are copied by a loop: making a view and calling `set` takes longer. */
const LOOP = 48;

/** Copies `source[from..to)` to `target[at..]`. */
export function copyBytes(source: Uint8Array, from: number, to: number, target: Uint8Array, at: number): void {
  if (to - from > LOOP) {
    target.set(source.subarray(from, to), at);
    return;
  }
  for (let i = from, o = at; i < to; i++, o++) target[o] = source[i] as number;
}
