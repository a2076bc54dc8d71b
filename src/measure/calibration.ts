/**
 * A fixed piece of work, done again and again between the pieces of what is measured: arithmetic, copying, and dependent
 * loads from near and from far, about as much of each as translating packets takes: a neighbour that takes the memory's
 * time hurts both alike. What it takes says how fast the machine was just then. The
 * work must never change: results of other versions are set side by side by it.
 */
import { processorSeconds } from './processor.js';

const WORDS = 1 << 14;
const STEPS = 40_000;
const COPIES = 16;
/** Words of the far table, beyond most caches, and loads from it. */
const FAR_WORDS = 1 << 21;
const FAR_STEPS = 1500;
/** Slices until the compiler has done its work. */
const WARM_UP = 100;

const table = new Int32Array(WORDS);
const copy = new Int32Array(WORDS);
const far = new Int32Array(FAR_WORDS);
for (let k = 0; k < WORDS; k++) table[k] = Math.imul(k + 1, 0x9e3779b1);
for (let k = 0; k < FAR_WORDS; k++) far[k] = Math.imul(k + 1, 0x85ebca6b);

/** Keeps what is computed in use, so that it is not left out. */
let kept = 0;

function work(): void {
  let x = kept | 1;
  for (let k = 0; k < STEPS; k++) {
    x = (Math.imul(x ^ (x >>> 15), 0x85ebca6b) + (table[x & (WORDS - 1)] as number)) | 0;
  }
  for (let k = 0; k < FAR_STEPS; k++) x = Math.imul(x ^ (far[(x >>> 7) & (FAR_WORDS - 1)] as number), 0xc2b2ae35) + k;
  for (let k = 0; k < COPIES; k++) copy.set(table);
  kept = x ^ (copy[x & (WORDS - 1)] as number);
}

let isWarm = false;

/** Times of slices, each some tenths of a millisecond. */
export class Calibration {
  private slices = 0;
  private wall = 0;
  private cpu = 0;
  /** Processor time of the slice that was disturbed least, in seconds. */
  least = Number.POSITIVE_INFINITY;

  constructor() {
    if (!isWarm) for (let k = 0; k < WARM_UP; k++) work();
    isWarm = true;
  }

  /** Does the work once. */
  slice(): void {
    const cpu = processorSeconds();
    const began = performance.now();
    work();
    this.wall += (performance.now() - began) / 1000;
    const taken = processorSeconds() - cpu;
    this.cpu += taken;
    this.least = Math.min(this.least, taken);
    this.slices++;
  }

  /** What a slice took on average, in seconds. */
  get seconds(): number {
    return this.wall / this.slices;
  }
  get cpuSeconds(): number {
    return this.cpu / this.slices;
  }
}
