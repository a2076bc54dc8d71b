/** What every set can be asked about a packet, and what it keeps of its options (kernel: struct ip_set). */
import type { PacketContext } from '../context.js';

/** Which dimensions of an element are the packet's source: bit 0 is the first. */
export type Directions = number;

/** How a counter is compared. */
export interface CounterTest {
  readonly compare: 'eq' | 'ne' | 'lt' | 'gt';
  /** 64 bits; exact up to 2^53. */
  readonly value: number;
}

/** What goes with a question (kernel: struct ip_set_adt_opt). */
export interface SetQuestion {
  /** Positions given: a set with more dimensions never matches. */
  readonly dimensions: number;
  readonly directions: Directions;
  readonly returnNomatch: boolean;
  readonly updateCounters: boolean;
  /** Of members of list:set. */
  readonly updateSubcounters: boolean;
  readonly packets: CounterTest | undefined;
  readonly bytes: CounterTest | undefined;
}

/** How an element is added. */
export interface SetAddition {
  readonly dimensions: number;
  readonly directions: Directions;
  /** Resets the timeout of one that is there. */
  readonly exist: boolean;
  /** Seconds, 0 for ever; undefined: the set's own. */
  readonly timeout: number | undefined;
}

/** What a set keeps of an element for `SET --map-set`. */
export interface SkbInfo {
  mark: number;
  mask: number;
  priority: number;
  queue: number;
}

export interface IpSet {
  readonly name: string;
  readonly type: string;
  /** Dimensions that a rule has to give at least. */
  readonly dimensions: number;
  /** `info` receives the skbinfo of the element that matched. */
  test(packet: PacketContext, question: SetQuestion, info?: SkbInfo): boolean;
  /** False where nothing was added: it is there already, there is no room, or the packet has no such thing. */
  add(packet: PacketContext, addition: SetAddition): boolean;
  remove(packet: PacketContext, dimensions: number, directions: Directions): boolean;
  /** Elements there are, those that have timed out among them. */
  readonly count: number;
}

/** The options of `create`, as far as packets depend on them. */
export interface SetOptions {
  /** Seconds of an element that states none; undefined: a set without timeouts. */
  readonly timeout: number | undefined;
  readonly counters: boolean;
  readonly skbinfo: boolean;
  /** Most elements. */
  readonly maxElements: number;
  /** A full set gives up an element for a new one. */
  readonly forceAdd: boolean;
  /** Over addresses (host-order words), before they are looked up. */
  readonly mask: Uint32Array | undefined;
  readonly markMask: number;
  /** Of bitmaps, both ends included: addresses or ports. */
  readonly range: readonly [first: number, last: number] | undefined;
}

export function compareCounter(counter: number, test: CounterTest | undefined): boolean {
  if (test === undefined) return true;
  switch (test.compare) {
    case 'eq':
      return counter === test.value;
    case 'ne':
      return counter !== test.value;
    case 'lt':
      return counter < test.value;
    case 'gt':
      return counter > test.value;
  }
}
