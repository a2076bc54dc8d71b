/**
 * One pass of a capture through the stages, timed: from the memory that holds it to /dev/null, one slab after the other,
 * so that the times of reading, translating and writing add up to the whole.
 */
import type { CaptureReader } from '../capture/types.js';
import { createCaptureWriter } from '../capture/write/writer.js';
import type { Calibration } from '../measure/calibration.js';
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
  /**
   * For each slab the least processor time, in seconds, that any of the passes took for all stages and for translating.
   * What others do on the machine takes caches and memory from a pass for milliseconds, seldom the same slab each time.
   */
  readonly least: { readonly all: number[]; readonly translate: number[] };
}

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);

/** What one pass takes when nothing disturbs it: processor time in seconds. */
export function undisturbed({ least }: PassTimes): {
  readonly cpuSeconds: number;
  readonly translateCpuSeconds: number;
} {
  return { cpuSeconds: sum(least.all), translateCpuSeconds: sum(least.translate) };
}

const none = (): Times => ({ seconds: 0, cpuSeconds: 0 });
export const noTimes = (): PassTimes => ({
  ...none(),
  stages: { read: none(), translate: none(), write: none() },
  least: { all: [], translate: [] },
});

export interface TimedPassOptions extends PassOptions {
  /**
   * For experiments: how much longer translating takes than it does, as a share of it, which is spent in a loop. 0.1 is
   * what a tracker slower by a tenth would cost.
   */
  readonly plantedSlowness?: number | undefined;
}

/**
 * Everything that a pass was made of. V8 throws optimised code away when an object that it was optimised for dies; whoever
 * keeps the objects of the passes in which that happened keeps the code.
 */
export type PassObjects = readonly unknown[];

/**
 * Takes the capture through once and adds what it took to `into`, a slice of `calibration` after each slab. Making the
 * host is not in it.
 */
export async function timedPass(
  capture: MemoryCapture,
  subject: Subject,
  options: TimedPassOptions,
  into: PassTimes,
  calibration: Calibration,
): Promise<PassObjects> {
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
    watch.endSlab();
    calibration.slice();
    watch.start();
    more = await reader.next(bench.slab);
    watch.lap('read');
  }
  await writer.close();
  watch.lap('write');
  watch.endSlab();
  return [reader, workspace, bench, stages, writer];
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
  private slab = 0;
  private ofSlab = 0;
  private ofTranslating = 0;

  constructor(private readonly into: PassTimes) {}

  endSlab(): void {
    const { all, translate } = this.into.least;
    all[this.slab] = Math.min(all[this.slab] ?? Number.POSITIVE_INFINITY, this.ofSlab);
    translate[this.slab] = Math.min(translate[this.slab] ?? Number.POSITIVE_INFINITY, this.ofTranslating);
    this.slab++;
    this.ofSlab = 0;
    this.ofTranslating = 0;
  }

  start(): void {
    this.cpu = processorSeconds();
    this.wall = performance.now();
  }

  /** Adds what it took since the last lap to a stage; with `longer`, that share of it is spent once more. */
  lap(stage: StageName, longer = 0): void {
    if (longer > 0) spin((processorSeconds() - this.cpu) * longer);
    const wall = performance.now();
    const cpu = processorSeconds();
    for (const times of [this.into, this.into.stages[stage]]) {
      times.seconds += (wall - this.wall) / 1000;
      times.cpuSeconds += cpu - this.cpu;
    }
    this.ofSlab += cpu - this.cpu;
    if (stage === 'translate') this.ofTranslating += cpu - this.cpu;
    this.wall = wall;
    this.cpu = cpu;
  }
}

function spin(cpuSeconds: number): void {
  const end = processorSeconds() + cpuSeconds;
  while (processorSeconds() < end);
}
