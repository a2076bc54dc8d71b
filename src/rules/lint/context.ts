/** What the checks look at: rules, what packets get to them, and the host if it is stated. */
import type { Family, Host } from '../../host/types.js';
import type { Universe } from '../meaning/box.js';
import { type Reach, reachOf } from '../meaning/reach.js';
import { universeOf } from '../meaning/universe.js';
import type { BuiltinChain, Rule, Ruleset, TableName } from '../types.js';

export interface LintContext {
  readonly ruleset: Ruleset;
  readonly family: Family;
  /** Undefined: nothing is known of it. */
  readonly host: Host | undefined;
  readonly universe: Universe;
  readonly reaches: ReadonlyMap<TableName, Reach>;
  /** The text did not show interfaces, so that rules may be narrower than they look. */
  readonly bare: boolean;
}

export interface LintOptions {
  readonly host?: Host | undefined;
  readonly bare?: boolean | undefined;
}

export function contextOf(ruleset: Ruleset, { host, bare = false }: LintOptions): LintContext {
  const { family, tables } = ruleset;
  const reaches = new Map([...tables].map(([name, table]) => [name, reachOf(table, { family, bare })] as const));
  return { ruleset, family, host, universe: universeOf(family), reaches, bare };
}

/** Rules that packets may get to and match. */
export function* liveRules(reach: Reach | undefined): Generator<Rule> {
  for (const { rules } of reach?.table.chains.values() ?? [])
    for (const rule of rules) if (!reach?.dead.has(rule) && !rule.unsupported) yield rule;
}

export function* allRules({ tables }: Ruleset): Generator<Rule> {
  for (const { chains } of tables.values()) for (const { rules } of chains.values()) yield* rules;
}

/** Hooks that a rule's packets come from. */
export function hooksOf(rule: Rule, reach: Reach): ReadonlySet<BuiltinChain> {
  return reach.hooks.get(rule.chain) ?? new Set();
}
