/**
 * The rules of an indexed chain that a packet may match, in the chain's order: the lists that its fields lead to, merged.
 * Chains jump to one another, so the lists of all chains that are being walked lie on one stack.
 *
 * Hot path of new connections; nothing is allocated.
 */
import type { ChainIndex, Split } from './chainindex.js';
import { DESTINATION, IN, OUT, PROTOCOL, SERVICE, SOURCE } from './fields.js';
import type { PacketFields } from './packetfields.js';

export class Candidates {
  /** Pairs: where the rest of a list begins and ends. */
  private lists = new Int32Array(256);
  /** Where the next list goes. */
  private top = 0;

  /** Begins a chain; the mark has to be given to `close` in the end. */
  open(index: ChainIndex, packet: PacketFields): number {
    const mark = this.top;
    this.collect(index.root, index, packet);
    return mark;
  }

  /** Forgets the chain that was opened last. */
  close(mark: number): void {
    this.top = mark;
  }

  /** The chain's next rule, -1 if there is none. Each is given once: a rule is in one list at most. */
  next({ items }: ChainIndex, mark: number): number {
    const { lists, top } = this;
    let least = 0x7fffffff;
    let from = -1;
    for (let at = mark; at < top; at += 2) {
      const begin = lists[at] as number;
      if (begin === lists[at + 1]) continue;
      const rule = items[begin] as number;
      if (rule >= least) continue;
      least = rule;
      from = at;
    }
    if (from < 0) return -1;
    lists[from] = (lists[from] as number) + 1;
    return least;
  }

  private collect(split: Split, index: ChainIndex, packet: PacketFields): void {
    const { ranges, begins, within, others } = split;
    const value = valueIn(split.field, index, packet);
    for (let range = value < 0 ? -1 : ranges.find(value); range >= 0; range = ranges.around[range] as number) {
      const narrower = within?.get(range);
      if (narrower !== undefined) this.collect(narrower, index, packet);
      else this.push(begins[range] as number, begins[range + 1] as number);
    }
    if ('field' in others) this.collect(others, index, packet);
    else if (others.begin < others.end) this.push(others.begin, others.end);
  }

  private push(begin: number, end: number): void {
    if (this.top === this.lists.length) {
      const larger = new Int32Array(this.lists.length * 2);
      larger.set(this.lists);
      this.lists = larger;
    }
    this.lists[this.top] = begin;
    this.lists[this.top + 1] = end;
    this.top += 2;
  }
}

/** -1: no rule that names the field can match. */
function valueIn(field: number, index: ChainIndex, packet: PacketFields): number {
  switch (field) {
    case SOURCE:
      return index.sources === undefined ? packet.source : index.sources.of(packet.sourceWords);
    case DESTINATION:
      return index.destinations === undefined ? packet.destination : index.destinations.of(packet.destinationWords);
    case SERVICE:
      return packet.service;
    case PROTOCOL:
      return packet.protocol;
    case IN:
      return packet.inWord;
    case OUT:
      return packet.outWord;
    default:
      return -1;
  }
}
