import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  comparisonSentence,
  FEWEST_RUNS,
  median,
  medianEstimate,
  pairedRatio,
  quartiles,
  uniform,
  unpairedRatio,
} from '../../src/measure/statistics.js';

const values = fc.array(fc.double({ min: -1e9, max: 1e9, noNaN: true }), { minLength: 1, maxLength: 40 });

/** A run time of `center`, now and then disturbed: the noise of shared machines only ever adds. */
const noisy = (random: () => number, center: number, count: number): number[] =>
  Array.from({ length: count }, () => center * (1 + 0.02 * random() + (random() < 0.1 ? 0.3 * random() : 0)));

describe('median and quartiles', () => {
  it.each([
    ['one run', [7], { min: 7, q1: 7, median: 7, q3: 7, max: 7 }],
    ['an even number', [4, 1, 3, 2], { min: 1, q1: 1.75, median: 2.5, q3: 3.25, max: 4 }],
    ['an odd number', [5, 1, 4, 2, 3], { min: 1, q1: 2, median: 3, q3: 4, max: 5 }],
  ])('%s', (_, given, wanted) => expect(quartiles(given)).toEqual(wanted));

  it('the median has as many values below as above', () => {
    fc.assert(
      fc.property(values, (given) => {
        const middle = median(given);
        const below = given.filter((value) => value < middle).length;
        const above = given.filter((value) => value > middle).length;
        expect(below).toBeLessThanOrEqual(given.length / 2);
        expect(above).toBeLessThanOrEqual(given.length / 2);
      }),
    );
  });

  it('of nothing there is none', () => expect(() => median([])).toThrow(RangeError));
});

describe('bootstrap intervals', () => {
  it('hold the estimate, lie among the values, and are the same for the same seed', () => {
    fc.assert(
      fc.property(fc.array(fc.double({ min: 1, max: 1e6, noNaN: true }), { minLength: 6, maxLength: 20 }), (given) => {
        const { value, interval } = medianEstimate(given, 3);
        expect(interval?.low).toBeLessThanOrEqual(value);
        expect(interval?.high).toBeGreaterThanOrEqual(value);
        expect(interval?.low).toBeGreaterThanOrEqual(Math.min(...given));
        expect(interval?.high).toBeLessThanOrEqual(Math.max(...given));
        expect(medianEstimate(given, 3).interval).toEqual(interval);
      }),
      { numRuns: 30 },
    );
  });

  it(`are not made up: fewer than ${FEWEST_RUNS} runs have none`, () => {
    expect(medianEstimate([1, 2, 3, 4, 5]).interval).toBeUndefined();
    expect(unpairedRatio([1, 2, 3, 4, 5, 6], [1]).interval).toBeUndefined();
  });

  it('hold the true median about as often as they say (uniform values, 10 runs)', () => {
    const random = uniform(11);
    let held = 0;
    for (let trial = 0; trial < 200; trial++) {
      const { interval } = medianEstimate(
        Array.from({ length: 10 }, () => random()),
        trial,
      );
      if (interval !== undefined && interval.low <= 0.5 && interval.high >= 0.5) held++;
    }
    // The percentile method is somewhat too narrow for few runs.
    expect(held / 200).toBeGreaterThan(0.9);
  });
});

describe('ratios', () => {
  it('of paired runs leave out what slowed both', () => {
    const random = uniform(5);
    const weather = Array.from({ length: 10 }, () => 1 + 4 * random());
    const base = weather.map((slow) => slow * (1 + 0.01 * random()));
    const slower = weather.map((slow) => 1.3 * slow * (1 + 0.01 * random()));
    const { value, interval } = pairedRatio(slower, base);
    expect(value).toBeCloseTo(1.3, 1);
    expect(interval?.low).toBeGreaterThan(1.25);
    expect(interval?.high).toBeLessThan(1.35);
    expect(() => pairedRatio([1], [1, 2])).toThrow(RangeError);
  });

  it('of unpaired runs hold 1 for equal things and not for others', () => {
    const random = uniform(8);
    const one = unpairedRatio(noisy(random, 1, 20), noisy(random, 1, 20)).interval;
    expect(one?.low).toBeLessThan(1.01);
    expect(one?.high).toBeGreaterThan(0.99);
    expect(unpairedRatio(noisy(random, 1.1, 20), noisy(random, 1, 20)).interval?.low).toBeGreaterThan(1.05);
  });
});

describe('the sentence', () => {
  it.each([
    [0.763, 0.735, 0.787, 'B is 1.31x [1.27-1.36] faster than A'],
    [1.31, 1.27, 1.36, 'B is 1.31x [1.27-1.36] slower than A'],
    [1.006, 1.004, 1.008, 'B is 1.006x [1.004-1.008] slower than A'],
    [1.02, 0.97, 1.06, 'no difference can be told between B and A (1.02x [0.97-1.06] its time)'],
  ])('%f [%f-%f]', (value, low, high, words) => {
    expect(comparisonSentence('B', 'A', { value, interval: { low, high } })).toBe(words);
  });

  it('too few runs', () => {
    expect(comparisonSentence('B', 'A', { value: 2, interval: undefined })).toBe(
      'no difference can be told between B and A: an interval takes 6 runs at least',
    );
  });
});
