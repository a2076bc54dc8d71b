/**
 * The fast path against the slow one: the same random traffic, once with every packet taken hook by hook, must come out
 * the same to the byte, with the same reasons, counters and connections.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TestGateway } from '../support/gateway.js';
import { NETS, step, trafficOf } from '../support/nets.js';

describe.each(NETS)('%s', (_, net) => {
  it('looks the same from the fast path and from the slow one', () => {
    let fastAnswers = 0;
    fc.assert(
      fc.property(
        fc.array(step, { minLength: 20, maxLength: 120 }),
        fc.constantFrom<'verify' | 'ignore'>('verify', 'ignore'),
        (steps, checksums) => {
          const traffic = trafficOf(steps, net);
          const fast = new TestGateway({ ...net.options, checksums });
          const slow = new TestGateway({ ...net.options, checksums, fastPath: false });
          const outcomes = fast.run(traffic);
          expect(outcomes).toEqual(slow.run(traffic));
          expect(fast.counters()).toEqual(slow.counters());
          expect(fast.connections()).toEqual(slow.connections());
          expect(fast.engine.reasons.ranking()).toEqual(slow.engine.reasons.ranking());
          fastAnswers += outcomes.filter(({ state }) => state === 'established').length;
        },
      ),
      { numRuns: 40 },
    );
    expect(fastAnswers).toBeGreaterThan(0);
  }, 15_000);
});
