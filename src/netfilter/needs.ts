/**
 * Whether a rule set switches connection tracking on. A `*nat` table alone does not: the kernel's NAT targets and
 * connection matches do, each when a rule with it is loaded, whether or not it can ever match (nf_ct_netns_get in their
 * checkentry functions; observed on Linux 6.18 with both backends).
 */
import type { CtOptions } from '../rules/extensions/ct.js';
import type { Rule, Ruleset, TableName } from '../rules/types.js';

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
const TRACKING_TARGETS = new Set([
  'DNAT',
  'SNAT',
  'MASQUERADE',
  'REDIRECT',
  'NETMAP',
  'CT',
  'CONNMARK',
  'CONNSECMARK',
  'SYNPROXY',
]);

/** Any rule that asks about connections or translates them. */
export function needsConntrack(ruleset: Ruleset): boolean {
  for (const table of ruleset.tables.values()) {
    for (const chain of table.chains.values()) {
      if (chain.rules.some(asksAboutConnections)) return true;
    }
  }
  return false;
}

/** What a rule set has to know of every connection beside its entry (connbytes_mt_check, connlabel_mt_check). */
export function keptOfConnections(rulesets: readonly (Ruleset | undefined)[]): { accounts: boolean; labels: boolean } {
  const kept = { accounts: false, labels: false };
  for (const ruleset of rulesets) {
    for (const table of ruleset?.tables.values() ?? []) {
      for (const { rules } of table.chains.values()) {
        for (const { extension } of rules.flatMap(({ matches }) => matches)) {
          if (extension.name === 'connbytes') kept.accounts = true;
          if (extension.name === 'connlabel') kept.labels = true;
        }
      }
    }
  }
  return kept;
}

/** The rule set without the tables that are not to be evaluated; all of it when nothing is said. */
export function limitedTo(ruleset: Ruleset, tables: readonly TableName[] | undefined): Ruleset {
  if (tables === undefined) return ruleset;
  return { ...ruleset, tables: new Map([...ruleset.tables].filter(([name]) => tables.includes(name))) };
}

function asksAboutConnections(rule: Rule): boolean {
  if (rule.unsupported) return false;
  if (rule.matches.some(({ extension }) => TRACKING_MATCHES.has(extension.name))) return true;
  if (rule.target?.kind !== 'extension') return false;
  const { extension, options } = rule.target;
  // `CT --notrack` needs nothing of what it keeps packets from (xt_ct_tg_check).
  if (extension.name === 'CT' && (options as CtOptions).notrack) return false;
  return TRACKING_TARGETS.has(extension.name);
}
