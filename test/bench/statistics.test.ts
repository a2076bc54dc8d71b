import { describe, expect, test } from 'vitest';
import { count } from '../../bench/lib/args.js';
import { quartiles } from '../../bench/lib/statistics.js';

describe('quartiles', () => {
  test.each([
    ['one value', [7], { min: 7, q1: 7, median: 7, q3: 7, max: 7 }],
    ['five values in any order', [5, 1, 4, 2, 3], { min: 1, q1: 2, median: 3, q3: 4, max: 5 }],
    ['between two values', [1, 2], { min: 1, q1: 1.25, median: 1.5, q3: 1.75, max: 2 }],
    ['by number, not by text', [10, 9, 100], { min: 9, q1: 9.5, median: 10, q3: 55, max: 100 }],
  ])('%s', (_, values, expected) => {
    expect(quartiles(values)).toEqual(expected);
  });

  test('of nothing is an error', () => {
    expect(() => quartiles([])).toThrow(RangeError);
  });
});

describe('numbers on the command line', () => {
  test.each([
    ['5M', 5_000_000],
    ['100k', 100_000],
    ['4GiB', 2 ** 32],
    ['400MiB', 400 * 2 ** 20],
    ['1.5k', 1500],
    ['64', 64],
  ])('%s', (text, expected) => {
    expect(count(text)).toBe(expected);
  });

  test.each(['', '-1', '0', '1.5', 'M', '5 M', '1e6'])("'%s' is refused", (text) => {
    expect(() => count(text)).toThrow(RangeError);
  });
});
