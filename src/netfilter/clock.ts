/**
 * The capture's time as tracking uses it: milliseconds since the first packet, never running backwards. The flow table
 * keeps it in 32 bits, wrapping.
 */
import { type Allocator, separately } from '../workspace.js';

/** A leap in milliseconds after which nothing can be alive: no timeout is longer. */
const LEAP = 0x40000000;
/** Where time ends, milliseconds: a damaged capture may state times that no 64-bit integer of milliseconds can hold. */
const END = 2 ** 53;

/** Words of the clock's state. */
const TIME = 0;
const SECOND = 1;
const BASE = 2;
const LAST_SWEEP = 3;
const FIRST = 4;
/** 1 once there was a packet. */
const BEGUN = 5;
const STATE_WORDS = 6;

export class CaptureClock {
  /**
   * Milliseconds since the first packet, not wrapped; second of the last packet, its milliseconds since the first; time
   * of the last sweep; second of the first packet; whether there was one. An array, so that WebAssembly can go on with it.
   */
  readonly state: Float64Array;

  /** `sweep(now)` removes all that has expired by `now`, before wrapping could bring it back to life. */
  constructor(
    private readonly sweep: (now: number) => void,
    from: Allocator = separately,
  ) {
    this.state = from.doubles(STATE_WORDS);
    this.state[SECOND] = Number.NaN;
  }

  /** Milliseconds since the first packet, not wrapped. */
  get time(): number {
    return this.state[TIME] as number;
  }

  /** As the flow table keeps it. */
  get now(): number {
    return this.time | 0;
  }

  /** Hot path. */
  advance(seconds: number, nanoseconds: number): void {
    const { state } = this;
    if (seconds !== state[SECOND]) this.setSecond(seconds);
    const time = (state[BASE] as number) + ((nanoseconds / 1_000_000) | 0);
    if (time > (state[TIME] as number)) this.setTime(time);
  }

  /**
   * As `advance`, but false, with the time as it was, where that would sweep: who holds references to entries has to
   * finish with them first. Hot path.
   */
  advanceWithoutSweep(seconds: number, nanoseconds: number): boolean {
    const { state } = this;
    if (seconds !== state[SECOND]) this.setSecond(seconds);
    const time = (state[BASE] as number) + ((nanoseconds / 1_000_000) | 0);
    if (time <= (state[TIME] as number)) return true;
    if (time - (state[LAST_SWEEP] as number) >= LEAP) return false;
    state[TIME] = time;
    return true;
  }

  private setSecond(seconds: number): void {
    const { state } = this;
    if (state[BEGUN] === 0) state[FIRST] = seconds;
    state[BEGUN] = 1;
    state[SECOND] = seconds;
    state[BASE] = Math.min((seconds - (state[FIRST] as number)) * 1000, END);
  }

  private setTime(time: number): void {
    const { state } = this;
    if (time - (state[LAST_SWEEP] as number) >= LEAP) {
      this.sweep((time - this.time >= LEAP ? this.time + LEAP : time) | 0);
      state[LAST_SWEEP] = time;
    }
    state[TIME] = time;
  }
}
