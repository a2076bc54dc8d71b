/** The work of `natreplay bench`: loads, measures, looks at loads, sweeps, compares, and writes. */
import type { Histogram } from 'hdr-histogram-js';
import { actionEntries } from '../bench/action.js';
import { type BenchResult, runBench } from '../bench/bench.js';
import { MemoryCapture } from '../bench/capture.js';
import { compareResults } from '../bench/compare.js';
import { comparisonText } from '../bench/comparetext.js';
import { type BenchJson, benchText } from '../bench/json.js';
import type { LoadOptions } from '../bench/load.js';
import { measureLoad, searchLoad } from '../bench/load.js';
import { benchJson, type Extra, merged, sweepRow } from '../bench/result.js';
import { type RecordTimes, recordTimes } from '../bench/schedule.js';
import { NDR, PDR } from '../bench/search.js';
import type { Subject } from '../bench/subject.js';
import { parseSweep, type Sweep, withRules } from '../bench/sweep.js';
import { benchReport } from '../bench/text.js';
import { Slab } from '../capture/slab.js';
import { NatreplayError, printable } from '../errors.js';
import { inferHost } from '../host/infer/infer.js';
import type { Host } from '../host/types.js';
import { histogramLog, type TaggedHistogram } from '../measure/latency.js';
import type { Pace } from '../pipeline/pace.js';
import { samplePackets } from '../pipeline/samples.js';
import { writeTextFile } from '../report/files.js';
import { asciiJson } from '../report/jsontext.js';
import type { BenchCliOptions } from './bench.js';
import { readResult } from './compare-run.js';
import { captureInput, loadHost, loadRules } from './inputs.js';
import { paceOf } from './pace.js';
import { checkPaths } from './paths.js';
import { version } from './version.js';

export async function bench(captures: readonly string[], options: BenchCliOptions, signal: AbortSignal): Promise<void> {
  checkFiles(captures, options);
  const pace = paceOf({ rate: ['--rate', options.rate], speed: options.speed, mbps: options.mbps });
  const sweep = sweepOf(options);
  const base = options.against === undefined ? undefined : readResult(options.against);
  if (options.maxRegression !== undefined && base === undefined)
    throw usage('--max-regression is held against nothing', 'name the base with --against FILE');
  const capture = await MemoryCapture.load(captures.map(captureInput));
  const subjects = await loadSubjects(capture, options);
  const measurement = new Measurement(capture, subjects, options, signal);
  const json = await measurement.all(pace, sweep);
  measurement.progress.clear();
  if (options.hlog !== undefined) await writeTextFile(options.hlog, await measurement.log());
  if (options.json !== undefined) await writeTextFile(options.json, benchText(json));
  for (const warning of json.warnings) process.stderr.write(`natreplay: warning: ${printable(warning)}\n`);
  if (options.quiet !== true && options.json !== '-') process.stdout.write(printed(json, options.format));
  if (base === undefined) return;
  await gate(measurement, base, json, options);
}

function printed(json: BenchJson, format: BenchCliOptions['format']): string {
  if (format === 'json') return benchText(json);
  if (format === 'benchmark-action') return asciiJson(actionEntries(json));
  return benchReport(json).split('\n').map(printable).join('\n');
}

/** A regression counts when another measurement of the same length says so, too. */
async function gate(
  measurement: Measurement,
  base: ReturnType<typeof readResult>,
  json: BenchJson,
  { maxRegression, quiet, json: file, format }: BenchCliOptions,
): Promise<void> {
  const limit = maxRegression ?? null;
  let comparison = compareResults(base, { name: 'this measurement', result: json }, limit);
  if (comparison.regression) {
    process.stderr.write('natreplay: slower than the limit; measuring once more to be sure\n');
    const again = await measurement.runs();
    measurement.progress.clear();
    const second = compareResults(base, { name: 'the confirming measurement', result: again }, limit);
    if (second.regression) process.exitCode = 1;
    comparison = second;
  }
  if (quiet === true) return;
  const stream = file === '-' || format !== 'text' ? process.stderr : process.stdout;
  stream.write(`\n${comparisonText(comparison, 'text')}`);
}

