/** How long each packet of a capture kept the program busy, for a simulated queue. */
import { Bench } from '../pipeline/stages.js';
import { Workspace } from '../workspace.js';
import type { MemoryCapture } from './capture.js';
import { InterruptionClock } from './clock.js';
import { newStages, type PassOptions, type Subject } from './subject.js';

const SLAB_BYTES = 512 * 1024;
/** Packets timed together; each is taken to have had its share. */
const GROUP = 32;

export interface ServiceTrace {
  /** Seconds, for each record. */
  readonly seconds: Float32Array;
  /** Groups that were interrupted, which are taken to have been as quick as the one before. */
  readonly interrupted: number;
}

export async function serviceTrace(
  capture: MemoryCapture,
  subject: Subject,
  packets: number,
  options: PassOptions,
): Promise<ServiceTrace> {
  const reader = await capture.open();
  const workspace = Workspace.create();
  const bench = new Bench(SLAB_BYTES, workspace);
  let more = await reader.next(bench.slab);
  const stages = newStages(subject, reader, workspace, options);
  const clock = new InterruptionClock();
  const seconds = new Float32Array(packets);
  let before = 0;
  let each = 0;
  while (more) {
    const { count } = bench.slab.records;
    const take = stages.prepare(bench);
    for (let i = 0; i < count; i += GROUP) {
      const end = Math.min(i + GROUP, count);
      const taken = clock.time(take, i, end);
      if (taken >= 0) each = taken / 1e9 / (end - i);
      seconds.fill(each, before + i, before + end);
    }
    before += count;
    more = await reader.next(bench.slab);
  }
  return { seconds, interrupted: clock.interrupted };
}
