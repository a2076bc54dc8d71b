/**
 * Random fragments through kernel and engine; exit status 1 when anything differs:
 *
 *   npx tsx test/kernel/fragmentfuzz.ts --seeds 20 --packets 500 [--first 1] [--scenario NAME] [--backend nft]
 */
import { parseArgs } from 'node:util';
import { runFragments } from './fragmentrun.js';
import { FRAGMENT_SCENARIOS } from './fragmenttraffic.js';
import { FRAGMENT_SCENARIOS6 } from './fragmenttraffic6.js';

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '5' },
    first: { type: 'string', default: '1' },
    packets: { type: 'string', default: '500' },
    scenario: { type: 'string', default: '' },
    backend: { type: 'string', default: 'legacy' },
  },
});
const first = Number(values.first);
const backend = values.backend === 'nft' ? 'nft' : 'legacy';
const reasons = new Map<string, number>();
let failed = 0;
let outputs = 0;
for (const scenario of [...FRAGMENT_SCENARIOS, ...FRAGMENT_SCENARIOS6].filter((s) =>
  s.name.includes(values.scenario),
)) {
  for (let seed = first; seed < first + Number(values.seeds); seed++) {
    const run = await runFragments(scenario, backend, seed, Number(values.packets));
    outputs += run.agreed;
    for (const [reason, count] of run.reasons) reasons.set(reason, (reasons.get(reason) ?? 0) + count);
    if (run.differing.length === 0) continue;
    failed++;
    console.log(`${scenario.name}, seed ${seed}: ${run.agreed} outputs agree, ${run.differing.length} differences`);
    for (const line of run.differing.slice(0, 4)) console.log(`  ${line}`);
  }
}
console.log(`${outputs} outputs agree, ${failed} runs with differences`);
console.log([...reasons].map(([reason, count]) => `${reason} ${count}`).join(', '));
process.exitCode = failed === 0 ? 0 : 1;
