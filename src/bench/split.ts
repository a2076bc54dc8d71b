/**
 * New connections and established ones apart, as RFC 9693 and CSIT tell them apart (cps, tput): one more pass in which
 * every packet that begins a connection is taken alone between two readings of the clock, and those between them
 * together. Of the others one in some hundreds is taken alone, too, for its service time. What was measured while the
 * machine gave the processor to somebody else tells nothing of a packet: it is left out, and counted.
 */
import type { Histogram } from 'hdr-histogram-js';
import { newHistogram, recordTime } from '../measure/latency.js';
import { Bench } from '../pipeline/stages.js';
import { Workspace } from '../workspace.js';
import type { MemoryCapture } from './capture.js';
import { InterruptionClock } from './clock.js';
import type { PassObjects } from './pass.js';
import { newStages, type PassOptions, type Subject } from './subject.js';

const SLAB_BYTES = 512 * 1024;
/** Packets that pass the stages together, as in a replay. */
const BATCH = 256;

/** Sums over all passes; times without what reading the clock costs. */
export class SplitTimes {
  newPackets = 0;
  newSeconds = 0;
  otherPackets = 0;
  otherSeconds = 0;
  /** Measurements left out because the process was not running all the time. */
  interrupted = 0;
  /** Cost of reading the clock that was subtracted each time, in nanoseconds. */
  clockCost = 0;
  /** Service time in nanoseconds: of every packet that begins a connection, of one in BATCH of the others. */
  readonly newTimes: Histogram = newHistogram();
  readonly otherTimes: Histogram = newHistogram();
}

/** `begins`: a byte for each record, 1 where it begins a connection. */
export async function splitPass(
  capture: MemoryCapture,
  subject: Subject,
  begins: Uint8Array,
  options: PassOptions,
  into: SplitTimes,
): Promise<PassObjects> {
  const reader = await capture.open();
  const workspace = Workspace.create();
  const bench = new Bench(SLAB_BYTES, workspace);
  let more = await reader.next(bench.slab);
  const stages = newStages(subject, reader, workspace, options);
  const clock = new InterruptionClock();
  into.clockCost = clock.cost;
  let before = 0;
  let nextSample = BATCH;
  while (more) {
    const { count } = bench.slab.records;
    const take = stages.prepare(bench);
    for (let i = 0; i < count; ) {
      if (begins[before + i] === 1) {
        const taken = clock.time(take, i, i + 1);
        i++;
        if (taken < 0) continue;
        recordTime(into.newTimes, taken);
        into.newSeconds += taken / 1e9;
        into.newPackets++;
        continue;
      }
      const end = endOfOthers(begins, before, i, Math.min(i + BATCH, count));
      const isSample = before + end >= nextSample;
      if (isSample) nextSample = before + end + BATCH;
      const to = isSample ? i + 1 : end;
      const taken = clock.time(take, i, to);
      if (taken >= 0) {
        if (isSample) recordTime(into.otherTimes, taken);
        into.otherSeconds += taken / 1e9;
        into.otherPackets += to - i;
      }
      i = to;
    }
    before += count;
    more = await reader.next(bench.slab);
  }
  into.interrupted += clock.interrupted;
  return [reader, workspace, bench, stages];
}

function endOfOthers(begins: Uint8Array, before: number, from: number, to: number): number {
  let end = from;
  while (end < to && begins[before + end] !== 1) end++;
  return end;
}
