/** Filter rules for the port before DNAT, where the table filter sees the one behind it. */
import { contains, DESTINATION, DESTINATION_PORT, EVERYTHING, PROTOCOL, SOURCE } from '../meaning/box.js';
import { drops } from '../meaning/effect.js';
import { areDisjoint, includes } from '../meaning/intervals.js';
import type { Rule } from '../types.js';
import { hooksOf, type LintContext, liveRules } from './context.js';
import { type Finding, nameOf } from './finding.js';
import { addressSet, isLocal, isWide, type Published, publishedPorts, targetOf, translated } from './published.js';

/** Ports that a rule names; more is a range somebody had something else in mind with. */
const MOST_PORTS = 16;

export function rulesBehindDnat(context: LintContext): Finding[] {
  const { reaches, family, host, bare } = context;
  const filter = reaches.get('filter');
  if (bare || filter === undefined) return [];
  const published = publishedPorts(context).filter(({ address }) => !isLocal(host, family, address));
  if (published.length === 0) return [];
  return [...liveRules(filter)].flatMap((rule): Finding[] => {
    const upper = filter.conditions.get(rule)?.upper ?? EVERYTHING;
    const ports = upper.sets[DESTINATION_PORT];
    const size = (ports ?? []).reduce((sum, { from, to }) => sum + Number(to) - Number(from), 0);
    if (!drops(rule) || ports === undefined || size > MOST_PORTS || upper.terms.length > 0) return [];
    const before = published.find((one) =>
      one.region.some(({ sets, terms }) => {
        const own = sets[DESTINATION_PORT];
        const protocol = sets[PROTOCOL];
        const same = protocol !== undefined && includes(upper.sets[PROTOCOL] ?? [], protocol);
        const sources = sets[SOURCE] === undefined || contains({ ...EVERYTHING, sets: [sets[SOURCE]] }, upper);
        return own !== undefined && includes(own, ports) && same && sources && terms.length === 0;
      }),
    );
    if (before === undefined) return [];
    const hooks = hooksOf(rule, filter);
    if (hooks.size !== 1) return [];
    if (hooks.has('INPUT') && before.region.some(isWide)) return [inInput(rule, before, context)];
    if (!hooks.has('FORWARD')) return [];
    const to = upper.sets[DESTINATION];
    if (to !== undefined && areDisjoint(to, addressSet(before.address, family))) return [];
    const seen = translated(before, family, undefined)[0]?.sets[DESTINATION_PORT];
    return seen === undefined || !areDisjoint(seen, ports) ? [] : [inForward(rule, before, context)];
  });
}

function inInput(rule: Rule, before: Published, { family }: LintContext): Finding {
  return {
    ...base(rule, before),
    reason: `connections to that port are sent to ${targetOf(before, family)} by ${nameOf(before.rule)} before INPUT is asked, and pass FORWARD: this rule does not stop them`,
    fix: 'filter them in FORWARD (Docker: in DOCKER-USER) by -m conntrack --ctorigdstport',
  };
}

function inForward(rule: Rule, before: Published, { family }: LintContext): Finding {
  return {
    ...base(rule, before),
    reason: `in FORWARD these connections have the address and port behind ${nameOf(before.rule)} already, ${targetOf(before, family)}: this rule does not stop them`,
    fix: 'match the port behind the translation, or the one before by -m conntrack --ctorigdstport',
  };
}

const base = (rule: Rule, before: Published) =>
  ({
    code: 'FILTER_BEHIND_DNAT',
    severity: 'warning',
    table: rule.table,
    chain: rule.chain,
    rule,
    related: [before.rule],
  }) as const;
