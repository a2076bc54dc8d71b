/**
 * Somebody who watches a packet on its way, for programs that explain it. Nothing on the way depends on whether anybody
 * does: what an observer is told has been decided without it, and it may change nothing.
 */
import type { Route } from '../host/types.js';
import type { NatRange } from '../rules/extension.js';
import type { BuiltinChain } from '../rules/types.js';
import type { CompiledChain, CompiledRule } from './compile.js';
import type { HookStep } from './hooks.js';
import type { Packet } from './packet.js';
import type { Routing } from './routing.js';

/** Condition of a rule that fails: what the chain's prefilter covers, or the number of one of the rule's predicates. */
export const FAILED_PREFILTER = -1;

export interface WalkObserver {
  /** The rules of a chain begin to be tried. */
  enters(chain: CompiledChain): void;
  /** A rule does not match. `failed`: its first condition that does not hold. */
  passes(rule: CompiledRule, packet: Packet, failed: number): void;
  /** A rule matches; its target comes next. */
  matches(rule: CompiledRule, packet: Packet): void;
  /** A NAT rule asks for a mapping; undefined: it has no address to map to. */
  asksFor(range: NatRange | undefined): void;
  /** `verdict`: WALK_*. */
  leaves(chain: CompiledChain, verdict: number): void;
  policy(chain: CompiledChain, packet: Packet): void;
}

export interface PathObserver extends WalkObserver {
  /** The packet comes to a hook. */
  hook(packet: Packet, hook: BuiltinChain): void;
  /** `chain`: undefined where nat has none at the hook. */
  beforeStep(packet: Packet, hook: BuiltinChain, step: HookStep, chain: CompiledChain | undefined): void;
  afterStep(packet: Packet, passed: boolean): void;
  /** An incoming packet has been routed. */
  routed(packet: Packet, routing: Readonly<Routing>): void;
  /** A packet of the host's own has been routed, or is routed anew behind OUTPUT; undefined: there is no route. */
  routedOut(packet: Packet, route: Route | undefined): void;
}
