/** Walking a chain: rules in order, jumps, returns, the policy; counters as the kernel counts (ipt_do_table). */
import type { NatRange } from '../rules/extension.js';
import type { BuiltinChain } from '../rules/types.js';
import type { CompiledChain, CompiledRule, RuleCounterTable } from './compile.js';
import { Candidates } from './matcher/candidates.js';
import type { ChainIndex } from './matcher/chainindex.js';
import { PacketFields } from './matcher/packetfields.js';
import { nextFitting } from './matcher/prefilter.js';
import { FAILED_PREFILTER, type WalkObserver } from './observer.js';
import type { Packet } from './packet.js';
import type { RuleLogs } from './packetlogs.js';

/** Results of a walk. Zero is no verdict. */
export const WALK_ACCEPT = 1;
export const WALK_DROP = 2;
/** Only of user-defined chains: go on behind the jump. */
export const WALK_RETURN = 3;

/** What a walk asks of the packet's path. */
export interface WalkActions {
  /** A NAT rule matched: settle this side of the mapping. `range` undefined: no address to map to, drop. */
  nat(packet: Packet, range: NatRange | undefined, rule: number): boolean;
  /** The packet is not to be tracked. */
  notrack(packet: Packet): void;
  /** The packet is refused, its sender is to be told (`how`: the word of --reject-with); then it is dropped. */
  reject?(packet: Packet, how: string): void;
  /** A program of the host was to decide over the packet, which is taken to have accepted it. */
  queued?(): void;
  /** The packet is to be tracked in a zone. */
  zone(packet: Packet, zone: number | 'mark', directions: number): void;
}

/** What walks did, noted while somebody wants to know. */
export interface WalkTrace {
  /** Rules and policies that counted the packet, in order. */
  readonly counted: number[];
  /** What NAT rules asked for; `range` undefined: no address to map to. */
  readonly translations: { readonly range: NatRange | undefined; readonly rule: number; readonly hook: BuiltinChain }[];
  /** Of all rules that were asked (see CompiledRule). */
  taint: number;
}

export class ChainWalker {
  private readonly fields = new PacketFields();
  private readonly candidates = new Candidates();
  /** Times that the addresses in `fields` have changed during a walk. */
  private changes = 0;
  /** Rules that walks came by, those that an index leaves out among them: what the kernel looks at, one by one. */
  evaluated = 0;
  /** Undefined: nobody wants to know. */
  trace: WalkTrace | undefined;
  /** Undefined: nobody watches. */
  observer: WalkObserver | undefined;
  /** Undefined: nobody reads what rules log. */
  logs: RuleLogs | undefined;
  /** Rule or policy that gave the last verdict; index into the counters. */
  decidedBy = -1;

  constructor(
    private readonly counters: RuleCounterTable,
    private readonly actions: WalkActions,
  ) {}

  /** Walks a built-in chain to a verdict: WALK_ACCEPT or WALK_DROP. */
  walk(chain: CompiledChain, packet: Packet): number {
    this.fields.load(packet);
    const verdict = this.walkRules(chain, packet);
    if (verdict !== WALK_RETURN) return verdict;
    this.count(chain.policyId, packet);
    this.decidedBy = chain.policyId;
    this.observer?.policy(chain, packet);
    return chain.policy === 'DROP' ? WALK_DROP : WALK_ACCEPT;
  }

  private walkRules(chain: CompiledChain, packet: Packet): number {
    if (this.observer !== undefined) return this.walkWatched(chain, packet, this.observer);
    if (chain.index !== undefined && this.fields.isWhole) return this.walkIndexed(chain, chain.index, packet);
    const { rules, prefilter } = chain;
    const count = rules.length;
    for (let k = 0; k < count; k++) {
      if (prefilter !== undefined) {
        const next = nextFitting(prefilter, this.fields, k, count);
        this.evaluated += next - k;
        if (next === count) break;
        k = next;
      }
      this.evaluated++;
      const verdict = this.tryRule(rules[k] as CompiledRule, packet);
      if (verdict !== 0) return verdict;
    }
    if (this.logs !== undefined && chain.policy === undefined) this.logs.returned(chain, packet);
    return WALK_RETURN;
  }

