/** Random rule sets over every match and target, on every table and hook, about the things of a world. */
import type { SeededRandom } from '../random.js';
import { CONDITIONS, type Condition } from './conditions.js';
import { targetFor } from './targets.js';
import type { World } from './world.js';

export type Hook = 'PREROUTING' | 'INPUT' | 'FORWARD' | 'OUTPUT' | 'POSTROUTING';
export type TableName = 'raw' | 'mangle' | 'nat' | 'filter';

/** Rules as lists, so that some can be left out. */
export interface RuleSet {
  readonly tables: readonly RuleTable[];
}

export interface RuleTable {
  readonly name: TableName;
  readonly chains: readonly RuleChain[];
}

export interface RuleChain {
  readonly name: string;
  /** `-` for a user-defined chain. */
  readonly policy: 'ACCEPT' | 'DROP' | '-';
  /** Without `-A CHAIN`. */
  readonly rules: readonly string[];
}

/** What a rule is being made for. */
export interface Place {
  readonly world: World;
  readonly table: TableName;
  /** Of a user-defined chain: the one whose packets it may get. */
  readonly hook: Hook;
  readonly userDefined: boolean;
  /** Chains that it may jump to. */
  readonly below: readonly string[];
}

const HOOKS: Readonly<Record<TableName, readonly Hook[]>> = {
  raw: ['PREROUTING', 'OUTPUT'],
  mangle: ['PREROUTING', 'INPUT', 'FORWARD', 'OUTPUT', 'POSTROUTING'],
  nat: ['PREROUTING', 'INPUT', 'OUTPUT', 'POSTROUTING'],
  filter: ['INPUT', 'FORWARD', 'OUTPUT'],
};

/** `output`: with rules for what the host sends, which nothing else meets. */
export function randomRules(random: SeededRandom, world: World, output: boolean): RuleSet {
  const presence: readonly (readonly [TableName, number])[] = [
    ['raw', 0.4],
    ['mangle', 0.5],
    ['nat', 0.9],
    ['filter', 0.7],
  ];
  const names = presence.filter(([, chance]) => random.chance(chance)).map(([name]) => name);
  return {
    tables: (names.length === 0 ? ['filter' as const] : names).map((name) => randomTable(random, world, name, output)),
  };
}

function randomTable(random: SeededRandom, world: World, table: TableName, output: boolean): RuleTable {
  const builtin: RuleChain[] = [];
  const user: RuleChain[] = [];
  for (const hook of HOOKS[table]) {
    const below: string[] = [];
    const hasRules = output || hook !== 'OUTPUT';
    // From the bottom up, so that every chain knows the ones it may jump to and no loop can come about.
    for (let depth = random.below(3); depth > 0 && hasRules; depth--) {
      const name = `${hook.slice(0, 3)}-${table}-${depth}`;
      const place: Place = { world, table, hook, userDefined: true, below: [...below] };
      user.push({ name, policy: '-', rules: someRules(random, place, 4) });
      below.push(name);
    }
    const place: Place = { world, table, hook, userDefined: false, below };
    const dropping = random.chance(table === 'filter' ? 0.12 : table === 'nat' ? 0.02 : 0.03);
    const rules = !hasRules ? [] : someRules(random, place, table === 'nat' ? 6 : 5);
    builtin.push({ name: hook, policy: dropping ? 'DROP' : 'ACCEPT', rules });
  }
  return { name: table, chains: [...builtin, ...user] };
}

function someRules(random: SeededRandom, place: Place, most: number): string[] {
  return Array.from({ length: random.below(most + 1) }, () => randomRule(random, place));
}

/** Conditions that may stand together: an option at most once, one protocol. */
function randomRule(random: SeededRandom, place: Place): string {
  const target = targetFor(random, place);
  const chosen: Condition[] = [];
  for (let n = [0, 0, 1, 1, 1, 2, 2, 3][random.below(8)] ?? 1; n > 0; n--) {
    const maker = random.pick(CONDITIONS);
    const condition = maker(random, place, target.protocol);
    if (condition === undefined || chosen.some((other) => other.kind === condition.kind)) continue;
    const protocols = [target, ...chosen].flatMap((part) => part.protocol ?? []);
    if (condition.protocol !== undefined && protocols.some((p) => p !== condition.protocol)) continue;
    chosen.push(condition);
  }
  const protocol = [target, ...chosen].find((part) => part.protocol !== undefined)?.protocol;
  const first = protocol === undefined ? [] : [protocol.replace(/^(! )?/, '$1-p ')];
  return [...first, ...chosen.map(({ text }) => text), target.text].filter((part) => part !== '').join(' ');
}

/** As iptables-restore reads it. */
export function rulesText({ tables }: RuleSet): string {
  return tables
    .map(({ name, chains }) => {
      const declared = chains.map((chain) => `:${chain.name} ${chain.policy} [0:0]`);
      const rules = chains.flatMap((chain) => chain.rules.map((rule) => `-A ${chain.name} ${rule}`.trim()));
      return `${[`*${name}`, ...declared, ...rules, 'COMMIT'].join('\n')}\n`;
    })
    .join('');
}
