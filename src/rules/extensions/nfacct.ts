/** `-m nfacct`: counts packets in a named object and matches them all (kernel: net/netfilter/xt_nfacct.c). */
import type { MatchExtension } from '../extension.js';
import { argument, find, option, requireOne } from './support.js';

export interface NfacctOptions {
  readonly name: string;
}

const MAX_NAME = 31;

export const nfacct: MatchExtension<NfacctOptions> = {
  kind: 'match',
  name: 'nfacct',
  summary: 'counts in an accounting object; matches always, as without a quota',
  families: [4, 6],
  options: [option(false, '--nfacct-name')],
  parse(options, context) {
    requireOne(options, 'match nfacct', context, '--nfacct-name');
    const found = find(options, '--nfacct-name');
    if (found === undefined) throw new RangeError('--nfacct-name');
    const token = argument(found);
    if (token.text === '' || token.text.length > MAX_NAME)
      context.fail(
        'RULES_BAD_NAME',
        `"${token.text}" cannot be a name`,
        token,
        `names have 1 to ${MAX_NAME} characters`,
      );
    return { name: token.text };
  },
  // Two blanks, as iptables writes them.
  print: ({ name }) => ` --nfacct-name  ${name}`,
  list: ({ name }) => `nfacct-name  ${name}`,
  compile: () => () => true,
};
