/**
 * One pass of a capture through the stages, timed: from the memory that holds it to /dev/null, one slab after the other,
 * so that the times of reading, translating and writing add up to the whole.
 */
import type { CaptureReader } from '../capture/types.js';
import { createCaptureWriter } from '../capture/write/writer.js';
import { processorSeconds } from '../measure/processor.js';
import { Bench, type Stages } from '../pipeline/stages.js';
import { Workspace } from '../workspace.js';
import type { MemoryCapture } from './capture.js';
import { newStages, type PassOptions, type Subject } from './subject.js';

/** As `replay` has it. */
const SLAB_BYTES = 512 * 1024;

export const STAGES = ['read', 'translate', 'write'] as const;
export type StageName = (typeof STAGES)[number];

/** Seconds on the wall, and of all the process's threads. */
export interface Times {
  seconds: number;
  cpuSeconds: number;
}

export interface PassTimes extends Times {
  readonly stages: Readonly<Record<StageName, Times>>;
}

const none = (): Times => ({ seconds: 0, cpuSeconds: 0 });
export const noTimes = (): PassTimes => ({ ...none(), stages: { read: none(), translate: none(), write: none() } });

export interface TimedPassOptions extends PassOptions {
  /**
   * For experiments: how much longer translating takes than it does, as a share of it, which is spent in a loop. 0.1 is
   * what a tracker slower by a tenth would cost.
   */
  readonly plantedSlowness?: number | undefined;
}

/** Takes the capture through once and adds what it took to `into`. Making the host is not in it. */
export async function timedPass(
  capture: MemoryCapture,
  subject: Subject,
  options: TimedPassOptions,
  into: PassTimes,
): Promise<void> {
  const reader = await capture.open();
  const workspace = Workspace.create();
  const bench = new Bench(SLAB_BYTES, workspace);
  // What a pcapng file begins with, interfaces and all, is known once its first slab is read.
  const watch = new Stopwatch(into);
  watch.start();
  let more = await reader.next(bench.slab);
  watch.lap('read');
  const stages = newStages(subject, reader, workspace, options);
  const writer = await openWriter(reader, stages, capture);
  watch.start();
  while (more) {
    stages.run(bench);
    watch.lap('translate', options.plantedSlowness);
    await writer.write(bench.slab, bench.output, bench.extras);
    watch.lap('write');
    more = await reader.next(bench.slab);
    watch.lap('read');
  }
  await writer.close();
  watch.lap('write');
}

function openWriter(reader: CaptureReader, stages: Stages, capture: MemoryCapture) {
  return createCaptureWriter('/dev/null', {
    source: reader,
    outputs: stages.outputs.interfaces,
    inputs: capture.files,
  });
}

class Stopwatch {
  private wall = 0;
  private cpu = 0;

  constructor(private readonly into: PassTimes) {}

  start(): void {
    this.cpu = processorSeconds();
    this.wall = performance.now();
  }

  /** Adds what it took since the last lap to a stage, `longer` times as much again after having spent it. */
  lap(stage: StageName, longer = 0): void {
    if (longer > 0) spin((performance.now() - this.wall) * longer);
    const wall = performance.now();
    const cpu = processorSeconds();
    for (const times of [this.into, this.into.stages[stage]]) {
      times.seconds += (wall - this.wall) / 1000;
      times.cpuSeconds += cpu - this.cpu;
    }
    this.wall = wall;
    this.cpu = cpu;
  }
}

function spin(milliseconds: number): void {
  const end = performance.now() + milliseconds;
  while (performance.now() < end);
}
