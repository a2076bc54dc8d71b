import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { longestQueue } from '../../src/bench/openloop.js';
import { NDR, PDR, queueLoss, searchRates } from '../../src/bench/search.js';

/** A device that loses nothing up to `capacity`, and above it what is too much. */
const device = (capacity: number) => (rate: number) => (rate <= capacity ? 0 : 1 - capacity / rate);
const OPTIONS = { lowest: 1e3, highest: 1e7, goals: [NDR, PDR], width: 0.005 };

describe('the search', () => {
  it('finds the rate without loss and the one with 0.5 %', () => {
    fc.assert(
      fc.property(fc.double({ min: 2e3, max: 9e6, noNaN: true }), (capacity) => {
        const [ndr, pdr] = searchRates(device(capacity), OPTIONS);
        expect(ndr?.rate).toBeLessThanOrEqual(capacity);
        expect(ndr?.rate).toBeGreaterThanOrEqual(capacity / 1.0051);
        expect(pdr?.rate).toBeLessThanOrEqual(capacity / 0.995);
        expect(pdr?.rate).toBeGreaterThanOrEqual(capacity / 0.995 / 1.0051);
      }),
    );
  });

  it('shares its trials between the goals', () => {
    let trials = 0;
    const counted = (rate: number): number => {
      trials++;
      return device(1e6)(rate);
    };
    searchRates(counted, OPTIONS);
    const both = trials;
    trials = 0;
    for (const goal of [NDR, PDR]) searchRates(counted, { ...OPTIONS, goals: [goal] });
    expect(both).toBeLessThan(trials);
  });

  it('says so when the highest rate is borne, or none is', () => {
    expect(searchRates(() => 0, OPTIONS)[0]).toMatchObject({ rate: 1e7, failing: Number.POSITIVE_INFINITY });
    expect(searchRates(() => 1, OPTIONS)[0]).toMatchObject({ rate: 0, failing: 1e3 });
  });

  it('a rate above one that failed proves nothing, though it did well by chance', () => {
    const [ndr] = searchRates((rate) => (rate > 5e5 && rate < 5e6 ? 0.1 : 0), { ...OPTIONS, highest: 4e6 });
    expect(ndr?.rate).toBeLessThanOrEqual(5e5);
  });
});

/** Every packet that is there, kept in a list. */
function naiveLoss(service: readonly number[], rate: number, capacity: number): number {
  let present: number[] = [];
  let lost = 0;
  for (const [i, seconds] of service.entries()) {
    const now = i / rate;
    present = present.filter((departure) => departure > now);
    if (present.length >= capacity) lost++;
    else present.push(Math.max(now, ...present) + seconds);
  }
  return service.length === 0 ? 0 : 1 - (service.length - lost) / service.length;
}

describe('the simulated queue', () => {
  it('turns away what a list of the packets present turns away', () => {
    const services = fc.array(fc.integer({ min: 1, max: 64 }), { maxLength: 80 });
    fc.assert(
      fc.property(
        services,
        fc.integer({ min: 1, max: 6 }),
        fc.integer({ min: 1, max: 8 }),
        (service, capacity, gap) => {
          // Quarters are exact in binary, so both add up to the same.
          const seconds = service.map((each) => each / 4);
          expect(queueLoss(seconds, 1 / gap, capacity)).toBe(naiveLoss(seconds, 1 / gap, capacity));
        },
      ),
    );
  });

  it.each([
    ['slower than the server', 0.5, 0],
    ['as fast', 1, 0],
    ['twice as fast: half is lost', 2, 0.5],
  ])('%s', (_, rate, loss) => expect(queueLoss(new Array(10_000).fill(1), rate, 10)).toBeCloseTo(loss, 2));
});

describe('the longest queue', () => {
  it('is that of counting at every arrival', () => {
    const gaps = fc.array(fc.tuple(fc.nat(5), fc.nat(9)), { maxLength: 40 });
    fc.assert(
      fc.property(gaps, (packets) => {
        let at = 0;
        let end = 0;
        const due: number[] = [];
        const done: number[] = [];
        for (const [gap, work] of packets) {
          at += gap;
          end = Math.max(end, at) + work;
          due.push(at);
          done.push(end);
        }
        const naive = due.map((time, i) => 1 + done.slice(0, i).filter((finished) => finished > time).length);
        expect(longestQueue(Float64Array.from(due), Float64Array.from(done), due.length)).toBe(Math.max(0, ...naive));
      }),
    );
  });
});
