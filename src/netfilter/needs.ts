/** Whether a rule set switches connection tracking on (KERNEL.md A6). */
import type { Rule, Ruleset } from '../rules/types.js';

/** Matches and targets whose kernel modules ask for tracking (nf_ct_netns_get). */
const TRACKING_MATCHES = new Set([
  'conntrack',
  'state',
  'connmark',
  'connbytes',
  'connlimit',
  'connlabel',
  'helper',
  'cluster',
]);
const TRACKING_TARGETS = new Set(['CT', 'CONNMARK', 'CONNSECMARK', 'SYNPROXY', 'NOTRACK']);

/** A `*nat` table, even an empty one, or any rule that asks about connections. */
export function needsConntrack(ruleset: Ruleset): boolean {
  if (ruleset.tables.has('nat')) return true;
  for (const table of ruleset.tables.values()) {
    for (const chain of table.chains.values()) {
      if (chain.rules.some(asksAboutConnections)) return true;
    }
  }
  return false;
}

function asksAboutConnections(rule: Rule): boolean {
  if (rule.unsupported) return false;
  if (rule.matches.some(({ extension }) => TRACKING_MATCHES.has(extension.name))) return true;
  return rule.target?.kind === 'extension' && TRACKING_TARGETS.has(rule.target.extension.name);
}
