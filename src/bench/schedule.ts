/**
 * When packets are due: an open-loop schedule, anchored to its start and never to the packet before, so that a program
 * that falls behind is not spared what it missed.
 */
import { NatreplayError } from '../errors.js';
import { uniform } from '../measure/statistics.js';
import type { Pace } from '../pipeline/pace.js';
import { Bench } from '../pipeline/stages.js';
import type { MemoryCapture } from './capture.js';

export type Arrival = 'constant' | 'poisson';

/** What a schedule needs to know of a capture's records. */
export interface RecordTimes {
  /** Seconds since the first record; one that is earlier than the one before it counts as of the same time. */
  readonly seconds: Float64Array;
  /** Lengths on the wire, in bytes. */
  readonly lengths: Int32Array;
}

export async function recordTimes(capture: MemoryCapture): Promise<RecordTimes> {
  const reader = await capture.open();
  const bench = new Bench(1 << 18, undefined);
  const seconds: number[] = [];
  const lengths: number[] = [];
  let first: { readonly seconds: number; readonly nanoseconds: number } | undefined;
  let latest = 0;
  while (await reader.next(bench.slab)) {
    const { records } = bench.slab;
    for (let i = 0; i < records.count; i++) {
      const now = { seconds: records.seconds[i] as number, nanoseconds: records.nanoseconds[i] as number };
      first ??= now;
      latest = Math.max(latest, now.seconds - first.seconds + (now.nanoseconds - first.nanoseconds) / 1e9);
      seconds.push(latest);
      lengths.push(records.wireLength[i] as number);
    }
  }
  return { seconds: Float64Array.from(seconds), lengths: Int32Array.from(lengths) };
}

/** Seconds from the start at which each record is due. Throws BENCH_NO_TIMING where the capture's own timing is none. */
export function schedule({ seconds, lengths }: RecordTimes, pace: Pace, arrival: Arrival, seed: number): Float64Array {
  const count = seconds.length;
  if (pace.kind === 'speed') {
    if ((seconds[count - 1] ?? 0) === 0)
      throw new NatreplayError('BENCH_NO_TIMING', 'all records of the capture have one time, which has no speed', {
        advice: 'state a rate: --rate 1Mpps',
      });
    return seconds.map((time) => time / pace.factor);
  }
  const due = new Float64Array(count);
  const random = uniform(seed);
  /** Units (packets, bits) due so far; doubles hold as many of them as any capture has. */
  let units = 0;
  const perSecond = pace.kind === 'rate' ? pace.packetsPerSecond : pace.bitsPerSecond;
  for (let i = 0; i < count; i++) {
    due[i] = units / perSecond;
    const unit = pace.kind === 'rate' ? 1 : (lengths[i] as number) * 8;
    units += arrival === 'poisson' ? -Math.log(1 - random()) * unit : unit;
  }
  return due;
}
