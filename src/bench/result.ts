/** From what was measured to what is written and shown. */
import { createHash } from 'node:crypto';
import type { Histogram } from 'hdr-histogram-js';
import { latencySummary, newHistogram } from '../measure/latency.js';
import { comparisonSentence, type Estimate, medianEstimate, pairedRatio, quartiles } from '../measure/statistics.js';
import { printRules } from '../rules/print.js';
import type { BenchResult, Run, SubjectResult } from './bench.js';
import type { MemoryCapture } from './capture.js';
import {
  BENCH_SCHEMA,
  type BenchJson,
  type EstimateJson,
  type LatencyJson,
  type RuleSetJson,
  type SweepRowJson,
} from './json.js';
import { thisMachine } from './machine.js';
import { type StageName, undisturbed } from './pass.js';
import { type PassOptions, rulesetsOf } from './subject.js';

/** What the measurement of a rule set holds besides its runs. */
export type Extra = Pick<RuleSetJson, 'openLoop' | 'search'>;

const METHOD =
  'Time from the first to the last stage (parse, track, rewrite) of a packet taken alone: of every packet that begins a ' +
  'connection, and of one in 256 of the others.';

export async function benchJson(
  result: BenchResult,
  capture: MemoryCapture,
  options: PassOptions & { readonly quick?: boolean | undefined },
  more: { readonly version: string; readonly extras: readonly Extra[]; readonly sweep: BenchJson['sweep'] },
): Promise<BenchJson> {
  const ruleSets = await Promise.all(
    result.subjects.map((subject, k) => ruleSetJson(subject, more.extras[k] ?? { openLoop: [], search: null })),
  );
  const all = result.subjects.flatMap(({ runs }) => runs);
  return {
    schema: BENCH_SCHEMA,
    kind: 'bench',
    version: more.version,
    taken: new Date().toISOString(),
    machine: thisMachine(),
    capture: { files: capture.files, sha256: capture.sha256, bytes: capture.bytes },
    settings: { seed: options.seed, checksums: options.checksums, workers: 0, quick: options.quick === true },
    warmUp: result.warmUp,
    calibration: {
      cpuSeconds: estimateJson(all.map(({ calibration }) => calibration.cpuSeconds)),
      least: estimateJson(all.map(({ calibration }) => calibration.least)),
    },
    ruleSets,
    comparisons: comparisons(ruleSets),
    sweep: more.sweep,
    warnings: [...result.warnings],
  };
}

/** The first rule set with each of the others, by the processor time of runs that followed each other. */
export function comparisons(ruleSets: readonly RuleSetJson[]): BenchJson['comparisons'] {
  const [first, ...others] = ruleSets;
  if (first === undefined) return [];
  const costs = ({ runs }: RuleSetJson): number[] => runs.map((run) => run.undisturbed.cpuSeconds);
  return others.map((other) => {
    const ratio = pairedRatio(costs(other), costs(first));
    return {
      first: other.label,
      second: first.label,
      ratio: ratio.value,
      low: ratio.interval?.low ?? null,
      high: ratio.interval?.high ?? null,
      sentence: comparisonSentence(other.label, first.label, ratio),
    };
  });
}

async function ruleSetJson({ subject, exact, runs }: SubjectResult, extra: Extra): Promise<RuleSetJson> {
  const of = (figure: (run: Run) => number): EstimateJson => estimateJson(runs.map(figure));
  const packets = (run: Run): number => exact.packets * run.passes;
  const stage = (name: StageName): EstimateJson =>
    of((run) => (run.times.stages[name].cpuSeconds / packets(run)) * 1e9);
  const memories = runs.flatMap(({ memory }) => (memory === undefined ? [] : [memory]));
  return {
    label: subject.label,
    files: rulesetsOf(subject).map(({ file }) => file),
    sha256: rulesHash(subject),
    rules: rulesetsOf(subject).reduce((sum, ruleset) => sum + numberOfRules(ruleset), 0),
    exact: { ...exact, rulesPerConnection: exact.rulesPerConnection ?? null },
    rates: {
      packetsPerSecond: of((run) => packets(run) / run.times.seconds),
      bytesPerSecond: of((run) => (exact.bytes * run.passes) / run.times.seconds),
      cpuNanosecondsPerPacket: of((run) => (run.times.cpuSeconds / packets(run)) * 1e9),
      newConnectionsPerSecond: rateOf(runs, 'new'),
      establishedPacketsPerSecond: rateOf(runs, 'other'),
    },
    stages: { read: stage('read'), translate: stage('translate'), write: stage('write') },
    memory:
      memories.length === 0
        ? null
        : {
            peakBytes: Math.max(...memories.map(({ peak }) => peak)),
            ownBytes: Math.max(...memories.map(({ own }) => own)),
          },
    serviceTime: await serviceTime(runs),
    ...extra,
    runs: runs.map(runJson),
  };
}

