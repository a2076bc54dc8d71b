/**
 * Random traffic through kernel and engine for as many seeds as one likes; exit status 1 when anything differs:
 *
 *   npx tsx test/kernel/fuzz.ts --seeds 20 --packets 1000 [--first 1] [--ipv6] [--scenario NAME] [--backend nft] [--odd 0.1] [--errors 0.1] [--without GRE]
 */
import { parseArgs } from 'node:util';
import { runScenario } from './mismatches.js';
import { SCENARIOS } from './scenarios.js';
import { SCENARIOS6 } from './scenarios6.js';
import { ALL_ODDITIES } from './traffic.js';

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '5' },
    first: { type: 'string', default: '1' },
    packets: { type: 'string', default: '1000' },
    scenario: { type: 'string', default: '' },
    ipv6: { type: 'boolean', default: false },
    backend: { type: 'string', default: 'legacy' },
    odd: { type: 'string', default: '0.05' },
    errors: { type: 'string', default: '0.04' },
    without: { type: 'string', multiple: true, default: [] },
  },
});
const first = Number(values.first);
const oddities = ALL_ODDITIES.filter((oddity) => !values.without.includes(oddity));
const change = { odd: Number(values.odd), errors: Number(values.errors), oddities };
let packets = 0;
let failed = 0;
for (const scenario of (values.ipv6 ? SCENARIOS6 : SCENARIOS).filter((s) => s.name.includes(values.scenario))) {
  for (let seed = first; seed < first + Number(values.seeds); seed++) {
    const backend = values.backend === 'nft' ? 'nft' : 'legacy';
    const { agreed, differing } = await runScenario(scenario, backend, seed, Number(values.packets), change);
    packets += Number(values.packets);
    if (differing.length === 0) continue;
    failed++;
    console.log(`${scenario.name}, seed ${seed}: ${agreed} outputs agree, ${differing.length} differences`);
    for (const line of differing.slice(0, 5)) console.log(`  ${line}`);
  }
}
console.log(`${packets} packets sent, ${failed} runs with differences`);
process.exitCode = failed === 0 ? 0 : 1;
