/**
 * Sets of values that have an order: IPv4 addresses and ports as numbers, IPv6 addresses as bigints, interface names as
 * strings. A set is a list of intervals, ascending and apart from each other; the end of an interval is not part of it.
 */

export type Value = number | bigint | string;

export interface Interval {
  readonly from: Value;
  readonly to: Value;
}

export type ValueSet = readonly Interval[];

/** Values of one set are of one type, which TypeScript's `<` does not see. */
function less(a: Value, b: Value): boolean {
  return (a as number) < (b as number);
}

const least = (a: Value, b: Value): Value => (less(b, a) ? b : a);
const greatest = (a: Value, b: Value): Value => (less(a, b) ? b : a);

/** A set of intervals in any order, which may overlap or be empty. */
export function setOf(intervals: readonly Interval[]): ValueSet {
  const sorted = intervals.filter(({ from, to }) => less(from, to)).sort((a, b) => (less(a.from, b.from) ? -1 : 1));
  const merged: { from: Value; to: Value }[] = [];
  for (const { from, to } of sorted) {
    const last = merged.at(-1);
    if (last !== undefined && !less(last.to, from)) last.to = greatest(last.to, to);
    else merged.push({ from, to });
  }
  return merged;
}

export function intersect(a: ValueSet, b: ValueSet): ValueSet {
  const common: Interval[] = [];
  for (let i = 0, j = 0; ; ) {
    const x = a[i];
    const y = b[j];
    if (x === undefined || y === undefined) return common;
    const from = greatest(x.from, y.from);
    const to = least(x.to, y.to);
    if (less(from, to)) common.push({ from, to });
    if (less(x.to, y.to)) i++;
    else j++;
  }
}

/** What of `a` is not in `b`. */
export function subtract(a: ValueSet, b: ValueSet): ValueSet {
  const rest: Interval[] = [];
  let j = 0;
  for (const { from, to } of a) {
    let start = from;
    for (let cut = b[j]; cut !== undefined && less(cut.from, to); cut = b[j]) {
      if (less(start, cut.from)) rest.push({ from: start, to: cut.from });
      start = greatest(start, cut.to);
      if (less(to, cut.to)) break;
      j++;
    }
    if (less(start, to)) rest.push({ from: start, to });
  }
  return rest;
}

export function areDisjoint(a: ValueSet, b: ValueSet): boolean {
  for (let i = 0, j = 0; ; ) {
    const x = a[i];
    const y = b[j];
    if (x === undefined || y === undefined) return true;
    if (less(x.from, y.to) && less(y.from, x.to)) return false;
    if (less(x.to, y.to)) i++;
    else j++;
  }
}

/** Whether all of `inner` is in `outer`. */
export function includes(outer: ValueSet, inner: ValueSet): boolean {
  let j = 0;
  for (const { from, to } of inner) {
    for (let next = outer[j]; next !== undefined && less(next.to, to); next = outer[j]) j++;
    const around = outer[j];
    if (around === undefined || less(from, around.from)) return false;
  }
  return true;
}

/** The single value of a set of numbers. */
export function onlyNumber(set: ValueSet | undefined): number | undefined {
  const [first, second] = set ?? [];
  if (first === undefined || second !== undefined || typeof first.from !== 'number') return undefined;
  return first.to === first.from + 1 ? first.from : undefined;
}
