/**
 * What LOG, NFLOG and ULOG rules say of packets, and the rules that a packet met behind TRACE: kept by record for a packet
 * log. Their targets are opaque (compile.ts), so every packet that meets one is walked; all others cost nothing here.
 */
import type { LogUse } from '../rules/extension.js';
import type { Rule, Ruleset } from '../rules/types.js';
import type { CompiledChain, RuleCounterTable } from './compile.js';
import type { Packet } from './packet.js';

/** A rule that logged the packet, `table:chain:number`, and what it said. */
export interface LogLine extends LogUse {
  readonly rule: string;
}

export interface RecordLogs {
  /** In the order met; TRACE rules among them. */
  readonly logs: LogLine[];
  /** What the packet met behind the first TRACE rule, as the kernel names it: `filter:FORWARD:rule:2`. */
  readonly trace: string[];
}

/** Of the records in hand, both families. */
export class PacketLogs {
  private readonly records = new Map<number, RecordLogs>();
  private record = 0;
  private traced: Packet | undefined;

  /** What follows is about this record. */
  begin(record: number): void {
    this.record = record;
    this.traced = undefined;
  }

  add(packet: Packet, line: LogLine): void {
    this.current().logs.push(line);
    // A copy of the packet is traced too in the kernel, what the host says about it is not (skb->nf_trace).
    if (line.target === 'TRACE') this.traced = packet;
  }

  isTraced(packet: Packet): boolean {
    return this.traced === packet;
  }

  addTrace(text: string): void {
    this.current().trace.push(text);
  }

  /** What rules said of a record; forgotten then. Undefined: nothing. */
  take(record: number): RecordLogs | undefined {
    const found = this.records.get(record);
    if (found !== undefined) this.records.delete(record);
    return found;
  }

  private current(): RecordLogs {
    let logs = this.records.get(this.record);
    if (logs === undefined) {
      logs = { logs: [], trace: [] };
      this.records.set(this.record, logs);
    }
    return logs;
  }
}

/** The rules of one family, by the names that logs give them. */
export class RuleLogs {
  private traceNames: Map<number, string> | undefined;

  constructor(
    private readonly packets: PacketLogs,
    private readonly ruleset: Ruleset,
    private readonly counters: RuleCounterTable,
  ) {}

  /** A rule whose target logs matched. */
  logged(rule: number, use: LogUse, packet: Packet): void {
    this.packets.add(packet, { ...use, rule: this.counters.names[rule] ?? '' });
  }

  /** A rule or policy counted the packet, its target is yet to come. */
  met(id: number, packet: Packet): void {
    if (!this.packets.isTraced(packet)) return;
    this.traceNames ??= traceNames(this.ruleset, this.counters);
    this.packets.addTrace(this.traceNames.get(id) ?? '');
  }

  /** The end of a user-defined chain, which the kernel has a rule of its own for. */
  returned({ table, name, rules }: CompiledChain, packet: Packet): void {
    if (this.packets.isTraced(packet)) this.packets.addTrace(`${table}:${name}:return:${rules.length + 1}`);
  }
}

/**
 * As trace_packet of the kernel's ip_tables.c names rules. It takes any rule without conditions that ends in a verdict for
 * the end of its chain, so an unconditional `-j ACCEPT` is a `policy`, in a user-defined chain a `return`.
 */
function traceNames(ruleset: Ruleset, counters: RuleCounterTable): Map<number, string> {
  const names = new Map<number, string>();
  for (const { name: table, chains } of ruleset.tables.values()) {
    for (const { name: chain, policy, rules } of chains.values()) {
      const end = policy === undefined ? 'return' : 'policy';
      for (const rule of rules) {
        const id = counters.id(table, chain, rule.number);
        if (id !== undefined) names.set(id, `${table}:${chain}:${looksLikeEnd(rule) ? end : 'rule'}:${rule.number}`);
      }
      const id = policy === undefined ? undefined : counters.id(table, chain, 'policy');
      if (id !== undefined) names.set(id, `${table}:${chain}:policy:${rules.length + 1}`);
    }
  }
  return names;
}

function looksLikeEnd(rule: Rule): boolean {
  if (rule.target?.kind !== 'verdict' || rule.matches.length > 0) return false;
  const { source, destination, inInterface, outInterface, protocol, fragment } = rule;
  const isSome = [source, destination].some(
    (match) => match !== undefined && (match.negated || match.mask.some(Boolean)),
  );
  if (isSome || inInterface !== undefined || outInterface !== undefined || fragment !== undefined) return false;
  return protocol === undefined || (protocol.number === 0 && !protocol.negated);
}
