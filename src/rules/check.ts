/**
 * What the kernel checks of a whole table when it is loaded (ip_tables.c: mark_source_chains): no loops that a packet
 * could get into, and every extension only in chains that its hooks lead to.
 */
import { NatreplayError } from '../errors.js';
import { TABLE_CHAINS } from './tables.js';
import type { BuiltinChain, Chain, Rule, Ruleset, Table } from './types.js';

export function checkRuleset(ruleset: Ruleset): void {
  for (const table of ruleset.tables.values()) {
    const jumps = jumpsOf(table);
    const reached = new Map<string, BuiltinChain[]>();
    for (const hook of TABLE_CHAINS[table.name]) walk(hook, table, jumps, ruleset, reached);
    checkHooks(table, ruleset, reached);
  }
}

/** A rule that leads to another chain. */
interface Jump {
  readonly rule: Rule;
  readonly to: Chain;
}

const NONE: readonly Jump[] = [];

/** By chain, in order; chains without any are left out. */
function jumpsOf(table: Table): ReadonlyMap<Chain, readonly Jump[]> {
  const jumps = new Map<Chain, Jump[]>();
  for (const chain of table.chains.values()) {
    let own: Jump[] | undefined;
    for (const rule of chain.rules) {
      const { target } = rule;
      const to = target?.kind === 'jump' || target?.kind === 'goto' ? table.chains.get(target.chain) : undefined;
      if (to === undefined) continue;
      own ??= [];
      own.push({ rule, to });
    }
    if (own !== undefined) jumps.set(chain, own);
  }
  return jumps;
}

interface Step {
  readonly chain: Chain;
  readonly jumps: readonly Jump[];
  next: number;
}

/** Depth first from a built-in chain, without recursion: chains may be thousands deep. */
function walk(
  hook: BuiltinChain,
  table: Table,
  jumps: ReadonlyMap<Chain, readonly Jump[]>,
  ruleset: Ruleset,
  reached: Map<string, BuiltinChain[]>,
): void {
  const start = table.chains.get(hook);
  if (start === undefined) return;
  const done = new Set<Chain>();
  const open = new Set<Chain>([start]);
  const path: Step[] = [{ chain: start, jumps: jumps.get(start) ?? NONE, next: 0 }];
  for (let step = path.at(-1); step !== undefined; step = path.at(-1)) {
    const jump = step.jumps[step.next++];
    if (jump === undefined) {
      path.pop();
      open.delete(step.chain);
      done.add(step.chain);
      const hooks = reached.get(step.chain.name);
      if (hooks === undefined) reached.set(step.chain.name, [hook]);
      else hooks.push(hook);
      continue;
    }
    const { rule, to } = jump;
    if (done.has(to)) continue;
    if (open.has(to)) loop(path, rule, to.name, ruleset);
    open.add(to);
    path.push({ chain: to, jumps: jumps.get(to) ?? NONE, next: 0 });
  }
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
    const hooks = reached.get(chain.name);
    if (hooks === undefined) continue;
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
