import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { networkOf, prefixContains } from '../../src/host/address.js';
import { NO_MATCH, type RangePrefix, Ranges } from '../../src/host/ranges.js';
import type { Family } from '../../src/host/types.js';

/** Addresses of few bits, so that prefixes nest, touch and repeat. */
const word = fc.oneof(
  fc.constantFrom(0, 0xffffffff, 0x0a000000, 0x0a010000, 0x0a01ffff, 0x0a020000),
  fc.nat(0xffffffff),
);
const address = (family: Family): fc.Arbitrary<Uint32Array> =>
  family === 4
    ? word.map((a) => Uint32Array.of(a, 0, 0, 0))
    : fc.tuple(word, word, word, word).map((words) => Uint32Array.from(words));
const prefix = (family: Family): fc.Arbitrary<RangePrefix> =>
  fc
    .record({ words: address(family), prefixLength: fc.nat(family === 4 ? 32 : 128), value: fc.nat(5) })
    .map((p) => ({ ...p, words: networkOf(family, p.words, p.prefixLength) }));

/** Looks at every prefix; the longest wins, the first of equals. */
function naive(family: Family, prefixes: readonly RangePrefix[], at: Uint32Array): number {
  let best: RangePrefix | undefined;
  for (const p of prefixes) {
    if (prefixContains({ family, ...p }, at) && (best === undefined || p.prefixLength > best.prefixLength)) best = p;
  }
  return best?.value ?? NO_MATCH;
}

function find(ranges: Ranges, words: Uint32Array): number {
  const [a = 0, b = 0, c = 0, d = 0] = words;
  return ranges.family === 4 ? ranges.find4(a) : ranges.find6(a, b, c, d);
}

/** The prefixes' own edges and their neighbours, beside arbitrary addresses. */
function probes(family: Family, prefixes: readonly RangePrefix[], extra: readonly Uint32Array[]): Uint32Array[] {
  const width = family === 4 ? 1 : 4;
  const nudge = (words: Uint32Array, by: number): Uint32Array => {
    const moved = words.slice();
    moved[width - 1] = (moved[width - 1] ?? 0) + by;
    return moved;
  };
  return [...extra, ...prefixes.flatMap((p) => [p.words, nudge(p.words, 1), nudge(p.words, -1)])];
}

describe.each([4, 6] as const)('ranges of IPv%d prefixes', (family) => {
  it('find what looking at every prefix finds', () => {
    fc.assert(
      fc.property(fc.array(prefix(family), { maxLength: 30 }), fc.array(address(family)), (prefixes, extra) => {
        const ranges = Ranges.build(family, prefixes);
        for (const at of probes(family, prefixes, extra)) expect(find(ranges, at)).toBe(naive(family, prefixes, at));
      }),
    );
  });

  it('overlay tables: the first that answers wins, a yielding value leaves it to the next', () => {
    const table = fc.array(prefix(family), { maxLength: 8 });
    fc.assert(
      fc.property(fc.array(table, { minLength: 1, maxLength: 3 }), fc.array(address(family)), (tables, extra) => {
        const yields = (value: number): boolean => value === 0;
        const layers = tables.map((t) => Ranges.build(family, t));
        const all = Ranges.overlay(family, layers, yields);
        for (const at of probes(family, tables.flat(), extra)) {
          const answers = tables.map((t) => naive(family, t, at)).filter((v) => v !== NO_MATCH && !yields(v));
          expect(find(all, at)).toBe(answers[0] ?? NO_MATCH);
        }
      }),
    );
  });

  it('are at most two more for every prefix', () => {
    fc.assert(
      fc.property(fc.array(prefix(family), { maxLength: 30 }), (prefixes) => {
        expect(Ranges.build(family, prefixes).count).toBeLessThanOrEqual(2 * prefixes.length + 1);
      }),
    );
  });
});
