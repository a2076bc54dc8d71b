/** How the packets of a capture are shared out among its connections, any of which can be asked for alone. */
import type { Plan } from './plan.js';
import { mix } from './random.js';

export class Shares {
  readonly #plan: Plan;
  /** Before place `i` of the pattern: connections without a fixed number of packets, and packets of the others. */
  readonly #sharing: number[] = [0];
  readonly #fixed: number[] = [0];

  constructor(plan: Plan) {
    this.#plan = plan;
    for (const [i, { packets }] of plan.pattern.entries()) {
      this.#sharing.push((this.#sharing[i] as number) + (packets === undefined ? 1 : 0));
      this.#fixed.push((this.#fixed[i] as number) + (packets ?? 0));
    }
  }

  /** Of connections 0 .. count-1, how many share what packets are left. */
  sharing(count: number): number {
    return this.#before(this.#sharing, count);
  }

  /** Packets of connections 0 .. count-1 that have a fixed number. */
  fixed(count: number): number {
    return this.#before(this.#fixed, count);
  }

  /** Packets that `connections` need if each of those without a fixed number has `each`. */
  packets(connections: number, each = this.#plan.shortest): number {
    return this.fixed(connections) + this.sharing(connections) * each;
  }

  /** The most connections for which `packets` are enough if each without a fixed number has `each`. */
  connections(packets: number, each: number): number {
    const { length } = this.#plan.pattern;
    return Math.floor((packets / this.packets(length, each)) * length);
  }

  /** Packets of every connection of a capture: its share, moved by up to a quarter, so that none is like the other. */
  lengths(connections: number, packets: number, seed: number): (index: number) => number {
    const { pattern, shortest } = this.#plan;
    const count = this.sharing(connections);
    const total = packets - this.fixed(connections);
    const mean = total / count;
    const spare = Math.min(mean / 4, Math.max(0, (mean - shortest - 1) / 2));
    const boundary = (ordinal: number): number => {
      if (ordinal === 0) return 0;
      if (ordinal === count) return total;
      const shift = (mix(ordinal, seed + 3) / 0x80000000 - 1) * spare;
      return Math.round(ordinal * mean + shift);
    };
    return (index) => {
      const fixed = pattern[index % pattern.length]?.packets;
      if (fixed !== undefined) return fixed;
      const ordinal = this.sharing(index);
      return boundary(ordinal + 1) - boundary(ordinal);
    };
  }

  #before(sums: readonly number[], count: number): number {
    const { length } = this.#plan.pattern;
    return Math.floor(count / length) * (sums[length] as number) + (sums[count % length] as number);
  }
}
