/** Which packet of those a tap saw belongs to which input. */
import { NatreplayError } from '../errors.js';
import type { Seen } from './frames.js';

/** Number of markers that only flush the log group. */
export const FLUSH = 0xffff_ffff_ffff;
const MARKER_TIMEOUT_MS = 10_000;

export type SeenPacket = Extract<Seen, { kind: 'packet' }>;

/** Gathers what a tap sees and gives each packet the number of the next marker. */
export class Collector {
  #found: { input: number; seen: SeenPacket }[] = [];
  #times: number[] = [];
  /** Markers seen so far: the number of the packet that what comes next belongs to. */
  #markers = 0;
  #waiting: { count: number; resolve(): void; reject(error: Error): void } | undefined;
  #error: Error | undefined;

  /** `where` names the tap in errors. */
  constructor(readonly where: string) {}

  /** `time`: when it was seen, milliseconds since 1970. */
  add(seen: Seen | undefined, time: number): void {
    if (seen === undefined) {
      this.fail(lost(this.where, 'a record that cannot be read'));
      return;
    }
    if (seen.kind === 'packet') {
      this.#found.push({ input: this.#markers, seen });
      return;
    }
    if (seen.number === FLUSH) return;
    if (seen.number !== this.#markers) {
      this.fail(lost(this.where, `marker ${seen.number} instead of ${this.#markers}`));
      return;
    }
    this.#markers++;
    this.#times.push(time);
    if (this.#waiting !== undefined && this.#markers >= this.#waiting.count) this.#waiting.resolve();
  }

  /** Resolves when `count` markers have been seen. */
  async reach(count: number): Promise<void> {
    if (this.#error !== undefined) throw this.#error;
    if (this.#markers >= count) return;
    let timer: NodeJS.Timeout | undefined;
    try {
      await new Promise<void>((resolve, reject) => {
        this.#waiting = { count, resolve, reject };
        timer = setTimeout(
          () => reject(lost(this.where, `nothing after marker ${this.#markers} of ${count}`)),
          MARKER_TIMEOUT_MS,
        );
      });
    } finally {
      clearTimeout(timer);
      this.#waiting = undefined;
    }
  }

  take(): readonly { input: number; seen: SeenPacket }[] {
    const found = this.#found;
    this.#found = [];
    return found;
  }

  /** When the markers that came since the last call were seen: when the kernel was done with each packet. */
  takeTimes(): readonly number[] {
    const times = this.#times;
    this.#times = [];
    return times;
  }

  fail(error: Error): void {
    this.#error ??= error;
    this.#waiting?.reject(error);
  }
}

function lost(where: string, what: string): NatreplayError {
  return new NatreplayError('VERIFY_LOST_FRAMES', `frames were lost ${where}: ${what}`, {
    exitCode: 3,
    advice: 'run it again on a machine with less to do',
  });
}
