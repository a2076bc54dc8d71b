/** All checks of `rules lint`. */
import { chainsInOrder } from '../tables.js';
import type { Ruleset } from '../types.js';
import { rulesBehindDnat } from './behind-dnat.js';
import { chainsWithoutUse } from './chains.js';
import { contextOf, type LintContext, type LintOptions } from './context.js';
import { deadRules } from './dead.js';
import { dnatWays } from './dnat-way.js';
import { duplicates } from './duplicates.js';
import type { Finding } from './finding.js';
import { interfaces } from './interfaces.js';
import { marks } from './marks.js';
import { masqueradeInside } from './masquerade.js';
import { natOtherwise } from './nat-otherwise.js';
import { policies } from './policies.js';
import { publishing } from './publishing.js';
import { unknownSets } from './sets.js';

const CHECKS: readonly ((context: LintContext) => readonly Finding[])[] = [
  deadRules,
  chainsWithoutUse,
  duplicates,
  masqueradeInside,
  publishing,
  dnatWays,
  rulesBehindDnat,
  marks,
  interfaces,
  unknownSets,
  policies,
  natOtherwise,
];

/** What there is to say of a rule set, in the order of tables, chains and rules. */
export function lintRules(ruleset: Ruleset, options: LintOptions = {}): Finding[] {
  const context = contextOf(ruleset, options);
  const places = new Map<string, number>();
  for (const table of ruleset.tables.values())
    for (const { name } of chainsInOrder(table)) places.set(`${table.name} ${name}`, places.size);
  const placeOf = ({ table, chain = '' }: Finding): number => places.get(`${table} ${chain}`) ?? -1;
  return CHECKS.flatMap((check) => check(context)).sort(
    (a, b) => placeOf(a) - placeOf(b) || (a.rule?.number ?? 0) - (b.rule?.number ?? 0),
  );
}
