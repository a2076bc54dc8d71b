/**
 * Which rules a packet went through, read off the counters: those that counted it, in the order in which the kernel's hooks
 * come and chains call each other. Copying the counters before a packet is all it costs.
 */
import type { RuleCounterTable } from '../netfilter/compile.js';
import { HOOK_STEPS } from '../netfilter/hooks.js';
import { printRule } from '../rules/print.js';
import type { BuiltinChain, Chain, Ruleset, Table } from '../rules/types.js';

/** A rule (or policy) that counted the packet. */
export interface RulePathStep {
  /** `nat:DOCKER:2`, `filter:FORWARD:policy` */
  readonly rule: string;
  /** As `iptables-save` prints it; `policy DROP` for policies. */
  readonly text: string;
}

const HOOKS: readonly BuiltinChain[] = ['PREROUTING', 'INPUT', 'FORWARD', 'OUTPUT', 'POSTROUTING'];

export class RulePathRecorder {
  #before = new Float64Array(0);

  constructor(
    private readonly ruleset: Ruleset | undefined,
    private readonly counters: RuleCounterTable,
  ) {}

  /** Before a packet. The counters must be up to date, now and when the path is asked for. */
  start(): void {
    const { packets } = this.counters;
    if (this.#before.length !== packets.length) this.#before = new Float64Array(packets.length);
    this.#before.set(packets);
  }

  /** The way of what happened since `start`. */
  steps(): RulePathStep[] {
    const { ruleset } = this;
    const steps: RulePathStep[] = [];
    if (ruleset === undefined) return steps;
    for (const hook of HOOKS) {
      for (const step of HOOK_STEPS[hook]) {
        if (step === 'conntrack' || step === 'confirm') continue;
        const table = ruleset.tables.get(step);
        const chain = table?.chains.get(hook);
        if (table !== undefined && chain !== undefined) this.#walk(ruleset, table, chain, steps, new Set());
      }
    }
    return steps;
  }

  #walk(ruleset: Ruleset, table: Table, chain: Chain, steps: RulePathStep[], above: Set<string>): void {
    above.add(chain.name);
    for (const rule of chain.rules) {
      if (!this.#counted(table.name, chain.name, rule.number)) continue;
      const name = `${table.name}:${chain.name}:${rule.number}`;
      steps.push({ rule: name, text: printRule(rule, ruleset.family) });
      const { target } = rule;
      if (target?.kind !== 'jump' && target?.kind !== 'goto') continue;
      const next = table.chains.get(target.chain);
      if (next !== undefined && !above.has(next.name)) this.#walk(ruleset, table, next, steps, above);
    }
    above.delete(chain.name);
    if (chain.policy !== undefined && this.#counted(table.name, chain.name, 'policy'))
      steps.push({ rule: `${table.name}:${chain.name}:policy`, text: `policy ${chain.policy}` });
  }

  #counted(table: string, chain: string, rule: number | 'policy'): boolean {
    const id = this.counters.id(table, chain, rule);
    return id !== undefined && (this.counters.packets[id] ?? 0) > (this.#before[id] ?? 0);
  }
}
