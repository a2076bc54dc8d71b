/**
 * Longest-prefix match as sorted ranges. Prefixes nest, so N of them cut the address space into at most 2N+1 ranges in
 * each of which one prefix is the longest; a lookup finds the range an address falls into: a jump by its upper 16 bits,
 * then a binary search of what is left. A range costs 8 bytes for IPv4, 20 for IPv6.
 *
 *   10.0.0.0/8  ->A        start      0.0.0.0  10.0.0.0  10.1.0.0  10.2.0.0  11.0.0.0
 *   10.1.0.0/16 ->B        value         -1        A         B         A        -1
 */
import type { Family } from './types.js';

export interface RangePrefix {
  /** Network address, host bits clear. */
  readonly words: Uint32Array;
  readonly prefixLength: number;
  /** What a lookup yields, 0 or more. Of several entries with one prefix the first counts. */
  readonly value: number;
}

/** No prefix covers the address. */
export const NO_MATCH = -1;

export class Ranges {
  /** Range i begins at words `starts[i * width]`...; range 0 begins at the all-zero address. */
  private constructor(
    readonly family: Family,
    private readonly starts: Uint32Array,
    private readonly values: Int32Array,
    /** `slots[s]`: the range in which the address with upper 16 bits s and zeros after begins. */
    private readonly slots: Int32Array,
  ) {}

  static build(family: Family, prefixes: readonly RangePrefix[]): Ranges {
    const sweep = new Sweep(family === 4 ? 1 : 4, prefixes.length);
    for (const i of sortedOrder(prefixes)) {
      const prefix = prefixes[i];
      if (prefix !== undefined) sweep.open(prefix, lastAddress(family, prefix));
    }
    return Ranges.from(family, sweep.finish());
  }

  /** For every address the value of the first of `layers` that has one and does not `yields` it to the next. */
  static overlay(family: Family, layers: readonly Ranges[], yields: (value: number) => boolean): Ranges {
    const width = family === 4 ? 1 : 4;
    const at = layers.map(() => 0);
    const out = new RangeList(width, layers.length * 4);
    const start = new Uint32Array(4);
    for (;;) {
      let value = NO_MATCH;
      for (const [i, layer] of layers.entries()) {
        value = layer.values[at[i] ?? 0] ?? NO_MATCH;
        if (value !== NO_MATCH && !yields(value)) break;
        value = NO_MATCH;
      }
      out.push(start, value);
      const next = nearest(layers, at);
      if (next === undefined) return Ranges.from(family, out);
      start.set(next);
      for (const [i, layer] of layers.entries()) if (startsAt(layer, (at[i] ?? 0) + 1, next)) at[i] = (at[i] ?? 0) + 1;
    }
  }

  private static from(family: Family, list: RangeList): Ranges {
    const width = family === 4 ? 1 : 4;
    const { starts, values, count } = list;
    const slots = new Int32Array(65537);
    let range = 0;
    for (let slot = 0; slot < 65536; slot++) {
      // The last range that begins at or before slot.0000...
      while (range + 1 < count && beginsBy(starts, (range + 1) * width, width, slot * 65536)) range++;
      slots[slot] = range;
    }
    slots[65536] = count - 1;
    return new Ranges(family, starts.slice(0, count * width), values.slice(0, count), slots);
  }

  /** How many ranges there are. */
  get count(): number {
    return this.values.length;
  }

  /** First address of a range, undefined past the last range. */
  start(range: number): Uint32Array | undefined {
    if (range >= this.count) return undefined;
    const width = this.family === 4 ? 1 : 4;
    const words = new Uint32Array(4);
    words.set(this.starts.subarray(range * width, (range + 1) * width));
    return words;
  }

  /** Value for an IPv4 address. */
  find4(word: number): number {
    const { starts, slots } = this;
    let low = slots[word >>> 16] as number;
    let high = slots[(word >>> 16) + 1] as number;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if ((starts[middle] as number) <= word) low = middle;
      else high = middle - 1;
    }
    return this.values[low] as number;
  }

  /** Value for an IPv6 address. */
  find6(a: number, b: number, c: number, d: number): number {
    const { starts, slots } = this;
    let low = slots[a >>> 16] as number;
    let high = slots[(a >>> 16) + 1] as number;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      const at = middle * 4;
      let order = (starts[at] as number) - a;
      if (order === 0) order = (starts[at + 1] as number) - b;
      if (order === 0) order = (starts[at + 2] as number) - c;
      if (order === 0) order = (starts[at + 3] as number) - d;
      if (order <= 0) low = middle;
      else high = middle - 1;
    }
    return this.values[low] as number;
  }
}

/** Ranges while they are made; neighbours of one value become one range. */
class RangeList {
  starts: Uint32Array;
  values: Int32Array;
  count = 0;

  constructor(
    private readonly width: number,
    capacity: number,
  ) {
    this.starts = new Uint32Array(capacity * width);
    this.values = new Int32Array(capacity);
  }