/** A row of a sweep: the figures that grow. */
export function sweepRow(value: number, { subject, exact, runs }: SubjectResult): SweepRowJson {
  return {
    label: subject.label,
    value,
    rulesPerConnection: exact.rulesPerConnection?.mean ?? null,
    cpuNanosecondsPerPacket: estimateJson(
      runs.map(({ times, passes }) => (times.cpuSeconds / (exact.packets * passes)) * 1e9),
    ),
    newConnectionsPerSecond: rateOf(runs, 'new'),
  };
}

function numberOfRules({ tables }: ReturnType<typeof rulesetsOf>[number]): number {
  return [...tables.values()]
    .flatMap(({ chains }) => [...chains.values()])
    .reduce((sum, { rules }) => sum + rules.length, 0);
}

function rulesHash(subject: SubjectResult['subject']): string {
  const hash = createHash('sha256');
  for (const ruleset of rulesetsOf(subject)) hash.update(`${ruleset.family}\n${printRules(ruleset)}`);
  return hash.digest('hex');
}

/** Null when there were no such packets in one of the runs. */
function rateOf(runs: readonly Run[], which: 'new' | 'other'): EstimateJson | null {
  const rates = runs.flatMap(({ split }) => {
    const [packets, seconds] =
      which === 'new' ? [split?.newPackets, split?.newSeconds] : [split?.otherPackets, split?.otherSeconds];
    return packets === undefined || seconds === undefined || packets === 0 || seconds === 0 ? [] : [packets / seconds];
  });
  return rates.length < runs.length ? null : estimateJson(rates);
}

async function serviceTime(runs: readonly Run[]): Promise<RuleSetJson['serviceTime']> {
  const splits = runs.flatMap(({ split }) => (split === undefined ? [] : [split]));
  if (splits.length === 0) return null;
  return {
    method: METHOD,
    clockNanoseconds: Math.max(...splits.map(({ clockCost }) => clockCost)),
    interrupted: splits.reduce((sum, { interrupted }) => sum + interrupted, 0),
    new: await latencyJson(merged(splits.map(({ newTimes }) => newTimes))),
    established: await latencyJson(merged(splits.map(({ otherTimes }) => otherTimes))),
  };
}

export function merged(histograms: readonly Histogram[]): Histogram {
  const all = newHistogram();
  for (const one of histograms) all.add(one);
  return all;
}

/** Null when nothing was recorded. */
export async function latencyJson(histogram: Histogram): Promise<LatencyJson | null> {
  const summary = latencySummary(histogram);
  if (summary === undefined) return null;
  // A CommonJS package: in the bundle only its default is there.
  const { encodeIntoCompressedBase64 } = (await import('hdr-histogram-js')).default;
  return { ...summary, histogram: encodeIntoCompressedBase64(histogram) };
}

function runJson({ passes, times, calibration, split, memory }: Run): RuleSetJson['runs'][number] {
  const { seconds, cpuSeconds, stages } = times;
  return {
    passes,
    seconds,
    cpuSeconds,
    stages,
    undisturbed: undisturbed(times),
    calibration,
    split:
      split === undefined
        ? null
        : {
            newPackets: split.newPackets,
            newSeconds: split.newSeconds,
            otherPackets: split.otherPackets,
            otherSeconds: split.otherSeconds,
            interrupted: split.interrupted,
          },
    peakBytes: memory?.peak ?? null,
    ownBytes: memory?.own ?? null,
  };
}

export function estimateJson(values: readonly number[]): EstimateJson {
  const { q1, q3 } = quartiles(values);
  return asEstimate(medianEstimate(values), q1, q3);
}

function asEstimate({ value, interval }: Estimate, q1: number, q3: number): EstimateJson {
  return { median: value, q1, q3, low: interval?.low ?? null, high: interval?.high ?? null };
}
