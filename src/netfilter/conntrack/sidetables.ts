/**
 * What only some rule sets want to know of connections: how much has passed by each (nf_conntrack_acct, for `-m connbytes`)
 * and its labels (`-m connlabel`). They lie beside the flow table, by its entries, and are there only where a rule asks.
 */
import type { ORIGINAL, REPLY } from './flowtable.js';

/** Packets and bytes of both directions. */
const COUNTERS = 4;
/** A connection has 128 labels. */
const LABEL_WORDS = 4;
const MIN_ENTRIES = 64;

export class Accounts {
  private counters = new Float64Array(MIN_ENTRIES * COUNTERS);

  /** A new connection. */
  reset(entry: number): void {
    if ((entry + 1) * COUNTERS > this.counters.length) {
      const larger = new Float64Array(this.counters.length * 2);
      larger.set(this.counters);
      this.counters = larger;
    }
    this.counters.fill(0, entry * COUNTERS, (entry + 1) * COUNTERS);
  }

  add(entry: number, direction: number, bytes: number): void {
    const { counters } = this;
    const at = entry * COUNTERS + direction;
    counters[at] = (counters[at] as number) + 1;
    counters[at + 2] = (counters[at + 2] as number) + bytes;
  }

  packets(entry: number, direction: typeof ORIGINAL | typeof REPLY): number {
    return this.counters[entry * COUNTERS + direction] as number;
  }

  bytes(entry: number, direction: typeof ORIGINAL | typeof REPLY): number {
    return this.counters[entry * COUNTERS + 2 + direction] as number;
  }
}

export class Labels {
  private words = new Uint32Array(MIN_ENTRIES * LABEL_WORDS);

  reset(entry: number): void {
    if ((entry + 1) * LABEL_WORDS > this.words.length) {
      const larger = new Uint32Array(this.words.length * 2);
      larger.set(this.words);
      this.words = larger;
    }
    this.words.fill(0, entry * LABEL_WORDS, (entry + 1) * LABEL_WORDS);
  }

  has(entry: number, label: number): boolean {
    return (((this.words[entry * LABEL_WORDS + (label >> 5)] as number) >>> (label & 31)) & 1) !== 0;
  }

  set(entry: number, label: number, on: boolean): void {
    const at = entry * LABEL_WORDS + (label >> 5);
    const bit = 1 << (label & 31);
    const word = this.words[at] as number;
    this.words[at] = on ? word | bit : word & ~bit;
  }
}
