/** Rules that no packet can match. */
import { effectOf, targetName } from '../meaning/effect.js';
import type { Dead, Reach } from '../meaning/reach.js';
import { printRule } from '../print.js';
import type { Rule } from '../types.js';
import { OF_TOOLS } from './chains.js';
import type { LintContext } from './context.js';
import { type Finding, nameOf, namesOf } from './finding.js';

export function deadRules(context: LintContext): Finding[] {
  return [...context.reaches.values()].flatMap((reach) =>
    [...reach.dead].flatMap(([rule, dead]) => findingFor(rule, dead, reach, context) ?? []),
  );
}

function findingFor(rule: Rule, dead: Dead, reach: Reach, context: LintContext): Finding | undefined {
  const base = { table: rule.table, chain: rule.chain, rule };
  switch (dead.kind) {
    case 'contradiction':
      return {
        ...base,
        code: 'RULE_CONTRADICTORY',
        severity: 'error',
        reason: contradiction(dead.words),
        fix: 'correct one of them, or make two rules of it',
      };
    case 'behind':
      return {
        ...base,
        code: 'RULE_BEHIND_VERDICT',
        severity: 'warning',
        reason: `it never matches: ${nameOf(dead.by)} ends the chain for every packet (${targetName(dead.by)})`,
        fix: `put it before ${nameOf(dead.by)}, or take it out`,
        related: [dead.by],
      };
    case 'shadowed':
      return shadowed(rule, dead.by, context, base);
    case 'elsewhere':
      return outOfReach(rule, dead.by, reach, base);
    default:
      // That nothing gets to its chain is said of the chain.
      return undefined;
  }
}

function contradiction(words: readonly string[]): string {
  const [first, second, ...more] = words;
  if (second === undefined) return `it never matches: nothing is in "${first ?? ''}"`;
  const both = more.length === 0 ? 'both' : 'all of them';
  return `it never matches: no packet is in ${both} "${[first, second, ...more].join('" and "')}"`;
}

type Base = Pick<Finding, 'table' | 'chain' | 'rule'>;

function shadowed(rule: Rule, by: readonly Rule[], { family }: LintContext, base: Base): Finding {
  const [first] = by;
  const same = by.every((other) => sameTarget(rule, other, family));
  if (first !== undefined && by.length === 1 && same) {
    const text = (one: Rule): string =>
      printRule(one, family).replace(/ -m comment --comment (?:"(?:\\.|[^"])*"|\S+)/g, '');
    if (text(rule) === text(first))
      return {
        ...base,
        code: 'RULE_DUPLICATE',
        severity: 'warning',
        reason: `it never matches: it is ${nameOf(first)} once more`,
        fix: 'take one of them out',
        related: by,
      };
  }
  const takes = by.length === 1 ? 'takes' : 'together take';
  return {
    ...base,
    code: same ? 'RULE_REDUNDANT' : 'RULE_SHADOWED',
    severity: same ? 'note' : 'warning',
    reason: `it never matches: ${namesOf(by)} ${takes} everything it is for${same ? ', to the same end' : ` (${targets(by)})`}`,
    fix: same ? 'take it out' : `put it before ${first === undefined ? 'them' : nameOf(first)}, or take it out`,
    related: by,
  };
}

const targets = (rules: readonly Rule[]): string => [...new Set(rules.map(targetName))].join(', ');

export function sameTarget(a: Rule, b: Rule, family: 4 | 6): boolean {
  return targetText(a, family) === targetText(b, family);
}

export function targetText({ target }: Rule, family: 4 | 6): string {
  if (target === undefined) return '';
  if (target.kind === 'verdict') return target.verdict;
  if (target.kind === 'extension') return target.extension.name + target.extension.print(target.options, family);
  return `${target.kind} ${target.chain}`;
}

function outOfReach(rule: Rule, by: readonly Rule[], reach: Reach, base: Base): Finding {
  const hooks = [...(reach.hooks.get(rule.chain) ?? [])];
  const wrong = wrongInterface(rule, hooks);
  if (wrong !== undefined)
    return {
      ...base,
      code: 'INTERFACE_SIDE',
      severity: 'error',
      reason: `it never matches: ${wrong}`,
      fix:
        rule.inInterface === undefined
          ? 'use -i, or a chain behind routing'
          : 'use -o, or a chain where packets come in',
      related: by,
    };
  // Chains that several rules jump to hold what only some of them need.
  const isTakenBefore = by.some((other) => effectOf(other) !== 'jump' && effectOf(other) !== 'goto');
  const expected = isTakenBefore || OF_TOOLS.test(rule.chain) || (reach.entries.get(rule.chain) ?? []).length > 1;
  const isNatState = rule.table === 'nat' && by.length === 0;
  return {
    ...base,
    code: 'RULE_OUT_OF_REACH',
    severity: isNatState ? 'error' : expected ? 'note' : 'warning',
    reason: isNatState
      ? 'it never matches: the table nat is asked about the first packet of a connection only (NEW, RELATED)'
      : `it never matches: nothing that gets to ${rule.chain} is for it${by.length === 0 ? '' : `, by what ${namesOf(by)} ${by.length === 1 ? 'leaves' : 'leave'}`}`,
    fix: 'take it out, or jump to it from where its packets are',
    related: by,
  };
}

function wrongInterface({ inInterface, outInterface }: Rule, hooks: readonly string[]): string | undefined {
  const only = (...names: string[]): boolean => hooks.length > 0 && hooks.every((hook) => names.includes(hook));
  if (outInterface !== undefined && !outInterface.negated && only('PREROUTING', 'INPUT'))
    return `packets in ${hooks.join(' and ')} go out by no interface (-o ${outInterface.pattern})`;
  if (inInterface !== undefined && !inInterface.negated && only('OUTPUT'))
    return `packets in OUTPUT came in by no interface (-i ${inInterface.pattern})`;
  return undefined;
}
