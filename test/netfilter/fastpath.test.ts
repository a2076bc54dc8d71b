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

describe('rules that remember what they saw', () => {
  const iface = ['lan=192.168.1.1/24', 'wan=203.0.113.5/24'];
  const route = ['default=203.0.113.254@wan'];
  const masquerade = 'POSTROUTING -o wan -j MASQUERADE';
  // Four connections of two clients, each of which sends and is answered three times.
  const traffic = Array.from({ length: 24 }, (_, i) => {
    const client = `192.168.1.${8 + (i & 1)}:${4000 + ((i >> 1) & 1)}`;
    const answers = (i & 4) !== 0;
    const src = answers ? '198.51.100.1:53' : client;
    const dst = answers ? `203.0.113.5:${4000 + ((i >> 1) & 1)}` : '198.51.100.1:53';
    return { iface: answers ? 'wan' : 'lan', packet: udp({ src, dst, payload: 'x' }) };
  });

  it.each([
    [
      'recent in nat',
      table('nat', 'POSTROUTING -m recent --update --name r', 'POSTROUTING -m recent --set --name r', masquerade),
    ],
    [
      'hashlimit in nat',
      table(
        'nat',
        'POSTROUTING -m hashlimit --hashlimit-above 1/hour --hashlimit-burst 1 --hashlimit-mode srcip --hashlimit-name h -j RETURN',
        masquerade,
      ),
    ],
    [
      'connbytes in nat',
      table(
        'nat',
        'POSTROUTING -m connbytes --connbytes 1:1 --connbytes-mode packets --connbytes-dir both',
        masquerade,
      ),
    ],
    [
      'connbytes on the way in',
      table('nat', masquerade) +
        table('filter', 'INPUT -m connbytes --connbytes 2 --connbytes-mode packets --connbytes-dir both'),
    ],
    ['connlimit in nat', table('nat', 'PREROUTING -m connlimit --connlimit-above 1', masquerade)],
    [
      'connlimit when forwarding',
      table('nat', masquerade) + table('filter', 'FORWARD -m connlimit --connlimit-above 1 -j DROP'),
    ],
    [
      'quota when forwarding',
      table('nat', masquerade) + table('filter', 'FORWARD -m quota --quota 100 -j ACCEPT', 'FORWARD -j DROP'),
    ],
    [
      'connlabel when forwarding',
      table('nat', masquerade) +
        table('filter', 'FORWARD -i lan -m connlabel --label 3 --set', 'FORWARD -m connlabel --label 3'),
    ],
  ])('%s: every packet is shown to them', (_, rules) => {
    const run = (fastPath: boolean) => {
      const gateway = new TestGateway({ iface, route, rules, fastPath });
      return [gateway.run(traffic), gateway.counters(), gateway.connections()];
    };
    expect(run(true)).toEqual(run(false));
  });
});
