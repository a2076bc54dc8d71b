import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LaminarRanges } from '../../../src/netfilter/matcher/laminar.js';

interface Range {
  readonly low: number;
  readonly high: number;
}

const prefix = (address: number, length: number): Range => {
  const low = length === 0 ? 0 : ((address >>> (32 - length)) << (32 - length)) >>> 0;
  return { low, high: low + 2 ** (32 - length) - 1 };
};

/** All that hold the value, from the innermost outwards. */
function holding(ranges: LaminarRanges, value: number): number[] {
  const found: number[] = [];
  for (let range = ranges.find(value); range >= 0; range = ranges.around[range] ?? -1) found.push(range);
  return found;
}

const of = (ranges: readonly Range[]): LaminarRanges =>
  LaminarRanges.of(
    Uint32Array.from(ranges, ({ low }) => low),
    Uint32Array.from(ranges, ({ high }) => high),
  );

describe('LaminarRanges', () => {
  it('finds the innermost network, and those around it', () => {
    const ranges = of([prefix(0x0a000000, 8), prefix(0x0a000000, 24), prefix(0x0a010000, 16), prefix(0xffffffff, 32)]);
    expect(holding(ranges, 0x0a000001)).toEqual([1, 0]);
    expect(holding(ranges, 0x0a01ffff)).toEqual([2, 0]);
    expect(holding(ranges, 0x0a020000)).toEqual([0]);
    expect(holding(ranges, 0x0b000000)).toEqual([]);
    expect(holding(ranges, 0xffffffff)).toEqual([3]);
    expect(holding(of([]), 7)).toEqual([]);
  });

  it('finds what a look at each of them finds', () => {
    const address = fc.oneof(fc.nat(0xffffffff), fc.constantFrom(0, 0x7fffffff, 0x80000000, 0xffffffff));
    const networks = fc
      .uniqueArray(
        fc.tuple(address, fc.integer({ min: 0, max: 32 })).map(([at, length]) => prefix(at, length)),
        { selector: ({ low, high }) => `${low} ${high}`, maxLength: 60 },
      )
      .map((ranges) => ranges.sort((a, b) => a.low - b.low || b.high - a.high));
    fc.assert(
      fc.property(networks, fc.array(address), (sorted, others) => {
        const ranges = of(sorted);
        const ends = sorted.flatMap(({ low, high }) => [
          low,
          high,
          Math.max(0, low - 1),
          Math.min(0xffffffff, high + 1),
        ]);
        for (const value of [...ends, ...others]) {
          const wanted = sorted.flatMap(({ low, high }, k) => (low <= value && value <= high ? [k] : []));
          expect(holding(ranges, value)).toEqual(wanted.reverse());
        }
      }),
    );
  });
});
