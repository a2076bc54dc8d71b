/** What `rules lint` found, for people and as JSON (version 1: docs/lint.schema.json, which is made from the schema here). */
import * as z from 'zod';
import type { Family } from '../host/types.js';
import { type Finding, nameOf, SEVERITIES, type Severity } from '../rules/lint/finding.js';
import { printRule } from '../rules/print.js';
import type { Rule, Ruleset, TableName } from '../rules/types.js';
import { counted } from './humanize.js';
import { asciiJson } from './jsontext.js';

/** Rules of one family, from one file or several. */
export interface LintedRules {
  readonly ruleset: Ruleset;
  /** The file that a table is of. */
  readonly files: ReadonlyMap<TableName, string>;
  readonly findings: readonly Finding[];
}

const place = z.object({
  table: z.enum(['raw', 'mangle', 'nat', 'filter', 'security']),
  chain: z.string(),
  number: z.int().min(1).describe('As iptables -L --line-numbers counts.'),
  file: z.string(),
  line: z.int().min(1),
  text: z.string().describe('As iptables-save prints it.'),
});

export const rulesLintSchema = z
  .object({
    schema: z.literal(1).describe('Version of this format.'),
    errors: z.int().min(0),
    warnings: z.int().min(0),
    notes: z.int().min(0),
    findings: z.array(
      z.object({
        code: z.string().describe('Stable, such as RULE_SHADOWED.'),
        severity: z.enum(['error', 'warning', 'note']),
        family: z.union([z.literal(4), z.literal(6)]),
        table: place.shape.table,
        chain: z.string().nullable(),
        rule: place.nullable().describe('null: it is about a chain or a table.'),
        reason: z.string(),
        fix: z.string(),
        related: z.array(place).describe('Other rules that have a part in it.'),
      }),
    ),
  })
  .meta({ title: 'natreplay rules lint' });

export type RulesLintJson = z.infer<typeof rulesLintSchema>;

/** The JSON Schema published as docs/lint.schema.json. */
export function rulesLintJsonSchema(): unknown {
  return z.toJSONSchema(rulesLintSchema, { io: 'input' });
}

export function rulesLintJson(linted: readonly LintedRules[]): RulesLintJson {
  const all = linted.flatMap(({ findings }) => findings);
  const number = (severity: Severity): number => all.filter((finding) => finding.severity === severity).length;
  return {
    schema: 1,
    errors: number('error'),
    warnings: number('warning'),
    notes: number('note'),
    findings: linted.flatMap((rules) => rules.findings.map((finding) => findingJson(finding, rules))),
  };
}

/** ASCII only, newline at the end. */
export function rulesLintText(linted: readonly LintedRules[]): string {
  return asciiJson(rulesLintJson(linted));
}

function findingJson(finding: Finding, { ruleset, files }: LintedRules): RulesLintJson['findings'][number] {
  const { code, severity, table, chain, rule, reason, fix, related = [] } = finding;
  const { family } = ruleset;
  const at = (one: Rule): z.infer<typeof place> => {
    const file = files.get(one.table) ?? ruleset.file;
    return {
      table: one.table,
      chain: one.chain,
      number: one.number,
      file,
      line: one.line,
      text: printRule(one, family),
    };
  };
  return {
    ...{ code, severity, family, table, chain: chain ?? null, rule: rule === undefined ? null : at(rule) },
    ...{ reason, fix, related: related.map(at) },
  };
}

/** Of findings of the same kind in the same chain, how many are shown in full. */
const SHOWN = 3;

/** For people: table by table, chain by chain. `all`: nothing is summed up. Newline at the end. */
export function lintListing(linted: readonly LintedRules[], { all = false }: { readonly all?: boolean } = {}): string {
  const parts = linted.flatMap((rules) => [...groups(rules.findings)].map((group) => groupText(group, rules, all)));
  return `${parts.join('')}${summary(linted)}\n`;
}

/** Findings that stand together: of one table, and then of one chain. */
function groups(findings: readonly Finding[]): Map<string, Finding[]> {
  const byChain = new Map<string, Finding[]>();
  for (const finding of findings) {
    const key = finding.rule === undefined ? `${finding.table} ` : `${finding.table} ${finding.chain ?? ''}`;
    const group = byChain.get(key);
    if (group === undefined) byChain.set(key, [finding]);
    else group.push(finding);
  }
  return byChain;
}

function groupText([key, findings]: [string, readonly Finding[]], rules: LintedRules, all: boolean): string {
  const [table, chain] = key.split(' ');
  const family = rules.ruleset.family === 6 ? ' (IPv6)' : '';
  let text = `${table}${chain === '' ? ': chains' : ` ${chain}`}${family}\n`;
  const shown = new Map<string, number>();
  for (const finding of findings) {
    const count = (shown.get(finding.code) ?? 0) + 1;
    shown.set(finding.code, count);
    if (all || count <= SHOWN) text += findingText(finding, rules);
  }
  for (const [code, count] of shown)
    if (!all && count > SHOWN) text += `  and ${count - SHOWN} more ${code}; --all shows them\n`;
  return `${text}\n`;
}

function findingText(finding: Finding, { ruleset, files }: LintedRules): string {
  const { code, severity, rule, reason, fix, table, chain } = finding;
  const file = files.get(table) ?? ruleset.file;
  const place = rule === undefined ? '' : ` ${file}:${rule.line}`;
  const name = rule === undefined ? `${table}:${chain ?? ''}` : nameOf(rule);
  let text = `  ${severity} ${code} ${name}${place}\n`;
  if (rule !== undefined) text += `    ${printRule(rule, ruleset.family)}\n`;
  return `${text}    ${reason}\n    fix: ${fix}\n`;
}

function summary(linted: readonly LintedRules[]): string {
  const all = linted.flatMap(({ findings }) => findings);
  const families = linted.map(({ ruleset: { family, tables } }) => {
    const rules = [...tables.values()].flatMap(({ chains }) => [...chains.values()].map((chain) => chain.rules.length));
    return `${counted(
      rules.reduce((sum, count) => sum + count, 0),
      `IPv${family as Family} rule`,
    )}`;
  });
  const found = SEVERITIES.map((severity) => counted(all.filter((one) => one.severity === severity).length, severity));
  return `${families.join(' and ')}: ${all.length === 0 ? 'nothing found' : found.join(', ')}`;
}
