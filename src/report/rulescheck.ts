/** What `rules check` found, for people and as JSON (version 1: docs/rules.schema.json, which is made from the schema here). */
import * as z from 'zod';
import type { NatreplayError } from '../errors.js';
import type { Family } from '../host/types.js';
import type { RulesWarning } from '../rules/listing/warning.js';
import type { Ruleset } from '../rules/types.js';
import { counted } from './humanize.js';
import { asciiJson } from './jsontext.js';

export interface CheckedFile {
  readonly file: string;
  readonly family: Family;
  /** Undefined when nothing could be made of it. */
  readonly kind: 'save' | 'listing' | 'commands' | undefined;
  readonly ruleset: Ruleset | undefined;
  readonly warnings: readonly RulesWarning[];
  readonly errors: readonly NatreplayError[];
  readonly lines: readonly string[];
}

const KINDS = { save: 'iptables-save text', listing: 'a listing', commands: 'iptables -S' } as const;

/** `rules.v4: IPv4, iptables-save text; nat: 5 chains, 6 rules; filter: 3 chains, 0 rules` */
export function summaryOf({ file, family, kind, ruleset }: CheckedFile): string {
  const tables = [...(ruleset?.tables.values() ?? [])].map(({ name, chains }) => {
    const rules = [...chains.values()].reduce((sum, chain) => sum + chain.rules.length, 0);
    return `${name}: ${counted(chains.size, 'chain')}, ${counted(rules, 'rule')}`;
  });
  const skipped = ruleset?.skipped.length ?? 0;
  if (skipped > 0) tables.push(`${counted(skipped, 'rule')} not supported, taken as never matching`);
  return `${file}: IPv${family}, ${kind === undefined ? 'unknown' : KINDS[kind]}; ${tables.join('; ')}`;
}

const count = z.int().min(0);
const line = z.int().min(1).nullable();
const table = z.enum(['raw', 'mangle', 'nat', 'filter', 'security']);
const place = z.object({ table, chain: z.string(), number: z.int().min(1) });

const error = z.object({
  code: z.string().describe('Stable, such as RULES_UNKNOWN_OPTION.'),
  line,
  column: line,
  what: z.string(),
  advice: z.string().nullable(),
  text: z.string().nullable().describe('The line it is in.'),
});

const warning = z.object({
  code: z.string().describe('Stable, such as LISTING_WITHOUT_INTERFACES.'),
  line,
  what: z.string(),
  advice: z.string().nullable(),
  rules: z
    .array(
      place.extend({
        line: z.int().min(1),
        text: z.string().describe('As it stands in the file, blanks squeezed.'),
        probably: z.string().nullable().describe('What the rule probably has, though the file does not show it.'),
        hides: z.array(place).describe('Rules that could not match if it had not.'),
      }),
    )
    .describe('The rules it is about.'),
});

export const rulesCheckSchema = z
  .object({
    schema: z.literal(1).describe('Version of this format.'),
    loads: z.boolean().describe('Every file does.'),
    files: z.array(
      z.object({
        file: z.string(),
        loads: z.boolean(),
        family: z.union([z.literal(4), z.literal(6)]),
        kind: z
          .enum(['save', 'listing', 'commands'])
          .nullable()
          .describe('Text of iptables-save, of iptables -L, of iptables -S; null: it was not understood.'),
        tables: z.array(z.object({ name: table, chains: count, rules: count })),
        skipped: z.array(z.object({ line: z.int().min(1), missing: z.string(), text: z.string() })),
        warnings: z.array(warning),
        errors: z.array(error),
      }),
    ),
  })
  .meta({ title: 'natreplay rules check' });

export type RulesCheckJson = z.infer<typeof rulesCheckSchema>;

/** The JSON Schema published as docs/rules.schema.json. */
export function rulesCheckJsonSchema(): unknown {
  return z.toJSONSchema(rulesCheckSchema, { io: 'input' });
}

/** ASCII only, newline at the end. */
export function rulesCheckText(files: readonly CheckedFile[]): string {
  return asciiJson(rulesCheckJson(files));
}

export function rulesCheckJson(files: readonly CheckedFile[]): RulesCheckJson {
  return { schema: 1, loads: files.every(({ errors }) => errors.length === 0), files: files.map(fileJson) };
}

function fileJson({
  file,
  family,
  kind,
  ruleset,
  warnings,
  errors,
  lines,
}: CheckedFile): RulesCheckJson['files'][number] {
  return {
    file,
    loads: errors.length === 0,
    family,
    kind: kind ?? null,
    tables: [...(ruleset?.tables.values() ?? [])].map(({ name, chains }) => ({
      name,
      chains: chains.size,
      rules: [...chains.values()].reduce((sum, chain) => sum + chain.rules.length, 0),
    })),
    skipped: (ruleset?.skipped ?? []).map(({ rule, missing }) => ({ line: rule.line, missing, text: rule.text })),
    warnings: warnings.map((one) => ({
      ...{ code: one.code, line: one.line ?? null, what: one.what, advice: one.advice ?? null },
      rules: one.rules.map((rule) => ({ ...rule, probably: rule.probably ?? null, hides: [...(rule.hides ?? [])] })),
    })),
    errors: errors.map(({ code, what, place: { line: number, column }, advice }) => ({
      ...{ code, line: number ?? null, column: column ?? null, what, advice: advice ?? null },
      text: number === undefined ? null : (lines[number - 1]?.replace(/\r$/, '') ?? null),
    })),
  };
}
