/** A table of `-m recent`: addresses and when they were seen (kernel: net/netfilter/xt_recent.c). */
import type { Family } from '../../host/types.js';

/** Addresses that a table holds (module parameter ip_list_tot). */
const MAX_ADDRESSES = 100;
/** Stamps of an address where no rule asks for a hit count, a power of two. */
const STAMPS = 32;

export interface RecentEntry {
  readonly key: string;
  ttl: number;
  /** Jiffies, a ring. */
  stamps: number[];
  /** Where the next stamp goes. */
  index: number;
}

export class RecentTable {
  /** Least recently set or updated first, as a Map keeps its keys. */
  private readonly entries = new Map<string, RecentEntry>();
  private stamps = 1;

  /** `mask`: that of the first rule that names the table. */
  constructor(readonly mask: Uint32Array) {}

  /** A rule that asks for `hits` stamps (0: none) uses the table. */
  provideFor(hits: number): void {
    const wanted = hits === 0 ? STAMPS : 2 ** Math.ceil(Math.log2(hits));
    if (wanted > this.stamps) this.stamps = wanted;
  }

  key(family: Family, address: Uint32Array): string {
    const { mask } = this;
    const word = (k: number): number => ((address[k] as number) & (mask[k] as number)) >>> 0;
    return family === 4 ? `${word(0)}` : `${word(0)}:${word(1)}:${word(2)}:${word(3)}`;
  }

  /** `ttl` 0: whatever it is. */
  find(key: string, ttl: number): RecentEntry | undefined {
    const entry = this.entries.get(key);
    return entry === undefined || ttl === 0 || entry.ttl === 0 || entry.ttl === ttl ? entry : undefined;
  }

  add(key: string, ttl: number, now: number): RecentEntry {
    if (this.entries.size >= MAX_ADDRESSES) {
      const [oldest] = this.entries.keys();
      if (oldest !== undefined) this.entries.delete(oldest);
    }
    const entry = { key, ttl, stamps: [now], index: 1 };
    this.entries.set(key, entry);
    return entry;
  }

  update(entry: RecentEntry, now: number): void {
    entry.index &= this.stamps - 1;
    entry.stamps[entry.index++] = now;
    this.entries.delete(entry.key);
    this.entries.set(entry.key, entry);
  }

  remove(entry: RecentEntry): void {
    this.entries.delete(entry.key);
  }

  /** Removes the address that was seen longest ago if that was before `time`; not the one that is about to be updated. */
  reap(time: number, except: RecentEntry | undefined): void {
    const [oldest] = this.entries.values();
    if (oldest === undefined || oldest === except) return;
    if (time > (oldest.stamps[oldest.index - 1] ?? 0)) this.entries.delete(oldest.key);
  }

  /** Everything as it is; what it returns brings it back. */
  save(): () => void {
    const saved = [...this.entries.values()].map((entry) => ({ ...entry, stamps: [...entry.stamps] }));
    return () => {
      this.entries.clear();
      for (const entry of saved) this.entries.set(entry.key, { ...entry, stamps: [...entry.stamps] });
    };
  }
}
