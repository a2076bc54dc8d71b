/** Tables, their built-in chains, and the hooks behind them, as the kernel registers them. */
import type { BuiltinChain, Chain, Table, TableName } from './types.js';

/** Built-in chains of each table, in hook order (which is the order iptables-save prints them in). */
export const TABLE_CHAINS: Readonly<Record<TableName, readonly BuiltinChain[]>> = {
  raw: ['PREROUTING', 'OUTPUT'],
  mangle: ['PREROUTING', 'INPUT', 'FORWARD', 'OUTPUT', 'POSTROUTING'],
  nat: ['PREROUTING', 'INPUT', 'OUTPUT', 'POSTROUTING'],
  filter: ['INPUT', 'FORWARD', 'OUTPUT'],
  security: ['INPUT', 'FORWARD', 'OUTPUT'],
};

export const TABLE_NAMES: readonly TableName[] = ['raw', 'mangle', 'nat', 'filter', 'security'];

export function isTableName(text: string): text is TableName {
  return (TABLE_NAMES as readonly string[]).includes(text);
}

/** Whether `chain` is built in to `table`. */
export function isBuiltin(table: TableName, chain: string): chain is BuiltinChain {
  return (TABLE_CHAINS[table] as readonly string[]).includes(chain);
}

/** Chains as iptables orders them: the built-in ones by hook, then the others by name. */
export function chainsInOrder(table: Table): Chain[] {
  const builtin = TABLE_CHAINS[table.name].flatMap((name) => table.chains.get(name) ?? []);
  const others = [...table.chains.values()].filter((chain) => !isBuiltin(table.name, chain.name));
  others.sort((a, b) => Buffer.compare(Buffer.from(a.name), Buffer.from(b.name)));
  return [...builtin, ...others];
}
