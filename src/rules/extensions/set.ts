/** `-m set`: whether the packet is in an ipset (kernel: net/netfilter/xt_set.c, net/netfilter/ipset). */
import type { MatchExtension, ParseContext, ParsedOption } from '../extension.js';
import type { CounterTest } from '../ipset/set.js';
import { parseUnsigned64 } from '../values/longs.js';
import { findSet, formatSetReference, parseSetReference, type SetReference } from '../values/setnames.js';
import { argument, bang, find, flag, has, option } from './support.js';

interface Comparison {
  readonly compare: CounterTest['compare'];
  readonly value: bigint;
}

export interface SetOptions {
  readonly set: SetReference;
  readonly negated: boolean;
  readonly returnNomatch: boolean;
  readonly updateCounters: boolean;
  readonly updateSubcounters: boolean;
  readonly packets: Comparison | undefined;
  readonly bytes: Comparison | undefined;
}

function parseComparison(
  options: readonly ParsedOption[],
  counter: 'packets' | 'bytes',
  context: ParseContext,
): Comparison | undefined {
  const [found, second] = options.filter(({ name }) => name.startsWith(`--${counter}-`));
  if (found === undefined) return undefined;
  if (second !== undefined) {
    const what = `only one of --${counter}-eq, --${counter}-lt and --${counter}-gt`;
    context.fail('RULES_OPTIONS_EXCLUDE', what, second.token, 'leave one of them out');
  }
  const token = argument(found);
  const value = parseUnsigned64(token.text);
  if (value === undefined) {
    return context.fail('RULES_BAD_NUMBER', `"${token.text}" is not a number`, token, 'write a whole number');
  }
  const compare = found.name.slice(-2) as 'eq' | 'lt' | 'gt';
  return { compare: compare === 'eq' && found.negated ? 'ne' : compare, value };
}

function comparisonWords(counter: string, test: Comparison | undefined, lead: string): string {
  if (test === undefined) return '';
  const { compare, value } = test;
  return ` ${bang(compare === 'ne')}${lead}${counter}-${compare === 'ne' ? 'eq' : compare} ${value}`;
}

/** `lead`: `--` when saving, nothing in listings. */
function words(options: SetOptions, lead: string): string {
  let text = `${bang(options.negated)}${lead}match-set ${formatSetReference(options.set)}`;
  if (options.returnNomatch) text += ` ${lead}return-nomatch`;
  if (!options.updateCounters) text += ` ! ${lead}update-counters`;
  if (!options.updateSubcounters) text += ` ! ${lead}update-subcounters`;
  text += comparisonWords('packets', options.packets, lead);
  return text + comparisonWords('bytes', options.bytes, lead);
}

const testOf = (test: Comparison | undefined): CounterTest | undefined =>
  test && { compare: test.compare, value: Number(test.value) };

export const set: MatchExtension<SetOptions> = {
  kind: 'match',
  name: 'set',
  summary: 'packets that an ipset of the host file holds',
  families: [4, 6],
  options: [
    { names: ['--match-set', '--set'], args: 2, negatable: true },
    flag(false, '--return-nomatch'),
    flag(true, '--update-counters'),
    flag(true, '--update-subcounters'),
    option(true, '--packets-eq'),
    option(false, '--packets-lt'),
    option(false, '--packets-gt'),
    option(true, '--bytes-eq'),
    option(false, '--bytes-lt'),
    option(false, '--bytes-gt'),
  ],
  parse(options, context) {
    const found = find(options, '--match-set');
    if (found === undefined) {
      return context.fail('RULES_MISSING_OPTION', 'match set needs --match-set', undefined, 'add --match-set NAME src');
    }
    return {
      set: parseSetReference(found, context),
      negated: found.negated,
      returnNomatch: has(options, '--return-nomatch'),
      updateCounters: find(options, '--update-counters')?.negated !== true,
      updateSubcounters: find(options, '--update-subcounters')?.negated !== true,
      packets: parseComparison(options, 'packets', context),
      bytes: parseComparison(options, 'bytes', context),
    };
  },
  print: (options) => ` ${words(options, '--')}`,
  list: (options) => words(options, ''),
  compile(options, context) {
    const found = findSet(options.set, context);
    const { negated, returnNomatch, updateCounters, updateSubcounters } = options;
    const { dimensions, directions } = options.set;
    const packets = testOf(options.packets);
    const bytes = testOf(options.bytes);
    const question = { dimensions, directions, returnNomatch, updateCounters, updateSubcounters, packets, bytes };
    return (packet) => found.test(packet, question) !== negated;
  },
};
