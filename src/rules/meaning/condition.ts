/** What packets a rule is for, as sets of packets. */
import type { Family } from '../../host/types.js';
import type { AddressMatch, Rule } from '../types.js';
import { formatNetwork } from '../values/addresses.js';
import { protocolName } from '../values/protocols.js';
import {
  type Box,
  DESTINATION,
  EVERYTHING,
  IN,
  LATER_FRAGMENT,
  narrow,
  OUT,
  PROTOCOL,
  SOURCE,
  span,
  withTerms,
} from './box.js';
import { intersect, subtract, type Value } from './intervals.js';
import { addressValue, meaningOf, type Restriction } from './matchfields.js';
import { namesLike, universeOf } from './universe.js';

export interface Condition {
  /** Every packet that matches is in it; undefined: none can match. */
  readonly upper: Box | undefined;
  /** Every packet in it matches, or is dropped by one of the matches. Undefined: nothing is sure to match. */
  readonly lower: Box | undefined;
  /** Where nothing can match: the words that contradict each other, one or two of them. */
  readonly contradiction: readonly string[];
  /** Matches that count, draw or remember, as iptables-save prints them. */
  readonly unsteady: readonly string[];
}

export function conditionOf(rule: Rule, family: Family): Condition {
  const { restrictions, terms } = fixedPart(rule, family);
  const upper = [...restrictions];
  const lower = [...restrictions];
  const unsteady: string[] = [];
  for (const use of rule.matches) {
    const meaning = meaningOf(use, family);
    upper.push(...meaning.upper);
    lower.push(...(meaning.lower ?? meaning.upper));
    const text = `${use.extension.name}${use.extension.print(use.options, family)}`;
    if (meaning.unsteady === true) unsteady.push(text);
    else if (meaning.term) terms.push(text);
  }
  const above = rule.unsupported ? undefined : boxOf(upper, terms);
  return {
    upper: above,
    lower: unsteady.length > 0 || rule.unsupported ? undefined : boxOf(lower, terms),
    contradiction: above === undefined && !rule.unsupported ? contradictionIn(upper) : [],
    unsteady,
  };
}

function boxOf(restrictions: readonly Restriction[], terms: readonly string[]): Box | undefined {
  let box: Box | undefined = withTerms(EVERYTHING, terms);
  for (const { dimension, set } of restrictions) {
    box = narrow(box, dimension, set);
    if (box === undefined) return undefined;
  }
  return box;
}

function contradictionIn(restrictions: readonly Restriction[]): readonly string[] {
  for (const [i, { dimension, set, words }] of restrictions.entries()) {
    if (set.length === 0) return [words];
    const other = restrictions
      .slice(0, i)
      .find((one) => one.dimension === dimension && intersect(one.set, set).length === 0);
    if (other !== undefined) return [other.words, words];
  }
  // Three or more that leave nothing only together.
  return [...new Set(restrictions.map(({ words }) => words))];
}

function fixedPart(rule: Rule, family: Family): { restrictions: Restriction[]; terms: string[] } {
  const { source, destination, protocol, inInterface, outInterface, fragment } = rule;
  const universe = universeOf(family);
  const restrictions: Restriction[] = [];
  const terms: string[] = [];
  for (const [dimension, option, match] of [
    [SOURCE, '-s', source],
    [DESTINATION, '-d', destination],
  ] as const) {
    if (match === undefined) continue;
    const words = `${match.negated ? '! ' : ''}${option} ${formatNetwork(family, match)}`;
    const range = rangeOf(match, family);
    if (range === undefined) {
      terms.push(`${dimension === SOURCE ? 'source' : 'destination'} ${words}`);
      continue;
    }
    const set = match.negated ? subtract(universe(dimension), [range]) : [range];
    restrictions.push({ dimension, set, words });
  }
  if (protocol !== undefined && protocol.number !== 0) {
    const { number, negated } = protocol;
    // What has no protocol to be compared matches neither way.
    const set = negated ? subtract(span(0, 255), span(number, number)) : span(number, number);
    restrictions.push({ dimension: PROTOCOL, set, words: `${negated ? '! ' : ''}-p ${protocolName(number)}` });
  }
  for (const [dimension, option, match] of [
    [IN, '-i', inInterface],
    [OUT, '-o', outInterface],
  ] as const) {
    if (match === undefined) continue;
    const names = namesLike(match.pattern);
    const set = match.negated ? subtract(universe(dimension), names) : names;
    restrictions.push({ dimension, set, words: `${match.negated ? '! ' : ''}${option} ${match.pattern}` });
  }
  if (fragment !== undefined) {
    const value = fragment.negated ? 0 : 1;
    restrictions.push({ dimension: LATER_FRAGMENT, set: span(value, value), words: fragment.negated ? '! -f' : '-f' });
  }
  return { restrictions, terms };
}

/** Undefined for a mask that is no prefix. */
export function rangeOf({ address, mask }: AddressMatch, family: Family): { from: Value; to: Value } | undefined {
  const from = addressValue(
    address.map((word, i) => word & (mask[i] ?? 0)),
    family,
  );
  const bits = addressValue(mask, family);
  if (typeof bits === 'bigint') {
    const size = (1n << 128n) - bits;
    return (size & (size - 1n)) === 0n ? { from, to: (from as bigint) + size } : undefined;
  }
  const size = 2 ** 32 - Number(bits);
  return Number.isInteger(Math.log2(size)) ? { from, to: Number(from) + size } : undefined;
}
