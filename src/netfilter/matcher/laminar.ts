/**
 * Ranges of 32-bit numbers of which any two either lie apart or one inside the other, as prefixes do, and which of them
 * hold a number: the innermost is found by bisection, the others are those around it.
 */

export class LaminarRanges {
  private constructor(
    /** Where another innermost range begins, ascending from 0. */
    private readonly starts: Uint32Array,
    /** The innermost range from there on, -1 for none. */
    private readonly innermost: Int32Array,
    /** The next range around each, -1 for none. */
    readonly around: Int32Array,
  ) {}

  /** Ranges by ascending first number, those that begin alike by descending last number; none twice. Both ends included. */
  static of(lows: Uint32Array, highs: Uint32Array): LaminarRanges {
    const count = lows.length;
    const starts = new Uint32Array(2 * count + 1);
    const innermost = new Int32Array(2 * count + 1).fill(-1);
    const around = new Int32Array(count);
    let last = 0;
    const begin = (at: number, range: number): void => {
      if (starts[last] !== at) last++;
      starts[last] = at;
      innermost[last] = range;
    };
    let open = -1;
    const close = (): void => {
      const high = highs[open] as number;
      open = around[open] as number;
      if (high < 0xffffffff) begin(high + 1, open);
    };
    for (let range = 0; range < count; range++) {
      const low = lows[range] as number;
      while (open >= 0 && (highs[open] as number) < low) close();
      around[range] = open;
      begin(low, range);
      open = range;
    }
    while (open >= 0) close();
    return new LaminarRanges(starts.slice(0, last + 1), innermost.slice(0, last + 1), around);
  }

  /** The innermost range that holds an unsigned number, -1 for none; `around` has the others. */
  find(value: number): number {
    const { starts } = this;
    let low = 0;
    let high = starts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if ((starts[middle] as number) <= value) low = middle;
      else high = middle - 1;
    }
    return this.innermost[low] as number;
  }
}
