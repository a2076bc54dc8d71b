/** What differs in meaning between two rule sets. */
import type { Family } from '../../host/types.js';
import { targetText } from '../lint/dead.js';
import { type Reach, reachOf } from '../meaning/reach.js';
import { chainsInOrder, isBuiltin, TABLE_CHAINS, TABLE_NAMES } from '../tables.js';
import type { Chain, Policy, Rule, Ruleset, Table, TableName } from '../types.js';
import { commentOf, type KeyOptions, keyOf } from './key.js';
import { longestAscending, mattering } from './order.js';

/**
 * `moved` and `matters: false`: the order is another, and it can be shown that it means the same. `matters: false` of others:
 * no packet can match the rule.
 */
export type Change =
  | { readonly kind: 'removed'; readonly a: Rule; readonly matters: boolean }
  | { readonly kind: 'added'; readonly b: Rule; readonly matters: boolean }
  | { readonly kind: 'changed'; readonly a: Rule; readonly b: Rule; readonly matters: boolean }
  | { readonly kind: 'moved'; readonly a: Rule; readonly b: Rule; readonly matters: boolean };

export interface ChainDifference {
  readonly table: TableName;
  readonly chain: string;
  readonly there: 'both' | 'a' | 'b';
  /** Where the policies differ. */
  readonly policy: { readonly a: Policy; readonly b: Policy } | undefined;
  /** In the order of `a`, what was added where it stands. */
  readonly changes: readonly Change[];
  /** False: no packet gets to it on either side. */
  readonly reached: boolean;
}

export interface RulesDifference {
  readonly family: Family;
  readonly same: boolean;
  /** Chains that differ, whether or not it matters. */
  readonly chains: readonly ChainDifference[];
  /** Rules that mean the same on both sides, and have other comments, other counters. */
  readonly comments: number;
  readonly counters: number;
}

export interface DiffOptions extends KeyOptions {
  /** The text did not show interfaces. */
  readonly bare: boolean;
}

export function diffRules(a: Ruleset, b: Ruleset, options: DiffOptions): RulesDifference {
  const { family } = a;
  const totals = { comments: 0, counters: 0 };
  const chains = TABLE_NAMES.filter((name) => a.tables.has(name) || b.tables.has(name)).flatMap((name) => {
    const [left, right] = [a, b].map(({ tables }) =>
      reachOf(tables.get(name) ?? emptyTable(name), { family, bare: options.bare }),
    );
    return left === undefined || right === undefined ? [] : diffTable(left, right, options, totals);
  });
  return { family, same: !chains.some(differs), chains, ...totals };
}

/** Whether a chain means something else. */
export function differs({ policy, changes, reached }: ChainDifference): boolean {
  return policy !== undefined || (reached && changes.some(({ matters }) => matters));
}

/** What a table is that nobody loaded: everything passes. */
function emptyTable(name: TableName): Table {
  const chains = TABLE_CHAINS[name].map((chain): [string, Chain] => [
    chain,
    { name: chain, policy: 'ACCEPT', packets: 0, bytes: 0, rules: [], line: 0 },
  ]);
  return { name, chains: new Map(chains) };
}

interface Totals {
  comments: number;
  counters: number;
}

function diffTable(a: Reach, b: Reach, options: DiffOptions, totals: Totals): ChainDifference[] {
  const names = new Set([...chainsInOrder(a.table), ...chainsInOrder(b.table)].map(({ name }) => name));
  return [...names].flatMap((name): ChainDifference[] => {
    const [left, right] = [a.table.chains.get(name), b.table.chains.get(name)];
    const changes = diffChain(left?.rules ?? [], right?.rules ?? [], a, b, options, totals);
    const policies = { a: left?.policy ?? 'ACCEPT', b: right?.policy ?? 'ACCEPT' };
    const policy = isBuiltin(a.table.name, name) && policies.a !== policies.b ? policies : undefined;
    const there = left === undefined ? 'b' : right === undefined ? 'a' : 'both';
    if (changes.length === 0 && policy === undefined && there === 'both') return [];
    const reached = a.entries.has(name) || b.entries.has(name);
    return [{ table: a.table.name, chain: name, there, policy, changes, reached }];
  });
}

/** A rule, its key, and whether it may match at all. */
interface Keyed {
  readonly rule: Rule;
  readonly key: string;
  readonly live: boolean;
}

function keyed(rules: readonly Rule[], reach: Reach, options: KeyOptions): Keyed[] {
  return rules.flatMap((rule): Keyed[] => {
    const condition = reach.conditions.get(rule);
    if (condition === undefined) return [];
    return [{ rule, key: keyOf(rule, condition, reach.family, options), live: mayDoSomething(rule, reach) }];
  });
}

/** What never matches may count yet what it is asked about; and a chain that nothing gets to is compared as if it did. */
function mayDoSomething(rule: Rule, reach: Reach): boolean {
  const dead = reach.dead.get(rule);
  if (dead === undefined || dead.kind === 'unreached') return true;
  return dead.kind !== 'behind' && (reach.conditions.get(rule)?.unsteady.length ?? 0) > 0;
}