/** Everything that is measured of one capture. */
class Measurement {
  readonly progress = new ProgressLine();
  private readonly histograms: TaggedHistogram[] = [];
  private readonly taken = Date.now();
  private readonly options: LoadOptions;

  constructor(
    private readonly capture: MemoryCapture,
    private readonly subjects: readonly Subject[],
    private readonly cli: BenchCliOptions,
    signal: AbortSignal,
  ) {
    this.options = { seed: cli.seed, checksums: cli.checksum, tables: cli.tables, quick: cli.quick, signal };
  }

  /** The runs alone: what a confirming measurement repeats. */
  async runs(): Promise<BenchJson> {
    return this.json(await this.measure(this.subjects), [], null);
  }

  async all(pace: Pace | undefined, sweep: Sweep | undefined): Promise<BenchJson> {
    const result = await this.measure(this.subjects);
    for (const { subject, runs } of result.subjects) {
      this.note(`${subject.label}:service-new`, merged(runs.flatMap(({ split }) => split?.newTimes ?? [])));
      this.note(`${subject.label}:service-established`, merged(runs.flatMap(({ split }) => split?.otherTimes ?? [])));
    }
    const extras: Extra[] = [];
    if (pace !== undefined || this.cli.search !== undefined) {
      const times = await recordTimes(this.capture);
      for (const subject of this.subjects) extras.push(await this.load(subject, times, pace));
    }
    return this.json(result, extras, sweep === undefined ? null : await this.sweep(sweep));
  }

  /** Every histogram, as an HdrHistogram log. */
  log(): Promise<string> {
    return histogramLog(this.histograms, this.taken);
  }

  private measure(subjects: readonly Subject[]): Promise<BenchResult> {
    const { capture, options, progress } = this;
    const { runs, time } = this.cli;
    return runBench({ ...options, capture, subjects, runs, time, onStep: (what) => progress.show(what) });
  }

  private json(result: BenchResult, extras: readonly Extra[], sweep: BenchJson['sweep']): Promise<BenchJson> {
    return benchJson(result, this.capture, this.options, { version: version(), extras, sweep });
  }

  private note(tag: string, histogram: Histogram): void {
    if (histogram.totalCount > 0) this.histograms.push({ tag, histogram });
  }

  private async load(subject: Subject, times: RecordTimes, pace: Pace | undefined): Promise<Extra> {
    const { capture, progress } = this;
    const { arrival, search, queue } = this.cli;
    const { options } = this;
    const openLoop: Extra['openLoop'] = [];
    if (pace !== undefined) {
      progress.show(`latency of ${subject.label}`);
      const { json, histogram } = await measureLoad(capture, subject, times, { pace, arrival }, options);
      openLoop.push(json);
      this.note(`${subject.label}:latency@${json.pace}`, histogram);
    }
    if (search === undefined) return { openLoop, search: null };
    if (times.seconds.length < queue * FEWEST_QUEUES) throw tooShort(times.seconds.length, queue);
    progress.show(`highest rate of ${subject.label}`);
    const goals = search === 'ndr' ? [NDR, PDR] : [PDR, NDR];
    const found = await searchLoad(capture, subject, times, { goals, queue }, options);
    for (const { name, histogram } of found.histograms) this.note(`${subject.label}:latency@${name}`, histogram);
    return { openLoop, search: found.search };
  }

  private async sweep({ of, values }: Sweep): Promise<NonNullable<BenchJson['sweep']>> {
    const rows: NonNullable<BenchJson['sweep']>['rows'] = [];
    for (const value of values) {
      const { subjects } = await this.measure(this.subjects.map((subject) => withRules(subject, value)));
      rows.push(...subjects.map((subject) => sweepRow(value, subject)));
    }
    return { of, rows };
  }
}

