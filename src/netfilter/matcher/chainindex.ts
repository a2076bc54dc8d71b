/**
 * The index of a long chain: a decision tree over the fields that its rules name (source and destination networks,
 * protocol and port, interfaces). Each node goes by the field that tells most of its rules apart; those that name other
 * fields, or none, are beside it in a node of their own. So every rule stands in one place (in a few if it names a range
 * of ports), memory grows with the rules alone, and a packet meets few more rules than can match it.
 */
import type { Family, Host } from '../../host/types.js';
import type { Rule } from '../../rules/types.js';
import { type ChainFields, FIELDS, type FieldRanges, fieldsOf } from './fields.js';
import { LaminarRanges } from './laminar.js';
import type { AddressPositions } from './positions.js';

/** Fewer rules than this are as quickly tried one by one. */
const FEW = 8;

/** Rules in order, `items` from `begin` to `end`. */
export interface RuleList {
  readonly begin: number;
  readonly end: number;
}

/** Rules told apart by one field. */
export interface Split {
  readonly field: number;
  readonly ranges: LaminarRanges;
  /** Rules of range r: `items` from `begins[r]` to `begins[r + 1]`. */
  readonly begins: Int32Array;
  /** Of ranges with many rules, what tells these apart. */
  readonly within: ReadonlyMap<number, Split> | undefined;
  /** Rules that do not name the field. */
  readonly others: Split | RuleList;
}

export interface ChainIndex {
  readonly root: Split;
  /** Numbers of rules in their chain, from 0; ascending within each list. */
  readonly items: Int32Array;
  readonly sources: AddressPositions | undefined;
  readonly destinations: AddressPositions | undefined;
}

/** Undefined where no field tells enough of the rules apart. */
export function indexOf(rules: readonly Rule[], family: Family, host: Host): ChainIndex | undefined {
  const fields = fieldsOf(rules, family, host);
  const builder = new Builder(fields);
  const root = builder.node(fields.rules);
  if (!('field' in root)) return undefined;
  return { root, items: builder.items(), sources: fields.sources, destinations: fields.destinations };
}

/** Rules by the ranges of one field. */
interface Groups {
  readonly field: number;
  /** Sorted: where ranges begin and how wide they are. */
  readonly keys: Float64Array;
  /** Rules that name the field. */
  readonly covered: number;
  /** Rules that a packet which matches one of them need not meet, on average. */
  readonly spared: number;
}

class Builder {
  private readonly lists: Int32Array[] = [];
  private length = 0;

  constructor(private readonly fields: ChainFields) {}

  items(): Int32Array {
    const items = new Int32Array(this.length);
    let at = 0;
    for (const list of this.lists) {
      items.set(list, at);
      at += list.length;
    }
    return items;
  }

  node(rules: Int32Array): Split | RuleList {
    const best = rules.length <= FEW ? undefined : this.bestGroups(rules);
    return best === undefined ? this.list(rules) : this.split(rules, best);
  }

  private list(rules: Int32Array): RuleList {
    const begin = this.length;
    this.lists.push(rules);
    this.length += rules.length;
    return { begin, end: this.length };
  }

  private bestGroups(rules: Int32Array): Groups | undefined {
    let best: Groups | undefined;
    for (let field = 0; field < FIELDS; field++) {
      const groups = this.groups(rules, field);
      if (groups.spared > Math.max(FEW, best?.spared ?? 0)) best = groups;
    }
    return best;
  }

  private groups(rules: Int32Array, field: number): Groups {
    const ranges = this.fields.ranges[field] as FieldRanges;
    let covered = 0;
    let entries = 0;
    for (const rule of rules) {
      const many = entriesOf(ranges, rule);
      if (many > 0) covered++;
      entries += many;
    }
    const all = new Float64Array(entries);
    let at = 0;
    if (entries > 0) {
      for (const rule of rules)
        for (let e = ranges.first[rule] as number; e < (ranges.first[rule + 1] as number); e++)
          all[at++] = keyOf(ranges, e);
      all.sort();
    }
    let distinct = 0;
    let squares = 0;
    for (let from = 0; from < entries; ) {
      const key = all[from] as number;
      let to = from + 1;
      while (to < entries && all[to] === key) to++;
      squares += (to - from) * (to - from);
      all[distinct++] = key;
      from = to;
    }
    const spared = covered === 0 ? 0 : covered - squares / entries;
    return { field, keys: all.subarray(0, distinct), covered, spared };
  }

  private split(rules: Int32Array, { field, keys, covered }: Groups): Split {
    const ranges = this.fields.ranges[field] as FieldRanges;
    const { first, highs: high } = ranges;
    const lows = Uint32Array.from(keys, (key) => Math.floor(key / RANKS));
    const highs = new Uint32Array(keys.length);
    const counts = new Int32Array(keys.length + 1);
    const others = new Int32Array(rules.length - covered);
    const groupOf: number[] = [];
    let other = 0;
    for (const rule of rules) {
      if (entriesOf(ranges, rule) === 0) others[other++] = rule;
      for (let e = first[rule] as number; e < (first[rule + 1] as number); e++) {
        const group = placeOf(keys, keyOf(ranges, e));
        highs[group] = high[e] as number;
        counts[group + 1] = (counts[group + 1] as number) + 1;
        groupOf.push(group);
      }
    }
    for (let group = 0; group < keys.length; group++)
      counts[group + 1] = (counts[group + 1] as number) + (counts[group] as number);
    const ends = counts.slice();
    const sorted = new Int32Array(groupOf.length);
    let entry = 0;
    for (const rule of rules) {
      for (let many = entriesOf(ranges, rule); many > 0; many--) {
        const group = groupOf[entry++] as number;
        const at = ends[group] as number;
        sorted[at] = rule;
        ends[group] = at + 1;
      }
    }
    const { begin } = this.list(sorted);
    const within = new Map<number, Split>();
    for (let group = 0; group < keys.length; group++) {
      const from = counts[group] as number;
      const to = counts[group + 1] as number;
      if (to - from <= FEW) continue;
      const many = sorted.slice(from, to);
      const best = this.bestGroups(many);
      if (best !== undefined) within.set(group, this.split(many, best));
    }
    return {
      field,
      ranges: LaminarRanges.of(lows, highs),
      begins: counts.map((count) => count + begin),
      within: within.size > 0 ? within : undefined,
      others: this.node(others),
    };
  }
}

const RANKS = 256;

/** Sorts by beginning, the wider first. */
const keyOf = ({ lows, ranks }: FieldRanges, entry: number): number =>
  (lows[entry] as number) * RANKS + (ranks[entry] as number);

const entriesOf = ({ first }: FieldRanges, rule: number): number =>
  (first[rule + 1] as number) - (first[rule] as number);

function placeOf(keys: Float64Array, key: number): number {
  let low = 0;
  let high = keys.length - 1;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((keys[middle] as number) < key) low = middle + 1;
    else high = middle;
  }
  return low;
}
