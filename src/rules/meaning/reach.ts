/**
 * Which rules of a table packets can get to, and match there. Everything that is said to be dead is dead for certain,
 * whatever comes: where sets of packets get too many to be followed, more packets are taken to come than do.
 */
import type { Family } from '../../host/types.js';
import { STATE_NEW, STATE_RELATED } from '../context.js';
import { TABLE_CHAINS } from '../tables.js';
import type { BuiltinChain, Chain, Rule, Table } from '../types.js';
import {
  apart,
  type Box,
  commonRegion,
  contains,
  EVERYTHING,
  IN,
  isEverything,
  narrow,
  OUT,
  type Region,
  STATE,
  type Universe,
  widened,
  without,
  withoutAll,
} from './box.js';
import { type Condition, conditionOf } from './condition.js';
import { effectOf } from './effect.js';
import { type Stability, stabilityOf } from './stability.js';
import { type Taker, Takers } from './takers.js';
import { namesLike, stateSet, universeOf } from './universe.js';

/** Most boxes that are followed into a chain, that a chain takes for certain, and that are left of a rule. */
const MOST_ENTRIES = 24;
const MOST_ABSORBED = 64;
const MOST_LEFT = 128;
/** Rules that together leave nothing to another, of those that have something in common with it. */
const MOST_OVERLAPPING = 48;

export type Dead =
  /** Its own matches exclude each other; `words`: which. */
  | { readonly kind: 'contradiction'; readonly words: readonly string[] }
  /** Rules before it in its chain take all that it is for. */
  | { readonly kind: 'shadowed'; readonly by: readonly Rule[] }
  /** A rule before it takes everything. */
  | { readonly kind: 'behind'; readonly by: Rule }
  /** Nothing that gets to its chain is for it; `by`: rules on the way there that had a part in it. */
  | { readonly kind: 'elsewhere'; readonly by: readonly Rule[] }
  /** Nothing gets to its chain; `jumps`: the rules that lead there, which are dead themselves. */
  | { readonly kind: 'unreached'; readonly jumps: readonly Rule[] };

/** Somewhere that packets come from into a chain. */
export interface Entry {
  /** A jump, or the built-in chain itself. */
  readonly from: Rule | BuiltinChain;
  readonly region: Region;
  /** Rules before the jump that kept packets from it. */
  readonly takers: readonly Rule[];
}

export interface Reach {
  readonly table: Table;
  readonly conditions: ReadonlyMap<Rule, Condition>;
  readonly dead: ReadonlyMap<Rule, Dead>;
  /** By chain; none for a chain that nothing gets to. */
  readonly entries: ReadonlyMap<string, readonly Entry[]>;
  /** What may get to a live rule and match: more rather than less. */
  readonly regions: ReadonlyMap<Rule, Region>;
  /** Hooks that packets come from to a chain. */
  readonly hooks: ReadonlyMap<string, ReadonlySet<BuiltinChain>>;
  readonly stability: Stability;
  readonly family: Family;
}

export interface ReachOptions {
  readonly family: Family;
  /** Rules may be narrower than they stand there: none of them can be said to take anything. */
  readonly bare?: boolean;
}

export function reachOf(table: Table, options: ReachOptions): Reach {
  return new Analysis(table, options).run();
}

/** What all packets at a hook have in common. */
function atHook(hook: BuiltinChain, table: Table): Box {
  let box: Box | undefined = EVERYTHING;
  const nothing = namesLike('');
  if (hook === 'PREROUTING' || hook === 'INPUT') box = narrow(box, OUT, nothing);
  else if (hook === 'OUTPUT') box = narrow(box, IN, nothing);
  // The table nat is asked about the first packet of a connection only.
  if (table.name === 'nat' && box !== undefined)
    box = narrow(
      box,
      STATE,
      stateSet((state) => (state & (STATE_NEW | STATE_RELATED)) !== 0),
    );
  return box ?? EVERYTHING;
}

/** `box` if nothing in the table can change what it goes by. */
export function steadyPart(box: Box | undefined, { unsteady, forgets }: Stability): Box | undefined {
  if (box === undefined) return undefined;
  const relies = [...unsteady].some((dimension) => box.sets[dimension] !== undefined) || box.terms.some(forgets);
  return relies ? undefined : box;
}

