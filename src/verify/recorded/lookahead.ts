/**
 * Reads a capture ahead of where it is judged: what the host sent comes after what it received, and has to be known
 * before. The distance is a time, or less where that much of the capture would take too much memory; so it needs one
 * pass only, and a pipe will do.
 */
import { Slab } from '../../capture/slab.js';
import type { CaptureReader } from '../../capture/types.js';

/** How far to look ahead. What queues for longer than this in the host is found all the same, but no port learnt from it. */
export const AHEAD_MS = 1000;
const SLAB_BYTES = 512 * 1024;

export interface LookaheadOptions {
  /** Most bytes of slabs in memory; default 64 MiB. */
  readonly memory?: number | undefined;
  readonly slabBytes?: number | undefined;
}

export class Lookahead {
  /** The look-ahead was cut short by its memory. */
  shortened = false;
  private readonly waiting: { readonly slab: Slab; readonly until: number }[] = [];
  private readonly spare: Slab[] = [];
  private latest = Number.NEGATIVE_INFINITY;
  private ended = false;
  private failure: unknown;
  private readonly memory: number;
  private readonly slabBytes: number;

  /** `arrived` is called for every slab as it is read, in order. */
  constructor(
    private readonly reader: CaptureReader,
    private readonly arrived: (slab: Slab) => void,
    options: LookaheadOptions = {},
  ) {
    this.memory = options.memory ?? 64 * 1024 * 1024;
    this.slabBytes = options.slabBytes ?? SLAB_BYTES;
  }

  /**
   * The next slab to be judged, when everything up to AHEAD_MS behind its last record has arrived; undefined at the end.
   * It is the caller's until the next call. What is wrong with the capture is thrown after what comes before.
   */
  async next(): Promise<Slab | undefined> {
    while (!this.ended && !this.farEnough()) await this.read();
    const first = this.waiting.shift();
    if (first === undefined) {
      if (this.failure !== undefined) throw this.failure;
      return undefined;
    }
    this.spare.push(first.slab);
    return first.slab;
  }

  private farEnough(): boolean {
    const [first] = this.waiting;
    if (first === undefined) return false;
    if (this.latest >= first.until + AHEAD_MS) return true;
    if (this.waiting.length * this.slabBytes < this.memory) return false;
    this.shortened = true;
    return true;
  }

  private async read(): Promise<void> {
    const slab = this.spare.pop() ?? new Slab(this.slabBytes);
    try {
      this.ended = !(await this.reader.next(slab));
    } catch (error) {
      this.ended = true;
      this.failure = error;
    }
    if (this.ended) return;
    const { count } = slab.records;
    for (let i = 0; i < count; i++) this.latest = Math.max(this.latest, timeOf(slab, i));
    this.waiting.push({ slab, until: this.latest });
    this.arrived(slab);
  }
}

/** Time of a record in milliseconds since 1970. */
export const timeOf = ({ records }: Slab, i: number): number =>
  (records.seconds[i] as number) * 1000 + (records.nanoseconds[i] as number) / 1e6;
