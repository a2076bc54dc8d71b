/** Tables being filled as the Docker daemon fills them: with `iptables -A` and `-I`, never the same rule twice in a chain. */
import type { Family } from '../../host/types.js';
import { TABLE_CHAINS } from '../tables.js';
import type { Policy, TableName } from '../types.js';

/** A rule in the parts that Docker uses. `!` in front negates. */
export interface RuleParts {
  readonly source?: string | undefined;
  readonly destination?: string | undefined;
  readonly in?: string | undefined;
  readonly out?: string | undefined;
  readonly protocol?: string | undefined;
  /** What stands between protocol and target, as iptables-save prints it. */
  readonly match?: string | undefined;
  readonly target: string;
}

/** The tables Docker writes to, as its documentation of them goes. */
const TABLES = ['raw', 'mangle', 'filter', 'nat'] as const satisfies readonly TableName[];
type DockerTable = (typeof TABLES)[number];

interface Chain {
  policy: Policy | undefined;
  rules: string[];
  readonly known: Set<string>;
}

export class RuleBook {
  readonly #tables = new Map<DockerTable, Map<string, Chain>>();

  constructor(readonly family: Family) {}

  policy(table: DockerTable, chain: string, policy: Policy): void {
    this.#chain(table, chain).policy = policy;
  }

  /** Makes the table where nothing is in it yet, and the chain. */
  chain(table: DockerTable, name: string): void {
    this.#chain(table, name);
  }

  append(table: DockerTable, chain: string, parts: RuleParts): void {
    const { rules, known } = this.#chain(table, chain);
    const text = ruleText(parts);
    if (known.has(text)) return;
    known.add(text);
    rules.push(text);
  }

  /** To the head of the chain. */
  insert(table: DockerTable, chain: string, parts: RuleParts): void {
    const { rules, known } = this.#chain(table, chain);
    const text = ruleText(parts);
    if (known.has(text)) return;
    known.add(text);
    rules.unshift(text);
  }

  /** To the head of the chain, from wherever it was. */
  moveToHead(table: DockerTable, chain: string, parts: RuleParts): void {
    const found = this.#chain(table, chain);
    const text = ruleText(parts);
    found.rules = [text, ...found.rules.filter((rule) => rule !== text)];
    found.known.add(text);
  }

  /** iptables-save text: chains of one's own by name, as iptables sorts them. */
  toString(): string {
    const lines: string[] = [];
    for (const name of TABLES) {
      const table = this.#tables.get(name);
      if (table === undefined) continue;
      const builtin: readonly string[] = TABLE_CHAINS[name];
      const own = [...table.keys()].filter((chain) => !builtin.includes(chain)).sort();
      const chains = [...builtin, ...own].map((chain) => [chain, this.#chain(name, chain)] as const);
      lines.push(`*${name}`);
      for (const [chain, { policy }] of chains) {
        lines.push(`:${chain} ${builtin.includes(chain) ? (policy ?? 'ACCEPT') : '-'} [0:0]`);
      }
      for (const [chain, { rules }] of chains) for (const rule of rules) lines.push(`-A ${chain}${rule}`);
      lines.push('COMMIT');
    }
    return lines.map((line) => `${line}\n`).join('');
  }

  #chain(table: DockerTable, name: string): Chain {
    const chains = this.#tables.get(table) ?? new Map<string, Chain>();
    this.#tables.set(table, chains);
    const chain = chains.get(name) ?? { policy: undefined, rules: [], known: new Set() };
    chains.set(name, chain);
    return chain;
  }
}

function ruleText({ source, destination, in: input, out, protocol, match, target }: RuleParts): string {
  return (
    option('-s', source) +
    option('-d', destination) +
    option('-i', input) +
    option('-o', out) +
    option('-p', protocol) +
    (match === undefined ? '' : ` ${match}`) +
    ` -j ${target}`
  );
}

function option(name: string, value: string | undefined): string {
  if (value === undefined) return '';
  return value.startsWith('!') ? ` ! ${name} ${value.slice(1)}` : ` ${name} ${value}`;
}

/** `172.17.0.2` as iptables-save prints a single address. */
export const oneAddress = (address: string, family: Family): string => `${address}/${family === 4 ? 32 : 128}`;

export const not = (value: string): string => `!${value}`;

/** What a published port is translated to. */
export const dnatTarget = (address: string, port: number, family: Family): string =>
  `DNAT --to-destination ${family === 4 ? address : `[${address}]`}:${port}`;

export const LOOPBACK = { 4: '127.0.0.0/8', 6: '::1/128' } as const;
