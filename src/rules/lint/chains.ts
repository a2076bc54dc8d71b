/** Chains that nothing gets to, or that do nothing. */
import { effectOf } from '../meaning/effect.js';
import type { Reach } from '../meaning/reach.js';
import { isBuiltin } from '../tables.js';
import type { Chain, Rule } from '../types.js';
import type { LintContext } from './context.js';
import { type Finding, namesOf } from './finding.js';

export function chainsWithoutUse({ reaches }: LintContext): Finding[] {
  return [...reaches.values()].flatMap((reach) => {
    const jumps = jumpsByChain(reach);
    return [...reach.table.chains.values()]
      .filter(({ name }) => !isBuiltin(reach.table.name, name))
      .flatMap((chain) => findingFor(chain, jumps.get(chain.name) ?? [], reach) ?? []);
  });
}

export function jumpsByChain({ table }: Reach): ReadonlyMap<string, readonly Rule[]> {
  const jumps = new Map<string, Rule[]>();
  for (const { rules } of table.chains.values()) {
    for (const rule of rules) {
      const { target } = rule;
      if (target?.kind !== 'jump' && target?.kind !== 'goto') continue;
      const others = jumps.get(target.chain);
      if (others === undefined) jumps.set(target.chain, [rule]);
      else others.push(rule);
    }
  }
  return jumps;
}

/** Chains of programs that make more of them than they need. */
export const OF_TOOLS =
  /^(ufw6?-|zone_|f2b-|fail2ban-|DOCKER|KUBE-|cali-|CILIUM|LIBVIRT|FWD[IOX]|GUEST|IN_|FWD_|PRE_|POST_|OUT_)/;

function findingFor(chain: Chain, jumps: readonly Rule[], reach: Reach): Finding | undefined {
  const base = { table: reach.table.name, chain: chain.name };
  const { length } = chain.rules;
  const rules =
    length === 0
      ? 'which is empty'
      : `so that its ${length === 1 ? 'rule never matches' : `${length} rules never match`}`;
  if (jumps.length === 0)
    return {
      ...base,
      code: 'CHAIN_UNUSED',
      severity: chain.rules.length === 0 || OF_TOOLS.test(chain.name) ? 'note' : 'warning',
      reason: `no rule jumps to ${chain.name}, ${rules}`,
      fix: `jump to it, or delete it (-X ${chain.name})`,
    };
  if (!reach.entries.has(chain.name))
    return {
      ...base,
      code: 'CHAIN_UNREACHED',
      severity: chain.rules.length === 0 ? 'note' : 'warning',
      reason: `nothing gets to ${chain.name}: all that jumps there never matches (${namesOf(jumps)})`,
      fix: 'see what is said of these rules',
      related: jumps,
    };
  // A goto to a chain that does nothing still ends the chain it stands in.
  if (jumps.some(({ target }) => target?.kind === 'goto')) return undefined;
  if (chain.rules.length === 0)
    return {
      ...base,
      code: 'CHAIN_EMPTY',
      severity: 'note',
      reason: `${namesOf(jumps)} ${jumps.length === 1 ? 'jumps' : 'jump'} to ${chain.name}, which is empty`,
      fix: 'nothing to do, if something fills it later',
      related: jumps,
    };
  if (chain.rules.every((rule) => effectOf(rule) === 'leaves'))
    return {
      ...base,
      code: 'CHAIN_RETURNS',
      severity: 'note',
      reason: `${chain.name} has nothing but RETURN in it: to jump there changes nothing (${namesOf(jumps)})`,
      fix: 'nothing to do, if something fills it later',
      related: jumps,
    };
  return undefined;
}
