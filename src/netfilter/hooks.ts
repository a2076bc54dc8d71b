/**
 * Where the tables hang in the kernel, in the order of their priorities (include/uapi/linux/netfilter_ipv4.h).
 *
 *   in ──▶ PREROUTING ──▶ routing ──▶ FORWARD ──▶ POSTROUTING ──▶ out
 *                            │                       ▲
 *                            ▼                    routing
 *                          INPUT ──▶ host ──▶ OUTPUT ┘
 *
 * Connection tracking itself comes after raw, in PREROUTING and OUTPUT; entries are confirmed last of all, in
 * POSTROUTING and INPUT.
 */
import type { BuiltinChain, TableName } from '../rules/types.js';

/** What runs at a hook, first to last. `conntrack` and `confirm` stand for connection tracking's own functions. */
export type HookStep = TableName | 'conntrack' | 'confirm';

export const HOOK_STEPS: Readonly<Record<BuiltinChain, readonly HookStep[]>> = {
  PREROUTING: ['raw', 'conntrack', 'mangle', 'nat'],
  INPUT: ['mangle', 'filter', 'security', 'nat', 'confirm'],
  FORWARD: ['mangle', 'filter', 'security'],
  OUTPUT: ['raw', 'conntrack', 'mangle', 'nat', 'filter', 'security'],
  POSTROUTING: ['mangle', 'nat', 'confirm'],
};

/** What NAT changes at a hook (kernel: HOOK2MANIP). */
export function manipulationAt(hook: BuiltinChain): 'src' | 'dst' | undefined {
  if (hook === 'PREROUTING' || hook === 'OUTPUT') return 'dst';
  return hook === 'FORWARD' ? undefined : 'src';
}
