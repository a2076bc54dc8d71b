/** Sets that rules name and nobody states. */
import type { SetOptions } from '../extensions/set.js';
import type { SetTargetOptions } from '../extensions/set-target.js';
import type { Rule } from '../types.js';
import { allRules, type LintContext } from './context.js';
import type { Finding } from './finding.js';

export function unknownSets({ ruleset, host }: LintContext): Finding[] {
  const stated = new Set([...(host?.ipset ?? '').matchAll(/^\s*create\s+(\S+)/gm)].map(([, name = '']) => name));
  const used = new Map<string, Rule[]>();
  for (const rule of allRules(ruleset)) {
    for (const name of setsOf(rule)) {
      const rules = used.get(name);
      if (rules === undefined) used.set(name, [rule]);
      else if (rules.at(-1) !== rule) rules.push(rule);
    }
  }
  return [...used].flatMap(([name, rules]): Finding[] => {
    const [rule] = rules;
    if (rule === undefined || stated.has(name)) return [];
    return [
      {
        code: 'SET_NOT_STATED',
        severity: host === undefined ? 'note' : 'error',
        table: rule.table,
        chain: rule.chain,
        rule,
        reason:
          host === undefined
            ? `what is in the set ${name} is not stated`
            : `the host file has no set ${name}: iptables-restore would refuse the rule there`,
        fix: `state it in a host file (--host): "ipset save" prints it, and natreplay snapshot writes it`,
        related: rules.slice(1, 9),
      },
    ];
  });
}

function setsOf({ matches, target }: Rule): string[] {
  const names = matches.flatMap(({ extension, options }) =>
    extension.name === 'set' ? [(options as SetOptions).set.name] : [],
  );
  if (target?.kind === 'extension' && target.extension.name === 'SET') {
    const { add, remove, map } = target.options as SetTargetOptions;
    for (const set of [add, remove, map]) if (set !== undefined) names.push(set.name);
  }
  return names;
}
