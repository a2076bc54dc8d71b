/** Rules that mean the same have the same key, however they are written. */
import type { Family } from '../../host/types.js';
import { targetText } from '../lint/dead.js';
import type { Condition } from '../meaning/condition.js';
import { includes } from '../meaning/intervals.js';
import { isSteady } from '../meaning/stability.js';
import { universeOf } from '../meaning/universe.js';
import { printRule } from '../print.js';
import type { Rule } from '../types.js';

/** Matches that need a transport header, and drop packets whose header is cut short, each at its own length. */
const HEADERS: ReadonlySet<string> = new Set(['tcp', 'udp', 'multiport', 'icmp', 'icmp6']);

export interface KeyOptions {
  /** Other comments make other rules. */
  readonly comments: boolean;
}

/**
 * Takes matches for the same in any order, unless one counts, draws or remembers: then what stands before it decides what it
 * is asked about. (Of a packet whose transport header is cut short the order may decide whether it is dropped; that is not
 * regarded.)
 */
export function keyOf(rule: Rule, condition: Condition, family: Family, { comments }: KeyOptions): string {
  const remark = comments ? commentOf(rule, family) : '';
  if (rule.unsupported || condition.upper === undefined) return `${printRule(rule, family)} ${remark}`;
  const { sets, terms } = condition.upper;
  const universe = universeOf(family);
  const fields = sets.map((set, dimension) =>
    set === undefined || includes(set, universe(dimension))
      ? ''
      : set.map(({ from, to }) => `${String(from)}\u0001${String(to)}`).join('\u0002'),
  );
  const headers = rule.matches.map(({ extension }) => extension.name).filter((name) => HEADERS.has(name));
  return [
    ...fields,
    terms.join('\u0002'),
    [...new Set(headers)].sort().join(),
    ...counting(rule, family),
    targetText(rule, family),
    remark,
  ].join('\u0003');
}

export function commentOf({ matches }: Rule, family: Family): string {
  return matches
    .filter(({ extension }) => extension.name === 'comment')
    .map(({ extension, options }) => extension.print(options, family))
    .join();
}

/** Matches that count, draw or remember, each with what stands before it. */
function counting({ matches }: Rule, family: Family): string[] {
  const texts = matches.map(({ extension, options }) => ({
    steady: isSteady(extension.name),
    isComment: extension.name === 'comment',
    text: extension.name + extension.print(options, family),
  }));
  return texts.flatMap(({ steady, text }, k) => {
    if (steady) return [];
    const before = texts.slice(0, k).filter(({ isComment }) => !isComment);
    return [
      `${text} after ${before
        .map((other) => other.text)
        .sort()
        .join(' ')}`,
    ];
  });
}
