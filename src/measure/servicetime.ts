/**
 * Service time of packets: how long the program was busy with one, in an HdrHistogram (1 ns to 10 s, three digits).
 *
 * The pipeline takes a block of packets through each stage before the next stage begins, so most packets have no time
 * of their own: what can be measured without changing what is measured is the time of a block, and each of its packets
 * is counted with an equal share. That hides the differences inside a block, so single packets can be timed too, every
 * n-th on a path of its own; those are kept apart, because reading the clock twice costs about as much as a packet.
 */
import { build, type Histogram } from 'hdr-histogram-js';
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

function record(into: Histogram, nanoseconds: number, count: number): void {
  // A clock that did not move, or a machine that slept, still was a packet.
  const value = Math.min(Math.max(Math.round(nanoseconds), LOWEST_NS), HIGHEST_NS);
  into.recordValueWithCount(value, count);
}

function summarise(from: Histogram, samples: number, method: string): ServiceTime | undefined {
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
    mean: from.mean,
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

/** Records the time of whole blocks; each packet of a block is counted with its share. */
export class ServiceTimeRecorder {
  readonly #times = histogram();
  readonly #measured: string;
  #blocks = 0;
  #packets = 0;

  constructor(options: ServiceTimeOptions = {}) {
    this.#measured = options.measured ?? STAGES;
  }

  /** A block of `packets` was worked on for `nanoseconds`. Blocks without packets are not counted. */
  recordBatch(nanoseconds: number, packets: number): void {
    if (packets <= 0) return;
    record(this.#times, nanoseconds / packets, packets);
    this.#blocks++;
    this.#packets += packets;
  }

  /** Adds what another recorder has counted (another worker's). */
  add(other: ServiceTimeRecorder): void {
    this.#times.add(other.#times);
    this.#blocks += other.#blocks;
    this.#packets += other.#packets;
  }

  /** Undefined when nothing was recorded. `samples` are packets. */
  summary(): ServiceTime | undefined {
    if (this.#packets === 0) return undefined;
    const perBlock = Math.round(this.#packets / this.#blocks);
    const method =
      `Time to ${this.#measured}. Measured over whole blocks, ${plural(this.#blocks, 'block')} of ` +
      `${plural(perBlock, 'packet')} on average, every packet counted with its block's mean: ` +
      'no packet is left out, but differences inside a block do not show.';
    return summarise(this.#times, this.#packets, method);
  }
}

/**
 * Times every n-th packet alone, from its first stage to its last:
 *
 *     if (sampler.due()) { const t = process.hrtime.bigint(); ...; sampler.record(Number(process.hrtime.bigint() - t)); }
 */
export class PacketSampler {
  readonly #times = histogram();
  readonly #measured: string;
  #until: number;
  #samples = 0;

  /** `every`: 1 times each packet, 1000 one in a thousand (the 1000th, 2000th, ...). */
  constructor(
    readonly every: number,
    options: ServiceTimeOptions = {},
  ) {
    if (!Number.isInteger(every) || every < 1)
      throw new RangeError(`every must be a whole number above 0, not ${every}`);
    this.#until = every;
    this.#measured = options.measured ?? STAGES;
  }

  /** To be asked once for each packet: true for those to be timed. */
  due(): boolean {
    if (--this.#until > 0) return false;
    this.#until = this.every;
    return true;
  }

  record(nanoseconds: number): void {
    record(this.#times, nanoseconds, 1);
    this.#samples++;
  }

  add(other: PacketSampler): void {
    this.#times.add(other.#times);
    this.#samples += other.#samples;
  }

  summary(): ServiceTime | undefined {
    const which = this.every === 1 ? 'Every packet' : `One packet in ${this.every}`;
    const method =
      `Time to ${this.#measured}. ${which} was timed alone, ${plural(this.#samples, 'packet')} in all, ` +
      'including some tens of nanoseconds for reading the clock.';
    return summarise(this.#times, this.#samples, method);
  }
}

function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}
