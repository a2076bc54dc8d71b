/**
 * What is remembered of the ways that packets took through the rules, for those that nothing can tell apart from them: a new
 * connection then costs the same however many rules there are (a megaflow cache, as in Pfaff et al., The Design and
 * Implementation of Open vSwitch, NSDI 2015).
 */
import type { NatRange } from '../../rules/extension.js';

/** A rule's translation. */
export interface Translation {
  readonly range: NatRange;
  /** Number of the rule's counter. */
  readonly rule: number;
}

/** Of first packets. */
export interface Megaflow {
  readonly ingress: number;
  /** Number of the way (Ways). */
  readonly way: number;
  /** Every later packet of this direction takes the same way, whatever the connection's state. */
  readonly fast: boolean;
  /** Interface that answers come in by and number of their way, where that is known before they come; else undefined. */
  readonly answers: { readonly ingress: number; readonly way: number } | undefined;
  /** STATED_ORIGINAL and the bit of replies, where they are set. */
  readonly stated: number;
  /** Counters of the rules and policies that it adds to, but for those that the way counts. */
  readonly counted: Int32Array;
  /** Rules that were looked at. */
  readonly evaluated: number;
  /** DST_NAT, if the destination was changed: one that is what the rule makes of it is not, and `--ctstate DNAT` tells them apart. */
  readonly hasDnat: number;
  readonly dnat: Translation | undefined;
  readonly snat: Translation | undefined;
}

/** Of packets of established connections. */
export interface EstablishedFlow {
  readonly ingress: number;
  readonly way: number;
  /** They have to state their ingress: it is not the interface towards their sender. */
  readonly stated: boolean;
}

/** There is no way to be remembered for these packets. */
export const NO_MEGAFLOW = null;
