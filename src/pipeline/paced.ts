/**
 * Readers that hand records over when they are due, and captures read again and again. The schedule is anchored to its
 * start: what is late by a millisecond makes nothing after it late.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { Slab } from '../capture/slab.js';
import type { CaptureInterface, CaptureReader, CaptureWarning } from '../capture/types.js';
import type { Pace } from './pace.js';

/** Time, and waiting; tests have their own. */
export interface PaceClock {
  /** Seconds since any fixed moment. */
  now(): number;
  sleep(seconds: number, signal: AbortSignal | undefined): Promise<void>;
}

/** Timers are exact to about a millisecond, and what is due together is handed over together. */
const WALL: PaceClock = {
  now: () => performance.now() / 1000,
  sleep: async (seconds, signal) => {
    await sleep(seconds * 1000, undefined, { signal });
  },
};

const SLAB_BYTES = 256 * 1024;

/** What all wrappers pass on. */
abstract class Wrapped implements CaptureReader {
  protected constructor(protected inner: CaptureReader) {}

  get path(): string {
    return this.inner.path;
  }
  get format(): CaptureReader['format'] {
    return this.inner.format;
  }
  get interfaces(): readonly CaptureInterface[] {
    return this.inner.interfaces;
  }
  get warnings(): readonly CaptureWarning[] {
    return this.inner.warnings;
  }
  get fileHeader(): Uint8Array | undefined {
    return this.inner.fileHeader;
  }
  get bytesRead(): number {
    return this.inner.bytesRead;
  }
  get totalBytes(): number | undefined {
    return this.inner.totalBytes;
  }
  close(): Promise<void> {
    return this.inner.close();
  }
  abstract next(slab: Slab): Promise<boolean>;
}

export class PacedReader extends Wrapped {
  /** What was read ahead: a whole slab, of which the records before `taken` have been handed over. */
  readonly ahead = new Slab(SLAB_BYTES);
  private taken = 0;
  /** Bytes of `ahead` before this one have been handed over. */
  private from = 0;
  private start: number | undefined;
  /** Packets, bits or seconds due before the record that is next. */
  private units = 0;
  /** The capture's latest time so far, which its schedule never runs behind. */
  private latest: number | undefined;
  private first = 0;

  constructor(
    inner: CaptureReader,
    private readonly pace: Pace,
    private readonly signal?: AbortSignal | undefined,
    private readonly clock: PaceClock = WALL,
  ) {
    super(inner);
  }

  async next(slab: Slab): Promise<boolean> {
    const { ahead } = this;
    if (this.taken === ahead.records.count && this.from >= ahead.end) {
      if (!(await this.inner.next(ahead))) return this.hand(slab, 0, 0);
      this.taken = 0;
      this.from = ahead.begin;
    }
    const begin = this.taken;
    if (begin < ahead.records.count) await this.untilDue(begin);
    const now = this.clock.now();
    while (this.taken < ahead.records.count && this.fits(slab, begin) && this.due(this.taken) <= now) this.pass();
    return this.hand(slab, begin, this.taken);
  }

  private async untilDue(i: number): Promise<void> {
    this.start ??= this.clock.now();
    for (;;) {
      const seconds = this.due(i) - this.clock.now();
      if (seconds <= 0) return;
      await this.clock.sleep(seconds, this.signal);
    }
  }

  /** On the clock; record i is the next one to be handed over. */
  private due(i: number): number {
    const { pace, ahead, start = 0 } = this;
    switch (pace.kind) {
      case 'rate':
        return start + this.units / pace.packetsPerSecond;
      case 'bits':
        return start + this.units / pace.bitsPerSecond;
      case 'speed': {
        const time = (ahead.records.seconds[i] as number) + (ahead.records.nanoseconds[i] as number) / 1e9;
        if (this.latest === undefined) this.first = time;
        this.latest = Math.max(this.latest ?? time, time);
        return start + (this.latest - this.first) / pace.factor;
      }
    }
  }

  private pass(): void {
    const { pace, ahead } = this;
    this.units += pace.kind === 'bits' ? (ahead.records.wireLength[this.taken] as number) * 8 : 1;
    this.taken++;
  }

  /** Whether the next record has room in a slab that begins with record `begin`; the first always has. */
  private fits(slab: Slab, begin: number): boolean {
    if (this.taken === begin) return true;
    const bytes = (this.ahead.records.end[this.taken] as number) - this.from;
    return this.taken - begin < slab.records.capacity && bytes <= slab.bytes.length;
  }

  /** Copies records `begin`..`end`, and the blocks between and before them, behind the last those after it. */
  private hand(slab: Slab, begin: number, end: number): boolean {
    const { ahead, from } = this;
    const isLast = end === ahead.records.count;
    const to = isLast ? ahead.end : (ahead.records.end[end - 1] as number);
    const length = Math.max(0, to - from);
    if (length > slab.bytes.length) slab.replaceMemory(slab.allocate(length));
    slab.bytes.set(ahead.bytes.subarray(from, from + length));
    slab.begin = 0;
    slab.end = length;
    slab.layout = ahead.layout;
    slab.records.count = end - begin;
    slab.records.shortened = ahead.records.shortened;
    const columns = slab.records;
    for (let i = begin, k = 0; i < end; i++, k++) {
      columns.start[k] = (ahead.records.start[i] as number) - from;
      columns.end[k] = (ahead.records.end[i] as number) - from;
      columns.frame[k] = (ahead.records.frame[i] as number) - from;
      columns.capturedLength[k] = ahead.records.capturedLength[i] as number;
      columns.wireLength[k] = ahead.records.wireLength[i] as number;
      columns.source[k] = ahead.records.source[i] as number;
      columns.direction[k] = ahead.records.direction[i] as number;
      columns.seconds[k] = ahead.records.seconds[i] as number;
      columns.nanoseconds[k] = ahead.records.nanoseconds[i] as number;
    }
    this.from = to;
    return length > 0;
  }
}

/**
 * Reads a capture several times over, one after the other. Its records keep their times, and the host's clock, which never
 * runs backwards, stands still while it catches up with itself.
 */
export class LoopReader extends Wrapped {
  readonly #interfaces: CaptureInterface[] = [];
  private before = 0;
  private round = 1;

  /** `again` opens it anew. */
  constructor(
    inner: CaptureReader,
    private readonly times: number,
    private readonly again: () => Promise<CaptureReader>,
  ) {
    super(inner);
    this.learn();
  }

  override get interfaces(): readonly CaptureInterface[] {
    return this.#interfaces;
  }
  override get bytesRead(): number {
    return this.before + this.inner.bytesRead;
  }
  override get totalBytes(): number | undefined {
    const { totalBytes } = this.inner;
    return totalBytes === undefined ? undefined : totalBytes * this.times;
  }

  async next(slab: Slab): Promise<boolean> {
    for (;;) {
      const more = await this.inner.next(slab);
      this.learn();
      if (more || this.round >= this.times) return more;
      this.before += this.inner.bytesRead;
      await this.inner.close();
      this.inner = await this.again();
      this.round++;
    }
  }

  /** The list must stay the same object, and each round has the same interfaces. */
  private learn(): void {
    for (const one of this.inner.interfaces.slice(this.#interfaces.length)) this.#interfaces.push(one);
  }
}
