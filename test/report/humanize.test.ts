import { describe, expect, it, test } from 'vitest';
import {
  bytesIec,
  counted,
  durationNs,
  durationSeconds,
  grouped,
  ifconfigSize,
  percent,
  rate,
  si,
  utc,
} from '../../src/report/humanize.js';

describe('numbers as people read them', () => {
  test.each([
    [0, '0'],
    [999, '999'],
    [1000, '1,000'],
    [1234567, '1,234,567'],
    [-1234567, '-1,234,567'],
    [999.6, '1,000'],
    [2 ** 53, '9,007,199,254,740,992'],
    [Number.NaN, '-'],
    [Number.POSITIVE_INFINITY, '-'],
  ])('%d grouped is %s', (value, text) => expect(grouped(value)).toBe(text));

  it('says packet of one and packets of others', () => {
    expect([counted(0, 'packet'), counted(1, 'packet'), counted(2000, 'packet')]).toEqual([
      '0 packets',
      '1 packet',
      '2,000 packets',
    ]);
  });

  test.each([
    [0, '0'],
    [12, '12'],
    [999, '999'],
    [999.9, '1 k'],
    [1000, '1 k'],
    [12_345, '12.3 k'],
    [999_499, '999 k'],
    [999_500, '1 M'],
    [1_234_567, '1.23 M'],
    [123_456_789_000, '123 G'],
  ])('%d with an SI prefix is %s', (value, text) => expect(si(value)).toBe(text));

  test.each([
    [0, '0 B'],
    [900, '900 B'],
    [1023, '1023 B'],
    [1024, '1 KiB'],
    [3456, '3.38 KiB'],
    [73_400_331, '70 MiB'],
    [4 * 1024 ** 3, '4 GiB'],
  ])('%d bytes are %s', (bytes, text) => expect(bytesIec(bytes)).toBe(text));

  it('counts rates in powers of 1000, as networks do', () => {
    expect(rate(1_250_000_000, 'B/s')).toBe('1.25 GB/s');
    expect(rate(0, 'B/s')).toBe('0 B/s');
    expect(rate(Number.POSITIVE_INFINITY, 'B/s')).toBe('-');
    expect(rate(0 / 0, 'B/s')).toBe('-');
  });

  test.each([
    [0, '0 ns'],
    [85, '85 ns'],
    [85.3, '85.3 ns'],
    [999.6, '1 µs'],
    [1250, '1.25 µs'],
    [3_400_000, '3.4 ms'],
    [12.5e9, '12.5 s'],
    [59.4e9, '59.4 s'],
    [59.6e9, '1 min'],
    [200e9, '3 min 20 s'],
    [7500e9, '2 h 5 min'],
    [273_600e9, '3 d 4 h'],
    [-85, '-85 ns'],
    [Number.NaN, '-'],
  ])('%d ns last %s', (nanoseconds, text) => expect(durationNs(nanoseconds)).toBe(text));

  it('takes durations in seconds too', () => expect(durationSeconds(0.412)).toBe('412 ms'));

  test.each([
    [0, 10, '0 %'],
    [10, 10, '100 %'],
    [1, 3, '33.3 %'],
    [1, 1_000_000, '< 0.1 %'],
    [999_999, 1_000_000, '> 99.9 %'],
    [0, 0, '-'],
    [3, 2, '150.0 %'],
  ])('%d of %d is %s: only nothing is 0 %, only everything 100 %', (part, whole, text) =>
    expect(percent(part, whole)).toBe(text),
  );

  // Asked of ifconfig itself (net-tools 2.10): cut and not rounded, a unit only once it is exceeded.
  test.each([
    [0, '0.0 B'],
    [1024, '1024.0 B'],
    [1025, '1.0 KiB'],
    [3456, '3.3 KiB'],
    [1_048_576, '1024.0 KiB'],
    [1_048_577, '1.0 MiB'],
    [61_089_696, '58.2 MiB'],
    [5 * 1024 ** 4, '5.0 TiB'],
  ])('ifconfig shows %d bytes as (%s)', (bytes, text) => expect(ifconfigSize(bytes)).toBe(text));

  it('shows capture times in UTC, also those no Date can hold', () => {
    expect(utc(1_714_557_600.999)).toBe('2024-05-01 10:00:00 UTC');
    expect(utc(-1)).toBe('1969-12-31 23:59:59 UTC');
    expect(utc(1e15)).toBe('1,000,000,000,000,000 s since 1970');
  });
});
