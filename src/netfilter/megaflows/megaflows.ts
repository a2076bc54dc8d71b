/**
 * The ways that first packets of connections took through the rules, remembered for those that nothing can tell apart from
 * them: a new connection then costs the same however many rules there are (a megaflow cache, as in Pfaff et al., The
 * Design and Implementation of Open vSwitch, NSDI 2015).
 */
import type { NatRange } from '../../rules/extension.js';
import type { PacketClasses } from './classes.js';
import { scaled } from './intervals.js';

/** A rule's translation. */
export interface Translation {
  readonly range: NatRange;
  /** Number of the rule's counter. */
  readonly rule: number;
}

export interface Megaflow {
  readonly ingress: number;
  /** Interface, or PATH_LOCAL for the host itself. */
  readonly egress: number;
  /** Where answers go out if they come in by the egress, -1 where that has to be seen. */
  readonly answers: number;
  /** STATED_ORIGINAL and the bit of replies, where they are set. */
  readonly stated: number;
  /** Counters of the rules and policies that it adds to, but for those that count every packet on a plain way. */
  readonly counted: Int32Array;
  /** Rules that were looked at. */
  readonly evaluated: number;
  readonly dnat: Translation | undefined;
  readonly snat: Translation | undefined;
}

/** There is no way to be remembered for these packets. */
export const NO_MEGAFLOW = null;

const KEY_WORDS = 4;
/** Ways remembered at the most; a power of two, of which half are filled. */
const SLOTS = 1 << 17;
const FIRST_SLOTS = 1 << 8;

export class Megaflows {
  private keys = new Int32Array(FIRST_SLOTS * KEY_WORDS);
  private flows: (Megaflow | null | undefined)[] = new Array<undefined>(FIRST_SLOTS).fill(undefined);
  private mask = FIRST_SLOTS - 1;
  private count = 0;
  private readonly key = new Int32Array(KEY_WORDS);
  /** Slot of the key last looked up: where `remember` puts what is to be known of it. */
  private slot = 0;

  constructor(private readonly classes: PacketClasses) {}

  /**
   * Undefined: nothing is known of packets like this one. Addresses and ports in host order; `ingress` as stated.
   * `tcpFlags`: 0 for UDP.
   */
  find(
    ingress: number,
    protocol: number,
    source: number,
    destination: number,
    sourcePort: number,
    destinationPort: number,
    tcpFlags: number,
  ): Megaflow | null | undefined {
    const { classes, key, keys, flows } = this;
    const flags = classes.tcpFlags ? tcpFlags : 0;
    key[0] = ((ingress & 0xffff) << 16) | (protocol << 8) | flags;
    key[1] = classes.sources.classOf(source);
    key[2] = classes.destinations.classOf(destination);
    key[3] =
      (classes.sourcePorts.classOf(scaled(sourcePort)) << 16) |
      classes.destinationPorts.classOf(scaled(destinationPort));
    let slot = hashOf(key, 0) & this.mask;
    for (let flow = flows[slot]; flow !== undefined; slot = (slot + 1) & this.mask, flow = flows[slot]) {
      const at = slot * KEY_WORDS;
      if (keys[at] === key[0] && keys[at + 1] === key[1] && keys[at + 2] === key[2] && keys[at + 3] === key[3])
        return flow;
    }
    this.slot = slot;
    return undefined;
  }

  /** Notes what is known from now on of packets like the one last looked for, of which nothing was. */
  remember(flow: Megaflow | null): void {
    if (this.count * 2 >= SLOTS) return;
    this.keys.set(this.key, this.slot * KEY_WORDS);
    this.flows[this.slot] = flow;
    this.count++;
    if (this.count * 2 > this.mask) this.grow();
  }

  private grow(): void {
    const { keys, flows } = this;
    const slots = flows.length * 2;
    this.keys = new Int32Array(slots * KEY_WORDS);
    this.flows = new Array<undefined>(slots).fill(undefined);
    this.mask = slots - 1;
    for (let from = 0; from < flows.length; from++) {
      const flow = flows[from];
      if (flow === undefined) continue;
      const at = from * KEY_WORDS;
      let slot = hashOf(keys, at) & this.mask;
      while (this.flows[slot] !== undefined) slot = (slot + 1) & this.mask;
      this.keys.set(keys.subarray(at, at + KEY_WORDS), slot * KEY_WORDS);
      this.flows[slot] = flow;
    }
  }
}

function hashOf(keys: Int32Array, at: number): number {
  let h = Math.imul(keys[at] as number, 0x9e3779b1) + Math.imul(keys[at + 1] as number, 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 15), 0x2c1b3c6d) + Math.imul(keys[at + 2] as number, 0xc2b2ae35);
  h = Math.imul(h ^ (h >>> 13), 0x27d4eb2f) + Math.imul(keys[at + 3] as number, 0x165667b1);
  return h ^ (h >>> 16);
}
