/**
 * `-m cgroup`: the control group of the socket that sent the packet (kernel: net/netfilter/xt_cgroup.c). What is forwarded
 * has no socket, and what the host sends has none that is known: it never holds, negated or not.
 */
import type { MatchExtension } from '../extension.js';
import { MAX_32, parseNumber } from '../values/ranges.js';
import { quote } from '../values/strings.js';
import { argument, bang, exclusive, option, requireOne } from './support.js';

export interface CgroupOptions {
  readonly negated: boolean;
  /** A number of version 1, a path of version 2. */
  readonly group: number | string;
}

export const cgroup: MatchExtension<CgroupOptions> = {
  kind: 'match',
  name: 'cgroup',
  summary: 'the control group of the sending program: never',
  families: [4, 6],
  hooks: ['OUTPUT', 'POSTROUTING', 'INPUT'],
  options: [option(true, '--cgroup'), option(true, '--path')],
  parse(options, context) {
    requireOne(options, 'match cgroup', context, '--path', '--cgroup');
    exclusive(options, context, '--path', '--cgroup');
    const [found] = options;
    if (found === undefined) throw new RangeError('--cgroup');
    const token = argument(found);
    return {
      negated: found.negated,
      group: found.name === '--path' ? token.text : parseNumber(token, 0, MAX_32, context),
    };
  },
  print({ negated, group }) {
    return ` ${bang(negated)}${typeof group === 'string' ? `--path ${quote(group)}` : `--cgroup ${group}`}`;
  },
  list: ({ negated, group }) => `cgroup ${bang(negated)}${group}`,
  compile: () => () => false,
};
