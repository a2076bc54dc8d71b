/** Rules that stand there twice without ending a packet's way: jumps, logs, marks. (Of the others the second one is dead.) */
import { effectOf } from '../meaning/effect.js';
import { printRule } from '../print.js';
import type { Rule } from '../types.js';
import type { LintContext } from './context.js';
import { type Finding, nameOf } from './finding.js';

export function duplicates({ reaches, family, bare }: LintContext): Finding[] {
  if (bare) return [];
  const findings: Finding[] = [];
  for (const { table, dead, conditions } of reaches.values()) {
    for (const { rules } of table.chains.values()) {
      const seen = new Map<string, Rule>();
      for (const rule of rules) {
        const effect = effectOf(rule);
        const counts = (conditions.get(rule)?.unsteady.length ?? 0) > 0;
        if (dead.has(rule) || counts || rule.target === undefined || (effect !== 'jump' && effect !== 'goes on'))
          continue;
        const text = printRule(rule, family);
        const first = seen.get(text);
        if (first === undefined) {
          seen.set(text, rule);
          continue;
        }
        findings.push({
          code: 'RULE_DUPLICATE',
          severity: 'warning',
          table: rule.table,
          chain: rule.chain,
          rule,
          reason: `it is ${nameOf(first)} once more: what both are for is done twice`,
          fix: 'take one of them out',
          related: [first],
        });
      }
    }
  }
  return findings;
}
