/** `-m quota`: packets as long as a number of bytes lasts (kernel: net/netfilter/xt_quota.c). */
import type { MatchExtension } from '../extension.js';
import { parseUnsigned64 } from '../values/longs.js';
import { argument, bang, find, option, requireOne } from './support.js';

export interface QuotaOptions {
  readonly negated: boolean;
  readonly bytes: bigint;
}

export const quota: MatchExtension<QuotaOptions> = {
  kind: 'match',
  name: 'quota',
  summary: 'packets as long as a number of bytes lasts',
  families: [4, 6],
  options: [option(true, '--quota')],
  parse(options, context) {
    requireOne(options, 'match quota', context, '--quota');
    const found = find(options, '--quota');
    if (found === undefined) throw new RangeError('--quota');
    const token = argument(found);
    const bytes = parseUnsigned64(token.text);
    if (bytes === undefined)
      return context.fail('RULES_BAD_NUMBER', `"${token.text}" is not a number`, token, 'write a whole number');
    return { negated: found.negated, bytes };
  },
  print: ({ negated, bytes }) => ` ${bang(negated)}--quota ${bytes}`,
  list: ({ bytes }) => `quota: ${bytes} bytes`,
  compile({ negated, bytes }, { savers }) {
    let left = Number(bytes);
    savers?.push(() => {
      const saved = left;
      return () => {
        left = saved;
      };
    });
    return ({ totalLength }) => {
      // What does not fit any more uses up the rest.
      const fits = left >= totalLength;
      left = fits ? left - totalLength : 0;
      return fits !== negated;
    };
  },
};
