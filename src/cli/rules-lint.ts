/** `natreplay rules lint`: what in rules cannot be meant as it stands there. */
import { NatreplayError, printable } from '../errors.js';
import type { Family, Host } from '../host/types.js';
import { writeTextFile } from '../report/files.js';
import { type LintedRules, lintListing, rulesLintText } from '../report/ruleslint.js';
import { lintRules } from '../rules/lint/lint.js';
import { warningText } from '../rules/listing/warning.js';
import { type Reading, readRules, statedFamily } from '../rules/load.js';
import type { Ruleset, Table, TableName } from '../rules/types.js';
import { loadHost, readText } from './inputs.js';
import { checkPaths } from './paths.js';
import type { RulesLintOptions } from './rules-meaning.js';

const FOUND = 1;

interface Source {
  readonly file: string;
  readonly text: string;
  readonly family: Family;
}

/** Sets exit code 1 when there is something to be mended and `--strict` asks for that. Throws NatreplayError. */
export async function lintFiles(files: readonly string[], options: RulesLintOptions): Promise<void> {
  const { json, strict, all = false, host: hostFile, iface = [], route = [], rules6 = [] } = options;
  checkPaths(
    [...files, ...rules6].map((path) => ({ option: 'rules', path })),
    json === undefined ? [] : [{ option: '--json', path: json }],
  );
  const host = loadHost({ host: hostFile, iface, route });
  const linted = lint(sourcesOf(files, options, host), host, options);
  if (json !== undefined) await writeTextFile(json, rulesLintText(linted));
  if (json !== '-') process.stdout.write(lintListing(linted, { all }).split('\n').map(printable).join('\n'));
  const serious = linted.some(({ findings }) => findings.some(({ severity }) => severity !== 'note'));
  if (strict === true && serious) process.exitCode = FOUND;
}

/** The files; without any, the rules in the host file. */
function sourcesOf(files: readonly string[], options: RulesLintOptions, host: Host | undefined): Source[] {
  const { ipv6, host: hostFile = '', rules6 = [] } = options;
  const read =
    (family: Family) =>
    (file: string): Source => {
      const text = readText(file);
      return { file, text, family: statedFamily(text) ?? family };
    };
  const sources = [...files.map(read(ipv6 === true ? 6 : 4)), ...rules6.map(read(6))];
  if (sources.length === 0) {
    if (host?.iptables !== undefined) sources.push({ file: `${hostFile} (iptables)`, text: host.iptables, family: 4 });
    if (host?.ip6tables !== undefined)
      sources.push({ file: `${hostFile} (ip6tables)`, text: host.ip6tables, family: 6 });
  }
  if (sources.length > 0) return sources;
  throw new NatreplayError('USAGE_NO_RULES', 'no rules are given', {
    advice: 'name a file of rules, or a host file (--host) that has some',
  });
}

function lint(sources: readonly Source[], host: Host | undefined, options: RulesLintOptions): LintedRules[] {
  const { table, unsupported } = options;
  const readings = sources.map(({ file, text, family }) =>
    readRules(text, { file, family, table, unsupported: unsupported === 'stop' ? 'keep' : unsupported }),
  );
  for (const { warnings } of readings)
    for (const warning of warnings) process.stderr.write(`natreplay: warning: ${printable(warningText(warning))}\n`);
  return ([4, 6] as const).flatMap((family): LintedRules[] => {
    const own = readings.filter(({ ruleset }) => ruleset.family === family);
    if (own.length === 0) return [];
    const { ruleset, files, bare } = joined(own, family);
    return [{ ruleset, files, findings: lintRules(ruleset, { host, bare }) }];
  });
}

interface Joined {
  readonly ruleset: Ruleset;
  readonly files: ReadonlyMap<TableName, string>;
  readonly bare: boolean;
}

/** Loaded one after the other, as by iptables-restore: a table that comes again replaces the former. */
function joined(readings: readonly Reading[], family: Family): Joined {
  const tables = new Map<TableName, Table>();
  const files = new Map<TableName, string>();
  for (const { ruleset } of readings) {
    for (const [name, table] of ruleset.tables) {
      tables.set(name, table);
      files.set(name, ruleset.file);
    }
  }
  const file = readings.map(({ ruleset }) => ruleset.file).join(', ');
  const skipped = readings.flatMap(({ ruleset }) => ruleset.skipped);
  const bare = readings.some(({ warnings }) => warnings.some(({ code }) => code === 'LISTING_WITHOUT_INTERFACES'));
  return { ruleset: { family, file, tables, skipped }, files, bare };
}
