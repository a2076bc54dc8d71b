/** Masquerading that also catches what stays inside. */
import type { Family } from '../../host/types.js';
import { type Box, DESTINATION, DESTINATION_TYPE, MARK, OUT, SOURCE, SOURCE_TYPE, STATE } from '../meaning/box.js';
import { targetName } from '../meaning/effect.js';
import { intersect, type ValueSet } from '../meaning/intervals.js';
import type { Rule } from '../types.js';
import { formatNetwork } from '../values/addresses.js';
import { type LintContext, liveRules } from './context.js';
import type { Finding } from './finding.js';

export function masqueradeInside({ reaches, family, bare }: LintContext): Finding[] {
  const reach = reaches.get('nat');
  if (bare || reach === undefined) return [];
  return [...liveRules(reach)].flatMap((rule): Finding[] => {
    const name = targetName(rule);
    if (name !== 'MASQUERADE' && name !== 'SNAT') return [];
    // What is asked for beside the packet's own fields was thought about.
    if (reach.conditions.get(rule)?.upper?.sets[STATE] !== undefined) return [];
    if (!(reach.regions.get(rule) ?? []).some((box) => staysInside(box, family))) return [];
    return [findingFor(rule, name, family)];
  });
}

function staysInside({ sets, terms }: Box, family: Family): boolean {
  const asks = [OUT, SOURCE_TYPE, DESTINATION_TYPE, MARK].some((dimension) => sets[dimension] !== undefined);
  if (asks || terms.length > 0) return false;
  const source = sets[SOURCE];
  const destination = sets[DESTINATION];
  if (source === undefined) return destination === undefined;
  if (isOneAddress(source, family)) return false;
  return destination === undefined || covers(destination, source);
}

/** All of the network is among the destinations: none of it was excepted. */
function covers(destination: ValueSet, source: ValueSet): boolean {
  const both = intersect(destination, source);
  return (
    both.length === source.length && both.every(({ from, to }, k) => from === source[k]?.from && to === source[k]?.to)
  );
}

function isOneAddress(set: ValueSet, family: Family): boolean {
  return set.every(({ from, to }) =>
    family === 4 ? Number(to) - Number(from) === 1 : BigInt(to) - BigInt(from) === 1n,
  );
}

function findingFor(rule: Rule, name: string, family: Family): Finding {
  const { source } = rule;
  const network = source === undefined || source.negated ? undefined : formatNetwork(family, source);
  return {
    code: 'MASQUERADE_INSIDE',
    severity: 'warning',
    table: 'nat',
    chain: rule.chain,
    rule,
    reason:
      network === undefined
        ? `${name} of everything that is sent, by whatever interface: hosts inside see the router instead of who asked`
        : `without -o, ${name} also catches what goes from ${network} to other inside networks, and to ${network} itself`,
    fix:
      network === undefined
        ? 'add -o with the interface that leads outside'
        : `add -o with the interface that leads outside, or ! -d ${network}`,
  };
}
