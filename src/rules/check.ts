/**
 * What the kernel checks of a whole table when it is loaded (ip_tables.c: mark_source_chains): no loops that a packet
 * could get into, and every extension only in chains that its hooks lead to.
 */
import { NatreplayError } from '../errors.js';
import { TABLE_CHAINS } from './tables.js';
import type { BuiltinChain, Chain, Rule, Ruleset, Table } from './types.js';

export function checkRuleset(ruleset: Ruleset): void {
  for (const table of ruleset.tables.values()) {
    const reached = new Map<string, BuiltinChain[]>();
    for (const hook of TABLE_CHAINS[table.name]) walk(hook, table, ruleset, reached);
    checkHooks(table, ruleset, reached);
  }
}

interface Step {
  readonly chain: Chain;
  next: number;
}

/** Depth first from a built-in chain, without recursion: chains may be thousands deep. */
function walk(hook: BuiltinChain, table: Table, ruleset: Ruleset, reached: Map<string, BuiltinChain[]>): void {
  const start = table.chains.get(hook);
  if (start === undefined) return;
  const done = new Set<string>();
  const open = new Set<string>([hook]);
  const path: Step[] = [{ chain: start, next: 0 }];
  for (let step = path.at(-1); step !== undefined; step = path.at(-1)) {
    const rule = step.chain.rules[step.next++];
    if (rule === undefined) {
      path.pop();
      open.delete(step.chain.name);
      done.add(step.chain.name);
      const hooks = reached.get(step.chain.name) ?? [];
      hooks.push(hook);
      reached.set(step.chain.name, hooks);
      continue;
    }
    const to = destinationOf(rule, table);
    if (to === undefined || done.has(to.name)) continue;
    if (open.has(to.name)) loop(path, rule, to.name, ruleset);
    open.add(to.name);
    path.push({ chain: to, next: 0 });
  }
}

function destinationOf(rule: Rule, table: Table): Chain | undefined {
  const { target } = rule;
  return target?.kind === 'jump' || target?.kind === 'goto' ? table.chains.get(target.chain) : undefined;
}

function loop(path: readonly Step[], rule: Rule, back: string, ruleset: Ruleset): never {
  const names = path.map((step) => step.chain.name);
  const circle = [...names.slice(names.indexOf(back)), back];
  const shown = circle.length > 12 ? [...circle.slice(0, 6), '...', ...circle.slice(-5)] : circle;
  throw new NatreplayError(
    'RULES_CHAIN_LOOP',
    `chains of table ${rule.table} go round in a circle: ${shown.join(' -> ')}`,
    {
      file: ruleset.file,
      line: rule.line,
      column: 1,
      advice: 'the kernel refuses such a table; take one of these jumps out',
    },
  );
}

function checkHooks(table: Table, ruleset: Ruleset, reached: ReadonlyMap<string, readonly BuiltinChain[]>): void {
  for (const chain of table.chains.values()) {
    const hooks = reached.get(chain.name) ?? [];
    for (const rule of chain.rules) {
      for (const use of rule.matches) checkUse(use, rule, hooks, ruleset);
      if (rule.target?.kind === 'extension') checkUse(rule.target, rule, hooks, ruleset);
    }
  }
}

interface Use {
  readonly extension: {
    readonly kind: string;
    readonly name: string;
    readonly hooks?: readonly BuiltinChain[];
    usableIn?(options: unknown): readonly BuiltinChain[] | undefined;
  };
  readonly options: unknown;
}

function checkUse(use: Use, rule: Rule, hooks: readonly BuiltinChain[], ruleset: Ruleset): void {
  const { extension, options } = use;
  const allowed = extension.usableIn?.(options) ?? extension.hooks;
  if (allowed === undefined) return;
  const wrong = hooks.find((hook) => !allowed.includes(hook));
  if (wrong === undefined) return;
  const through = rule.chain === wrong ? '' : ` (chain ${rule.chain} is reached from there)`;
  throw new NatreplayError(
    'RULES_WRONG_CHAIN',
    `${extension.kind} ${extension.name} is not allowed in ${wrong}${through}`,
    {
      file: ruleset.file,
      line: rule.line,
      column: 1,
      advice: `it works in ${allowed.join(', ')}`,
    },
  );
}
