import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PacketSampler, ServiceTimeRecorder } from '../../src/measure/servicetime.js';

/** What HdrHistogram says of a value with three digits: never more than a thousandth away. */
const near = (value: number, exact: number): boolean => Math.abs(value - exact) <= Math.max(1, exact / 1000);

describe('service time of packets, measured over blocks', () => {
  it('counts every packet of a block with its share', () => {
    const times = new ServiceTimeRecorder();
    times.recordBatch(99_000 * 85, 99_000);
    times.recordBatch(1000 * 4000, 1000);
    const summary = times.summary();
    expect(summary).toMatchObject({ samples: 100_000, p50: 85, p99: 85 });
    expect(near(summary?.p999 ?? 0, 4000)).toBe(true);
    expect(near(summary?.max ?? 0, 4000)).toBe(true);
    expect(near(summary?.mean ?? 0, 124.15)).toBe(true);
  });

  it('says what was measured, and what it hides', () => {
    const times = new ServiceTimeRecorder();
    times.recordBatch(85_000, 1000);
    times.recordBatch(85_000, 2000);
    expect(times.summary()?.method).toBe(
      'Time to find, parse, track and rewrite a packet, without reading and writing files. Measured over whole ' +
        "blocks, 2 blocks of 1500 packets on average, every packet counted with its block's mean: " +
        'no packet is left out, but differences inside a block do not show.',
    );
    const parsing = new ServiceTimeRecorder({ measured: 'parse a packet' });
    parsing.recordBatch(1, 1);
    expect(parsing.summary()?.method).toMatch(/^Time to parse a packet\. Measured .* 1 block of 1 packet on average/);
  });

  it('has no summary of nothing', () => {
    const times = new ServiceTimeRecorder();
    times.recordBatch(1000, 0);
    expect(times.summary()).toBeUndefined();
  });

  it('takes a clock that did not move as 1 ns and a night asleep as 10 s', () => {
    const times = new ServiceTimeRecorder();
    times.recordBatch(0, 1);
    times.recordBatch(8 * 3600 * 1e9, 1);
    expect(times.summary()).toMatchObject({ p50: 1, samples: 2 });
    expect(near(times.summary()?.max ?? 0, 10e9)).toBe(true);
  });

  it('counts more packets than 32 bits hold', () => {
    const times = new ServiceTimeRecorder();
    for (let i = 0; i < 5; i++) times.recordBatch(1e9 * 90, 1e9);
    expect(times.summary()).toMatchObject({ samples: 5e9, p50: 90, max: 90 });
  });

  const blocks = fc.array(fc.tuple(fc.integer({ min: 1, max: 1e9 }), fc.integer({ min: 1, max: 50 })), {
    minLength: 1,
  });

  it('agrees with sorting all packets, and two recorders added with one', () => {
    fc.assert(
      fc.property(blocks, blocks, (some, others) => {
        const one = new ServiceTimeRecorder();
        const first = new ServiceTimeRecorder();
        const second = new ServiceTimeRecorder();
        for (const [ns, packets] of [...some, ...others]) one.recordBatch(ns, packets);
        for (const [ns, packets] of some) first.recordBatch(ns, packets);
        for (const [ns, packets] of others) second.recordBatch(ns, packets);
        first.add(second);
        expect(first.summary()).toEqual(one.summary());
        const sorted = [...some, ...others]
          .flatMap(([ns, packets]) => Array<number>(packets).fill(Math.max(1, Math.round(ns / packets))))
          .sort((a, b) => a - b);
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
});

describe('service time of single packets', () => {
  it('is asked of every n-th', () => {
    const sampler = new PacketSampler(3);
    expect(Array.from({ length: 7 }, () => sampler.due())).toEqual([false, false, true, false, false, true, false]);
    const each = new PacketSampler(1);
    expect([each.due(), each.due()]).toEqual([true, true]);
  });

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

  it('refuses to sample every 0th', () => expect(() => new PacketSampler(0)).toThrow(/whole number above 0/));
});
