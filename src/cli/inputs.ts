/** What several commands read alike: rule files, the host, captures named with their interface. */
import { readFileSync } from 'node:fs';
import { NatreplayError } from '../errors.js';
import { statedHost } from '../host/hostoptions.js';
import type { Family, Host } from '../host/types.js';
import type { CaptureInput } from '../pipeline/replay.js';
import { significantLines } from '../rules/lexer.js';
import { warningText } from '../rules/listing/warning.js';
import { type Reading, readRules, statedFamily } from '../rules/load.js';
import { printRules } from '../rules/print.js';
import type { Ruleset, Table, TableName } from '../rules/types.js';
import { mortally } from './signals.js';

export interface RuleOptions {
  readonly rules: readonly string[];
  readonly rules6: readonly string[];
  readonly unsupported: 'stop' | 'skip';
}

export interface HostChoice {
  readonly host?: string | undefined;
  readonly iface: readonly string[];
  readonly route: readonly string[];
}

export interface LoadedRules {
  readonly ipv4: Ruleset | undefined;
  readonly ipv6: Ruleset | undefined;
  readonly warnings: readonly string[];
  /** The rules as iptables-restore takes them, for tools that load them themselves. */
  readonly texts: readonly RuleText[];
}

export interface RuleText {
  readonly file: string;
  readonly text: string;
  readonly family: Family;
}

/** `eth0=outside.pcap` names an ingress; where a slash comes before the `=` it is a path (`./a=b.pcap`). */
export function captureInput(argument: string): CaptureInput {
  const match = /^(@local|[^/=\s]{1,15})=(.+)$/.exec(argument);
  return match === null ? { path: argument } : { iface: match[1], path: match[2] ?? '' };
}

export function loadHost({ host, iface, route }: HostChoice): Host | undefined {
  return statedHost({ file: host, iface, route });
}

/**
 * Reads the rule files, each in the family it states itself; a family without any has the rules in the host file. There
 * an empty text says that the host has none: iptables-save prints nothing where no table is loaded.
 */
export function loadRules(options: RuleOptions, host: Host | undefined, hostFile: string | undefined): LoadedRules {
  const read =
    (family: Family) =>
    (file: string): RuleText => {
      const text = readText(file);
      return { file, text, family: statedFamily(text) ?? family };
    };
  const texts = [...options.rules.map(read(4)), ...options.rules6.map(read(6))];
  const named = new Set(texts.map(({ family }) => family));
  const inHostFile = (family: Family, what: string, text: string | undefined): void => {
    if (hostFile === undefined || text === undefined || named.has(family)) return;
    const file = `${hostFile} (${what})`;
    if (!significantLines(text, file).next().done) texts.push({ file, text, family });
  };
  inHostFile(4, 'iptables', host?.iptables);
  inHostFile(6, 'ip6tables', host?.ip6tables);
  const readings = texts.map(({ file, text, family }) =>
    readRules(text, { file, family, unsupported: options.unsupported }),
  );
  const rulesets = readings.map(({ ruleset }) => ruleset);
  const warnings = readings.flatMap(({ warnings: said }) => said.map(warningText));
  const merge = (family: Family): Ruleset | undefined =>
    mergeRulesets(
      rulesets.filter((ruleset) => ruleset.family === family),
      warnings,
    );
  return { ipv4: merge(4), ipv6: merge(6), warnings, texts: texts.map((one, i) => loadable(one, readings[i])) };
}

/** Text that iptables-restore takes: a listing is none. */
function loadable(one: RuleText, reading: Reading | undefined): RuleText {
  if (reading === undefined || reading.kind === 'save') return one;
  return { ...one, text: printRules(reading.ruleset, { counters: true }) };
}

/** Several files are loaded one after the other, as by iptables-restore: a table that comes again replaces the former. */
function mergeRulesets(rulesets: readonly Ruleset[], warnings: string[]): Ruleset | undefined {
  const [first, ...others] = rulesets;
  if (first === undefined || others.length === 0) return first;
  const tables = new Map<TableName, Table>();
  const from = new Map<TableName, string>();
  for (const ruleset of rulesets) {
    for (const [name, table] of ruleset.tables) {
      const former = from.get(name);
      if (former !== undefined) warnings.push(`table ${name} of ${ruleset.file} replaces the one of ${former}`);
      tables.set(name, table);
      from.set(name, ruleset.file);
    }
  }
  return {
    family: first.family,
    file: rulesets.map(({ file }) => file).join(', '),
    tables,
    skipped: rulesets.flatMap(({ skipped }) => skipped),
  };
}

const REASONS = new Map([
  ['ENOENT', 'there is no such file'],
  ['EISDIR', 'it is a directory'],
  ['EACCES', 'it may not be read'],
]);

/** The text of a file of rules, `-` being standard input; throws RULES_UNREADABLE. */
export function readText(file: string): string {
  try {
    return mortally(() => readFileSync(file === '-' ? 0 : file, 'utf8'));
  } catch (error) {
    const { code = 'unknown error' } = error as NodeJS.ErrnoException;
    throw new NatreplayError('RULES_UNREADABLE', REASONS.get(code) ?? `it cannot be read (${code})`, {
      file,
      advice: 'name a file with what iptables-save, iptables -S or iptables -L printed',
      cause: error,
    });
  }
}
