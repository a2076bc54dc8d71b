/** `-m state`: the older form of `-m conntrack --ctstate` (kernel: net/netfilter/xt_conntrack.c). */
import type { MatchExtension } from '../extension.js';
import { formatStates, parseStates } from './states.js';
import { argument, bang, find, option, requireOne } from './support.js';

export interface StateOptions {
  readonly negated: boolean;
  /** STATE_* bits. */
  readonly mask: number;
}

export const state: MatchExtension<StateOptions> = {
  kind: 'match',
  name: 'state',
  summary: 'state of the connection',
  families: [4, 6],
  options: [option(true, '--state')],
  parse(options, context) {
    requireOne(options, 'match state', context, '--state');
    const found = find(options, '--state');
    if (found === undefined) throw new RangeError('--state');
    return { negated: found.negated, mask: parseStates(argument(found), context, false) };
  },
  print({ negated, mask }) {
    return ` ${bang(negated)}--state ${formatStates(mask)}`;
  },
  list({ negated, mask }) {
    return `${bang(negated)}state ${formatStates(mask)}`;
  },
  reads: () => ({}),
  compile({ negated, mask }) {
    return (packet) => ((packet.state & mask) !== 0) !== negated;
  },
};
