/**
 * The capture's time as tracking uses it: milliseconds since the first packet, never running backwards. The flow table
 * keeps it in 32 bits, wrapping.
 */

/** A leap in milliseconds after which nothing can be alive: no timeout is longer. */
const LEAP = 0x40000000;

export class CaptureClock {
  /** Milliseconds since the first packet, not wrapped. */
  time = 0;
  private first: number | undefined;
  /** Second of the last packet, and its milliseconds since the first. */
  private second = Number.NaN;
  private base = 0;
  private lastSweep = 0;

  /** `sweep(now)` removes all that has expired by `now`, before wrapping could bring it back to life. */
  constructor(private readonly sweep: (now: number) => void) {}

  /** As the flow table keeps it. */
  get now(): number {
    return this.time | 0;
  }

  /** Hot path. */
  advance(seconds: number, nanoseconds: number): void {
    if (seconds !== this.second) this.setSecond(seconds);
    const time = this.base + ((nanoseconds / 1_000_000) | 0);
    if (time > this.time) this.setTime(time);
  }

  private setSecond(seconds: number): void {
    this.first ??= seconds;
    this.second = seconds;
    this.base = (seconds - this.first) * 1000;
  }

  private setTime(time: number): void {
    if (time - this.lastSweep >= LEAP) {
      this.sweep((time - this.time >= LEAP ? this.time + LEAP : time) | 0);
      this.lastSweep = time;
    }
    this.time = time;
  }
}
