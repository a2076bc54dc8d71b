/** Rules -> the listing that `iptables -t TABLE -L` prints, column for column (iptables 1.8.9, legacy and nft alike). */
import type { Family } from '../host/types.js';
import { type CountersOf, ownCounters, printRest } from './print.js';
import { chainsInOrder } from './tables.js';
import type { AddressMatch, Chain, InterfaceMatch, Rule, Ruleset, Table, TableName } from './types.js';
import { listNetwork } from './values/addresses.js';
import { nameNetwork } from './values/hostnames.js';
import { protocolName } from './values/protocols.js';

export interface ListOptions {
  /** `-v`: counters, options and interfaces too. */
  readonly verbose?: boolean;
  /** `-n`: numbers; the default. False: names where they are known (services, protocols, networks, but no hosts). */
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
  readonly numeric: boolean;
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
    numeric: options.numeric ?? true,
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
  text += `${rule.protocol?.negated === true ? '!' : ' '}${protocolColumn(rule, layout).padEnd(4)} `;
  text += fragmentColumn(rule);
  if (layout.verbose)
    text += ` ${interfaceColumn(rule.inInterface, layout)} ${interfaceColumn(rule.outInterface, layout)} `;
  text += addressColumn(rule.source, layout) + addressColumn(rule.destination, layout);
  return text + details(rule, layout);
}

function targetName({ target }: Rule): string {
  if (target === undefined) return '';
  if (target.kind === 'verdict') return target.verdict;
  return target.kind === 'extension' ? (target.extension.listName ?? target.extension.name) : target.chain;
}

/** Of `-p`, but 0 where it is negated: such a rule has no ports to name. */
function positiveProtocol({ protocol }: Rule): number {
  return protocol === undefined || protocol.negated ? 0 : protocol.number;
}

function protocolColumn({ protocol }: Rule, { numeric }: Layout): string {
  const number = protocol?.number ?? 0;
  return numeric ? String(number) : protocolName(number);
}

function fragmentColumn({ fragment }: Rule): string {
  if (fragment === undefined) return '-- ';
  return fragment.negated ? '!f ' : '-f ';
}

function interfaceColumn(match: InterfaceMatch | undefined, { numeric }: Layout): string {
  const every = numeric ? '*' : 'any';
  return (match === undefined ? every : `${match.negated ? '!' : ''}${match.pattern}`).padEnd(6);
}

function addressColumn(match: AddressMatch | undefined, { family, numeric }: Layout): string {
  const every = family === 4 ? '0.0.0.0/0' : '::/0';
  if (match === undefined) return ` ${(numeric ? every : 'anywhere').padEnd(19)} `;
  const text = numeric ? listNetwork(family, match) : nameNetwork(family, match);
  return `${match.negated ? '!' : ' '}${text.padEnd(19)} `;
}

/** What stands behind the columns: `[goto]`, then each match's and the target's own text. */
function details(rule: Rule, { family, numeric }: Layout): string {
  const { target } = rule;
  let text = target?.kind === 'goto' ? '[goto] ' : '';
  if (rule.unsupported) return `${text}${printRest(rule)} (not supported)`;
  const names = numeric ? undefined : { protocol: positiveProtocol(rule) };
  for (const { extension, options } of rule.matches) {
    const words = extension.list(options, family, names);
    text += extension.listsTight === true ? words : spaced(words);
  }
  if (target?.kind === 'extension') text += spaced(target.extension.list(target.options, family, names));
  return text;
}

function spaced(text: string): string {
  return text === '' ? '' : ` ${text}`;
}
