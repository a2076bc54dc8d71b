/** A partition of the 32-bit numbers into intervals: values of one interval are alike to whoever named its bounds. */

export class Intervals {
  /** `starts[c]`: the first number of interval c; `slots[s]`: the interval of the number with upper 16 bits s and zeros after. */
  private constructor(
    private readonly starts: Uint32Array,
    private readonly slots: Uint32Array,
  ) {}

  /** `bounds`: numbers at which another interval begins, in any order; 0 need not be named. */
  static of(bounds: Iterable<number>): Intervals {
    const starts = Uint32Array.from(new Set([0, ...bounds])).sort();
    const slots = new Uint32Array(65537);
    let at = 0;
    for (let slot = 0; slot < 65536; slot++) {
      while (at + 1 < starts.length && (starts[at + 1] as number) <= slot * 65536) at++;
      slots[slot] = at;
    }
    slots[65536] = starts.length - 1;
    return new Intervals(starts, slots);
  }

  /** Number of the interval that holds an unsigned number. Hot path of new connections. */
  classOf(value: number): number {
    const { starts, slots } = this;
    let low = slots[value >>> 16] as number;
    let high = slots[(value >>> 16) + 1] as number;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if ((starts[middle] as number) <= value) low = middle;
      else high = middle - 1;
    }
    return low;
  }
}

/** A 16-bit number as a 32-bit one whose interval is found by one jump. */
export const scaled = (port: number): number => (port << 16) >>> 0;
