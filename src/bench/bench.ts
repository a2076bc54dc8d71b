/**
 * The measurement: exact figures first, then rule sets in turns (A B, B A, A B, ...) so that whatever the machine does
 * meanwhile befalls all alike. A run is as many passes as make it long enough; a calibration loop frames it.
 */
import { freemem } from 'node:os';
import { NatreplayError } from '../errors.js';
import { Calibration } from '../measure/calibration.js';
import { collectGarbage, forgetPeak, residentMemory } from '../measure/processor.js';
import { median } from '../measure/statistics.js';
import type { MemoryCapture } from './capture.js';
import { type ExactFigures, type ExactPass, exactPass } from './exact.js';
import { noTimes, type PassObjects, type PassTimes, type TimedPassOptions, timedPass } from './pass.js';
import { SplitTimes, splitPass } from './split.js';
import type { Subject } from './subject.js';

export interface BenchOptions extends TimedPassOptions {
  readonly capture: MemoryCapture;
  readonly subjects: readonly Subject[];
  /** Runs of each rule set. */
  readonly runs: number;
  /** Instead of a number of runs: seconds in all, at least one run. */
  readonly time?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Told of every step, for a line of progress. */
  readonly onStep?: ((what: string) => void) | undefined;
  /** No warm-up, and one pass a run: to see what there is to be seen, not to trust its times. */
  readonly quick?: boolean | undefined;
  /** False leaves out what tells new and established packets apart. Default true. */
  readonly split?: boolean | undefined;
}

/** One run: sums over its passes. */
export interface Run {
  readonly passes: number;
  readonly times: PassTimes;
  /** Seconds of a slice of the calibration loop: on the wall, of the processor, and of the one disturbed least. */
  readonly calibration: { readonly seconds: number; readonly cpuSeconds: number; readonly least: number };
  readonly split: SplitTimes | undefined;
  /** Peak of resident memory during the run, and how much that is above what there was before; undefined: not known. */
  readonly memory: { readonly peak: number; readonly own: number } | undefined;
}

export interface SubjectResult {
  readonly subject: Subject;
  readonly exact: ExactFigures;
  readonly begins: Uint8Array;
  readonly runs: readonly Run[];
}

export interface BenchResult {
  readonly subjects: readonly SubjectResult[];
  readonly warmUp: WarmUp;
  readonly warnings: readonly string[];
}

export interface WarmUp {
  /** Passes of each rule set before the first run. */
  readonly passes: number;
  /** The last ones took the same time but for STEADY. */
  readonly steady: boolean;
}

/**
 * A run takes about this many seconds of processor time. Of several passes the least disturbed parts are told, so short
 * ones are made as often as that, long ones (whose slabs are many) once.
 */
const RUN_SECONDS = 0.5;
const MOST_PASSES = 24;
/** Passes after which garbage is collected, outside of what is timed: each leaves memory of its own behind. */
const BETWEEN_COLLECTIONS = 8;
/**
 * Warm-up is over when passes have stopped becoming faster: when the fastest of the last few is not faster than the
 * fastest of as many before them by more than STEADY. The fastest, because what others do on the machine only ever adds.
 * Short passes take many, since the compiler counts calls, not passes.
 */
const SHORT_SECONDS = 0.5;
const WINDOW = { short: 12, long: 3 } as const;
const STEADY = 0.03;
const MOST_WARM_UP = { seconds: 20, passes: 150 } as const;
const SPLIT_WARM_UP = 3;
/** Passes whose objects are kept, and the share of free memory that they may take. */
const MOST_KEPT = 32;
const MOST_KEPT_SHARE = 0.25;

export async function runBench(options: BenchOptions): Promise<BenchResult> {
  const { subjects, capture, onStep } = options;
  const exact: ExactPass[] = [];
  for (const subject of subjects) {
    onStep?.(`exact figures of ${subject.label}`);
    const pass = await exactPass(capture, subject, options);
    if (pass.figures.packets === 0) throw noPackets(capture);
    exact.push(pass);
  }
  const keeper = new Keeper();
  const { warmUp, passes } = await warmedUp(options, exact, keeper);
  const runs: Run[][] = subjects.map(() => []);
  const began = performance.now();
  const isOver = (round: number): boolean =>
    options.time === undefined ? round >= options.runs : round > 0 && performance.now() - began >= options.time * 1000;
  for (let round = 0; !isOver(round); round++) {
    const order = subjects.map((_, k) => (round % 2 === 0 ? k : subjects.length - 1 - k));
    for (const k of order) {
      options.signal?.throwIfAborted();
      const [subject, { begins }] = [subjects[k] as Subject, exact[k] as ExactPass];
      onStep?.(`run ${round + 1} of ${subject.label}`);
      runs[k]?.push(await oneRun(options, subject, begins, passes[k] ?? 1));
    }
  }
  const results = subjects.map((subject, k): SubjectResult => {
    const { figures, begins } = exact[k] as ExactPass;
    return { subject, exact: figures, begins, runs: runs[k] ?? [] };
  });
  return { subjects: results, warmUp, warnings: warningsOf(warmUp, results) };
}

