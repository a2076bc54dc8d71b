/**
 * The fast path against the slow one: the same random traffic, once with every packet taken hook by hook, must come out
 * the same to the byte, with the same reasons, counters and connections.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TestGateway, table } from '../support/gateway.js';
import { NETS, step, trafficOf } from '../support/nets.js';
import { udp } from '../support/packets.js';

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

describe('a connection whose packets do not all state where they came in', () => {
  const iface = ['lan=192.168.1.1/24', 'vpn=10.8.0.1/24', 'wan=203.0.113.5/24'];
  const rules = table('nat', 'PREROUTING -i vpn', 'POSTROUTING -o wan -j MASQUERADE');
  const datagram = (): Uint8Array => udp({ src: '192.168.1.9:4000', dst: '203.0.113.9:53', payload: 'x' });

  it.each([
    ['stated otherwise than by the way to its sender, then not at all', ['vpn', 'vpn', '?', 'vpn', '?']],
    ['not stated at first', ['?', '?', 'vpn', 'lan', '?']],
    ['stated as where its sender is, then not at all', ['lan', '?', 'lan', '?']],
  ])('%s: each is taken for where it says, or its sender is', (_, ways) => {
    const traffic = ways.map((way) => ({ iface: way, packet: datagram() }));
    const taken = (fastPath: boolean): string[] => {
      const gateway = new TestGateway({ iface, route: ['default=203.0.113.254@wan'], rules, fastPath });
      gateway.run(traffic);
      return gateway.ingresses(ways.length);
    };
    expect(taken(true)).toEqual(ways.map((way) => (way === '?' ? 'lan' : way)));
    expect(taken(false)).toEqual(taken(true));
  });
});
