/** Rules that both sides can evaluate: those that natreplay skips (`--unsupported skip`) are left out of the kernel too. */
import type { Chain, Ruleset, Table } from '../rules/types.js';

export function withoutUnsupported(ruleset: Ruleset): Ruleset {
  const tables = [...ruleset.tables.values()].map((table): [Table['name'], Table] => {
    const chains = [...table.chains.values()].map((chain): [string, Chain] => {
      const rules = chain.rules.filter((rule) => !rule.unsupported).map((rule, k) => ({ ...rule, number: k + 1 }));
      return [chain.name, { ...chain, rules }];
    });
    return [table.name, { ...table, chains: new Map(chains) }];
  });
  return { ...ruleset, tables: new Map(tables) };
}
