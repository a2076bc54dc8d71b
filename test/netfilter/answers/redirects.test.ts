/** How often a neighbour is redirected: held to the kernel in test/kernel, here to the end of its patience. */
import { describe, expect, it } from 'vitest';
import { RedirectLimit } from '../../../src/netfilter/answers/redirects.js';

/** Times at which a sender is told, of packets every 10 ms until `end`. */
function told(limit: RedirectLimit, from: number, end: number): number[] {
  const times: number[] = [];
  for (let now = from; now < end; now += 10) if (limit.admits(0x0a000001, now | 0)) times.push(now - from);
  return times;
}

describe('redirects to one sender', () => {
  it('are nine, each after twice as long, and none from then on', () => {
    expect(told(new RedirectLimit(), 0, 60_000)).toEqual([0, 50, 140, 310, 640, 1290, 2580, 5150, 10_280]);
  });

  it('begin anew when it has been quiet for 20.48 seconds', () => {
    const limit = new RedirectLimit();
    told(limit, 0, 20_000);
    expect(limit.admits(0x0a000001, 40_470)).toBe(false);
    expect(limit.admits(0x0a000001, 40_470 + 20_481)).toBe(true);
  });

  it('go on where the clock of 32 bits wraps', () => {
    expect(told(new RedirectLimit(), 0x7fffffff, 0x7fffffff + 200)).toEqual([0, 50, 140]);
  });

  it('of one sender do not keep another from being told', () => {
    const limit = new RedirectLimit();
    expect([1, 2, 1, 2].map((source) => limit.admits(source, 5))).toEqual([true, true, false, false]);
  });
});
