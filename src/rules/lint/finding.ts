/** What `rules lint` says of rules. */
import type { Rule, TableName } from '../types.js';

/**
 * `error`: a rule that cannot do what it says. `warning`: it does something else than people mean by it, as a rule. `note`:
 * worth knowing, often meant so.
 */
export type Severity = 'error' | 'warning' | 'note';

export const SEVERITIES: readonly Severity[] = ['error', 'warning', 'note'];

export interface Finding {
  /** Stable, e.g. `RULE_SHADOWED`. */
  readonly code: string;
  readonly severity: Severity;
  readonly table: TableName;
  /** Undefined where it is about the whole table or file. */
  readonly chain?: string | undefined;
  readonly rule?: Rule | undefined;
  /** A sentence. */
  readonly reason: string;
  /** What to do about it: a sentence. */
  readonly fix: string;
  /** Other rules that have a part in it. */
  readonly related?: readonly Rule[] | undefined;
}

/** `nat:DOCKER:2` */
export function nameOf({ table, chain, number }: Rule): string {
  return `${table}:${chain}:${number}`;
}

/** `nat:DOCKER:2`, `nat:DOCKER:2 and nat:DOCKER:3`, `nat:DOCKER:2, nat:DOCKER:3 and 7 more` */
export function namesOf(rules: readonly Rule[], most = 4): string {
  const names = rules.slice(0, most).map(nameOf);
  if (rules.length > most) return `${names.join(', ')} and ${rules.length - most} more`;
  return names.length < 2 ? names.join('') : `${names.slice(0, -1).join(', ')} and ${names.at(-1)}`;
}
