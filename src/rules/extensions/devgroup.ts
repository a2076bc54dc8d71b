/** `-m devgroup`: groups of interfaces (kernel: net/netfilter/xt_devgroup.c). Parsed only: host files name no groups. */
import type { MatchExtension } from '../extension.js';
import { formatNamed, formatNumber, type MaskedNumber, parseNamed } from './named-numbers.js';
import { argument, bang, find, option, requireOne } from './support.js';

interface GroupTest extends MaskedNumber {
  readonly negated: boolean;
}

export interface DevgroupOptions {
  readonly source: GroupTest | undefined;
  readonly destination: GroupTest | undefined;
}

const ZERO = 'default';

export const devgroup: MatchExtension<DevgroupOptions> = {
  kind: 'match',
  name: 'devgroup',
  summary: 'groups of interfaces',
  support: 'parsed',
  families: [4, 6],
  options: [option(true, '--src-group'), option(true, '--dst-group')],
  usableIn({ source, destination }) {
    const all = ['PREROUTING', 'INPUT', 'FORWARD', 'OUTPUT', 'POSTROUTING'] as const;
    return all.filter(
      (hook) =>
        (source === undefined || (hook !== 'OUTPUT' && hook !== 'POSTROUTING')) &&
        (destination === undefined || (hook !== 'PREROUTING' && hook !== 'INPUT')),
    );
  },
  parse(options, context) {
    requireOne(options, 'match devgroup', context, '--src-group', '--dst-group');
    const test = (name: string): GroupTest | undefined => {
      const found = find(options, name);
      return found && { negated: found.negated, ...parseNamed(argument(found), ZERO, context) };
    };
    return { source: test('--src-group'), destination: test('--dst-group') };
  },
  print({ source, destination }) {
    const text = source === undefined ? '' : ` ${bang(source.negated)}--src-group ${formatNamed(source, ZERO)}`;
    return destination === undefined
      ? text
      : `${text} ${bang(destination.negated)}--dst-group ${formatNamed(destination, ZERO)}`;
  },
  list({ source, destination }) {
    const parts = source === undefined ? [] : [`${bang(source.negated)}src-group ${formatNumber(source)}`];
    if (destination !== undefined) parts.push(`${bang(destination.negated)}dst-group ${formatNumber(destination)}`);
    return parts.join(' ');
  },
  compile: () => () => false,
};
