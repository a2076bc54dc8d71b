/**
 * Rules of a chain that keep packets from the rules behind them, found again by what they take: in a chain of many
 * thousands of rules, of which nearly all are for one address or port, only few can stand in the way of a given one.
 */
import type { Rule } from '../types.js';
import { type Box, DESTINATION, DESTINATION_PORT, isEverything, SOURCE } from './box.js';
import { onlyNumber } from './intervals.js';

export interface Taker {
  readonly rule: Rule;
  readonly box: Box;
}

/** Chains up to here are looked at whole; so several rules together are found that leave nothing to another. */
const WHOLE = 400;

export class Takers {
  private readonly all: Taker[] = [];
  private readonly broad: Taker[] = [];
  private readonly byPort = new Map<number, Taker[]>();
  private readonly byAddress = [new Map<string, Taker[]>(), new Map<string, Taker[]>()] as const;
  private readonly sizes = [new Set<number>(), new Set<number>()] as const;
  /** The first that takes every packet. */
  unconditional: Taker | undefined;

  add(taker: Taker): void {
    this.all.push(taker);
    if (isEverything(taker.box)) this.unconditional ??= taker;
    const port = onlyNumber(taker.box.sets[DESTINATION_PORT]);
    if (port !== undefined) {
      push(this.byPort, port, taker);
      return;
    }
    for (const [k, dimension] of [DESTINATION, SOURCE].entries()) {
      const network = networkIn(taker.box, dimension);
      const index = this.byAddress[k];
      if (network === undefined || index === undefined) continue;
      this.sizes[k]?.add(network.size);
      push(index, `${network.from}/${network.size}`, taker);
      return;
    }
    this.broad.push(taker);
  }

  /** All that can contain `box` by themselves, and in chains that are not long all there are; in the order of the chain. */
  candidates(box: Box): readonly Taker[] {
    if (this.all.length <= WHOLE) return this.all;
    const found = [...this.broad];
    const port = onlyNumber(box.sets[DESTINATION_PORT]);
    if (port !== undefined) found.push(...(this.byPort.get(port) ?? []));
    for (const [k, dimension] of [DESTINATION, SOURCE].entries()) {
      const network = networkIn(box, dimension);
      if (network === undefined) continue;
      for (const size of this.sizes[k] ?? []) {
        if (size < network.size) continue;
        found.push(...(this.byAddress[k]?.get(`${network.from - (network.from % size)}/${size}`) ?? []));
      }
    }
    return found.sort((a, b) => a.rule.number - b.rule.number);
  }
}

function push<K>(index: Map<K, Taker[]>, key: K, taker: Taker): void {
  const list = index.get(key);
  if (list === undefined) index.set(key, [taker]);
  else list.push(taker);
}

/** An IPv4 network. */
function networkIn(box: Box, dimension: number): { readonly from: number; readonly size: number } | undefined {
  const [first, second] = box.sets[dimension] ?? [];
  if (first === undefined || second !== undefined) return undefined;
  const { from, to } = first;
  if (typeof from !== 'number' || typeof to !== 'number') return undefined;
  const size = to - from;
  return from % size === 0 && Number.isInteger(Math.log2(size)) ? { from, size } : undefined;
}
