/** Rules tried one by one as they are written: the twin of compiled chains with their prefilters and indexes. */
import type { Packet } from '../../../src/netfilter/packet.js';
import type { CompileContext } from '../../../src/rules/extension.js';
import type { AddressMatch, Chain, InterfaceMatch, Rule, Table } from '../../../src/rules/types.js';

export interface NaiveOutcome {
  readonly verdict: 'accept' | 'drop' | 'return';
  /** `FORWARD:3`, `FORWARD:policy`. */
  readonly by: string;
}

export class NaiveTable {
  /** Packets by rule. */
  readonly counted = new Map<string, number>();
  /** Rules come by, one after the other. */
  evaluated = 0;
  private readonly tests = new Map<Rule, readonly ((packet: Packet) => boolean)[]>();
  private readonly effects = new Map<Rule, (packet: Packet) => void>();
  private by = '';

  constructor(
    private readonly table: Table,
    private readonly context: CompileContext,
  ) {
    for (const chain of table.chains.values()) {
      for (const rule of chain.rules) {
        if (rule.target?.kind === 'extension') {
          const action = rule.target.extension.compile(rule.target.options, context);
          if (action.kind !== 'effect') throw new Error(`no twin for ${action.kind}`);
          this.effects.set(rule, action.apply);
        }
        this.tests.set(
          rule,
          rule.matches.map(({ extension, options }) => extension.compile(options, context)),
        );
      }
    }
  }

  walk(name: string, packet: Packet): NaiveOutcome {
    const chain = this.chain(name);
    let verdict = this.tryRules(chain, packet);
    if (verdict === 'return') {
      this.by = `${name}:policy`;
      this.count(this.by);
      verdict = chain.policy === 'DROP' ? 'drop' : 'accept';
    }
    return { verdict, by: this.by };
  }

  private chain(name: string): Chain {
    const chain = this.table.chains.get(name);
    if (chain === undefined) throw new Error(name);
    return chain;
  }

  private count(name: string): void {
    this.counted.set(name, (this.counted.get(name) ?? 0) + 1);
  }

  private tryRules(chain: Chain, packet: Packet): NaiveOutcome['verdict'] {
    for (const rule of chain.rules) {
      this.evaluated++;
      const name = `${chain.name}:${rule.number}`;
      const matched = this.matches(rule, packet);
      if (matched) this.count(name);
      const verdict = matched ? this.apply(rule, packet) : undefined;
      if (packet.dropped || verdict === 'accept' || verdict === 'drop') {
        // Of a verdict in another chain that chain has said by what.
        if (!matched || (rule.target?.kind !== 'jump' && rule.target?.kind !== 'goto')) this.by = name;
        return packet.dropped ? 'drop' : (verdict ?? 'drop');
      }
      if (verdict === 'return') return verdict;
    }
    return 'return';
  }

  private apply(rule: Rule, packet: Packet): NaiveOutcome['verdict'] | undefined {
    const { target } = rule;
    switch (target?.kind) {
      case undefined:
        return undefined;
      case 'verdict':
        return target.verdict === 'ACCEPT' ? 'accept' : target.verdict === 'DROP' ? 'drop' : 'return';
      case 'goto':
        return this.tryRules(this.chain(target.chain), packet);
      case 'jump': {
        const verdict = this.tryRules(this.chain(target.chain), packet);
        return verdict === 'return' ? undefined : verdict;
      }
      case 'extension':
        this.effects.get(rule)?.(packet);
        return undefined;
    }
  }

  private matches(rule: Rule, packet: Packet): boolean {
    const { host, family } = this.context;
    if (!addressFits(rule.source, packet.source)) return false;
    if (!addressFits(rule.destination, packet.destination)) return false;
    if (!interfaceFits(rule.inInterface, host.interfaces[packet.inInterface]?.name ?? '')) return false;
    if (!interfaceFits(rule.outInterface, host.interfaces[packet.outInterface]?.name ?? '')) return false;
    const { protocol, fragment } = rule;
    if (protocol !== undefined) {
      if (family === 6 && packet.protocol < 0) {
        packet.hotDrop();
        return false;
      }
      if ((packet.protocol === protocol.number) === protocol.negated) return false;
    }
    if (fragment !== undefined && packet.fragmentOffset > 0 === fragment.negated) return false;
    return this.tests.get(rule)?.every((test) => test(packet)) ?? true;
  }
}

function addressFits(match: AddressMatch | undefined, address: Uint32Array): boolean {
  if (match === undefined) return true;
  const inside = match.mask.every((bits, k) => (bits & (address[k] ?? 0)) >>> 0 === (match.address[k] ?? 0) >>> 0);
  return inside !== match.negated;
}

function interfaceFits(match: InterfaceMatch | undefined, name: string): boolean {
  if (match === undefined) return true;
  const { pattern, negated } = match;
  const fits = pattern.endsWith('+') ? name.startsWith(pattern.slice(0, -1)) : name === pattern;
  return fits !== negated;
}
