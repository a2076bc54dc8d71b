/**
 * Sets of packets. A box is all packets whose fields lie in given sets, each field by itself, and for which every term
 * holds; a region is several boxes together. Fields are what the kernel's matches look at most.
 */
import { areDisjoint, includes, intersect, subtract, type Value, type ValueSet } from './intervals.js';

export const SOURCE = 0;
export const DESTINATION = 1;
export const PROTOCOL = 2;
/** Names of interfaces, '' for none. */
export const IN = 3;
export const OUT = 4;
/** 0: the first fragment, or no fragment at all; 1: a later one. */
export const LATER_FRAGMENT = 5;
/** Bytes that are there of the transport header and behind. */
export const HEADER = 6;
export const SOURCE_PORT = 7;
export const DESTINATION_PORT = 8;
/** Byte 13 of the TCP header. */
export const FLAGS = 9;
/** Type and code of ICMP, as one number of 16 bits. */
export const ICMP = 10;
/** STATE_* bits. */
export const STATE = 11;
/** Number of the address type, as in `-m addrtype`. */
export const SOURCE_TYPE = 12;
export const DESTINATION_TYPE = 13;
export const MARK = 14;
const DIMENSIONS = 15;

export interface Box {
  /** By dimension; undefined: any value. None is empty. */
  readonly sets: readonly (ValueSet | undefined)[];
  /** Matches that are not sets of fields, as iptables-save prints them, sorted; all of them hold. */
  readonly terms: readonly string[];
}

export type Region = readonly Box[];

/** Every packet. */
export const EVERYTHING: Box = { sets: new Array<undefined>(DIMENSIONS).fill(undefined), terms: [] };

export function isEverything({ sets, terms }: Box): boolean {
  return terms.length === 0 && sets.every((set) => set === undefined);
}

/** The same with one field narrowed; undefined: nothing is left. */
export function narrow(box: Box, dimension: number, set: ValueSet): Box | undefined {
  const had = box.sets[dimension];
  const common = had === undefined ? set : intersect(had, set);
  if (common.length === 0) return undefined;
  const sets = [...box.sets];
  sets[dimension] = common;
  return { sets, terms: box.terms };
}

export function withTerms(box: Box, terms: readonly string[]): Box {
  if (terms.length === 0) return box;
  return { sets: box.sets, terms: [...new Set([...box.terms, ...terms])].sort() };
}

export function common(a: Box, b: Box): Box | undefined {
  const sets: (ValueSet | undefined)[] = [];
  for (let d = 0; d < DIMENSIONS; d++) {
    const x = a.sets[d];
    const y = b.sets[d];
    const both = x === undefined ? y : y === undefined ? x : intersect(x, y);
    if (both !== undefined && both.length === 0) return undefined;
    sets.push(both);
  }
  return withTerms({ sets, terms: a.terms }, b.terms);
}

/** True: no packet is in both. False: there may be one. */
export function apart(a: Box, b: Box): boolean {
  for (let d = 0; d < DIMENSIONS; d++) {
    const x = a.sets[d];
    const y = b.sets[d];
    if (x !== undefined && y !== undefined && areDisjoint(x, y)) return true;
  }
  return false;
}

/** Whether every packet of `inner` is in `outer`. */
export function contains(outer: Box, inner: Box): boolean {
  for (let d = 0; d < DIMENSIONS; d++) {
    const wide = outer.sets[d];
    if (wide === undefined) continue;
    const set = inner.sets[d];
    if (set === undefined || !includes(wide, set)) return false;
  }
  return outer.terms.every((term) => inner.terms.includes(term));
}

/** Dimensions whose values are few enough to name all of them; a set of all of them is no restriction. */
export type Universe = (dimension: number) => ValueSet;

/** What of `box` is not in `taken`: boxes apart from each other. Terms are not split: what they leave open stays. */
export function without(box: Box, taken: Box, universe: Universe): Region {
  if (apart(box, taken) || !taken.terms.every((term) => box.terms.includes(term))) return [box];
  const rest: Box[] = [];
  let inside = box;
  for (let d = 0; d < DIMENSIONS; d++) {
    const set = taken.sets[d];
    if (set === undefined) continue;
    const own = inside.sets[d] ?? universe(d);
    const outside = subtract(own, set);
    if (outside.length > 0) {
      const sets = [...inside.sets];
      sets[d] = outside;
      rest.push({ sets, terms: inside.terms });
    }
    const left = narrow(inside, d, set);
    if (left === undefined) return [box];
    inside = left;
  }
  return rest;
}

/** The same of several boxes; undefined when it gets to more than `most` boxes. */
export function withoutAll(region: Region, taken: Region, universe: Universe, most: number): Region | undefined {
  let rest = region;
  for (const one of taken) {
    rest = rest.flatMap((box) => without(box, one, universe));
    if (rest.length > most) return undefined;
  }
  return rest;
}

export function commonRegion(region: Region, box: Box): Region {
  return region.flatMap((one) => common(one, box) ?? []);
}

/** The box with some dimensions and terms forgotten: more packets, never fewer. */
export function widened(box: Box, dimensions: ReadonlySet<number>, forgets: (term: string) => boolean): Box {
  if (dimensions.size === 0 && !box.terms.some(forgets)) return box;
  return {
    sets: box.sets.map((set, d) => (dimensions.has(d) ? undefined : set)),
    terms: box.terms.filter((term) => !forgets(term)),
  };
}

/** From a value to another, both included; for numbers. */
export function span(min: number, max: number): ValueSet {
  return min > max ? [] : [{ from: min, to: max + 1 }];
}

export const between = (from: Value, to: Value): ValueSet => [{ from, to }];
