/**
 * Policies that packets of the fast path pass without a walk: a built-in chain without rules and with policy ACCEPT
 * only counts, so the counts are gathered here and added at the end.
 */
import type { BuiltinChain, TableName } from '../rules/types.js';
import type { CompiledTable, RuleCounterTable } from './compile.js';
import { HOOK_STEPS } from './hooks.js';

export interface FastCounters {
  /** True when every per-packet chain on the way is empty with policy ACCEPT: FORWARD's way, INPUT's way. */
  readonly forwardIsPlain: boolean;
  readonly inputIsPlain: boolean;
  /** Counters of those chains' policies, which `add` counts. */
  readonly policies: ReadonlySet<number>;
  /** Notes packets that were forwarded, and those delivered to the host; bytes by the IP total length. */
  add(forwarded: number, forwardedBytes: number, delivered: number, deliveredBytes: number): void;
  /** Adds what was gathered to the policies' counters. */
  flush(): void;
}

const FORWARD_WAY: readonly BuiltinChain[] = ['PREROUTING', 'FORWARD', 'POSTROUTING'];
const INPUT_WAY: readonly BuiltinChain[] = ['PREROUTING', 'INPUT'];

export function fastCounters(tables: ReadonlyMap<TableName, CompiledTable>, counters: RuleCounterTable): FastCounters {
  const forward = chainsOnTheWay(tables, FORWARD_WAY);
  const input = chainsOnTheWay(tables, INPUT_WAY);
  const totals = { forwardPackets: 0, forwardBytes: 0, inputPackets: 0, inputBytes: 0 };
  const addTo = (ids: readonly number[], packets: number, bytes: number): void => {
    for (const id of ids) {
      counters.packets[id] = (counters.packets[id] ?? 0) + packets;
      counters.bytes[id] = (counters.bytes[id] ?? 0) + bytes;
    }
  };
  return {
    forwardIsPlain: forward !== undefined,
    inputIsPlain: input !== undefined,
    policies: new Set([...(forward ?? []), ...(input ?? [])]),
    add(forwarded, forwardedBytes, delivered, deliveredBytes) {
      totals.forwardPackets += forwarded;
      totals.forwardBytes += forwardedBytes;
      totals.inputPackets += delivered;
      totals.inputBytes += deliveredBytes;
    },
    flush() {
      addTo(forward ?? [], totals.forwardPackets, totals.forwardBytes);
      addTo(input ?? [], totals.inputPackets, totals.inputBytes);
      totals.forwardPackets = 0;
      totals.forwardBytes = 0;
      totals.inputPackets = 0;
      totals.inputBytes = 0;
    },
  };
}

/** Policy counters of the per-packet chains on a way; undefined when one of them has rules or drops. */
function chainsOnTheWay(
  tables: ReadonlyMap<TableName, CompiledTable>,
  way: readonly BuiltinChain[],
): number[] | undefined {
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
