/** Measuring at a stated load, and looking for the highest one. */
import type { Histogram } from 'hdr-histogram-js';
import { median } from '../measure/statistics.js';
import type { Pace } from '../pipeline/pace.js';
import type { MemoryCapture } from './capture.js';
import type { OpenLoopJson, RuleSetJson } from './json.js';
import { openLoopPass } from './openloop.js';
import { estimateJson, latencyJson, merged } from './result.js';
import { type Arrival, type RecordTimes, schedule } from './schedule.js';
import { type Goal, queueLoss, searchRates } from './search.js';
import { type ServiceTrace, serviceTrace } from './servicetrace.js';
import type { PassOptions, Subject } from './subject.js';

export interface LoadOptions extends PassOptions {
  readonly signal?: AbortSignal | undefined;
  /** One pass of each, without warm-up. */
  readonly quick?: boolean | undefined;
}

/** A pass shorter than this is repeated, so that there is something to tell percentiles from. */
const SHORTEST_SECONDS = 1;
const MOST_PASSES = 50;
/** What the first passes are slowed down by is the compiler, not the load. */
const WARM_UP = 2;

export interface Measured {
  readonly json: OpenLoopJson;
  readonly histogram: Histogram;
}

/** Latency at a pace; passes follow each other with a fresh host each. */
export async function measureLoad(
  capture: MemoryCapture,
  subject: Subject,
  times: RecordTimes,
  { pace, arrival }: { readonly pace: Pace; readonly arrival: Arrival },
  options: LoadOptions,
): Promise<Measured> {
  const { signal, seed } = options;
  const due = schedule(times, pace, arrival, seed);
  const span = due.at(-1) ?? 0;
  const warmUp = options.quick === true ? 0 : WARM_UP;
  const passes =
    options.quick === true ? 1 : Math.max(1, Math.min(MOST_PASSES, Math.ceil(SHORTEST_SECONDS / Math.max(span, 1e-6))));
  const asFastAsPossible = new Float64Array(due.length);
  for (let k = 0; k < warmUp; k++) await openLoopPass(capture, subject, asFastAsPossible, options);
  const histograms: Histogram[] = [];
  let longestQueue = 0;
  let interruptions = 0;
  for (let k = 0; k < passes; k++) {
    signal?.throwIfAborted();
    const pass = await openLoopPass(capture, subject, schedule(times, pace, arrival, seed + k), options);
    histograms.push(pass.latency);
    longestQueue = Math.max(longestQueue, pass.longestQueue);
    interruptions += pass.interruptions;
  }
  const histogram = merged(histograms);
  const latency = await latencyJson(histogram);
  if (latency === null) throw new Error('a pass without packets');
  const json: OpenLoopJson = {
    pace: paceText(pace),
    arrival: pace.kind === 'speed' ? 'captured' : arrival,
    packetsPerSecond: span === 0 ? 0 : (due.length - 1) / span,
    packets: due.length * passes,
    passes,
    longestQueue,
    interruptions,
    latency,
  };
  return { json, histogram };
}

export function paceText(pace: Pace): string {
  switch (pace.kind) {
    case 'rate':
      return `${number(pace.packetsPerSecond / 1e6)} Mpps`;
    case 'bits':
      return `${number(pace.bitsPerSecond / 1e6)} Mbit/s`;
    case 'speed':
      return `${number(pace.factor)}x`;
  }
}

const number = (value: number): string => String(Number(value.toPrecision(4)));

const TRACES = 6;
const WIDTH = 0.005;
/** Shares of the rate found at which latency is measured. */
const LOADS = [0.1, 0.5, 0.9];

export const SEARCH_METHOD =
  'A queue is simulated: packets arrive at a constant rate, and each keeps the server busy for as long as it kept the ' +
  'program busy (parse, track, rewrite) when the capture was taken through at full speed. The latencies are of real passes.';

export interface Searched {
  readonly search: NonNullable<RuleSetJson['search']>;
  readonly histograms: readonly { readonly name: string; readonly histogram: Histogram }[];
}

/** Highest rates that meet the goals with a queue of so many packets, then latency at shares of the first one's. */
export async function searchLoad(
  capture: MemoryCapture,
  subject: Subject,
  times: RecordTimes,
  { goals, queue }: { readonly goals: readonly Goal[]; readonly queue: number },
  options: LoadOptions,
): Promise<Searched> {
  const packets = times.seconds.length;
  const [warmUp, count] = options.quick === true ? [0, 1] : [WARM_UP, TRACES];
  const traces: ServiceTrace[] = [];
  for (let k = 0; k < warmUp + count; k++) {
    options.signal?.throwIfAborted();
    traces.push(await serviceTrace(capture, subject, packets, options));
  }
  const measured = traces.slice(warmUp);
  const rates = measured.map((trace) => ratesOf(trace, goals, queue));
  const found = goals.map(({ name, lossRatio }, k) => ({
    goal: name === 'ndr' ? ('ndr' as const) : ('pdr' as const),
    lossRatio,
    packetsPerSecond: estimateJson(rates.map((each) => each[k] ?? 0)),
  }));
  const latency: OpenLoopJson[] = [];
  const histograms: { readonly name: string; readonly histogram: Histogram }[] = [];
  const target = median(rates.map(([rate = 0]) => rate));
  for (const share of LOADS) {
    const pace: Pace = { kind: 'rate', packetsPerSecond: target * share };
    const at = await measureLoad(capture, subject, times, { pace, arrival: 'constant' }, options);
    latency.push({ ...at.json, pace: `${share * 100} % of ${found[0]?.goal ?? ''}: ${at.json.pace}` });
    histograms.push({ name: `${found[0]?.goal ?? ''}-${share * 100}%`, histogram: at.histogram });
  }
  const interrupted = measured.reduce((sum, trace) => sum + trace.interrupted, 0);
  return { search: { method: SEARCH_METHOD, queue, interrupted, found, latency }, histograms };
}

function ratesOf({ seconds }: ServiceTrace, goals: readonly Goal[], queue: number): number[] {
  const busy = seconds.reduce((sum, each) => sum + each, 0);
  const mean = seconds.length / busy;
  const trial = (rate: number): number => queueLoss(seconds, rate, queue);
  // The mean rate is sustainable but for bursts; a short capture fits the queue as a whole and bears any rate.
  return searchRates(trial, { lowest: mean / 1000, highest: mean * 4, goals, width: WIDTH }).map(({ rate }) => rate);
}
