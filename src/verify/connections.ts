/** The kernel's connection table (`conntrack -L`) against the predicted one. */
import { conntrackLine } from '../report/conntrack.js';
import type { ConnectionEntry } from '../report/types.js';
import { compareConntrack, type LineDifference } from './listings.js';

export interface ConnectionComparison {
  /** Connections that either side has. */
  readonly compared: number;
  readonly differences: readonly LineDifference[];
}

/** Seconds by which an entry's end may be missed: one for rounding, one for the time that listing takes. */
const MARGIN = 2;

/**
 * `elapsed`: seconds from the last packet to the listing. Entries that ended in between, or so close to it that a clock
 * read a moment later decides, are not held against either side.
 */
export function compareConnections(
  kernel: string,
  predicted: readonly ConnectionEntry[],
  elapsed: number,
): ConnectionComparison {
  const theirs = kernel.split('\n').filter((line) => line.trim() !== '');
  const ours = predicted.filter((entry) => entry.timeout >= elapsed - MARGIN).map(conntrackLine);
  const ending = new Set([
    ...theirs.filter((line) => secondsLeft(line) <= MARGIN).map(tuplesOf),
    ...ours.filter((line) => secondsLeft(line) <= elapsed + MARGIN).map(tuplesOf),
  ]);
  const differences = compareConntrack(theirs.join('\n'), ours.join('')).filter((difference) => {
    const oneSided = difference.kernel === undefined || difference.predicted === undefined;
    return !oneSided || !ending.has(tuplesOf(difference.kernel ?? difference.predicted ?? ''));
  });
  return { compared: Math.max(theirs.length, ours.length), differences };
}

/** Third word of a line: `tcp      6 431999 ESTABLISHED src=...`; none where the kernel does not say. */
const secondsLeft = (line: string): number =>
  Number(/^\S+\s+\d+\s+(\d+)\s/.exec(line)?.[1] ?? Number.POSITIVE_INFINITY);

/** From the first address to the flags. */
const tuplesOf = (line: string): string =>
  (line.match(/\b(src|dst|sport|dport|type|code|id|srckey|dstkey)=\S+/g) ?? []).join(' ');
