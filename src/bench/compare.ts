/**
 * Two results of `bench` side by side: first what is the same on every machine, then times. Times are those of the
 * processor, each run's in units of the calibration loop that framed it, so that neither another machine nor other work on
 * it counts as a change.
 */
import { NatreplayError } from '../errors.js';
import { FEWEST_RUNS, unpairedRatio } from '../measure/statistics.js';
import type { BenchJson, RuleSetJson, RunJson } from './json.js';

export interface Difference {
  readonly ruleSet: string;
  readonly figure: string;
  readonly base: string;
  readonly now: string;
}

export type TimeVerdict = 'slower' | 'faster' | 'same' | 'unknown';

export interface TimeComparison {
  readonly ruleSet: string;
  /** What takes the time. */
  readonly figure: string;
  /** New over base; null interval: too few runs. */
  readonly ratio: number;
  readonly low: number | null;
  readonly high: number | null;
  readonly verdict: TimeVerdict;
  /** The whole interval lies beyond the limit. */
  readonly beyondLimit: boolean;
}

export interface Comparison {
  readonly base: Named;
  readonly now: Named;
  readonly differences: readonly Difference[];
  readonly times: readonly TimeComparison[];
  /** Why times of these two should not be held against each other; empty: they may. */
  readonly unlike: readonly string[];
  readonly warnings: readonly string[];
  /** Share by which times may be longer; null: no limit was stated. */
  readonly maxRegression: number | null;
  /** A time lies beyond the limit. */
  readonly regression: boolean;
}

export interface Named {
  readonly name: string;
  readonly result: BenchJson;
}

/** Machines whose calibration loops differ by more than this factor differ in more than speed. */
const MOST_UNLIKE = 2;

/** What runs are compared by. */
const FIGURES: readonly (readonly [string, (run: RunJson) => number])[] = [
  ['processor time', ({ undisturbed }) => undisturbed.cpuSeconds],
  ['translating', ({ undisturbed }) => undisturbed.translateCpuSeconds],
];

/**
 * Compares; `maxRegression` as a share (0.05 for 5 %). Throws BENCH_OTHER_CAPTURE, BENCH_OTHER_SETTINGS when the two did
 * not do the same work, and BENCH_NO_GATE when a limit is stated and nothing can be said about it.
 */
export function compareResults(base: Named, now: Named, maxRegression: number | null): Comparison {
  mustBeComparable(base, now);
  const pairs = pairRuleSets(base.result, now.result);
  if (pairs.length === 0)
    throw new NatreplayError('BENCH_NO_RULE_SET', `no rule set is in ${base.name} as well`, {
      file: now.name,
      advice: 'measure the same rule files, under the same names',
    });
  const unlike = unlikeness(base.result, now.result);
  const times = pairs.flatMap(([before, after]) =>
    FIGURES.map(([figure, of]) => compareTime(before, after, figure, of, maxRegression)),
  );
  if (maxRegression !== null) mustGate(now.name, times, unlike);
  return {
    base,
    now,
    differences: pairs.flatMap(([before, after]) => exactDifferences(before, after)),
    times,
    unlike,
    warnings: missing(base, now),
    maxRegression,
    regression: times.some(({ beyondLimit }) => beyondLimit),
  };
}

function mustBeComparable(base: Named, now: Named): void {
  if (base.result.capture.sha256 !== now.result.capture.sha256)
    throw new NatreplayError('BENCH_OTHER_CAPTURE', `it measured another capture than ${base.name}`, {
      file: now.name,
      advice: 'measure the same one',
    });
  const settings = ({ settings: { seed, checksums, workers, quick } }: BenchJson): string =>
    `seed ${seed}, checksums ${checksums}, ${workers} workers${quick ? ', --quick' : ''}`;
  if (settings(base.result) !== settings(now.result))
    throw new NatreplayError(
      'BENCH_OTHER_SETTINGS',
      `it measured with ${settings(now.result)}, and ${base.name} with ${settings(base.result)}`,
      { file: now.name, advice: 'measure with the same settings' },
    );
}

