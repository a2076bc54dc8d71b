/** The elements of a set against a Map that does the same. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Elements } from '../../../src/rules/ipset/elements.js';

const COLUMNS = { timeouts: true, counters: true, skbinfo: false };

describe('elements of a set', () => {
  it.each([1, 2, 5])('keys of %i words: added, found and removed as in a Map', (words) => {
    const key = fc.array(fc.integer({ min: -3, max: 3 }), { minLength: words, maxLength: words });
    const step = fc.record({ key, remove: fc.boolean(), timeout: fc.nat(9) });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const elements = new Elements(words, COLUMNS);
        const twin = new Map<string, number>();
        for (const { key: numbers, remove, timeout } of steps) {
          const wanted = Int32Array.from(numbers);
          const found = elements.find(wanted);
          expect(found >= 0).toBe(twin.has(wanted.join()));
          if (remove) {
            if (found >= 0) elements.remove(found);
            twin.delete(wanted.join());
          } else {
            const element = found >= 0 ? found : elements.add(wanted);
            if (elements.timeouts !== undefined) elements.timeouts[element] = timeout;
            twin.set(wanted.join(), timeout);
          }
        }
        const all = [...elements.all()].map((element): [string, number] => [
          Array.from({ length: words }, (_, k) => elements.word(element, k)).join(),
          elements.timeouts?.[element] ?? -1,
        ]);
        expect(new Map(all)).toEqual(twin);
        expect(elements.count).toBe(twin.size);
      }),
    );
  });
});
