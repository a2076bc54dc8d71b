/** Timing what takes nanoseconds on a machine that has other work. */
import { clockCost } from '../measure/latency.js';

/** Shorter measurements were not interrupted: a switch to another process and back alone takes longer. */
const MAY_BE_INTERRUPTED_NS = 20_000;

/** Times pieces of work that are so short that another process's turn would be most of what is measured. */
export class InterruptionClock {
  readonly cost = clockCost();
  interrupted = 0;
  private switches = process.resourceUsage().involuntaryContextSwitches;

  /** Nanoseconds that records `from`..`to` took, without the clock's own cost; -1 when the process had to wait meanwhile. */
  time(take: (start: number, end: number) => void, from: number, to: number): number {
    const began = performance.now();
    take(from, to);
    const taken = (performance.now() - began) * 1e6;
    if (taken > MAY_BE_INTERRUPTED_NS && this.wasInterrupted()) {
      this.interrupted++;
      return -1;
    }
    return Math.max(0, taken - this.cost);
  }

  private wasInterrupted(): boolean {
    const switches = process.resourceUsage().involuntaryContextSwitches;
    const more = switches > this.switches;
    this.switches = switches;
    return more;
  }
}
