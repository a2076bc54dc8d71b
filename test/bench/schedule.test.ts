import { describe, expect, it } from 'vitest';
import { type RecordTimes, schedule } from '../../src/bench/schedule.js';
import { parseSweep } from '../../src/bench/sweep.js';
import { parseRate, parseSpeed } from '../../src/pipeline/pace.js';

const records: RecordTimes = {
  seconds: Float64Array.of(0, 0.1, 0.1, 0.5),
  lengths: Int32Array.of(100, 200, 300, 400),
};
const many: RecordTimes = { seconds: new Float64Array(20_000), lengths: new Int32Array(20_000).fill(125) };
const due = (of: RecordTimes, pace: Parameters<typeof schedule>[1], arrival: 'constant' | 'poisson' = 'constant') => [
  ...schedule(of, pace, arrival, 1),
];

describe('a schedule', () => {
  it('at a rate: packet i is due at i / rate, whatever came before', () => {
    expect(due(records, { kind: 'rate', packetsPerSecond: 10 })).toEqual([0, 0.1, 0.2, 0.3]);
  });

  it('by bits: a packet is due when those before it have passed', () => {
    expect(due(records, { kind: 'bits', bitsPerSecond: 8000 })).toEqual([0, 0.1, 0.3, 0.6]);
  });

  it("at a multiple of the capture's own timing", () => {
    expect(due(records, { kind: 'speed', factor: 2 })).toEqual([0, 0.05, 0.05, 0.25]);
  });

  it('of which there is none where all packets have one time', () => {
    expect(() => due(many, { kind: 'speed', factor: 2 })).toThrow(/have one time.*--rate/);
  });

  it.each([
    ['rate', { kind: 'rate', packetsPerSecond: 1000 }],
    ['bits', { kind: 'bits', bitsPerSecond: 1e6 }],
  ] as const)('Poisson, by %s: the same rate in the long run, gaps as varied as exponential ones', (_, pace) => {
    const times = due(many, pace, 'poisson');
    const gaps = times.slice(1).map((time, i) => time - (times[i] ?? 0));
    const mean = gaps.reduce((sum, gap) => sum + gap, 0) / gaps.length;
    const variance = gaps.reduce((sum, gap) => sum + (gap - mean) ** 2, 0) / gaps.length;
    expect(mean).toBeCloseTo(0.001, 4);
    expect(Math.sqrt(variance) / mean).toBeCloseTo(1, 1);
    expect(Math.min(...gaps)).toBeGreaterThanOrEqual(0);
  });
});

describe('what options say', () => {
  it.each([
    ['1Mpps', 1e6],
    ['250kpps', 250e3],
    ['1.5Gpps', 1.5e9],
    ['1000pps', 1000],
    ['0pps', undefined],
    ['0.0Mpps', undefined],
    ['-1Mpps', undefined],
    ['1M', undefined],
    ['fast', undefined],
  ])('--rate %s', (text, rate) => expect(parseRate(text)).toBe(rate));

  it.each([
    ['2x', 2],
    ['0.5x', 0.5],
    ['10', 10],
    ['0x', undefined],
    ['x', undefined],
  ])('--speed %s', (text, factor) => expect(parseSpeed(text)).toBe(factor));

  it.each([
    ['rules=1..1k', [1, 10, 100, 1000]],
    ['rules=5..50', [5, 10, 50]],
    ['rules=10..10', [10]],
    ['rules=0..10', undefined],
    ['rules=10..1', undefined],
    ['rules=1..10M', undefined],
    ['cows=1..10', undefined],
  ])('--sweep %s', (text, values) => expect(parseSweep(text)?.values).toEqual(values));
});
