/** Explaining changes nothing: over random hosts, rules and traffic, what is explained is what a replay does. */
import { describe, expect, it } from 'vitest';
import { describeHostText } from '../../src/host/hostfile.js';
import { makeHost } from '../../src/host/machine.js';
import { parseRules } from '../../src/rules/index.js';
import { caseOf } from '../kernel/fuzz/case.js';
import { rulesText } from '../kernel/fuzz/rules.js';
import { runTraffic } from '../kernel/traffic.js';
import { Twin } from './twin.js';

const PACKETS = 150;

describe('a packet that is explained', () => {
  it.each([
    ['IPv4', 4, 1, 12, 0],
    ['IPv4, with connections of the host itself', 4, 101, 6, 0.3],
    ['IPv6', 6, 201, 8, 0.2],
  ] as const)('fares as one that nobody watches: %s', async (_, family, first, seeds, host) => {
    let forwarded = 0;
    let matched = 0;
    for (let seed = first; seed < first + seeds; seed++) {
      const test = caseOf(seed, family, 'legacy', host);
      const ruleset = parseRules(rulesText(test.rules), { file: 'rules', family, unsupported: 'stop' });
      const twin = new Twin(
        makeHost(describeHostText(JSON.stringify(test.host), 'host.json')),
        family === 4 ? ruleset : undefined,
        family === 6 ? ruleset : undefined,
      );
      await runTraffic(twin, { ...test.traffic, odd: 0.05, errors: 0.04, fragments: 0.05 }, seed, PACKETS);
      expect(twin.differences.slice(0, 3), `seed ${seed}`).toEqual([]);
      expect(twin.counterDifferences(), `seed ${seed}`).toEqual([]);
      expect(twin.unexplained.slice(0, 3), `seed ${seed}`).toEqual([]);
      forwarded += twin.forwarded;
      matched += twin.matched;
    }
    // Traffic of which little comes out proves little.
    expect(forwarded).toBeGreaterThan(seeds * 20);
    expect(matched).toBeGreaterThan(seeds * PACKETS);
  });
});
