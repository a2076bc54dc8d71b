/** Rules -> the listing that `iptables -t TABLE -L -n` prints, column for column (iptables 1.8.9). */
import type { Family } from '../host/types.js';
import { type CountersOf, ownCounters, printRest } from './print.js';
import { chainsInOrder } from './tables.js';
import type { AddressMatch, Chain, InterfaceMatch, Rule, Ruleset, Table, TableName } from './types.js';
import { listNetwork } from './values/addresses.js';

export interface ListOptions {
  /** `-v`: counters, options and interfaces too. */
  readonly verbose?: boolean;
  /** `-n`, which is the only way there is: names of hosts and services depend on the machine. */
  readonly numeric?: boolean;
  /** `-x`: counters in full instead of `2965K`. */
  readonly exact?: boolean;
  /** `--line-numbers`. */
  readonly lineNumbers?: boolean;
  /** Where counters come from; by default the ones the rules were read with. */
  readonly countersOf?: CountersOf;
  /** Only this chain. */
  readonly chain?: string;
}

interface Layout {
  readonly family: Family;
  readonly verbose: boolean;
  readonly exact: boolean;
  readonly lineNumbers: boolean;
  readonly countersOf: CountersOf;
}

/** The listing of a table, chains apart by a blank line; '' if the rule set has no such table. */
export function listChains(ruleset: Ruleset, tableName: TableName, options: ListOptions = {}): string {
  const table = ruleset.tables.get(tableName);
  if (table === undefined) return '';
  const layout: Layout = {
    family: ruleset.family,
    verbose: options.verbose ?? false,
    exact: options.exact ?? false,
    lineNumbers: options.lineNumbers ?? false,
    countersOf: options.countersOf ?? ownCounters(ruleset),
  };
  const references = countReferences(table);
  return chainsInOrder(table)
    .filter((chain) => options.chain === undefined || options.chain === chain.name)
    .map((chain) => listChain(chain, table.name, references.get(chain.name) ?? 0, layout))
    .join('\n');
}

function countReferences(table: Table): Map<string, number> {
  const references = new Map<string, number>();
  for (const chain of table.chains.values()) {
    for (const { target } of chain.rules) {
      if (target?.kind !== 'jump' && target?.kind !== 'goto') continue;
      references.set(target.chain, (references.get(target.chain) ?? 0) + 1);
    }
  }
  return references;
}

function listChain(chain: Chain, table: TableName, references: number, layout: Layout): string {
  let text = `Chain ${chain.name} (${describeChain(chain, table, references, layout)})\n${header(layout)}\n`;
  for (const rule of chain.rules) text += `${listRule(rule, layout)}\n`;
  return text;
}

function describeChain(chain: Chain, table: TableName, references: number, layout: Layout): string {
  if (chain.policy === undefined) return `${references} references`;
  if (!layout.verbose) return `policy ${chain.policy}`;
  const { packets, bytes } = layout.countersOf(table, chain.name, 'policy');
  const show = (value: number): string => scale(value, layout.exact).trim();
  return `policy ${chain.policy} ${show(packets)} packets, ${show(bytes)} bytes`;
}

function header({ verbose, exact, lineNumbers }: Layout): string {
  let text = lineNumbers ? 'num  ' : '';
  if (verbose) text += exact ? '    pkts      bytes ' : ' pkts bytes ';
  text += `${'target'.padEnd(9)}  prot opt`;
  if (verbose) text += ` ${'in'.padEnd(6)} ${'out'.padEnd(6)} `;
  return `${text} ${'source'.padEnd(19)}  ${'destination'.padEnd(19)} `;
}

/** A counter as iptables shows it: in full up to 99999, then in K, M, G, T of powers of 1000, rounded. */
export function scale(value: number, exact = false): string {
  if (exact) return String(value).padStart(8);
  if (value <= 99999) return String(value).padStart(5);
  let scaled = value;
  for (const unit of ['K', 'M', 'G']) {
    scaled = Math.floor((scaled + 500) / 1000);
    if (scaled <= 9999) return `${String(scaled).padStart(4)}${unit}`;
  }
  return `${String(Math.floor((scaled + 500) / 1000)).padStart(4)}T`;
}

function listRule(rule: Rule, layout: Layout): string {
  let text = layout.lineNumbers ? `${String(rule.number).padEnd(4)} ` : '';
  if (layout.verbose) {
    const { packets, bytes } = layout.countersOf(rule.table, rule.chain, rule.number);
    text += `${scale(packets, layout.exact)} ${scale(bytes, layout.exact)} `;
  }
  text += `${targetName(rule).padEnd(9)} `;
  text += `${rule.protocol?.negated === true ? '!' : ' '}${String(rule.protocol?.number ?? 0).padEnd(5)}`;
  text += fragmentColumn(rule);
  if (layout.verbose) text += ` ${interfaceColumn(rule.inInterface)} ${interfaceColumn(rule.outInterface)} `;
  text += addressColumn(rule.source, layout.family) + addressColumn(rule.destination, layout.family);
  return text + details(rule, layout.family);
}

function targetName({ target }: Rule): string {
  if (target === undefined) return '';
  if (target.kind === 'verdict') return target.verdict;
  return target.kind === 'extension' ? (target.extension.listName ?? target.extension.name) : target.chain;
}

function fragmentColumn({ fragment }: Rule): string {
  if (fragment === undefined) return '-- ';
  return fragment.negated ? '!f ' : '-f ';
}

function interfaceColumn(match: InterfaceMatch | undefined): string {
  return (match === undefined ? '*' : `${match.negated ? '!' : ''}${match.pattern}`).padEnd(6);
}

function addressColumn(match: AddressMatch | undefined, family: Family): string {
  if (match === undefined) return ` ${(family === 4 ? '0.0.0.0/0' : '::/0').padEnd(19)} `;
  return `${match.negated ? '!' : ' '}${listNetwork(family, match).padEnd(19)} `;
}

/** What stands behind the columns: `[goto]`, then each match's and the target's own text. */
function details(rule: Rule, family: Family): string {
  const { target } = rule;
  let text = target?.kind === 'goto' ? '[goto] ' : '';
  if (rule.unsupported) return `${text}${printRest(rule)} (not supported)`;
  for (const { extension, options } of rule.matches) text += spaced(extension.list(options, family));
  if (target?.kind === 'extension') text += spaced(target.extension.list(target.options, family));
  return text;
}

function spaced(text: string): string {
  return text === '' ? '' : ` ${text}`;
}
