/**
 * The ways that packets of known connections take: where they leave, and what they add to on their way: the counters of the
 * rules and policies that they pass. An entry of the flow table holds the number of the way of either direction; packets and
 * bytes are counted by way, and spread over the rules when somebody asks.
 *
 * A row per way, in doubles so that both TypeScript and WebAssembly count in it: egress (-1 for the host itself), packets,
 * bytes by the IP total length.
 */
import { type Allocator, separately } from '../workspace.js';
import type { RuleCounterTable } from './compile.js';
import type { ChainWalker } from './walk.js';

/** Egress of what is delivered to the host itself. */
export const LOCAL_EGRESS = -1;

/** Doubles of a row. */
export const WAY_WORDS = 4;
export const WAY_EGRESS = 0;
export const WAY_PACKETS = 1;
export const WAY_BYTES = 2;
/** Numbers that the half of META_PATH holds. */
const MOST = 65536;
const FIRST_ROWS = 1024;

interface Counted {
  readonly counters: readonly number[];
  readonly evaluated: number;
}

export class Ways {
  /** Row w begins at `rows[w * WAY_WORDS]`. */
  readonly rows: Float64Array;
  private readonly most: number;
  private readonly counted: Counted[] = [];
  private readonly known = new Map<string, number>();

  constructor(from: Allocator = separately) {
    // What is reserved in a workspace costs nothing until it is written.
    this.most = from === separately ? FIRST_ROWS : MOST;
    this.rows = from.doubles(this.most * WAY_WORDS);
  }

  /**
   * Number of the way out of `egress` (LOCAL_EGRESS: to the host) on which a packet adds to `counters` and `evaluated` rules
   * are looked at; -1 when there are too many ways.
   */
  number(egress: number, counters: readonly number[], evaluated = 0): number {
    const name = `${egress} ${evaluated} ${counters.join()}`;
    let way = this.known.get(name);
    if (way !== undefined) return way;
    way = this.counted.length;
    if (way === this.most) return -1;
    this.counted.push({ counters: [...counters], evaluated });
    this.known.set(name, way);
    this.rows[way * WAY_WORDS + WAY_EGRESS] = egress;
    return way;
  }

  /** How many ways there are. */
  get numbers(): number {
    return this.counted.length;
  }

  /** Egress of a way. */
  egress(way: number): number {
    return this.rows[way * WAY_WORDS + WAY_EGRESS] as number;
  }

  /** Counts a packet of `bytes`. Hot path. */
  count(way: number, bytes: number): void {
    const { rows } = this;
    const at = way * WAY_WORDS;
    rows[at + WAY_PACKETS] = (rows[at + WAY_PACKETS] as number) + 1;
    rows[at + WAY_BYTES] = (rows[at + WAY_BYTES] as number) + bytes;
  }

  /** Adds what was counted to the rules' counters. */
  flush(table: RuleCounterTable, walker: ChainWalker): void {
    const { rows } = this;
    this.counted.forEach(({ counters, evaluated }, way) => {
      const at = way * WAY_WORDS;
      const packets = rows[at + WAY_PACKETS] as number;
      const bytes = rows[at + WAY_BYTES] as number;
      for (const id of counters) {
        table.packets[id] = (table.packets[id] as number) + packets;
        table.bytes[id] = (table.bytes[id] as number) + bytes;
      }
      walker.evaluated += evaluated * packets;
      rows[at + WAY_PACKETS] = 0;
      rows[at + WAY_BYTES] = 0;
    });
  }
}
