/**
 * Proves the gate of `natreplay compare --max-regression`: measures the same program again and again, each time in a process of
 * its own and with other work on every processor, and counts how often it is called slower than itself (false alarms);
 * then with a slowdown planted in the tracker, and counts how often that is noticed. See README.md.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { compareResults, type Named } from '../src/bench/compare.js';
import { parseBench } from '../src/bench/json.js';
import { count, options, run } from './lib/args.js';
import { measure } from './lib/child.js';
import { writeResult } from './lib/results.js';

const USAGE = `usage: npm run bench:gate -- --capture FILE --host FILE --rules FILE
  --same N      comparisons of identical code (default: 50)
  --planted N   comparisons with a slowdown planted (default: 20)
  --share S     the slowdown: so much longer translating takes (default: 0.1)
  --limit S     the regression that is allowed (default: 0.05)
  --runs N      runs of a measurement (default: 10)
  --idle        no other work on the processors`;

const CHILD = fileURLToPath(new URL('./measure-once.ts', import.meta.url));
const ALLOWED_FALSE_ALARMS = 2 / 50;
const LEAST_CAUGHT = 19 / 20;

interface Given {
  readonly capture: string;
  readonly host: string;
  readonly rules: string;
  readonly runs: string;
}

async function main(): Promise<void> {
  const given = options(USAGE, {
    capture: '',
    host: '',
    rules: '',
    same: '50',
    planted: '20',
    share: '0.1',
    limit: '0.05',
    runs: '10',
    idle: false,
  });
  const folder = mkdtempSync(join(tmpdir(), 'natreplay-gate-'));
  const burners = given.idle ? [] : Array.from({ length: availableParallelism() }, burn);
  try {
    const base = await measured(given, 0, folder);
    const limit = Number(given.limit);
    const trial = async (share: number): Promise<boolean> => {
      if (!compareResults(base, await measured(given, share, folder), limit).regression) return false;
      // As the gate does: only what another measurement confirms counts.
      return compareResults(base, await measured(given, share, folder), limit).regression;
    };
    const same = await counted('identical code', count(given.same), () => trial(0));
    const planted = await counted('slowdown planted', count(given.planted), () => trial(Number(given.share)));
    const good = same.alarms <= same.trials * ALLOWED_FALSE_ALARMS && planted.alarms >= planted.trials * LEAST_CAUGHT;
    const file = writeResult('gate', { same, planted, limit, share: Number(given.share), loaded: !given.idle });
    process.stdout.write(
      `identical code: ${same.alarms} false alarms of ${same.trials}\n` +
        `slowdown of ${Number(given.share) * 100} %: caught ${planted.alarms} of ${planted.trials}\n${file}\n`,
    );
    if (!good) process.exitCode = 1;
  } finally {
    for (const burner of burners) burner.kill();
    rmSync(folder, { recursive: true, force: true });
  }
}

async function counted(
  name: string,
  trials: number,
  trial: () => Promise<boolean>,
): Promise<{ readonly trials: number; readonly alarms: number }> {
  let alarms = 0;
  for (let k = 0; k < trials; k++) {
    if (await trial()) alarms++;
    process.stderr.write(`${name}: ${k + 1} of ${trials}, ${alarms} alarms\n`);
  }
  return { trials, alarms };
}

/** A measurement in a process of its own. */
async function measured({ capture, host, rules, runs }: Given, planted: number, folder: string): Promise<Named> {
  const out = join(folder, 'result.json');
  await measure(process.execPath, [
    ...['--import', 'tsx', CHILD, '--capture', capture, '--host', host, '--rules', rules],
    ...['--runs', runs, '--planted', String(planted), '--out', out],
  ]);
  return { name: planted === 0 ? 'the same' : 'slower', result: parseBench(readFileSync(out, 'utf8'), out) };
}

function burn(): ChildProcess {
  return spawn(process.execPath, ['-e', 'for (let x = 1; ; ) x = Math.imul(x, 48271) | 1'], { stdio: 'ignore' });
}

run(main);
