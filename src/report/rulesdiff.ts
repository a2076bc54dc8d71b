/** What `rules diff` found, for people and as JSON (version 1: docs/diff.schema.json, which is made from the schema here). */
import * as z from 'zod';
import { type ChainDifference, type Change, differs, type RulesDifference } from '../rules/diff/diff.js';
import { printRule } from '../rules/print.js';
import type { Rule } from '../rules/types.js';
import { counted } from './humanize.js';
import { asciiJson } from './jsontext.js';

const rule = z.object({
  number: z.int().min(1).describe('As iptables -L --line-numbers counts.'),
  line: z.int().min(1),
  text: z.string().describe('As iptables-save prints it.'),
});
const policy = z.enum(['ACCEPT', 'DROP']);

export const rulesDiffSchema = z
  .object({
    schema: z.literal(1).describe('Version of this format.'),
    same: z.boolean().describe('Both rule sets mean the same.'),
    family: z.union([z.literal(4), z.literal(6)]),
    a: z.string(),
    b: z.string(),
    comments: z.int().min(0).describe('Rules that differ in their comments only.'),
    counters: z.int().min(0).describe('Rules that are on both sides, with other counters.'),
    chains: z.array(
      z.object({
        table: z.enum(['raw', 'mangle', 'nat', 'filter', 'security']),
        chain: z.string(),
        there: z.enum(['both', 'a', 'b']).describe('Which side has the chain.'),
        matters: z.boolean(),
        reached: z.boolean().describe('false: no packet gets to it.'),
        policy: z.object({ a: policy, b: policy }).nullable(),
        changes: z.array(
          z.object({
            kind: z.enum(['removed', 'added', 'changed', 'moved']),
            matters: z
              .boolean()
              .describe(
                'false: a rule that can never match, or an order that means the same, or a chain nothing gets to.',
              ),
            a: rule.nullable(),
            b: rule.nullable(),
          }),
        ),
      }),
    ),
  })
  .meta({ title: 'natreplay rules diff' });

export type RulesDiffJson = z.infer<typeof rulesDiffSchema>;

/** The JSON Schema published as docs/diff.schema.json. */
export function rulesDiffJsonSchema(): unknown {
  return z.toJSONSchema(rulesDiffSchema, { io: 'input' });
}

/** `a`, `b`: the files. ASCII only, newline at the end. */
export function rulesDiffText(difference: RulesDifference, a: string, b: string): string {
  return asciiJson(rulesDiffJson(difference, a, b));
}

export function rulesDiffJson(difference: RulesDifference, a: string, b: string): RulesDiffJson {
  const { family, same, comments, counters, chains } = difference;
  const text = (one: Rule) => ({ number: one.number, line: one.line, text: printRule(one, family) });
  return {
    ...({ schema: 1, same, family, a, b, comments, counters } as const),
    chains: chains.map((one) => ({
      ...{ table: one.table, chain: one.chain, there: one.there, matters: differs(one), reached: one.reached },
      policy: one.policy ?? null,
      changes: one.changes.map((change) => ({
        kind: change.kind,
        matters: change.matters && one.reached,
        a: 'a' in change ? text(change.a) : null,
        b: 'b' in change ? text(change.b) : null,
      })),
    })),
  };
}

/** Like a unified diff, with rules as iptables-save prints them; what makes no difference is said in brackets. */
export function diffListing(difference: RulesDifference, a: string, b: string): string {
  const { chains, same, family } = difference;
  let text = chains.length === 0 ? '' : `--- ${a}\n+++ ${b}\n`;
  let table = '';
  for (const chain of chains) {
    if (chain.table !== table) text += `*${chain.table}\n`;
    table = chain.table;
    text += chainText(chain, family);
  }
  return `${text}${same ? 'same meaning' : `${counted(chains.filter(differs).length, 'chain')} ${chains.filter(differs).length === 1 ? 'differs' : 'differ'} in meaning`}${remarks(difference)}\n`;
}

function remarks({ comments, counters, chains }: RulesDifference): string {
  const words: string[] = [];
  if (comments > 0) words.push(`${counted(comments, 'rule')} with another comment`);
  if (counters > 0) words.push(`${counted(counters, 'rule')} with other counters`);
  const reordered = chains
    .flatMap(({ changes }) => changes)
    .filter(({ kind, matters }) => kind === 'moved' && !matters);
  if (reordered.length > 0) words.push(`${counted(reordered.length, 'rule')} in another order that means the same`);
  return words.length === 0 ? '' : ` (${words.join(', ')})`;
}

function chainText({ chain, there, policy, changes, reached }: ChainDifference, family: 4 | 6): string {
  const only = there === 'both' ? '' : ` (only in ${there === 'a' ? 'the first' : 'the second'})`;
  let text = `@@ ${chain}${only}${reached ? '' : ' (no packet gets there)'}\n`;
  if (policy !== undefined) text += `-:${chain} ${policy.a}\n+:${chain} ${policy.b}\n`;
  for (const change of changes) text += changeText(change, family);
  return text;
}

function changeText(change: Change, family: 4 | 6): string {
  const idle = change.matters ? '' : '   (never matches)';
  switch (change.kind) {
    case 'removed':
      return `-${printRule(change.a, family)}${idle}\n`;
    case 'added':
      return `+${printRule(change.b, family)}${idle}\n`;
    case 'changed':
      return `-${printRule(change.a, family)}${idle}\n+${printRule(change.b, family)}${idle}\n`;
    case 'moved': {
      const says = change.matters ? 'moved' : 'order changed, same meaning';
      return `>${printRule(change.b, family)}   (${says}: ${change.a.number} -> ${change.b.number})\n`;
    }
  }
}
