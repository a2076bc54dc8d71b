/**
 * Service time of packets: how long the program was busy with one, in an HdrHistogram (1 ns to 10 s, three digits).
 *
 * The pipeline takes a batch of packets through each stage before the next stage begins, so most packets have no time
 * of their own. Some are taken through alone and timed: what a single packet waits for, cache misses included that
 * neighbours in a batch would share.
 */
import type { Histogram } from 'hdr-histogram-js';
// The package's index also prepares what reads and writes logs, which takes longer than all else of it.
import { build } from 'hdr-histogram-js/dist/HistogramBuilder.js';
import type { ServiceTime } from '../report/types.js';

const LOWEST_NS = 1;
const HIGHEST_NS = 10e9;

function histogram(): Histogram {
  return build({
    lowestDiscernibleValue: LOWEST_NS,
    highestTrackableValue: HIGHEST_NS,
    numberOfSignificantValueDigits: 3,
    // Counts beyond 2^32 must not wrap: captures are larger than memory.
    bitBucketSize: 64,
    autoResize: false,
  });
}

/** Returns what was recorded. */
function record(into: Histogram, nanoseconds: number): number {
  // A clock that did not move, or a machine that slept, still was a packet.
  const value = Math.min(Math.max(Math.round(nanoseconds), LOWEST_NS), HIGHEST_NS);
  into.recordValue(value);
  return value;
}

function summarise(from: Histogram, samples: number, mean: number, method: string): ServiceTime | undefined {
  if (from.totalCount === 0) return undefined;
  const max = from.maxValue;
  // A percentile is the upper end of its bucket, which may lie above the greatest value in it.
  const percentile = (share: number): number => Math.min(from.getValueAtPercentile(share), max);
  return {
    samples,
    p50: percentile(50),
    p99: percentile(99),
    p999: percentile(99.9),
    max,
    mean,
    method,
  };
}

export interface ServiceTimeOptions {
  /**
   * What happens between the two readings of the clock, to complete `Time to ...`. Default: the four stages a packet
   * passes.
   */
  readonly measured?: string | undefined;
}

const STAGES = 'find, parse, track and rewrite a packet, without reading and writing files';

/** Times of packets that were taken alone from their first stage to their last, one in `every`. */
export class PacketSampler {
  readonly #times = histogram();
  readonly #measured: string;
  #samples = 0;
  #sum = 0;

  /** `every`: one packet in this many is timed, for the report. */
  constructor(
    readonly every: number,
    options: ServiceTimeOptions = {},
  ) {
    if (!Number.isInteger(every) || every < 1)
      throw new RangeError(`every must be a whole number above 0, not ${every}`);
    this.#measured = options.measured ?? STAGES;
  }

  record(nanoseconds: number): void {
    this.#sum += record(this.#times, nanoseconds);
    this.#samples++;
  }

  add(other: PacketSampler): void {
    this.#times.add(other.#times);
    this.#samples += other.#samples;
    this.#sum += other.#sum;
  }

  summary(): ServiceTime | undefined {
    const which = this.every === 1 ? 'Every packet' : `One packet in ${this.every}`;
    const method =
      `Time to ${this.#measured}. ${which} was timed alone, ${plural(this.#samples, 'packet')} in all, ` +
      'including some tens of nanoseconds for reading the clock.';
    return summarise(this.#times, this.#samples, this.#sum / this.#samples, method);
  }
}

function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}
