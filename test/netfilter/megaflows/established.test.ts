/**
 * Connections through hosts with rules in filter and mangle: their packets on the fast path, whose way was learnt from others,
 * against the same packets walking the chains one by one.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TestGateway, table } from '../../support/gateway.js';
import { NETS, step, trafficOf } from '../../support/nets.js';

const test = fc.constantFrom(
  '',
  '-m conntrack --ctstate RELATED,ESTABLISHED',
  '-m conntrack --ctstate NEW',
  '-m conntrack --ctstate DNAT',
  '-m conntrack ! --ctstate SNAT,INVALID',
  '-m state --state ESTABLISHED',
  '-p tcp --syn',
  '-p tcp ! --syn',
  '-p tcp --tcp-flags FIN,RST FIN',
  '-p tcp --dport 80',
  '-p tcp --sport 80',
  '-p udp --sport 1024:4002',
  '-s 192.168.1.0/28',
  '-d 192.168.1.12/30',
  '! -s 172.17.0.0/16',
  '-m connmark --mark 0',
  '-m mark ! --mark 7',
  '-m addrtype --src-type LOCAL',
  '-m length --length 0:60',
  '-m statistic --mode nth --every 4 --packet 1',
  '-m multiport --dports 80,4000 -p tcp',
);
const verdict = fc.constantFrom(
  '-j ACCEPT',
  '-j ACCEPT',
  '-j RETURN',
  '-j DROP',
  '-j MORE',
  '',
  '-j CONNMARK --set-mark 7',
);
const rulesOf = (chain: string): fc.Arbitrary<string[]> =>
  fc.array(
    fc.tuple(test, verdict).map(([match, target]) => `${chain} ${match} ${target}`.replace(/ +/g, ' ').trim()),
    { maxLength: 4 },
  );
const filter = fc
  .tuple(rulesOf('FORWARD'), rulesOf('INPUT'), rulesOf('MORE'), fc.boolean())
  .map(([forward, input, more, drops]) =>
    table(
      'filter',
      ':MORE -',
      ...(drops ? [':FORWARD DROP'] : []),
      ...[...forward, ...input, ...more.filter((rule) => !rule.includes('MORE -j') && !rule.endsWith('-j MORE'))].map(
        (rule) => (rule.includes('CONNMARK') ? rule.replace(/ -j CONNMARK.*/, ' -j ACCEPT') : rule),
      ),
    ),
  );
const mangle = fc
  .tuple(rulesOf('PREROUTING'), rulesOf('POSTROUTING'))
  .map((chains) => table('mangle', ':MORE -', ...chains.flat()));

describe.each(NETS.filter(([name]) => !name.includes('firewall')))('%s, with filters', (_, net) => {
  it('looks the same from the fast path and from the slow one', () => {
    let known = 0;
    fc.assert(
      fc.property(
        filter,
        fc.option(mangle, { freq: 3, nil: '' }),
        fc.array(step, { minLength: 60, maxLength: 160 }),
        (filters, mangles, steps) => {
          const nat = (net.options.rules ?? '').replace(/\*(mangle|filter)[\s\S]*?COMMIT\n/g, '');
          const traffic = trafficOf(steps, net);
          const fast = new TestGateway({ ...net.options, rules: nat + filters + mangles });
          const slow = new TestGateway({ ...net.options, rules: nat + filters + mangles, fastPath: false });
          expect(fast.run(traffic)).toEqual(slow.run(traffic));
          expect(fast.counters()).toEqual(slow.counters());
          expect(fast.connections()).toEqual(slow.connections());
          expect(fast.engine.path.walker.evaluated).toBe(slow.engine.path.walker.evaluated);
          known += fast.engine.ways.numbers;
        },
      ),
      { numRuns: 25 },
    );
    expect(known).toBeGreaterThan(0);
  }, 30_000);
});
