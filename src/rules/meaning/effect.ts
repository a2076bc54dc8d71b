/** What a rule does to the walk of a packet that matches it. */
import type { Rule } from '../types.js';

/**
 * `verdict`: the table is done with it. `leaves`: it leaves the chain (RETURN). `jump`, `goto`: into a chain. `goes on`: the
 * next rule, whatever else was done.
 */
export type Effect = 'verdict' | 'leaves' | 'jump' | 'goto' | 'goes on';

/** Not SYNPROXY, which lets packets pass that are part of no handshake. */
const VERDICTS: ReadonlySet<string> = new Set([
  'REJECT',
  'DNAT',
  'SNAT',
  'MASQUERADE',
  'REDIRECT',
  'NETMAP',
  'QUEUE',
  'NFQUEUE',
  'TPROXY',
]);

export function effectOf({ target, unsupported }: Rule): Effect {
  if (target === undefined || unsupported) return 'goes on';
  if (target.kind === 'verdict') return target.verdict === 'RETURN' ? 'leaves' : 'verdict';
  if (target.kind !== 'extension') return target.kind;
  return VERDICTS.has(target.extension.name) ? 'verdict' : 'goes on';
}

/** Whether packets end here: DROP, REJECT. */
export function drops({ target }: Rule): boolean {
  if (target?.kind === 'verdict') return target.verdict === 'DROP';
  return target?.kind === 'extension' && target.extension.name === 'REJECT';
}

/** `DROP`, `DNAT`, the name of the chain; '' for a rule that only counts. */
export function targetName({ target }: Rule): string {
  if (target === undefined) return '';
  if (target.kind === 'verdict') return target.verdict;
  return target.kind === 'extension' ? target.extension.name : target.chain;
}
