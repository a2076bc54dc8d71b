import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Intervals, scaled } from '../../../src/netfilter/megaflows/intervals.js';

const number = fc.oneof(
  fc.nat(0xffffffff),
  fc.nat(70_000),
  fc.constantFrom(0, 1, 65535, 65536, 0x7fffffff, 0x80000000, 0xffff0000, 0xffffffff),
);

/** How many bounds (0 among them) a value has reached, less one. */
const naive = (bounds: readonly number[], value: number): number =>
  new Set([0, ...bounds].filter((bound) => bound <= value)).size - 1;

describe('Intervals', () => {
  it('tells apart exactly what a bound lies between', () => {
    fc.assert(
      fc.property(fc.array(number, { maxLength: 60 }), fc.array(number, { maxLength: 40 }), (bounds, values) => {
        const intervals = Intervals.of(bounds);
        for (const value of [...values, ...bounds, ...bounds.map((bound) => Math.max(0, bound - 1))])
          expect(intervals.classOf(value)).toBe(naive(bounds, value));
      }),
      { numRuns: 100 },
    );
  });

  it('finds ports, scaled, as it finds the numbers themselves', () => {
    const ports = [0, 1, 80, 81, 1024, 65535];
    const intervals = Intervals.of(ports.map(scaled));
    for (const port of [0, 1, 2, 79, 80, 81, 82, 1023, 1024, 40000, 65534, 65535])
      expect(intervals.classOf(scaled(port))).toBe(naive(ports, port));
  });
});
