/** Two orders of the same rules: which moved, and whether it matters. */
import { targetText } from '../lint/dead.js';
import { apart, widened } from '../meaning/box.js';
import { effectOf } from '../meaning/effect.js';
import type { Reach } from '../meaning/reach.js';
import type { Rule } from '../types.js';

/** Places in the longest part of `sequence` that ascends (patience sorting); all others have to be moved. */
export function longestAscending(sequence: readonly number[]): Set<number> {
  const tails: number[] = [];
  const before: number[] = [];
  sequence.forEach((value, place) => {
    let low = 0;
    let high = tails.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((sequence[tails[middle] ?? 0] ?? 0) < value) low = middle + 1;
      else high = middle;
    }
    before[place] = low === 0 ? -1 : (tails[low - 1] ?? -1);
    tails[low] = place;
  });
  const kept = new Set<number>();
  for (let place = tails.at(-1) ?? -1; place >= 0; place = before[place] ?? -1) kept.add(place);
  return kept;
}

/** Pairs that are held against each other; beyond, an order is taken to matter. */
const MOST_PAIRS = 2_000_000;

/**
 * Of rules in the order of the one side, with the places they have on the other: those that changed places with a rule in a
 * way that may matter. None: both orders mean the same.
 */
export function mattering(
  rules: readonly Rule[],
  places: readonly number[],
  moved: ReadonlySet<number>,
  reach: Reach,
): Set<number> {
  const matters = new Set<number>();
  let pairs = 0;
  for (const place of moved) {
    pairs += rules.length;
    const rule = rules[place];
    if (rule === undefined || pairs > MOST_PAIRS) {
      matters.add(place);
      continue;
    }
    const passes = rules.some((other, k) => {
      const turned = k < place === (places[k] ?? 0) > (places[place] ?? 0);
      return k !== place && turned && !commute(rule, other, reach);
    });
    if (passes) matters.add(place);
  }
  return matters;
}

/** Whether two rules one after the other mean the same the other way round. */
function commute(a: Rule, b: Rule, reach: Reach): boolean {
  const [x, y] = [reach.conditions.get(a), reach.conditions.get(b)];
  if (x === undefined || y === undefined || a.unsupported || b.unsupported) return false;
  if (x.unsteady.length > 0 || y.unsteady.length > 0) return false;
  if (x.upper === undefined || y.upper === undefined) return true;
  const { unsteady, forgets } = reach.stability;
  if (apart(widened(x.upper, unsteady, forgets), widened(y.upper, unsteady, forgets))) return true;
  const family = reach.family;
  const ends = (rule: Rule): boolean => ['verdict', 'leaves'].includes(effectOf(rule));
  return ends(a) && ends(b) && targetText(a, family) === targetText(b, family);
}
