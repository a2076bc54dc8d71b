/** Latency histograms (HdrHistogram, nanoseconds), their percentiles and their log format. */
import type { Histogram } from 'hdr-histogram-js';
import { build } from 'hdr-histogram-js/dist/HistogramBuilder.js';
import { median } from './statistics.js';

const LOWEST_NS = 1;
/** A queue that grows for minutes is still told right. */
const HIGHEST_NS = 1e12;

export function newHistogram(): Histogram {
  return build({
    lowestDiscernibleValue: LOWEST_NS,
    highestTrackableValue: HIGHEST_NS,
    numberOfSignificantValueDigits: 3,
    bitBucketSize: 64,
    autoResize: false,
  });
}

/** A time that is not above 0 once the clock's cost is subtracted counts as 1 ns. */
export function recordTime(into: Histogram, nanoseconds: number): void {
  into.recordValue(Math.min(Math.max(Math.round(nanoseconds), LOWEST_NS), HIGHEST_NS));
}

/** What a pair of readings of the clock takes by itself, in nanoseconds. */
export function clockCost(): number {
  const costs: number[] = [];
  for (let k = 0; k < 1001; k++) {
    const began = performance.now();
    costs.push((performance.now() - began) * 1e6);
  }
  return median(costs);
}

export const PERCENTILES = { p50: 50, p90: 90, p99: 99, p999: 99.9, p9999: 99.99 } as const;
export type PercentileName = keyof typeof PERCENTILES;

/** Nanoseconds; null where there are too few samples for that percentile to be more than the greatest of them. */
export interface LatencySummary extends Readonly<Record<PercentileName, number | null>> {
  readonly samples: number;
  readonly mean: number;
  readonly max: number;
}

/** Undefined when nothing was recorded. */
export function latencySummary(from: Histogram): LatencySummary | undefined {
  const samples = from.totalCount;
  if (samples === 0) return undefined;
  const max = from.maxValue;
  const of = (share: number): number | null =>
    // At least one sample must lie above it.
    samples * (100 - share) < 99.999 ? null : Math.min(from.getValueAtPercentile(share), max);
  return {
    samples,
    p50: samples === 1 ? null : of(PERCENTILES.p50),
    p90: of(PERCENTILES.p90),
    p99: of(PERCENTILES.p99),
    p999: of(PERCENTILES.p999),
    p9999: of(PERCENTILES.p9999),
    mean: from.mean,
    max,
  };
}

export interface TaggedHistogram {
  readonly tag: string;
  readonly histogram: Histogram;
}

/**
 * Histograms as text in HdrHistogram's log format (version 1.3), a line each, with tags: what HistogramLogAnalyzer and its
 * kin read. `taken`: milliseconds since 1970. Loads what writes logs, which takes longer than all else of the package.
 */
export async function histogramLog(histograms: readonly TaggedHistogram[], taken: number): Promise<string> {
  // A CommonJS package: in the bundle only its default is there.
  const { HistogramLogWriter } = (await import('hdr-histogram-js')).default;
  let text = '';
  const writer = new HistogramLogWriter((line: string) => {
    text += line;
  });
  writer.outputComment('[Logged by natreplay bench; values in nanoseconds]');
  writer.outputLogFormatVersion();
  writer.outputComment(
    `[StartTime: ${(taken / 1000).toFixed(3)} (seconds since epoch), ${new Date(taken).toISOString()}]`,
  );
  writer.outputLegend();
  for (const { tag, histogram } of histograms) {
    // Commas and blanks end a tag.
    histogram.tag = tag.replace(/[,\s]+/g, '_');
    writer.outputIntervalHistogram(histogram, 0, 0, 1);
  }
  return text;
}
