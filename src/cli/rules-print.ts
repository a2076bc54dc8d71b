/** `natreplay rules print`: the rules as iptables-save, iptables -S or iptables -L would print them. */
import { NatreplayError, printable } from '../errors.js';
import { listChains } from '../rules/list.js';
import { warningText } from '../rules/listing/warning.js';
import { readRules, statedFamily } from '../rules/load.js';
import { didYouMean } from '../rules/nearest.js';
import { printCommands, printRules } from '../rules/print.js';
import type { Ruleset, Table, TableName } from '../rules/types.js';
import { readText } from './inputs.js';
import type { RulesPrintOptions } from './rules.js';

/** Prints to standard output, warnings to standard error. Throws NatreplayError. */
export async function printRulesOf(file: string, chain: string | undefined, options: RulesPrintOptions): Promise<void> {
  checkFormat(chain, options);
  const text = readText(file);
  const family = options.ipv6 === true ? 6 : (statedFamily(text) ?? 4);
  const { unsupported, table } = options;
  const { ruleset, warnings } = readRules(text, {
    file,
    family,
    unsupported: unsupported === 'stop' ? 'keep' : unsupported,
    table,
  });
  for (const warning of warnings) process.stderr.write(`natreplay: warning: ${printable(warningText(warning))}\n`);
  const printed = format(chosen(ruleset, table), chain, options);
  process.stdout.write(process.stdout.isTTY ? printed.split('\n').map(printable).join('\n') : printed);
}

function checkFormat(chain: string | undefined, { format, ...options }: RulesPrintOptions): void {
  const wrong: (readonly [given: boolean | undefined, name: string, formats: readonly string[]])[] = [
    [options.counters, '--counters', ['save']],
    [options.verbose, '--verbose', ['list', 'commands']],
    [options.numeric, '--numeric', ['list']],
    [options.exact, '--exact', ['list']],
    [options.lineNumbers, '--line-numbers', ['list']],
    [chain !== undefined, 'the name of a chain', ['list', 'commands']],
  ];
  for (const [given, name, formats] of wrong) {
    if (given !== true || formats.includes(format)) continue;
    throw new NatreplayError(
      'USAGE_FORMAT',
      `${name} is for ${formats.map((each) => `--format ${each}`).join(' and ')}`,
      {
        advice: `leave it out, or add --format ${formats[0]}`,
      },
    );
  }
}

function chosen(ruleset: Ruleset, name: TableName | undefined): Ruleset {
  if (name === undefined) return ruleset;
  const table = ruleset.tables.get(name);
  if (table !== undefined) return { ...ruleset, tables: new Map([[name, table]]) };
  throw new NatreplayError('RULES_NO_TABLE', `there is no table ${name} in it`, {
    file: ruleset.file,
    advice: `it has ${[...ruleset.tables.keys()].join(', ')}`,
  });
}

function format(ruleset: Ruleset, chain: string | undefined, options: RulesPrintOptions): string {
  if (options.format === 'save') return printRules(ruleset, { counters: options.counters ?? false });
  const tables = [...ruleset.tables.values()].filter((table) => chain === undefined || table.chains.has(chain));
  if (chain !== undefined && tables.length === 0) noChain(chain, ruleset);
  const one = (table: Table): string =>
    options.format === 'commands'
      ? printCommands(table, ruleset.family, { counters: options.verbose ?? false, chain })
      : listChains(ruleset, table.name, {
          verbose: options.verbose ?? false,
          numeric: options.numeric ?? false,
          exact: options.exact ?? false,
          lineNumbers: options.lineNumbers ?? false,
          ...(chain === undefined ? {} : { chain }),
        });
  const [first] = tables;
  if (first !== undefined && tables.length === 1) return one(first);
  // As `service iptables status` puts several tables one below the other.
  return tables.map((table) => `Table: ${table.name}\n${one(table)}`).join('\n');
}

function noChain(name: string, { tables, file }: Ruleset): never {
  const names = [...tables.values()].flatMap(({ chains }) => [...chains.keys()]);
  const advice = didYouMean(name, names, `it has ${names.slice(0, 12).join(', ')}`);
  throw new NatreplayError('RULES_UNKNOWN_CHAIN', `there is no chain ${name} in it`, { file, advice });
}
