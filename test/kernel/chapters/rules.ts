/** Rules as an engineer types them, made into the text that iptables-restore and natreplay read. */
const BUILTIN: Readonly<Record<string, readonly string[]>> = {
  raw: ['PREROUTING', 'OUTPUT'],
  mangle: ['PREROUTING', 'INPUT', 'FORWARD', 'OUTPUT', 'POSTROUTING'],
  nat: ['PREROUTING', 'INPUT', 'OUTPUT', 'POSTROUTING'],
  filter: ['INPUT', 'FORWARD', 'OUTPUT'],
};

/**
 * `-t nat -A POSTROUTING -o wan -j MASQUERADE`, `-P FORWARD DROP`, `-t nat -N WEB`; the table is filter where none is
 * named. Tables that no line names are not made. Every built-in chain of a table is declared, because iptables-nft makes,
 * and counts, only those that are.
 */
export function saveText(commands: readonly string[]): string {
  const tables = new Map<string, { readonly chains: Map<string, string>; readonly rules: string[] }>();
  for (const command of commands) {
    const [, name = 'filter', rest = ''] = /^(?:-t (\S+) )?(.*)$/.exec(command) ?? [];
    const table = tables.get(name) ?? {
      chains: new Map((BUILTIN[name] ?? []).map((chain) => [chain, 'ACCEPT'])),
      rules: [],
    };
    tables.set(name, table);
    const [verb, chain = '', policy = '-'] = rest.split(' ');
    if (verb === '-A') table.rules.push(rest);
    else if (verb === '-P' || verb === '-N') table.chains.set(chain, policy);
    else throw new Error(`not -A, -P or -N: ${command}`);
  }
  return [...tables]
    .map(([name, { chains, rules }]) => {
      const declared = [...chains].map(([chain, policy]) => `:${chain} ${policy} [0:0]`);
      return `${[`*${name}`, ...declared, ...rules, 'COMMIT'].join('\n')}\n`;
    })
    .join('');
}

/** The text with every table in it, the missing ones empty, so that nothing of other rules stays in a kernel. */
export function withAllTables(text: string): string {
  const missing = Object.keys(BUILTIN).filter((table) => !text.includes(`*${table}\n`));
  return text + saveText(missing.map((table) => `-t ${table} -P OUTPUT ACCEPT`));
}

/** Of an `iptables-save` text the tables that `like` has too. */
export function onlyTablesOf(like: string, text: string): string {
  return text
    .split(/^(?=\*)/m)
    .filter((table) => like.includes(table.slice(0, table.indexOf('\n') + 1)))
    .join('');
}