class Analysis {
  private readonly conditions = new Map<Rule, Condition>();
  private readonly dead = new Map<Rule, Dead>();
  private readonly entries = new Map<string, Entry[]>();
  private readonly regions = new Map<Rule, Region>();
  private readonly hooks = new Map<string, Set<BuiltinChain>>();
  private readonly absorbed = new Map<string, Region>();
  private readonly stability: Stability;
  private readonly universe: Universe;
  private readonly bare: boolean;
  private readonly family: Family;

  constructor(
    private readonly table: Table,
    { family, bare = false }: ReachOptions,
  ) {
    this.bare = bare;
    this.family = family;
    this.universe = universeOf(family);
    this.stability = stabilityOf(table);
    for (const { rules } of table.chains.values())
      for (const rule of rules) this.conditions.set(rule, conditionOf(rule, family));
  }

  run(): Reach {
    for (const hook of TABLE_CHAINS[this.table.name]) {
      this.entries.set(hook, [{ from: hook, region: [atHook(hook, this.table)], takers: [] }]);
      this.hooks.set(hook, new Set([hook]));
    }
    const order = inOrderOfJumps(this.table);
    for (const chain of [...order].reverse()) this.absorbed.set(chain.name, this.absorbedBy(chain));
    for (const chain of order) this.walk(chain);
    const { table, conditions, dead, entries, regions, hooks, stability } = this;
    return { table, conditions, dead, entries, regions, hooks, stability, family: this.family };
  }

  private conditionOf(rule: Rule): Condition {
    return this.conditions.get(rule) ?? { upper: EVERYTHING, lower: undefined, contradiction: [], unsteady: [] };
  }

  /** What of a rule's `lower` may be relied on after rules in between. */
  private sure(box: Box | undefined): Box | undefined {
    return this.bare ? undefined : steadyPart(box, this.stability);
  }

  /** What gets a verdict in a chain for certain, wherever it comes from. */
  private absorbedBy(chain: Chain): Region {
    const taken: Box[] = [];
    const left: Box[] = [];
    for (const rule of chain.rules) {
      const { upper, lower } = this.conditionOf(rule);
      if (upper === undefined) continue;
      const effect = effectOf(rule);
      for (const box of this.verdicts(rule, this.sure(lower))) {
        const rest = withoutAll([box], left, this.universe, MOST_ABSORBED) ?? [];
        taken.push(...rest);
      }
      if (taken.some(isEverything)) return [EVERYTHING];
      if (taken.length > MOST_ABSORBED) return taken.slice(0, MOST_ABSORBED);
      if (effect === 'leaves' || effect === 'goto') left.push(this.forgetful({ ...upper, terms: [] }));
      if (left.length > MOST_ABSORBED) break;
    }
    return taken;
  }

  /** Of the packets in `box`, a rule's own, those that get a verdict by it. */
  private verdicts(rule: Rule, box: Box | undefined): Region {
    if (box === undefined) return [];
    const effect = effectOf(rule);
    if (effect === 'verdict') return [box];
    if (effect !== 'jump' && effect !== 'goto') return [];
    const chain = rule.target !== undefined && 'chain' in rule.target ? rule.target.chain : '';
    return commonRegion(this.absorbed.get(chain) ?? [], box);
  }

  private forgetful(box: Box): Box {
    return widened(box, this.stability.unsteady, this.stability.forgets);
  }

  private walk(chain: Chain): void {
    const entries = this.entries.get(chain.name) ?? [];
    if (entries.length === 0) {
      this.unreached(chain);
      return;
    }
    const region = entries.flatMap((entry) => entry.region);
    const regions: Region = region.length > MOST_ENTRIES ? [EVERYTHING] : region;
    const takers = new Takers();
    for (const rule of chain.rules) {
      const dead = this.look(rule, regions, entries, takers);
      if (dead !== undefined) {
        this.dead.set(rule, dead);
        continue;
      }
      const lower = this.sure(this.conditionOf(rule).lower);
      const effect = effectOf(rule);
      if (effect === 'leaves' || effect === 'goto' || effect === 'verdict') {
        if (lower !== undefined) takers.add({ rule, box: lower });
      } else for (const box of this.verdicts(rule, lower)) takers.add({ rule, box });
    }
  }

