/** One order for `iptables-save` texts, so that those of two programs can be laid side by side. */

interface Table {
  readonly name: string;
  readonly chains: Map<string, { declaration: string; readonly rules: string[] }>;
}

/** Tables and chains by name, the rules of a chain in their order; without comments, which say when a text was made. */
export function inOneOrder(save: string): string {
  return tablesOf(save).sort(byName).map(tableText).join('');
}

function tablesOf(save: string): Table[] {
  const tables: Table[] = [];
  for (const line of save.split('\n')) {
    if (line.startsWith('*')) tables.push({ name: line.slice(1).trim(), chains: new Map() });
    const chains = tables.at(-1)?.chains;
    const declared = /^:(\S+)/.exec(line)?.[1];
    const appended = /^(?:\[\d+:\d+\] )?-A (\S+)/.exec(line)?.[1];
    if (declared !== undefined) chains?.set(declared, { declaration: line.trimEnd(), rules: [] });
    else if (appended !== undefined) chains?.get(appended)?.rules.push(line.trimEnd());
  }
  return tables;
}

function tableText({ name, chains }: Table): string {
  const sorted = [...chains].sort(([a], [b]) => compare(a, b)).map(([, chain]) => chain);
  const lines = [...sorted.map(({ declaration }) => declaration), ...sorted.flatMap(({ rules }) => rules)];
  return `*${name}\n${lines.map((line) => `${line}\n`).join('')}COMMIT\n`;
}

const byName = (a: Table, b: Table): number => compare(a.name, b.name);

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
