/** Built-in chains that a rule file does not declare. */
import { isTableName, TABLE_CHAINS } from '../rules/tables.js';

/**
 * The text with all built-in chains of its tables declared. A kernel table of iptables-legacy has every one of them;
 * iptables-nft makes only those that are declared or hold a rule, but lists all, and what passes by a chain that is not
 * there is not counted by its policy. Hosts have them: `iptables-nft -A` makes all chains of the table.
 */
export function withBuiltinChains(text: string): string {
  const lines = text.split('\n');
  const declared = (from: number): Set<string> => {
    const end = lines.findIndex((line, at) => at > from && line.startsWith('*'));
    const table = lines.slice(from + 1, end === -1 ? undefined : end);
    return new Set(table.flatMap((line) => /^:(\S+)/.exec(line)?.[1] ?? []));
  };
  return lines
    .flatMap((line, at) => {
      const name = line.startsWith('*') ? line.slice(1).trim() : '';
      if (!isTableName(name)) return [line];
      const known = declared(at);
      return [
        line,
        ...TABLE_CHAINS[name].filter((chain) => !known.has(chain)).map((chain) => `:${chain} ACCEPT [0:0]`),
      ];
    })
    .join('\n');
}
