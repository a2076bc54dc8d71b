/**
 * `-m owner`: the process a packet comes from (kernel: net/netfilter/xt_owner.c). A capture does not know it: every packet
 * is taken as one without a socket, as forwarded ones are, for which only negated options hold.
 */
import type { ListNames, MatchExtension, ParseContext, ParsedOption } from '../extension.js';
import { parseUnsigned } from '../values/numbers.js';
import { formatPortRange, type PortRange } from '../values/ports.js';
import { argument, bang, find, flag, has, option, requireOne } from './support.js';

interface IdRange extends PortRange {
  readonly negated: boolean;
}

export interface OwnerOptions {
  readonly user: IdRange | undefined;
  readonly group: IdRange | undefined;
  readonly socketExists: { readonly negated: boolean } | undefined;
  readonly supplementaryGroups: boolean;
}

const MAX_ID = 0xfffffffe;

function parseIds(found: ParsedOption | undefined, what: string, context: ParseContext): IdRange | undefined {
  if (found === undefined) return undefined;
  const token = argument(found);
  // The one account that is the same everywhere.
  if (token.text === 'root') return { negated: found.negated, min: 0, max: 0 };
  const [low = '', high = low] = token.text.split('-', 2);
  const min = parseUnsigned(low, MAX_ID);
  const max = parseUnsigned(high, MAX_ID);
  if (min !== undefined && max !== undefined && min <= max) return { negated: found.negated, min, max };
  const advice = 'write its number: names are not looked up';
  return context.fail('RULES_BAD_OWNER', `"${token.text}" is not a ${what} number or range`, token, advice);
}

/** With names, root is called so; who has another number depends on the machine. */
function listIds(ids: IdRange, names: ListNames | undefined): string {
  return names !== undefined && ids.min === 0 && ids.max === 0 ? 'root' : formatPortRange(ids, '-');
}

export const owner: MatchExtension<OwnerOptions> = {
  kind: 'match',
  name: 'owner',
  summary: 'user and group of the sending process (unknown to a capture)',
  families: [4, 6],
  hooks: ['OUTPUT', 'POSTROUTING'],
  options: [
    option(true, '--uid-owner'),
    option(true, '--gid-owner'),
    flag(true, '--socket-exists'),
    flag(false, '--suppl-groups'),
  ],
  parse(options, context) {
    requireOne(options, 'match owner', context, '--uid-owner', '--gid-owner', '--socket-exists');
    const socket = find(options, '--socket-exists');
    return {
      user: parseIds(find(options, '--uid-owner'), 'user', context),
      group: parseIds(find(options, '--gid-owner'), 'group', context),
      socketExists: socket === undefined ? undefined : { negated: socket.negated },
      supplementaryGroups: has(options, '--suppl-groups'),
    };
  },
  print({ user, group, socketExists, supplementaryGroups }) {
    let text = socketExists === undefined ? '' : ` ${bang(socketExists.negated)}--socket-exists`;
    if (user !== undefined) text += ` ${bang(user.negated)}--uid-owner ${formatPortRange(user, '-')}`;
    if (group !== undefined) text += ` ${bang(group.negated)}--gid-owner ${formatPortRange(group, '-')}`;
    return supplementaryGroups ? `${text} --suppl-groups` : text;
  },
  list({ user, group, socketExists, supplementaryGroups }, _, names) {
    const words: string[] = [];
    if (socketExists !== undefined) words.push(`${bang(socketExists.negated)}owner socket exists`);
    if (user !== undefined) words.push(`${bang(user.negated)}owner UID match ${listIds(user, names)}`);
    if (group !== undefined) words.push(`${bang(group.negated)}owner GID match ${listIds(group, names)}`);
    if (supplementaryGroups) words.push('incl. suppl. groups');
    return words.join(' ');
  },
  compile({ user, group, socketExists }) {
    const tests = [user, group, socketExists].filter((test) => test !== undefined);
    const result = tests.every((test) => test.negated);
    return () => result;
  },
};
