/**
 * Response times under load. Packets are due by a schedule whatever the program does; the latency of one counts from when
 * it was due to when it was translated, so a program that stalls owes for every packet that waited (no coordinated
 * omission). What is due together is taken together, up to a batch, as a driver that polls does.
 */
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import type { Histogram } from 'hdr-histogram-js';
import { newHistogram, recordTime } from '../measure/latency.js';
import { Bench } from '../pipeline/stages.js';
import { Workspace } from '../workspace.js';
import type { MemoryCapture } from './capture.js';
import { newStages, type PassOptions, type Subject } from './subject.js';

/** Small, since reading the next one is time in which packets wait. */
const SLAB_BYTES = 64 * 1024;
const BATCH = 256;

export interface OpenLoop {
  readonly packets: number;
  /** From the start until the last packet was done. */
  readonly seconds: number;
  /** Nanoseconds from due to done. */
  readonly latency: Histogram;
  /** Most packets that were due and waited. */
  readonly longestQueue: number;
  /** Times the process had to give the processor to others meanwhile. */
  readonly interruptions: number;
}

/** Takes the capture through once. `due`: seconds from the start, for each record. */
export async function openLoopPass(
  capture: MemoryCapture,
  subject: Subject,
  due: Float64Array,
  options: PassOptions & { readonly signal?: AbortSignal | undefined },
): Promise<OpenLoop> {
  const reader = await capture.open();
  const workspace = Workspace.create();
  const bench = new Bench(SLAB_BYTES, workspace);
  /** Seconds at which each record was done; made into latencies afterwards, which would take time from those who wait. */
  const done = new Float64Array(due.length).fill(-1);
  let more = await reader.next(bench.slab);
  const stages = newStages(subject, reader, workspace, options);
  const switches = process.resourceUsage().involuntaryContextSwitches;
  const start = performance.now();
  const now = (): number => (performance.now() - start) / 1000;
  let before = 0;
  while (more) {
    const { count } = bench.slab.records;
    const take = stages.prepare(bench);
    for (let i = 0; i < count; ) {
      const time = now();
      let end = i;
      while (end < count && end - i < BATCH && (due[before + end] as number) <= time) end++;
      if (end === i) {
        await restUntil(due[before + i] as number, time);
        continue;
      }
      take(i, end);
      done.fill(now(), before + i, before + end);
      i = end;
    }
    before += count;
    // Signals are heard between slabs.
    await nextTurn();
    options.signal?.throwIfAborted();
    more = await reader.next(bench.slab);
  }
  const seconds = now();
  const interruptions = process.resourceUsage().involuntaryContextSwitches - switches;
  const latency = newHistogram();
  for (let i = 0; i < before; i++) recordTime(latency, ((done[i] as number) - (due[i] as number)) * 1e9);
  return { packets: before, seconds, latency, longestQueue: longestQueue(due, done, before), interruptions };
}

/** Seconds before a packet is due at which waiting becomes looking at the clock: timers are late by a millisecond. */
const ALERT = 0.003;

async function restUntil(due: number, now: number): Promise<void> {
  if (due - now > 2 * ALERT) await sleep((due - now - ALERT) * 1000);
}

/** Most packets due and not done at any time; both columns never decrease. */
export function longestQueue(due: Float64Array, done: Float64Array, count: number): number {
  let longest = 0;
  let finished = 0;
  for (let i = 0; i < count; i++) {
    while (finished < i && (done[finished] as number) <= (due[i] as number)) finished++;
    longest = Math.max(longest, i + 1 - finished);
  }
  return longest;
}
