/**
 * A fixed piece of work, timed beside every run: arithmetic, dependent loads from a table beyond the first cache, and
 * copying, about as much of each as translating a packet takes. What it takes says how fast the machine was just then.
 * The work must never change: files of other versions are set side by side by it.
 */
import { processorSeconds } from './processor.js';

const WORDS = 1 << 18;
const STEPS = 200_000;
const COPIES = 24;

const table = new Int32Array(WORDS);
const copy = new Int32Array(WORDS);
for (let k = 0; k < WORDS; k++) table[k] = Math.imul(k + 1, 0x9e3779b1);

/** Keeps what is computed in use, so that it is not left out. */
let kept = 0;

function work(): void {
  let x = kept | 1;
  for (let k = 0; k < STEPS; k++) {
    x = (Math.imul(x ^ (x >>> 15), 0x85ebca6b) + (table[x & (WORDS - 1)] as number)) | 0;
  }
  for (let k = 0; k < COPIES; k++) copy.set(table);
  kept = x ^ (copy[x & (WORDS - 1)] as number);
}

export interface Calibration {
  /** Wall and processor time of one piece of the work, in seconds. */
  readonly seconds: number;
  readonly cpuSeconds: number;
}

/** Times the work `times` times and takes the median of each figure. */
export function calibrate(times = 5): Calibration {
  const walls: number[] = [];
  const cpus: number[] = [];
  for (let k = 0; k < times; k++) {
    const cpu = processorSeconds();
    const began = performance.now();
    work();
    walls.push((performance.now() - began) / 1000);
    cpus.push(processorSeconds() - cpu);
  }
  const middle = (values: number[]): number => values.sort((a, b) => a - b)[times >> 1] ?? 0;
  return { seconds: middle(walls), cpuSeconds: middle(cpus) };
}