function noPackets(capture: MemoryCapture): NatreplayError {
  return new NatreplayError('BENCH_NO_PACKETS', 'there are no packets to measure', {
    file: capture.files[0],
    advice: 'name a capture with packets',
  });
}

/**
 * Keeps the objects of warm-up passes, and with them the optimised code: collecting them was measured to make the next
 * pass six times as long. Where memory does not suffice, passes are long enough to bear it.
 */
class Keeper {
  private readonly kept: PassObjects[] = [];
  private readonly most = freemem() * MOST_KEPT_SHARE;
  private readonly before = residentMemory()?.now ?? 0;

  keep(objects: PassObjects): void {
    const taken = (residentMemory()?.now ?? 0) - this.before;
    if (this.kept.length < MOST_KEPT && taken < this.most) this.kept.push(objects);
  }
}

/** Passes until the compiler has done its work; also says how many of them make a run. */
async function warmedUp(
  options: BenchOptions,
  exact: readonly ExactPass[],
  keeper: Keeper,
): Promise<{ warmUp: WarmUp; passes: number[] }> {
  let most = 0;
  let steady = true;
  const passes: number[] = [];
  for (const [k, subject] of options.subjects.entries()) {
    const costs = await warmUp(options, subject, keeper);
    const { begins } = exact[k] as ExactPass;
    const splits = options.split === false || options.quick === true ? 0 : SPLIT_WARM_UP;
    for (let n = 0; n < splits; n++)
      keeper.keep(await splitPass(options.capture, subject, begins, options, new SplitTimes()));
    most = Math.max(most, costs.length);
    steady &&= isSteady(costs);
    passes.push(costs.length === 0 ? 1 : passesOf(median(costs.slice(-WINDOW.long))));
  }
  return { warmUp: { passes: most, steady }, passes };
}

/** Of a run, when one takes so many seconds. */
function passesOf(seconds: number): number {
  return Math.max(1, Math.min(MOST_PASSES, Math.ceil(RUN_SECONDS / Math.max(seconds, 1e-6))));
}

async function warmUp(options: BenchOptions, subject: Subject, keeper: Keeper): Promise<number[]> {
  const costs: number[] = [];
  if (options.quick === true) return costs;
  const began = performance.now();
  while (!isSteady(costs) && costs.length < MOST_WARM_UP.passes) {
    if (costs.length > 0 && performance.now() - began > MOST_WARM_UP.seconds * 1000) break;
    options.signal?.throwIfAborted();
    options.onStep?.(`warm-up ${costs.length + 1} of ${subject.label}`);
    const times = noTimes();
    keeper.keep(await timedPass(options.capture, subject, options, times, new Calibration()));
    costs.push(times.cpuSeconds);
    if (costs.length % BETWEEN_COLLECTIONS === 0) collectGarbage();
  }
  return costs;
}

function isSteady(costs: readonly number[]): boolean {
  const window = Math.min(...costs) < SHORT_SECONDS ? WINDOW.short : WINDOW.long;
  if (costs.length < 2 * window) return false;
  const [before, last] = [Math.min(...costs.slice(-2 * window, -window)), Math.min(...costs.slice(-window))];
  return last >= before * (1 - STEADY);
}

async function oneRun(options: BenchOptions, subject: Subject, begins: Uint8Array, passes: number): Promise<Run> {
  const { capture } = options;
  if (options.quick !== true) collectGarbage();
  const canForget = forgetPeak();
  const before = residentMemory();
  const calibration = new Calibration();
  const times = noTimes();
  await repeated(passes, () => timedPass(capture, subject, options, times, calibration));
  const after = residentMemory();
  const split = options.split === false ? undefined : new SplitTimes();
  if (split !== undefined) await repeated(passes, () => splitPass(capture, subject, begins, options, split));
  return {
    passes,
    times,
    calibration: { seconds: calibration.seconds, cpuSeconds: calibration.cpuSeconds, least: calibration.least },
    split,
    memory:
      canForget && before !== undefined && after !== undefined
        ? { peak: after.peak, own: Math.max(0, after.peak - before.now) }
        : undefined,
  };
}

async function repeated(passes: number, pass: () => Promise<unknown>): Promise<void> {
  for (let k = 0; k < passes; k++) {
    if (k > 0 && k % BETWEEN_COLLECTIONS === 0) collectGarbage();
    await pass();
  }
}

function warningsOf({ steady, passes }: WarmUp, results: readonly SubjectResult[]): string[] {
  const warnings: string[] = [];
  const [first] = results;
  if (passes === 0) warnings.push('quick: times are of a program that has not warmed up');
  else if (!steady)
    warnings.push(
      `times were not steady after ${passes} warm-up passes: the machine has other work, or they are very short`,
    );
  if (first !== undefined && first.runs.length === 1)
    warnings.push('one run only: nothing can be said about how sure its times are');
  return warnings;
}
