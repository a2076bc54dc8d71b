import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { editDistance, nearest } from '../../src/rules/nearest.js';

describe('edit distance', () => {
  it.each([
    ['--dprot', '--dport', 1],
    ['DOKCER', 'DOCKER', 1],
    ['natt', 'nat', 1],
    ['kitten', 'sitting', 3],
    ['', 'abc', 3],
  ])('%s to %s is %i', (a, b, distance) => {
    expect(editDistance(a, b)).toBe(distance);
  });

  it('is the same both ways, and no longer than the longer word', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 12 }), fc.string({ maxLength: 12 }), (a, b) => {
        const distance = editDistance(a, b);
        expect(distance).toBe(editDistance(b, a));
        expect(distance).toBeLessThanOrEqual(Math.max(a.length, b.length));
        expect(distance === 0).toBe(a === b);
      }),
    );
  });
});

describe('the nearest word', () => {
  it('is none when all are far away', () => {
    expect(nearest('--dport', ['--sport', '--tcp-flags'])).toBe('--sport');
    expect(nearest('xyz', ['--tcp-flags'])).toBeUndefined();
    expect(nearest('accept', ['ACCEPT', 'DROP'])).toBe('ACCEPT');
  });
});
