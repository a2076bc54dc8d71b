/**
 * Random hosts, rules and traffic through the running kernel and through natreplay, compared; exit status 1 when
 * anything differs, 2 for bad usage:
 *
 *   npm run fuzz:kernel -- --seeds 1000 [--first N] [--packets N] [--ipv6] [--backend nft] [--minimise]
 *                          [--odd 0.05] [--errors 0.04] [--fragments 0.05] [--show] [--stop] [--scenario NAME]
 *
 * `--scenario` takes host and rules from scenarios.ts (those whose name contains NAME; '' is all) instead of making them up.
 * The same seed makes the same host, rules and choices; `--show` prints them. What the kernel draws at random (ports)
 * differs from run to run, so a seed that failed may need a second try.
 */
import { parseArgs } from 'node:util';
import { ipPacket } from '../../../src/verify/compare.js';
import { runScenario } from '../mismatches.js';
import { say } from '../packets.js';
import { SCENARIOS } from '../scenarios.js';
import { SCENARIOS6 } from '../scenarios6.js';
import { caseOf, fuzz, type Outcome } from './case.js';
import { minimise } from './minimise.js';
import { rulesText } from './rules.js';

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '20' },
    first: { type: 'string', default: '1' },
    packets: { type: 'string', default: '1000' },
    ipv6: { type: 'boolean', default: false },
    backend: { type: 'string', default: 'legacy' },
    odd: { type: 'string', default: '0.05' },
    errors: { type: 'string', default: '0.04' },
    fragments: { type: 'string', default: '0.05' },
    minimise: { type: 'boolean', default: false },
    show: { type: 'boolean', default: false },
    stop: { type: 'boolean', default: false },
    scenario: { type: 'string' },
  },
});
if (values.backend !== 'legacy' && values.backend !== 'nft') {
  console.error('fuzz:kernel: --backend is legacy or nft');
  process.exit(2);
}
const number = (name: 'seeds' | 'first' | 'packets' | 'odd' | 'errors' | 'fragments'): number => {
  const value = Number(values[name]);
  if (Number.isFinite(value) && value >= 0) return value;
  console.error(`fuzz:kernel: --${name} takes a number, not '${values[name]}'`);
  process.exit(2);
};
const family = values.ipv6 ? 6 : 4;
const backend = values.backend;
const first = number('first');
const count = number('packets');
const knobs = { odd: number('odd'), errors: number('errors'), fragments: number('fragments') };
const total = { seeds: 0, packets: 0, forwarded: 0, delivered: 0, translated: 0, mismatches: 0, failed: 0 };
const started = Date.now();

if (values.scenario !== undefined) {
  await playScenarios(values.scenario);
  process.exit();
}
for (let seed = first; seed < first + number('seeds'); seed++) {
  if (values.show) show(seed);
  const outcome = await fuzz(seed, count, family, backend, knobs);
  total.seeds++;
  total.packets += outcome.run.packets.length;
  total.forwarded += outcome.forwarded;
  total.delivered += outcome.delivered;
  total.translated += outcome.translated;
  total.mismatches += outcome.differences.length;
  if (outcome.differences.length === 0) continue;
  total.failed++;
  await report(seed, outcome);
  if (values.stop) break;
}
const dropped = total.packets - total.forwarded - total.delivered;
console.log(
  `IPv${family}, iptables-${backend}, ${total.seeds} seeds from ${first}: ${total.packets} packets, ` +
    `${total.forwarded} forwarded (${total.translated} translated), ${total.delivered} to the host, ${dropped} dropped, ` +
    `${total.mismatches} mismatches in ${total.failed} seeds, ${((Date.now() - started) / 1000).toFixed(0)} s`,
);
process.exitCode = total.failed === 0 ? 0 : 1;

async function playScenarios(name: string): Promise<void> {
  const scenarios = (family === 6 ? SCENARIOS6 : SCENARIOS).filter((scenario) => scenario.name.includes(name));
  let runs = 0;
  let differing = 0;
  for (const scenario of scenarios) {
    for (let seed = first; seed < first + number('seeds'); seed++) {
      const run = await runScenario(scenario, backend, seed, count, knobs);
      runs++;
      if (run.differing.length === 0) continue;
      differing++;
      console.log(`${scenario.name}, seed ${seed}: ${run.agreed} outputs agree, ${run.differing.length} differences`);
      for (const line of run.differing.slice(0, 5)) console.log(`  ${line}`);
    }
  }
  console.log(`${scenarios.length} scenarios, ${runs} runs of ${count} packets, ${differing} with differences`);
  process.exitCode = differing === 0 ? 0 : 1;
}

function show(seed: number): void {
  const { host, rules } = caseOf(seed, family, backend);
  console.log(`seed ${seed}\n${JSON.stringify(host)}\n${rulesText(rules)}`);
}

async function report(seed: number, outcome: Outcome): Promise<void> {
  const again = `npm run fuzz:kernel -- --seeds 1 --first ${seed} --packets ${count}${values.ipv6 ? ' --ipv6' : ''} --backend ${backend}`;
  console.log(`seed ${seed}: ${outcome.agreed} outputs agree, ${outcome.differences.length} differences; ${again}`);
  for (const { text } of outcome.differences.slice(0, 5)) console.log(`  ${text}`);
  if (!values.minimise || outcome.run.packets.length === 0) return;
  const small = await minimise(caseOf(seed, family, backend), outcome, (text) => console.log(`  minimising: ${text}`));
  if (small === undefined) {
    console.log('  sent again, the same packets agree: the kernel drew other ports');
    return;
  }
  console.log(`  as small as it gets:\n${JSON.stringify(small.test.host)}\n${rulesText(small.test.rules).trimEnd()}`);
  for (const { iface, frame } of small.packets) {
    const packet = ipPacket(frame);
    console.log(`  in ${iface} ${say(packet)} ${Buffer.from(frame.subarray(14)).toString('hex')}`);
  }
  for (const { text } of small.outcome.differences.slice(0, 8)) console.log(`  ${text}`);
}
