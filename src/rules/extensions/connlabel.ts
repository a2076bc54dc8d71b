/** `-m connlabel`: labels of connections, numbers from 0 to 127 (kernel: net/netfilter/xt_connlabel.c). */
import type { MatchExtension } from '../extension.js';
import { parseUnsigned } from '../values/numbers.js';
import { argument, bang, find, flag, has, option, requireOne } from './support.js';

export interface ConnlabelOptions {
  readonly negated: boolean;
  /** A name is one of the host's /etc/xtables/connlabel.conf. */
  readonly label: number | string;
  readonly set: boolean;
}

const MAX_LABEL = 127;

export const connlabel: MatchExtension<ConnlabelOptions> = {
  kind: 'match',
  name: 'connlabel',
  summary: "the connection's labels; sets them, too",
  families: [4, 6],
  options: [option(true, '--label'), flag(false, '--set')],
  parse(options, context) {
    requireOne(options, 'match connlabel', context, '--label');
    const found = find(options, '--label');
    if (found === undefined) throw new RangeError('--label');
    const token = argument(found);
    const number = parseUnsigned(token.text, 0xffffffff);
    if ((number ?? 0) > MAX_LABEL || token.text === '')
      context.fail('RULES_BAD_NUMBER', `"${token.text}" is not a label`, token, `labels are 0 to ${MAX_LABEL}`);
    return { negated: found.negated, label: number ?? token.text, set: has(options, '--set') };
  },
  print({ negated, label, set }) {
    return ` ${bang(negated)}--label "${label}"${set ? ' --set' : ''}`;
  },
  list({ negated, label, set }) {
    return `connlabel ${bang(negated)}${label}${set ? ' set' : ''}`;
  },
  compile({ negated, label, set }, { shared }) {
    // Which numbers names stand for makes no difference, as long as they are not those that rules use.
    const names = shared.named('connlabel', 'names', () => new Map<string, number>());
    const { journal } = shared;
    if (typeof label === 'string' && !names.has(label)) names.set(label, MAX_LABEL - (names.size % (MAX_LABEL + 1)));
    const bit = typeof label === 'string' ? (names.get(label) ?? 0) : label;
    return (packet) => {
      const labels = packet.connection?.labels;
      if (labels === undefined) return negated;
      if (labels.has(bit)) return !negated;
      if (!set) return negated;
      labels.set(bit, true);
      if (journal.active) journal.note(packet, () => labels.set(bit, false));
      return !negated;
    };
  },
};
