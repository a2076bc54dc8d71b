/**
 * What a few noisy measurements say, and how surely: medians, quartiles, bootstrap intervals, ratios of paired runs, and
 * the sentence for people. Every interval is a 95 % one. Random draws are seeded: the same figures give the same words.
 */

export interface Quartiles {
  readonly min: number;
  readonly q1: number;
  readonly median: number;
  readonly q3: number;
  readonly max: number;
}

/** Ends of a 95 % interval. */
export interface Interval {
  readonly low: number;
  readonly high: number;
}

export interface Estimate {
  readonly value: number;
  /** Undefined when there are too few measurements to state one (see FEWEST_RUNS). */
  readonly interval: Interval | undefined;
}

/**
 * Fewer measurements allow no 95 % interval of the median, whatever the method: of five, even all values from the least
 * to the greatest hold it only 1 - 2/2^5 = 93.75 % of the time (the binomial argument of the sign test).
 */
export const FEWEST_RUNS = 6;

const RESAMPLES = 2000;
const CONFIDENCE = 0.95;

/** Value below which `share` of the values lie, interpolated between neighbours ("type 7"). At least one value. */
export function quantile(sorted: ArrayLike<number>, share: number): number {
  if (sorted.length === 0) throw new RangeError('a quantile of nothing');
  const position = share * (sorted.length - 1);
  const below = Math.floor(position);
  const low = sorted[below] as number;
  const high = sorted[Math.min(below + 1, sorted.length - 1)] as number;
  return low + (high - low) * (position - below);
}

export function median(values: readonly number[]): number {
  return quantile(Float64Array.from(values).sort(), 0.5);
}

export function quartiles(values: readonly number[]): Quartiles {
  const sorted = Float64Array.from(values).sort();
  const at = (share: number): number => quantile(sorted, share);
  return { min: at(0), q1: at(0.25), median: at(0.5), q3: at(0.75), max: at(1) };
}

/** Random numbers in [0, 1) from a seed: a 32-bit counter through a finaliser (the mixing steps of MurmurHash3). */
export function uniform(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x9e3779b9) | 0;
    let x = state;
    x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
    x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
    return ((x ^ (x >>> 16)) >>> 0) / 0x100000000;
  };
}

/** The median with its percentile bootstrap interval. */
export function medianEstimate(values: readonly number[], seed = 1): Estimate {
  const value = median(values);
  if (values.length < FEWEST_RUNS) return { value, interval: undefined };
  const resampler = new Resampler(values, uniform(seed));
  return { value, interval: bootstrap(() => resampler.median()) };
}

/**
 * How many times `base` the others are, from runs that were measured side by side: value i of the one belongs to value
 * i of the other, so whatever slowed the machine down meanwhile slowed both.
 */
export function pairedRatio(values: readonly number[], base: readonly number[], seed = 1): Estimate {
  if (values.length !== base.length) throw new RangeError('paired runs come in pairs');
  return medianEstimate(
    values.map((value, i) => value / (base[i] as number)),
    seed,
  );
}

/** How many times the median of `base` the median of `values` is, from runs that were measured at different times. */
export function unpairedRatio(values: readonly number[], base: readonly number[], seed = 1): Estimate {
  const value = median(values) / median(base);
  if (Math.min(values.length, base.length) < FEWEST_RUNS) return { value, interval: undefined };
  const random = uniform(seed);
  const [above, below] = [new Resampler(values, random), new Resampler(base, random)];
  return { value, interval: bootstrap(() => above.median() / below.median()) };
}

function bootstrap(draw: () => number): Interval {
  const drawn = Float64Array.from({ length: RESAMPLES }, draw).sort();
  const tail = (1 - CONFIDENCE) / 2;
  return { low: quantile(drawn, tail), high: quantile(drawn, 1 - tail) };
}

/** Draws medians of resamples: of sorted values, it is enough to draw how often each comes. */
class Resampler {
  private readonly sorted: Float64Array;
  private readonly counts: Int32Array;

  constructor(
    values: readonly number[],
    private readonly random: () => number,
  ) {
    this.sorted = Float64Array.from(values).sort();
    this.counts = new Int32Array(values.length);
  }

  median(): number {
    const { counts, random, sorted } = this;
    const count = counts.length;
    counts.fill(0);
    for (let k = 0; k < count; k++) {
      const drawn = Math.floor(random() * count);
      counts[drawn] = (counts[drawn] as number) + 1;
    }
    const upper = this.ranked(count >> 1);
    return count % 2 === 1
      ? (sorted[upper] as number)
      : ((sorted[this.ranked((count >> 1) - 1)] as number) + (sorted[upper] as number)) / 2;
  }

  /** Place among the sorted values of the resample's value number `rank`, from 0. */
  private ranked(rank: number): number {
    let seen = 0;
    for (let k = 0; k < this.counts.length; k++) {
      seen += this.counts[k] as number;
      if (seen > rank) return k;
    }
    return this.counts.length - 1;
  }
}

/**
 * One sentence on how two things that take time compare; `ratio` is the time of the first over that of the second:
 * `A is 1.31x [1.27-1.36] faster than B`, or that nothing can be told, and why.
 */
export function comparisonSentence(first: string, second: string, { value, interval }: Estimate): string {
  if (interval === undefined)
    return `no difference can be told between ${first} and ${second}: an interval takes ${FEWEST_RUNS} runs at least`;
  const { low, high } = interval;
  if (high < 1) return `${first} is ${times(1 / value, 1 / high, 1 / low)} faster than ${second}`;
  if (low > 1) return `${first} is ${times(value, low, high)} slower than ${second}`;
  return `no difference can be told between ${first} and ${second} (${times(value, low, high)} its time)`;
}

function times(value: number, low: number, high: number): string {
  // Near 1, two digits behind the point would hide the difference that is stated.
  const digits = Math.min(Math.abs(value - 1), Math.abs(low - 1), Math.abs(high - 1)) < 0.01 ? 3 : 2;
  return `${value.toFixed(digits)}x [${low.toFixed(digits)}-${high.toFixed(digits)}]`;
}
