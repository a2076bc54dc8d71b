/** The rules of a table with their counters in the layout of `iptables -t TABLE -L -v -n`, for the terminal report. */
import { type ListOptions, listChains } from '../rules/list.js';
import type { Ruleset, TableName } from '../rules/types.js';
import { counted } from './humanize.js';
import { type Colours, safe } from './page.js';
import type { RuleCounters } from './types.js';

/** Prints a table's chains as `iptables -L` does, a blank line between chains. */
export type ListChains = (ruleset: Ruleset, table: TableName, options: ListOptions) => string;

/** A listing longer than this is cut down to what packets reached: a Kubernetes node has ten thousand rules. */
const LONG_LISTING = 100;

export function ruleListing(
  counters: RuleCounters,
  table: TableName,
  colours: Colours,
  list: ListChains = listChains,
): string[] {
  const text = list(counters.ruleset, table, {
    verbose: true,
    numeric: true,
    exact: false,
    lineNumbers: false,
    countersOf: (...rule) => ({ packets: counters.packets(...rule), bytes: counters.bytes(...rule) }),
  });
  const blocks = text.trimEnd().split('\n\n');
  const long = text.split('\n').length > LONG_LISTING;
  const lines: string[] = [];
  const left = { rules: 0, chains: 0 };
  for (const block of blocks) {
    const [title = '', columns = '', ...rows] = block.split('\n');
    const chain = /^Chain (\S+)/.exec(title)?.[1] ?? '';
    const reached = rows.map((_, i) => counters.packets(table, chain, i + 1) > 0);
    const builtin = counters.ruleset.tables.get(table)?.chains.get(chain)?.policy !== undefined;
    if (long && !builtin && !reached.includes(true)) {
      left.chains++;
      left.rules += rows.length;
      continue;
    }
    if (lines.length > 0) lines.push('');
    lines.push(colours.bold(safe(title)), colours.dim(safe(columns)));
    for (const [i, row] of rows.entries()) {
      if (reached[i] === true) lines.push(safe(row));
      else if (long) left.rules++;
      else lines.push(colours.dim(safe(row)));
    }
  }
  if (left.rules > 0 || left.chains > 0) {
    const what = `${counted(left.rules, 'rule')} and ${counted(left.chains, 'chain')}`;
    lines.push('', colours.dim(`(${what} that no packet reached are left out; --counters FILE has them all)`));
  }
  return lines;
}
