/** The work of `natreplay compare`. */
import { appendFileSync, readFileSync } from 'node:fs';
import { type Comparison, compareResults, type Named } from '../bench/compare.js';
import { comparisonText } from '../bench/comparetext.js';
import { parseBench } from '../bench/json.js';
import { NatreplayError } from '../errors.js';
import type { CompareCliOptions } from './compare.js';
import { mortally } from './signals.js';

export async function compare(base: string, now: string, options: CompareCliOptions): Promise<void> {
  if (base === '-' && now === '-')
    throw new NatreplayError('USAGE_STDIN_TWICE', 'standard input can be only one of the two', {
      advice: 'name a file for the other',
    });
  const comparison = compareResults(readResult(base), readResult(now), options.maxRegression ?? null);
  process.stdout.write(comparisonText(comparison, options.format));
  if (options.format === 'github') writeStepSummary(comparison);
  if (comparison.regression) process.exitCode = 1;
}

export function readResult(file: string): Named {
  let text: string;
  try {
    text = mortally(() => readFileSync(file === '-' ? 0 : file, 'utf8'));
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    throw new NatreplayError(
      'BENCH_UNREADABLE',
      code === 'ENOENT' ? 'there is no such file' : `it cannot be read (${code})`,
      {
        file,
        cause,
        advice: 'name a file that bench --json wrote',
      },
    );
  }
  return { name: file, result: parseBench(text, file) };
}

/** What GitHub shows on the page of a run. */
function writeStepSummary(comparison: Comparison): void {
  const { GITHUB_STEP_SUMMARY: file = '' } = process.env;
  if (file !== '') appendFileSync(file, comparisonText(comparison, 'markdown'));
}