  /** The same with only those rules that the chain's index leads to. */
  private walkIndexed(chain: CompiledChain, index: ChainIndex, packet: Packet): number {
    const { rules, prefilter } = chain;
    const { candidates, fields } = this;
    const mark = candidates.open(index, fields);
    let { changes } = this;
    let verdict = 0;
    let past = -1;
    for (let k = candidates.next(index, mark); k >= 0; k = candidates.next(index, mark)) {
      // Behind a change of addresses the lists are others, of which those rules are over that stood before it.
      if (k <= past || (prefilter !== undefined && nextFitting(prefilter, fields, k, k + 1) !== k)) continue;
      this.evaluated += k - past;
      past = k;
      verdict = this.tryRule(rules[k] as CompiledRule, packet);
      if (verdict !== 0) break;
      if (changes === this.changes) continue;
      changes = this.changes;
      candidates.close(mark);
      candidates.open(index, fields);
    }
    candidates.close(mark);
    if (verdict !== 0) return verdict;
    this.evaluated += rules.length - 1 - past;
    if (this.logs !== undefined && chain.policy === undefined) this.logs.returned(chain, packet);
    return WALK_RETURN;
  }

  /** The rule's verdict if the packet matches it, 0 to go on with the next rule. */
  private tryRule(rule: CompiledRule, packet: Packet): number {
    if (this.trace !== undefined) this.trace.taint |= rule.taint;
    if (!matches(rule, packet)) {
      if (!packet.dropped) return 0;
      this.decidedBy = rule.id;
      return WALK_DROP;
    }
    this.count(rule.id, packet);
    return this.apply(rule, packet);
  }

  /** The same with an observer, who is told of each rule. */
  private walkWatched(chain: CompiledChain, packet: Packet, observer: WalkObserver): number {
    observer.enters(chain);
    const verdict = this.tryEach(chain, packet, observer);
    observer.leaves(chain, verdict);
    return verdict;
  }

  private tryEach({ rules, prefilter }: CompiledChain, packet: Packet, observer: WalkObserver): number {
    for (const [k, rule] of rules.entries()) {
      this.evaluated++;
      const mayMatch = prefilter === undefined || nextFitting(prefilter, this.fields, k, k + 1) === k;
      if (mayMatch && this.trace !== undefined) this.trace.taint |= rule.taint;
      // As `matches`: no predicate behind one that fails is asked, for some count how often they are.
      const failed = mayMatch ? rule.predicates.findIndex((predicate) => !predicate(packet)) : FAILED_PREFILTER;
      if (!mayMatch || failed >= 0) {
        observer.passes(rule, packet, failed);
        if (!packet.dropped) continue;
        this.decidedBy = rule.id;
        return WALK_DROP;
      }
      this.count(rule.id, packet);
      observer.matches(rule, packet);
      const verdict = this.apply(rule, packet);
      if (verdict !== 0) return verdict;
    }
    return WALK_RETURN;
  }

  /** The rule's verdict, 0 to go on with the next rule. */
  private apply(rule: CompiledRule, packet: Packet): number {
    const { target } = rule;
    switch (target.kind) {
      case 'none':
        return 0;
      case 'accept':
        this.decidedBy = rule.id;
        if (target.queued === true) this.actions.queued?.();
        return WALK_ACCEPT;
      case 'drop':
        this.decidedBy = rule.id;
        return WALK_DROP;
      case 'reject':
        // The answer has its own walks, so what this one leaves behind is noted after it.
        this.actions.reject?.(packet, target.with);
        this.decidedBy = rule.id;
        return WALK_DROP;
      case 'return':
        return WALK_RETURN;
      case 'jump': {
        const verdict = this.walkRules(target.chain, packet);
        return verdict === WALK_RETURN ? 0 : verdict;
      }
      case 'goto':
        return this.walkRules(target.chain, packet);
      case 'effect':
        if (this.logs !== undefined && target.logs !== undefined) this.logs.logged(rule.id, target.logs, packet);
        target.apply(packet);
        if (this.fields.loadAddresses(packet)) this.changes++;
        // A target may drop too: what it was to change is cut.
        if (!packet.dropped) return 0;
        this.decidedBy = rule.id;
        return WALK_DROP;
      case 'notrack':
        this.actions.notrack(packet);
        return 0;
      case 'zone':
        this.actions.zone(packet, target.zone, target.directions);
        return 0;
      case 'nat':
        this.decidedBy = rule.id;
        return this.translate(packet, target.range(packet), rule.id);
    }
  }

  private translate(packet: Packet, range: NatRange | undefined, rule: number): number {
    this.trace?.translations.push({ range, rule, hook: packet.hook });
    this.observer?.asksFor(range);
    return this.actions.nat(packet, range, rule) ? WALK_ACCEPT : WALK_DROP;
  }

  private count(id: number, packet: Packet): void {
    const { packets, bytes } = this.counters;
    if (this.trace !== undefined) this.trace.counted.push(id);
    if (this.logs !== undefined) this.logs.met(id, packet);
    packets[id] = (packets[id] as number) + 1;
    bytes[id] = (bytes[id] as number) + packet.totalLength;
  }
}

function matches(rule: CompiledRule, packet: Packet): boolean {
  for (const predicate of rule.predicates) {
    if (!predicate(packet)) return false;
  }
  return true;
}