  private unreached({ name, rules }: Chain): void {
    const jumps: Rule[] = [];
    for (const chain of this.table.chains.values())
      for (const rule of chain.rules)
        if (rule.target !== undefined && 'chain' in rule.target && rule.target.chain === name) jumps.push(rule);
    for (const rule of rules) this.dead.set(rule, { kind: 'unreached', jumps });
  }

  private look(rule: Rule, regions: Region, entries: readonly Entry[], takers: Takers): Dead | undefined {
    const { upper, contradiction } = this.conditionOf(rule);
    if (rule.unsupported) return undefined;
    if (upper === undefined) return { kind: 'contradiction', words: contradiction };
    if (takers.unconditional !== undefined) return { kind: 'behind', by: takers.unconditional.rule };
    const coming = commonRegion(regions, upper);
    if (coming.length === 0) return { kind: 'elsewhere', by: this.involved(entries, upper) };
    const candidates = takers.candidates(upper);
    const one = candidates.find(({ box }) => contains(box, upper));
    if (one !== undefined) return { kind: 'shadowed', by: [one.rule] };
    const { left, by } = this.leftOf(coming, candidates);
    if (left.length === 0) {
      const alone = this.leftOf([upper], candidates).left.length === 0;
      return alone
        ? { kind: 'shadowed', by }
        : { kind: 'elsewhere', by: [...new Set([...this.involved(entries, upper), ...by])] };
    }
    this.regions.set(rule, left);
    this.enter(rule, left, by);
    return undefined;
  }

  /** The jumps that a rule's packets would have to come by, and what stands before these. */
  private involved(entries: readonly Entry[], upper: Box): Rule[] {
    const rules = entries.slice(0, 8).flatMap(({ from, takers }) => {
      if (typeof from === 'string') return [];
      const meet = takers.filter((rule) => {
        const { lower } = this.conditionOf(rule);
        return rule !== from && lower !== undefined && !apart(lower, upper);
      });
      return [from, ...meet];
    });
    return [...new Set(rules)].slice(0, 8);
  }

  private leftOf(coming: Region, candidates: readonly Taker[]): { left: Region; by: Rule[] } {
    const overlapping = candidates.filter(({ box }) => coming.some((one) => !apart(one, box)));
    const by = new Set<Rule>();
    let left = coming;
    if (overlapping.length > MOST_OVERLAPPING) return { left, by: [] };
    for (const { rule, box } of overlapping) {
      const rest = left.flatMap((one) => without(one, box, this.universe));
      if (rest.length > MOST_LEFT) break;
      if (rest.length !== left.length || rest.some((one, k) => one !== left[k])) by.add(rule);
      left = rest;
      if (left.length === 0) break;
    }
    return { left, by: [...by] };
  }

  private enter(rule: Rule, region: Region, takers: readonly Rule[]): void {
    const { target } = rule;
    if (target?.kind !== 'jump' && target?.kind !== 'goto') return;
    const { upper = EVERYTHING } = this.conditionOf(rule);
    const small = region.length > MOST_ENTRIES ? [upper] : region;
    const entry: Entry = { from: rule, region: small.map((box) => this.forgetful(box)), takers };
    const others = this.entries.get(target.chain);
    if (others === undefined) this.entries.set(target.chain, [entry]);
    else others.push(entry);
    const hooks = this.hooks.get(target.chain) ?? new Set();
    for (const hook of this.hooks.get(rule.chain) ?? []) hooks.add(hook);
    this.hooks.set(target.chain, hooks);
  }
}

/** Every chain before those that it jumps to. Rules make no circles (checkRuleset). */
function inOrderOfJumps(table: Table): Chain[] {
  const done = new Set<string>();
  const order: Chain[] = [];
  const path: { chain: Chain; next: number }[] = [];
  for (const first of table.chains.values()) {
    if (done.has(first.name)) continue;
    done.add(first.name);
    path.push({ chain: first, next: 0 });
    for (let step = path.at(-1); step !== undefined; step = path.at(-1)) {
      const rule = step.chain.rules[step.next++];
      if (rule === undefined) {
        order.push(step.chain);
        path.pop();
        continue;
      }
      const to = rule.target !== undefined && 'chain' in rule.target ? table.chains.get(rule.target.chain) : undefined;
      if (to === undefined || done.has(to.name)) continue;
      done.add(to.name);
      path.push({ chain: to, next: 0 });
    }
  }
  return order.reverse();
}
