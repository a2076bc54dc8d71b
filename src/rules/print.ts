/** Rules -> iptables-save text, as iptables 1.8.9 prints it: canonical addresses, option order, quoting, `!` placement. */
import type { Family } from '../host/types.js';
import type { Token } from './extension.js';
import { chainsInOrder } from './tables.js';
import type { AddressMatch, InterfaceMatch, Rule, Ruleset, Table } from './types.js';
import { formatNetwork } from './values/addresses.js';
import { protocolName } from './values/protocols.js';

export interface Counted {
  readonly packets: number;
  readonly bytes: number;
}

/** Counters of a rule (by its number) or of a chain's policy. */
export type CountersOf = (table: string, chain: string, rule: number | 'policy') => Counted;

export interface PrintOptions {
  /** Put `[packets:bytes]` before every rule, as `iptables-save -c` does. Policies always have theirs. */
  readonly counters?: boolean;
  /** Where counters come from; by default the ones the rules were read with. */
  readonly countersOf?: CountersOf;
}

/**
 * The whole rule set, tables in the file's order, without the comment lines that iptables-save puts around them (which
 * name the time of day). Two things iptables loses are kept: a mask with gaps in `--ctorigsrc`, and `! -i +`.
 */
export function printRules(ruleset: Ruleset, options: PrintOptions = {}): string {
  const countersOf = options.countersOf ?? ownCounters(ruleset);
  const lines: string[] = [];
  for (const table of ruleset.tables.values()) {
    lines.push(`*${table.name}`);
    printTable(table, ruleset.family, options.counters ?? false, countersOf, lines);
    lines.push('COMMIT');
  }
  return lines.length === 0 ? '' : `${lines.join('\n')}\n`;
}

/** The counters that stand in the rules themselves. */
export function ownCounters(ruleset: Ruleset): CountersOf {
  return (table, chain, rule) => {
    for (const candidate of ruleset.tables.values()) {
      const found = candidate.name === table ? candidate.chains.get(chain) : undefined;
      const counted = rule === 'policy' ? found : found?.rules[rule - 1];
      if (counted !== undefined) return counted;
    }
    return { packets: 0, bytes: 0 };
  };
}

function printTable(table: Table, family: Family, counters: boolean, countersOf: CountersOf, lines: string[]): void {
  const chains = chainsInOrder(table);
  for (const chain of chains) {
    const { packets, bytes } = countersOf(table.name, chain.name, 'policy');
    lines.push(`:${chain.name} ${chain.policy ?? '-'} [${packets}:${bytes}]`);
  }
  for (const chain of chains) {
    for (const rule of chain.rules) {
      const text = printRule(rule, family);
      if (!counters) lines.push(text);
      else {
        const { packets, bytes } = countersOf(table.name, chain.name, rule.number);
        lines.push(`[${packets}:${bytes}] ${text}`);
      }
    }
  }
}

/** `-A CHAIN ...`; what is not supported is printed as it was written. `counted`: with `-c` as `iptables -S -v` has it. */
export function printRule(rule: Rule, family: Family, counted?: Counted): string {
  const fixed = printFixedPart(rule, family);
  const counters = counted === undefined ? '' : ` -c ${counted.packets} ${counted.bytes}`;
  if (rule.unsupported) return `-A ${rule.chain}${fixed}${counters}${printRest(rule)}`;
  let text = `-A ${rule.chain}${fixed}`;
  for (const { extension, options } of rule.matches) {
    text += ` -m ${extension.name}${extension.print(options, family)}`;
  }
  text += counters;
  const { target } = rule;
  if (target === undefined) return text;
  if (target.kind === 'verdict') return `${text} -j ${target.verdict}`;
  if (target.kind === 'extension') {
    return `${text} -j ${target.extension.name}${target.extension.print(target.options, family)}`;
  }
  return `${text} ${target.kind === 'jump' ? '-j' : '-g'} ${target.chain}`;
}

/**
 * A table as `iptables -S` prints it: policies, the chains of one's own, rules. With `counters` as with `-v`; with `chain`
 * only that one. Counters are the ones the rules were read with.
 */
export function printCommands(
  { name, chains }: Table,
  family: Family,
  options: { readonly counters?: boolean; readonly chain?: string | undefined } = {},
): string {
  const shown = chainsInOrder({ name, chains }).filter(
    (chain) => options.chain === undefined || chain.name === options.chain,
  );
  const lines = shown.map(({ name: chain, policy, packets, bytes }) => {
    if (policy === undefined) return `-N ${chain}`;
    return `-P ${chain} ${policy}${options.counters === true ? ` -c ${packets} ${bytes}` : ''}`;
  });
  for (const { rules } of shown)
    for (const rule of rules) lines.push(printRule(rule, family, options.counters === true ? rule : undefined));
  return lines.map((line) => `${line}\n`).join('');
}

function printFixedPart(rule: Rule, family: Family): string {
  let text = printAddress('-s', rule.source, family) + printAddress('-d', rule.destination, family);
  text += printInterface('-i', rule.inInterface) + printInterface('-o', rule.outInterface);
  if (rule.protocol !== undefined) text += `${not(rule.protocol)} -p ${protocolName(rule.protocol.number)}`;
  if (rule.fragment !== undefined) text += `${not(rule.fragment)} -f`;
  return text;
}

function not({ negated }: { readonly negated: boolean }): string {
  return negated ? ' !' : '';
}

function printAddress(option: string, match: AddressMatch | undefined, family: Family): string {
  return match === undefined ? '' : `${not(match)} ${option} ${formatNetwork(family, match)}`;
}

function printInterface(option: string, match: InterfaceMatch | undefined): string {
  return match === undefined ? '' : `${not(match)} ${option} ${match.pattern}`;
}

/** The words of an unsupported rule that are not of the fixed part. */
export function printRest({ rest = [] }: Rule): string {
  return rest.map((word) => ` ${printWord(word)}`).join('');
}

function printWord({ text, quoted }: Token): string {
  return quoted || text === '' ? `"${text.replace(/["\\]/g, '\\$&')}"` : text;
}