function diffChain(
  left: readonly Rule[],
  right: readonly Rule[],
  a: Reach,
  b: Reach,
  options: KeyOptions,
  totals: Totals,
): Change[] {
  const [from, to] = [keyed(left, a, options), keyed(right, b, options)];
  const pairs = pairUp(
    from.filter(({ live }) => live),
    to.filter(({ live }) => live),
  );
  countUnlike(pairs, a.family, totals);
  const places = pairs.map(({ b: rule }) => rule.number);
  const kept = longestAscending(places);
  const moved = new Set(pairs.map((_, k) => k).filter((k) => !kept.has(k)));
  const matter = mattering(
    pairs.map(({ a: rule }) => rule),
    places,
    moved,
    a,
  );
  const paired = new Map(pairs.map((pair, k) => [pair.a, { pair, moved: moved.has(k), matters: matter.has(k) }]));
  const known = new Set(pairs.map(({ b: rule }) => rule));
  return inOrder(from, to, paired, known, a.family);
}

interface Pair {
  readonly a: Rule;
  readonly b: Rule;
}

/** The first of a key with the first, the second with the second; in the order of `from`. */
function pairUp(from: readonly Keyed[], to: readonly Keyed[]): Pair[] {
  const waiting = new Map<string, Rule[]>();
  for (const { key, rule } of to) {
    const rules = waiting.get(key);
    if (rules === undefined) waiting.set(key, [rule]);
    else rules.push(rule);
  }
  for (const rules of waiting.values()) rules.reverse();
  return from.flatMap(({ key, rule }) => {
    const other = waiting.get(key)?.pop();
    return other === undefined ? [] : [{ a: rule, b: other }];
  });
}

function countUnlike(pairs: readonly Pair[], family: Family, totals: Totals): void {
  for (const { a, b } of pairs) {
    if (commentOf(a, family) !== commentOf(b, family)) totals.comments++;
    if (a.packets !== b.packets || a.bytes !== b.bytes) totals.counters++;
  }
}

type Paired = ReadonlyMap<Rule, { readonly pair: Pair; readonly moved: boolean; readonly matters: boolean }>;

/** Removed and added rules between the same rules that stayed: as many as are alike have changed. */
function inOrder(
  from: readonly Keyed[],
  to: readonly Keyed[],
  paired: Paired,
  known: ReadonlySet<Rule>,
  family: Family,
): Change[] {
  const changes: Change[] = [];
  let gone: Keyed[] = [];
  let at = 0;
  const flush = (until: Rule | undefined): void => {
    const come: Keyed[] = [];
    for (; at < to.length && to[at]?.rule !== until; at++) {
      const next = to[at];
      if (next !== undefined && !known.has(next.rule)) come.push(next);
    }
    changes.push(...exchanged(gone, come, family));
    gone = [];
  };
  for (const one of from) {
    const found = paired.get(one.rule);
    if (found === undefined) gone.push(one);
    else if (found.moved) changes.push({ kind: 'moved', ...found.pair, matters: found.matters });
    else flush(found.pair.b);
  }
  flush(undefined);
  return changes;
}

function exchanged(gone: readonly Keyed[], come: readonly Keyed[], family: Family): Change[] {
  const left = [...come];
  const changes = gone.map(({ rule: a, live }): Change => {
    const k = left.findIndex(({ rule: b, live: other }) => live === other && areAlike(a, b, family));
    const [found] = k < 0 ? [] : left.splice(k, 1);
    if (found === undefined) return { kind: 'removed', a, matters: live };
    return { kind: 'changed', a, b: found.rule, matters: live };
  });
  const added = left.map(({ rule: b, live }): Change => ({ kind: 'added', b, matters: live }));
  // A rule without effect that is on both sides is no change at all.
  return [...changes, ...added].filter(
    (change) => change.kind !== 'changed' || change.matters || !areSame(change.a, change.b, family),
  );
}

function areAlike(a: Rule, b: Rule, family: Family): boolean {
  return targetText(a, family) === targetText(b, family) || conditionText(a, family) === conditionText(b, family);
}

function areSame(a: Rule, b: Rule, family: Family): boolean {
  return targetText(a, family) === targetText(b, family) && conditionText(a, family) === conditionText(b, family);
}

function conditionText(rule: Rule, family: Family): string {
  const { source, destination, protocol, inInterface, outInterface, fragment, matches } = rule;
  const words = [source, destination].map((match) => match && [match.negated, match.address.join(), match.mask.join()]);
  const rest = matches
    .filter(({ extension }) => extension.name !== 'comment')
    .map(({ extension, options }) => extension.name + extension.print(options, family));
  return JSON.stringify([words, protocol, inInterface, outInterface, fragment, rest.sort()]);
}
