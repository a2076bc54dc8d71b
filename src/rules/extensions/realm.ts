/** `-m realm`: the realm of the packet's route (kernel: net/netfilter/xt_realm.c), 0 as host files state none. */
import type { MatchExtension } from '../extension.js';
import { formatNamed, formatNumber, type MaskedNumber, parseNamed } from './named-numbers.js';
import { argument, bang, option, requireOne } from './support.js';

export interface RealmOptions extends MaskedNumber {
  readonly negated: boolean;
}

const ZERO = 'cosmos';

export const realm: MatchExtension<RealmOptions> = {
  kind: 'match',
  name: 'realm',
  summary: "the route's realm, taken to be 0",
  families: [4],
  hooks: ['POSTROUTING', 'FORWARD', 'OUTPUT', 'INPUT'],
  options: [option(true, '--realm')],
  parse(options, context) {
    requireOne(options, 'match realm', context, '--realm');
    const [found] = options;
    if (found === undefined) throw new RangeError('--realm');
    return { negated: found.negated, ...parseNamed(argument(found), ZERO, context) };
  },
  print: (options) => ` ${bang(options.negated)}--realm ${formatNamed(options, ZERO)}`,
  list: (options, _family, names) =>
    `${bang(options.negated)}realm ${names === undefined ? formatNumber(options) : formatNamed(options, ZERO)}`,
  compile({ negated, value }) {
    const holds = (value === 0) !== negated;
    return () => holds;
  },
};
