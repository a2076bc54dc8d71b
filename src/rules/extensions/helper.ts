/**
 * `-m helper`: connections that a helper of connection tracking expected (kernel: net/netfilter/xt_helper.c). No helper is
 * at work here, so none is.
 */
import type { MatchExtension } from '../extension.js';
import { quote } from '../values/strings.js';
import { argument, bang, option, requireOne } from './support.js';

export interface HelperOptions {
  readonly negated: boolean;
  readonly helper: string;
}

/** Bytes that fit into the kernel's field. */
const MAX_NAME = 29;

export const helper: MatchExtension<HelperOptions> = {
  kind: 'match',
  name: 'helper',
  summary: 'connections that a helper expected, of which there are none',
  families: [4, 6],
  options: [option(true, '--helper')],
  parse(options, context) {
    requireOne(options, 'match helper', context, '--helper');
    const [found] = options;
    if (found === undefined) throw new RangeError('--helper');
    return { negated: found.negated, helper: argument(found).text.slice(0, MAX_NAME) };
  },
  print: ({ negated, helper: name }) => ` ${bang(negated)}--helper ${quote(name)}`,
  list: ({ negated, helper: name }) => `helper match ${bang(negated)}"${name}"`,
  compile:
    ({ negated }) =>
    () =>
      negated,
};