/** A capture that fits the queue many times over; a shorter one could never fill it, whatever the rate. */
const FEWEST_QUEUES = 10;

function tooShort(packets: number, queue: number): NatreplayError {
  const most = Math.floor(packets / FEWEST_QUEUES);
  return new NatreplayError(
    'BENCH_TOO_SHORT',
    `${packets} packets are too few to look for the highest rate with a queue of ${queue}`,
    { advice: most < 1 ? 'name a longer capture' : `name a longer capture, or a queue of ${most} or less` },
  );
}

function usage(what: string, advice: string): NatreplayError {
  return new NatreplayError('USAGE_BENCH', what, { advice });
}

function checkFiles(captures: readonly string[], options: BenchCliOptions): void {
  const named = (option: string, paths: readonly (string | undefined)[]) =>
    paths.flatMap((path) => (path === undefined ? [] : [{ option, path }]));
  checkPaths(
    [
      ...named(
        'capture',
        captures.map((one) => captureInput(one).path),
      ),
      ...named('--rules', options.rules ?? []),
      ...named('--rules6', options.rules6 ?? []),
      ...named('--host', [options.host]),
      ...named('--against', [options.against]),
    ],
    [...named('--json', [options.json]), ...named('--hlog', [options.hlog])],
  );
}

function sweepOf({ sweep }: BenchCliOptions): Sweep | undefined {
  if (sweep === undefined) return undefined;
  const parsed = parseSweep(sweep);
  if (parsed === undefined) throw usage(`--sweep ${sweep} is not understood`, 'write it as rules=1..10k');
  return parsed;
}

async function loadSubjects(capture: MemoryCapture, options: BenchCliOptions): Promise<Subject[]> {
  const { rules: files = [], rules6 = [], iface = [], route = [], unsupported } = options;
  if (rules6.length > 1 && rules6.length !== files.length)
    throw usage(`there are ${rules6.length} --rules6 for ${files.length} --rules`, 'give one for all, or one for each');
  const host = loadHost({ host: options.host, iface, route });
  const sets = files.length === 0 ? [[]] : files.map((file) => [file]);
  const labels = distinct(sets.map(([file]) => file ?? 'rules of the host'));
  const subjects: Subject[] = [];
  for (const [k, rules] of sets.entries()) {
    const own6 = rules6.length > 1 ? rules6.slice(k, k + 1) : rules6;
    const loaded = loadRules({ rules, rules6: own6, unsupported }, host, options.host);
    for (const warning of loaded.warnings) process.stderr.write(`natreplay: warning: ${printable(warning)}\n`);
    const rulesets = [loaded.ipv4, loaded.ipv6].filter((ruleset) => ruleset !== undefined);
    subjects.push({
      label: labels[k] ?? '',
      host: host ?? (await inferred(capture, rulesets)),
      rules: loaded.ipv4,
      rules6: loaded.ipv6,
    });
  }
  return subjects;
}

async function inferred(capture: MemoryCapture, rulesets: Parameters<typeof inferHost>[0]['rulesets']): Promise<Host> {
  const reader = await capture.open();
  const slab = new Slab(SAMPLE_BYTES);
  await reader.next(slab);
  return inferHost({ rulesets, samples: samplePackets(slab, reader.interfaces) });
}

/** As a replay's slab, so that both take the same host for granted. */
const SAMPLE_BYTES = 512 * 1024;

/** File names; a name that comes again gets a number. */
function distinct(names: readonly string[]): string[] {
  return names.map((name, k) => {
    const before = names.slice(0, k).filter((other) => other === name).length;
    return before === 0 ? name : `${name} (${before + 1})`;
  });
}

/** One line on a terminal that is written over; nothing in a pipe. */
class ProgressLine {
  private shown = false;

  show(what: string): void {
    if (!process.stderr.isTTY) return;
    process.stderr.write(`\r\x1b[K${printable(what)}`);
    this.shown = true;
  }

  clear(): void {
    if (this.shown) process.stderr.write('\r\x1b[K');
    this.shown = false;
  }
}