  /** Starts are pushed in order; a start pushed twice takes the later value. */
  push(start: Uint32Array, value: number): void {
    const { width } = this;
    if (this.count > 0 && sameWords(this.starts, (this.count - 1) * width, start, width)) this.count--;
    if (this.count > 0 && this.values[this.count - 1] === value) return;
    if (this.count === this.values.length) this.grow();
    for (let i = 0; i < width; i++) this.starts[this.count * width + i] = start[i] ?? 0;
    this.values[this.count++] = value;
  }

  private grow(): void {
    const starts = new Uint32Array(this.starts.length * 2 + 16 * this.width);
    const values = new Int32Array(this.values.length * 2 + 16);
    starts.set(this.starts);
    values.set(this.values);
    this.starts = starts;
    this.values = values;
  }
}

/** Walks prefixes in order of their start, outer before inner, with a stack of those that are open. */
class Sweep {
  private readonly list: RangeList;
  private readonly stack: { last: Uint32Array; value: number; prefix: RangePrefix }[] = [];

  constructor(
    private readonly width: number,
    prefixes: number,
  ) {
    this.list = new RangeList(width, prefixes * 2 + 1);
    this.list.push(new Uint32Array(4), NO_MATCH);
  }

  open(prefix: RangePrefix, last: Uint32Array): void {
    this.closeBefore(prefix.words);
    const top = this.stack.at(-1)?.prefix;
    if (top?.prefixLength === prefix.prefixLength && compareWords(top.words, prefix.words) === 0) return;
    this.list.push(prefix.words, prefix.value);
    this.stack.push({ last, value: prefix.value, prefix });
  }

  finish(): RangeList {
    this.closeBefore(undefined);
    return this.list;
  }

  /** Ends the prefixes that lie wholly before `start` (all of them if undefined). */
  private closeBefore(start: Uint32Array | undefined): void {
    for (let top = this.stack.at(-1); top !== undefined; top = this.stack.at(-1)) {
      if (start !== undefined && compareWords(top.last, start) >= 0) return;
      this.stack.pop();
      const next = successor(top.last, this.width);
      if (next !== undefined) this.list.push(next, this.stack.at(-1)?.value ?? NO_MATCH);
    }
  }
}

/** Indexes of the prefixes by start, outer before inner, equal ones in their own order. */
function sortedOrder(prefixes: readonly RangePrefix[]): Uint32Array {
  // The first word decides nearly every comparison; kept in one array, a sort of a million is then affordable.
  const keys = Float64Array.from(prefixes, (prefix) => prefix.words[0] ?? 0);
  return Uint32Array.from(prefixes, (_, i) => i).sort((i, j) => {
    const order = (keys[i] as number) - (keys[j] as number);
    if (order !== 0) return order;
    const a = prefixes[i] as RangePrefix;
    const b = prefixes[j] as RangePrefix;
    return compareWords(a.words, b.words) || a.prefixLength - b.prefixLength || i - j;
  });
}

function lastAddress(family: Family, prefix: RangePrefix): Uint32Array {
  const last = prefix.words.slice();
  const width = family === 4 ? 1 : 4;
  for (let i = 0; i < width; i++) {
    const bits = Math.min(32, Math.max(0, prefix.prefixLength - 32 * i));
    if (bits < 32) last[i] = (last[i] ?? 0) | (0xffffffff >>> bits);
  }
  return last;
}

/** The address after this one, undefined after the very last. */
function successor(words: Uint32Array, width: number): Uint32Array | undefined {
  const next = words.slice();
  for (let i = width - 1; i >= 0; i--) {
    next[i] = (next[i] ?? 0) + 1;
    if (next[i] !== 0) return next;
  }
  return undefined;
}

export function compareWords(a: Uint32Array, b: Uint32Array): number {
  for (let i = 0; i < 4; i++) {
    const order = (a[i] ?? 0) - (b[i] ?? 0);
    if (order !== 0) return order;
  }
  return 0;
}

function sameWords(starts: Uint32Array, at: number, words: Uint32Array, width: number): boolean {
  for (let i = 0; i < width; i++) if (starts[at + i] !== words[i]) return false;
  return true;
}

function beginsBy(starts: Uint32Array, at: number, width: number, firstWord: number): boolean {
  const first = starts[at] ?? 0;
  if (first !== firstWord) return first < firstWord;
  for (let i = 1; i < width; i++) if (starts[at + i] !== 0) return false;
  return true;
}

/** The smallest start that comes after the layers' present ranges. */
function nearest(layers: readonly Ranges[], at: readonly number[]): Uint32Array | undefined {
  let best: Uint32Array | undefined;
  for (const [i, layer] of layers.entries()) {
    const start = layer.start((at[i] ?? 0) + 1);
    if (start !== undefined && (best === undefined || compareWords(start, best) < 0)) best = start;
  }
  return best;
}

function startsAt(layer: Ranges, range: number, words: Uint32Array): boolean {
  const start = layer.start(range);
  return start !== undefined && compareWords(start, words) === 0;
}
