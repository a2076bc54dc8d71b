/**
 * Ways on which packets pass nothing but policies: every per-packet chain is empty and accepts. Then all packets of a
 * connection are alike, whatever its state.
 */
import type { BuiltinChain, TableName } from '../rules/types.js';
import type { CompiledTable } from './compile.js';
import { HOOK_STEPS } from './hooks.js';

export interface PlainWays {
  /** Counters of the policies on the way of forwarded packets; undefined: some chain has rules or drops. */
  readonly forward: readonly number[] | undefined;
  /** The same of packets to the host itself. */
  readonly input: readonly number[] | undefined;
}

export const plainWays = (tables: ReadonlyMap<TableName, CompiledTable>): PlainWays => ({
  forward: policiesOn(tables, ['PREROUTING', 'FORWARD', 'POSTROUTING']),
  input: policiesOn(tables, ['PREROUTING', 'INPUT']),
});

function policiesOn(tables: ReadonlyMap<TableName, CompiledTable>, way: readonly BuiltinChain[]): number[] | undefined {
  const ids: number[] = [];
  for (const hook of way) {
    for (const step of HOOK_STEPS[hook]) {
      if (step === 'conntrack' || step === 'confirm' || step === 'nat') continue;
      const chain = tables.get(step)?.hooks.get(hook);
      if (chain === undefined) continue;
      if (chain.rules.length > 0 || chain.policy !== 'ACCEPT') return undefined;
      ids.push(chain.policyId);
    }
  }
  return ids;
}
