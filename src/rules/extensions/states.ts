/** Connection states by name, for conntrack and state. */
import {
  STATE_DNAT,
  STATE_ESTABLISHED,
  STATE_INVALID,
  STATE_NEW,
  STATE_RELATED,
  STATE_SNAT,
  STATE_UNTRACKED,
} from '../context.js';
import type { ParseContext, Token } from '../extension.js';
import { didYouMean } from '../nearest.js';

/** In the order iptables prints them. */
const STATES: readonly (readonly [string, number])[] = [
  ['INVALID', STATE_INVALID],
  ['NEW', STATE_NEW],
  ['RELATED', STATE_RELATED],
  ['ESTABLISHED', STATE_ESTABLISHED],
  ['UNTRACKED', STATE_UNTRACKED],
  ['SNAT', STATE_SNAT],
  ['DNAT', STATE_DNAT],
];

export function parseStates(token: Token, context: ParseContext, withNat: boolean): number {
  const allowed = withNat ? STATES : STATES.slice(0, 5);
  let mask = 0;
  for (const word of token.text.split(',')) {
    const state = allowed.find(([name]) => name === word.toUpperCase());
    if (state === undefined) {
      const names = allowed.map(([name]) => name);
      const advice = didYouMean(word, names, names.join(', '));
      return context.fail('RULES_BAD_STATE', `"${word}" is not a connection state`, token, advice);
    }
    mask |= state[1];
  }
  return mask;
}

export function formatStates(mask: number): string {
  return STATES.filter(([, bit]) => (mask & bit) !== 0)
    .map(([name]) => name)
    .join(',');
}
