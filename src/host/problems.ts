/** What of the rules does not fit the host they shall run on. */
import type { Ruleset } from '../rules/types.js';
import type { Host } from './types.js';

/** Warnings, a sentence each: interfaces that rules name and the host does not have. Rules for them never match. */
export function hostProblems(host: Host, rulesets: readonly Ruleset[]): string[] {
  const missing = new Map<string, string[]>();
  for (const ruleset of rulesets) {
    for (const table of ruleset.tables.values()) {
      for (const { rules } of table.chains.values()) {
        for (const { inInterface, outInterface, line } of rules) {
          for (const pattern of new Set([inInterface?.pattern, outInterface?.pattern])) {
            if (pattern === undefined || hasMatch(host, pattern)) continue;
            missing.set(pattern, [...(missing.get(pattern) ?? []), `${ruleset.file}:${line}`]);
          }
        }
      }
    }
  }
  return [...missing].map(([pattern, places]) => sentence(pattern, places));
}

/** `eth+` matches every name that begins with eth. */
function hasMatch(host: Host, pattern: string): boolean {
  if (!pattern.endsWith('+')) return host.interfaceByName(pattern) !== undefined;
  const prefix = pattern.slice(0, -1);
  return host.interfaces.some((iface) => iface.name.startsWith(prefix));
}

function sentence(pattern: string, places: readonly string[]): string {
  const wildcard = pattern.endsWith('+');
  const name = wildcard ? `${pattern.slice(0, -1)}0` : pattern;
  const more = places.length > 1 ? ` and ${places.length - 1} more` : '';
  const what = wildcard
    ? `interfaces ${pattern}, of which the host has none`
    : `interface ${pattern}, which the host does not have`;
  return `Rules name ${what} (${places[0]}${more}). If it should be there: --iface ${name}=ADDRESS/LENGTH`;
}