function mustGate(file: string, times: readonly TimeComparison[], unlike: readonly string[]): void {
  if (unlike.length > 0)
    throw new NatreplayError('BENCH_NO_GATE', `no limit can be held: ${unlike.join(', ')}`, {
      file,
      advice: 'measure the base on a machine like this one',
    });
  if (times.some(({ verdict }) => verdict === 'unknown'))
    throw new NatreplayError(
      'BENCH_NO_GATE',
      `no limit can be held: one of the two has fewer than ${FEWEST_RUNS} runs`,
      {
        file,
        advice: `measure with --runs ${FEWEST_RUNS} or more`,
      },
    );
}

/** By label; one of each is a pair whatever it is called. */
function pairRuleSets(base: BenchJson, now: BenchJson): (readonly [RuleSetJson, RuleSetJson])[] {
  const [one, another] = [base.ruleSets, now.ruleSets];
  const [first, other] = [one[0], another[0]];
  if (one.length === 1 && another.length === 1 && first !== undefined && other !== undefined) return [[first, other]];
  return another.flatMap((after) => {
    const before = one.find(({ label }) => label === after.label);
    return before === undefined ? [] : [[before, after] as const];
  });
}

function missing(base: Named, now: Named): string[] {
  const labels = ({ result }: Named): string[] => result.ruleSets.map(({ label }) => label);
  const only = (one: Named, other: Named): string[] =>
    labels(one)
      .filter((label) => !labels(other).includes(label))
      .map((label) => `rule set ${label} is in ${one.name} only`);
  return labels(base).length === 1 && labels(now).length === 1 ? [] : [...only(base, now), ...only(now, base)];
}

function unlikeness(base: BenchJson, now: BenchJson): string[] {
  const found: string[] = [];
  const major = (version: string): string => version.replace(/\..*/, '');
  if (base.machine.arch !== now.machine.arch)
    found.push(`the base is from ${base.machine.arch}, this from ${now.machine.arch}`);
  if (major(base.machine.node) !== major(now.machine.node))
    found.push(`the base is from Node ${base.machine.node}, this from ${now.machine.node}`);
  const factor = now.calibration.least.median / base.calibration.least.median;
  if (!(Math.max(factor, 1 / factor) <= MOST_UNLIKE))
    found.push(`the calibration loop took ${factor.toFixed(2)}x as long as for the base`);
  return found;
}

function compareTime(
  base: RuleSetJson,
  now: RuleSetJson,
  figure: string,
  of: (run: RunJson) => number,
  maxRegression: number | null,
): TimeComparison {
  const { value, interval } = unpairedRatio(normalised(now, of), normalised(base, of));
  const limit = 1 + (maxRegression ?? Number.POSITIVE_INFINITY);
  return {
    ruleSet: now.label,
    figure,
    ratio: value,
    low: interval?.low ?? null,
    high: interval?.high ?? null,
    verdict: interval === undefined ? 'unknown' : interval.low > 1 ? 'slower' : interval.high < 1 ? 'faster' : 'same',
    beyondLimit: interval !== undefined && interval.low > limit,
  };
}

/** Time of a pass in each run, in units of the calibration loop. */
export function normalised({ runs }: RuleSetJson, of: (run: RunJson) => number): number[] {
  return runs.map((run) => of(run) / run.calibration.least);
}

function exactDifferences(base: RuleSetJson, now: RuleSetJson): Difference[] {
  const ruleSet = now.label;
  const figures = ({ sha256, rules, exact }: RuleSetJson): readonly (readonly [string, string])[] => [
    ['output', exact.outputSha256.slice(0, 16)],
    ...Object.entries(exact.verdicts).map(([verdict, packets]) => [`verdict ${verdict}`, String(packets)] as const),
    ['connections', String(exact.connections)],
    ['rules', `${rules} (${sha256.slice(0, 8)})`],
    ['rules looked at', String(exact.rulesEvaluated)],
    ['remembered ways', String(exact.remembered)],
    ['table probes', String(exact.tableProbes)],
  ];
  const after = new Map(figures(now));
  return figures(base).flatMap(([figure, before]) => {
    const value = after.get(figure) ?? '-';
    return value === before ? [] : [{ ruleSet, figure, base: before, now: value }];
  });
}

/** How many times as fast as the base's the machine was: for the report. */
export function machineFactor(base: BenchJson, now: BenchJson): number {
  const of = (result: BenchJson): number => result.calibration.least.median;
  return of(base) / of(now);
}
