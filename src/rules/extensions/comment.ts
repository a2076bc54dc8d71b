/** `-m comment`: a remark; always matches. */
import type { MatchExtension } from '../extension.js';
import { quote } from '../values/strings.js';
import { argument, find, option, requireOne } from './support.js';

/** XT_MAX_COMMENT_LEN less its end. */
const MAX_COMMENT = 255;

export const comment: MatchExtension<string> = {
  kind: 'match',
  name: 'comment',
  summary: 'a remark on the rule',
  families: [4, 6],
  options: [option(false, '--comment')],
  parse(options, context) {
    requireOne(options, 'match comment', context, '--comment');
    const found = find(options, '--comment');
    const text = found === undefined ? '' : argument(found).text;
    if (Buffer.byteLength(text) > MAX_COMMENT) {
      context.fail('RULES_TOO_LONG', `a comment of more than ${MAX_COMMENT} bytes`, found?.args[0], 'shorten it');
    }
    return text;
  },
  print(text) {
    return ` --comment ${quote(text)}`;
  },
  list(text) {
    return `/* ${text} */`;
  },
  reads: () => ({}),
  compile() {
    return () => true;
  },
};
