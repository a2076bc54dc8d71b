/**
 * Random hosts, rules and traffic through the running kernel and through natreplay, compared; exit status 1 when
 * anything differs, 2 for bad usage (options.ts):
 *
 *   npm run fuzz:kernel -- --seeds 1000 --packets 2000 --minimise
 *
 * The same seed makes the same host, rules and choices; `--show` prints them. What the kernel draws at random (ports)
 * differs from run to run, so a seed that failed may need a second try.
 */
import type { HostFile } from '../../../src/host/hostschema.js';
import { ipPacket } from '../../../src/verify/compare.js';
import { runScenario } from '../mismatches.js';
import { say } from '../packets.js';
import { SCENARIOS } from '../scenarios.js';
import { SCENARIOS6 } from '../scenarios6.js';
import { caseOf, fuzz, type Outcome } from './case.js';
import { minimise } from './minimise.js';
import { type FuzzOptions, readOptions, USAGE, UsageError } from './options.js';
import { rulesText } from './rules.js';

const options = optionsOrExit();
const { first, seeds, packets: count, family, backend, knobs } = options;
const total = { seeds: 0, packets: 0, forwarded: 0, delivered: 0, translated: 0, mismatches: 0, failed: 0 };
const started = Date.now();

if (options.scenario !== undefined) {
  await playScenarios(options.scenario);
  process.exit();
}
for (let seed = first; seed < first + seeds; seed++) {
  if (options.show) show(seed);
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
  if (options.stop) break;
}
const dropped = total.packets - total.forwarded - total.delivered;
console.log(
  `IPv${family}, iptables-${backend}, ${total.seeds} seeds from ${first}: ${total.packets} packets, ` +
    `${total.forwarded} forwarded (${total.translated} translated), ${total.delivered} to the host, ${dropped} dropped, ` +
    `${total.mismatches} mismatches in ${total.failed} seeds, ${((Date.now() - started) / 1000).toFixed(0)} s`,
);
process.exitCode = total.failed === 0 ? 0 : 1;

function optionsOrExit(): FuzzOptions {
  try {
    const read = readOptions(process.argv.slice(2));
    if (read !== 'help') return read;
    process.stdout.write(USAGE);
    process.exit(0);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    console.error(`fuzz:kernel: ${error.message}; --help shows what there is`);
    process.exit(2);
  }
}

async function playScenarios(name: string): Promise<void> {
  const scenarios = (family === 6 ? SCENARIOS6 : SCENARIOS).filter((scenario) => scenario.name.includes(name));
  let runs = 0;
  let differing = 0;
  for (const scenario of scenarios) {
    for (let seed = first; seed < first + seeds; seed++) {
      const { host: share, ...shares } = knobs;
      const addresses = ownAddresses(scenario.host);
      const host = share > 0 ? { share, addresses } : undefined;
      const run = await runScenario(scenario, backend, seed, count, { ...shares, host });
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

function ownAddresses({ addr }: HostFile): string[] {
  const entries = addr.flatMap((link) => link.addr_info ?? []);
  const usable = entries.filter((entry) => (entry.family === 'inet6') === (family === 6) && entry.scope !== 'link');
  return usable.flatMap(({ local }) => local ?? []);
}

function show(seed: number): void {
  const { host, rules } = caseOf(seed, family, backend, knobs.host);
  console.log(`seed ${seed}\n${JSON.stringify(host)}\n${rulesText(rules)}`);
}

async function report(seed: number, outcome: Outcome): Promise<void> {
  const again = `npm run fuzz:kernel -- --seeds 1 --first ${seed} --packets ${count}${family === 6 ? ' --ipv6' : ''} --backend ${backend} --host ${knobs.host}`;
  console.log(`seed ${seed}: ${outcome.agreed} outputs agree, ${outcome.differences.length} differences; ${again}`);
  for (const { text } of outcome.differences.slice(0, 5)) console.log(`  ${text}`);
  if (!options.minimise || outcome.run.packets.length === 0) return;
  const small = await minimise(caseOf(seed, family, backend, knobs.host), outcome, (text) =>
    console.log(`  minimising: ${text}`),
  );
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
