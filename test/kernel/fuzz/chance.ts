/**
 * Counters that hang on ports which the kernel drew and nobody saw: of packets that were dropped behind the rule that
 * counts them (`--dport 443 -j CONNMARK ...` behind `DNAT --to-destination 203.0.113.20:443-445 --random`). Predictions
 * that draw otherwise show which counters those are, and how far chance takes them.
 */
import { compareCounters, type LineDifference } from '../../../src/verify/listings.js';

/** Of the other predictions' spread; so far off chance takes one counter in a thousand million. */
const DEVIATIONS = 6;

/** What of the differences between the kernel's counters and predicted ones chance does not explain. `others`: as drawn by other seeds. */
export function beyondChance(
  differences: readonly LineDifference[],
  kernel: string,
  others: readonly string[],
): LineDifference[] {
  const compared = others.map((other) => new Map(compareCounters(kernel, other).map((d) => [d.what, d])));
  return differences.filter(({ what, kernel: value, predicted }) => {
    if (value === undefined || predicted === undefined) return true;
    // What does not differ from the kernel's is the kernel's.
    const counts = [predicted, ...compared.map((found) => (found.has(what) ? found.get(what)?.predicted : value))];
    const packets = counts.map((count) => packetsOf(count ?? ''));
    const mean = packets.reduce((sum, n) => sum + n, 0) / packets.length;
    const variance = packets.reduce((sum, n) => sum + (n - mean) ** 2, 0) / (packets.length - 1);
    return variance === 0 || Math.abs(packetsOf(value) - mean) > DEVIATIONS * Math.sqrt(variance);
  });
}

const packetsOf = (count: string): number => Number(count.split(':')[0]);
