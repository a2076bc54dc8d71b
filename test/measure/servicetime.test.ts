import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PacketSampler } from '../../src/measure/servicetime.js';

/** What HdrHistogram says of a value with three digits: never more than a thousandth away. */
const near = (value: number, exact: number): boolean => Math.abs(value - exact) <= Math.max(1, exact / 1000);

describe('service time of single packets', () => {
  it('says how it was sampled', () => {
    const sampler = new PacketSampler(1000);
    expect(sampler.summary()).toBeUndefined();
    sampler.record(120);
    sampler.record(480);
    expect(sampler.summary()).toMatchObject({ samples: 2, p50: 120, max: 480, mean: 300 });
    expect(sampler.summary()?.method).toContain('One packet in 1000 was timed alone, 2 packets in all');
  });

  it('adds up over workers', () => {
    const [a, b] = [new PacketSampler(10), new PacketSampler(10)];
    a.record(100);
    b.record(200);
    a.add(b);
    expect(a.summary()).toMatchObject({ samples: 2, max: 200 });
  });

  it('takes a clock that did not move as 1 ns and a night asleep as 10 s', () => {
    const sampler = new PacketSampler(1);
    sampler.record(0);
    sampler.record(8 * 3600 * 1e9);
    expect(sampler.summary()).toMatchObject({ p50: 1, samples: 2 });
    expect(near(sampler.summary()?.max ?? 0, 10e9)).toBe(true);
  });

  const times = fc.array(fc.integer({ min: 1, max: 1e9 }), { minLength: 1 });

  it('agrees with sorting all of them, and two samplers added with one', () => {
    fc.assert(
      fc.property(times, times, (some, others) => {
        const [one, first, second] = [new PacketSampler(9), new PacketSampler(9), new PacketSampler(9)];
        for (const ns of [...some, ...others]) one.record(ns);
        for (const ns of some) first.record(ns);
        for (const ns of others) second.record(ns);
        first.add(second);
        expect(first.summary()).toEqual(one.summary());
        const sorted = [...some, ...others].sort((a, b) => a - b);
        const exact = (share: number): number => sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? 0;
        const summary = one.summary();
        expect(near(summary?.p50 ?? 0, exact(0.5))).toBe(true);
        expect(near(summary?.p99 ?? 0, exact(0.99))).toBe(true);
        expect(near(summary?.max ?? 0, exact(1))).toBe(true);
        expect(summary?.p999).toBeLessThanOrEqual(summary?.max ?? 0);
      }),
      // Each run makes three histograms of 25,000 counts.
      { numRuns: 20 },
    );
  });

  it('refuses to sample every 0th', () => expect(() => new PacketSampler(0)).toThrow(/whole number above 0/));
});
