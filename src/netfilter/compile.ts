/** From rules as written to chains as walked: names become references, matches become closures over the packet. */
import { NatreplayError } from '../errors.js';
import type { Host } from '../host/types.js';
import type { PacketContext } from '../rules/context.js';
import type { CompileContext, TargetAction } from '../rules/extension.js';
import type {
  AddressMatch,
  BuiltinChain,
  Chain,
  InterfaceMatch,
  Policy,
  Rule,
  Ruleset,
  TableName,
} from '../rules/types.js';
import { type ChainIndex, indexOf } from './matcher/chainindex.js';
import { coversAddress, coversInterface, coversProtocol } from './matcher/covered.js';
import { prefilterOf } from './matcher/prefilter.js';

export type Predicate = (packet: PacketContext) => boolean;

export type CompiledTarget =
  | { readonly kind: 'jump' | 'goto'; chain: CompiledChain }
  | { readonly kind: 'none' }
  | TargetAction;

/** It depends on more than what the rule's matches say they read, or the rule leaves something behind. */
export const TAINT_OPAQUE = 1;
/** It may differ between packets of one connection: TCP flags are looked at, say. */
export const TAINT_VARIES = 2;

export interface CompiledRule {
  /** Index into the counters, and the name of the rule in `RuleNames`. */
  readonly id: number;
  /** All of them must hold: what the chain's prefilter does not cover, fixed part first, then matches as written. */
  readonly predicates: readonly Predicate[];
  /** TAINT_*: why what it makes of a packet says nothing of other packets. */
  readonly taint: number;
  readonly target: CompiledTarget;
}

export interface CompiledChain {
  readonly table: TableName;
  readonly name: string;
  /** Undefined for user-defined chains. */
  readonly policy: Policy | undefined;
  /** Counter of the policy. */
  readonly policyId: number;
  rules: readonly CompiledRule[];
  /** What most rules ask first, PREFILTER_WORDS a rule; undefined for IPv6. */
  prefilter: Int32Array | undefined;
  /** Of long chains, what leads to the rules that a packet may match. */
  index: ChainIndex | undefined;
}

export interface CompiledTable {
  readonly name: TableName;
  readonly hooks: ReadonlyMap<BuiltinChain, CompiledChain>;
}

/** Counters of rules and policies, and what they are called (`nat:DOCKER:2`, `filter:FORWARD:policy`). */
export class RuleCounterTable {
  readonly names: string[] = [];
  packets = new Float64Array(64);
  bytes = new Float64Array(64);
  /** By name; made when somebody asks. */
  private ids: Map<string, number> | undefined;

  add(name: string, packets: number, bytes: number): number {
    const id = this.names.length;
    if (id === this.packets.length) {
      this.packets = grown(this.packets);
      this.bytes = grown(this.bytes);
    }
    this.names.push(name);
    this.ids?.set(name, id);
    this.packets[id] = packets;
    this.bytes[id] = bytes;
    return id;
  }

  id(table: string, chain: string, rule: number | 'policy'): number | undefined {
    this.ids ??= new Map(this.names.map((name, id) => [name, id]));
    return this.ids.get(`${table}:${chain}:${rule}`);
  }
}

function grown(array: Float64Array<ArrayBuffer>): Float64Array<ArrayBuffer> {
  const larger = new Float64Array(array.length * 2);
  larger.set(array);
  return larger;
}

/** Chains with fewer rules are walked as quickly without an index. */
const LONG_CHAIN = 32;

/** Compiles every table of a rule set. Counters start at what the rule set states when `keepCounters`, else at 0. */
export function compileRuleset(
  ruleset: Ruleset,
  context: CompileContext,
  counters: RuleCounterTable,
  keepCounters: boolean,
): ReadonlyMap<TableName, CompiledTable> {
  const tables = new Map<TableName, CompiledTable>();
  for (const table of ruleset.tables.values()) {
    const chains = new Map<string, CompiledChain>();
    for (const chain of table.chains.values())
      chains.set(chain.name, emptyChain(table.name, chain, counters, keepCounters));
    for (const chain of table.chains.values()) {
      const compiled = chains.get(chain.name);
      if (compiled === undefined) continue;
      compiled.rules = chain.rules.map((rule) =>
        compileRule(rule, chains, context, counters, keepCounters, ruleset.file),
      );
      if (context.family === 4) compiled.prefilter = prefilterOf(chain.rules, context.host);
      if (chain.rules.length >= LONG_CHAIN) compiled.index = indexOf(chain.rules, context.family, context.host);
    }
    const hooks = new Map<BuiltinChain, CompiledChain>();
    for (const chain of chains.values()) {
      if (chain.policy !== undefined) hooks.set(chain.name as BuiltinChain, chain);
    }
    tables.set(table.name, { name: table.name, hooks });
  }
  return tables;
}

function emptyChain(table: TableName, chain: Chain, counters: RuleCounterTable, keep: boolean): CompiledChain {
  const policyId =
    chain.policy === undefined
      ? -1
      : counters.add(`${table}:${chain.name}:policy`, keep ? chain.packets : 0, keep ? chain.bytes : 0);
  return {
    table,
    name: chain.name,
    policy: chain.policy,
    policyId,
    rules: [],
    prefilter: undefined,
    index: undefined,
  };
}

function compileRule(
  rule: Rule,
  chains: ReadonlyMap<string, CompiledChain>,
  context: CompileContext,
  counters: RuleCounterTable,
  keep: boolean,
  file: string,
): CompiledRule {
  const id = counters.add(`${rule.table}:${rule.chain}:${rule.number}`, keep ? rule.packets : 0, keep ? rule.bytes : 0);
  if (rule.unsupported) return { id, predicates: [() => false], taint: 0, target: { kind: 'none' } };
  try {
    const target = compileTarget(rule, chains, context);
    const taint = (isOpaque(target) ? TAINT_OPAQUE : 0) | taintOf(rule);
    return { id, predicates: compilePredicates(rule, context), taint, target };
  } catch (error) {
    throw atRule(error, rule, file);
  }
}

function taintOf({ matches }: Rule): number {
  let taint = 0;
  for (const { extension, options } of matches) {
    const reads = extension.reads?.(options);
    if (reads === undefined) taint |= TAINT_OPAQUE;
    else if (reads.tcpFlags === true || reads.connection === true) taint |= TAINT_VARIES;
  }
  return taint;
}

function isOpaque(target: CompiledTarget): boolean {
  switch (target.kind) {
    case 'none':
    case 'accept':
    case 'drop':
    case 'return':
    case 'jump':
    case 'goto':
      return false;
    case 'nat':
      return target.byAddress === true;
    default:
      return true;
  }
}

/** What is wrong with a rule on this host (a set that it lacks) is wrong at that rule. */
function atRule(error: unknown, rule: Rule, file: string): unknown {
  if (!(error instanceof NatreplayError) || error.place.line !== undefined) return error;
  const { code, what, advice, exitCode } = error;
  return new NatreplayError(code, what, { file, line: rule.line, advice, exitCode });
}

function compilePredicates(rule: Rule, context: CompileContext): Predicate[] {
  const predicates: Predicate[] = [];
  const { source, destination, inInterface, outInterface, protocol, fragment } = rule;
  const words = context.family === 4 ? 1 : 4;
  const covered = context.family === 4;
  if (source !== undefined && !(covered && coversAddress(source)))
    predicates.push(addressPredicate(source, words, (p) => p.source));
  if (destination !== undefined && !(covered && coversAddress(destination)))
    predicates.push(addressPredicate(destination, words, (p) => p.destination));
  if (inInterface !== undefined && !(covered && coversInterface(inInterface)))
    predicates.push(interfacePredicate(inInterface, context.host, 'inInterface'));
  if (outInterface !== undefined && !(covered && coversInterface(outInterface)))
    predicates.push(interfacePredicate(outInterface, context.host, 'outInterface'));
  if (protocol !== undefined && protocol.number !== 0 && !(covered && coversProtocol(protocol))) {
    const { number, negated } = protocol;
    predicates.push(
      context.family === 4
        ? (p) => (p.protocol === number) !== negated
        : ipv6ProtocolPredicate(number, negated, context),
    );
  }
  if (fragment !== undefined) {
    const { negated } = fragment;
    predicates.push((p) => (p.fragmentOffset !== 0) !== negated);
  }
  for (const { extension, options } of rule.matches) predicates.push(extension.compile(options, context));
  return predicates;
}

function addressPredicate(match: AddressMatch, words: number, of: (p: PacketContext) => Uint32Array): Predicate {
  const { address, mask, negated } = match;
  if (words === 1) {
    const wanted = address[0] ?? 0;
    const bits = mask[0] ?? 0;
    if (bits === 0 && !negated) return () => true;
    return (p) => ((((of(p)[0] ?? 0) ^ wanted) & bits) === 0) !== negated;
  }
  return (p) => {
    const field = of(p);
    let same = true;
    for (let k = 0; k < words; k++) same &&= (((field[k] ?? 0) ^ (address[k] ?? 0)) & (mask[k] ?? 0)) === 0;
    return same !== negated;
  };
}

/** Asked for the upper layer of a packet whose extension headers are cut, ip6_packet_match drops it; iptables-nft does not. */
function ipv6ProtocolPredicate(number: number, negated: boolean, { backend }: CompileContext): Predicate {
  return (p) => {
    if (p.protocol < 0) {
      if (backend !== 'nft') p.hotDrop();
      return false;
    }
    return (p.protocol === number) !== negated;
  };
}

const INTERFACE_PREDICATES = new WeakMap<Host, Map<string, Predicate>>();

/** One for all rules that say the same: rule sets name few interfaces, and each many times. */
function interfacePredicate(match: InterfaceMatch, host: Host, end: 'inInterface' | 'outInterface'): Predicate {
  const known = INTERFACE_PREDICATES.get(host) ?? new Map<string, Predicate>();
  INTERFACE_PREDICATES.set(host, known);
  const key = `${end} ${match.negated} ${match.pattern}`;
  const predicate = known.get(key) ?? compileInterface(match, host, end);
  known.set(key, predicate);
  return predicate;
}

/** `eth+` matches by prefix; no interface at all has the empty name, which only `+` matches. */
function compileInterface(match: InterfaceMatch, host: Host, end: 'inInterface' | 'outInterface'): Predicate {
  const { pattern, negated } = match;
  const prefix = pattern.endsWith('+') ? pattern.slice(0, -1) : undefined;
  const fits = (name: string): boolean => (prefix === undefined ? name === pattern : name.startsWith(prefix));
  // Entry 0 stands for NO_INTERFACE.
  const table = Uint8Array.from(['', ...host.interfaces.map((i) => i.name)], (name) =>
    fits(name) !== negated ? 1 : 0,
  );
  return end === 'inInterface' ? (p) => table[p.inInterface + 1] === 1 : (p) => table[p.outInterface + 1] === 1;
}

function compileTarget(
  rule: Rule,
  chains: ReadonlyMap<string, CompiledChain>,
  context: CompileContext,
): CompiledTarget {
  const { target } = rule;
  if (target === undefined) return { kind: 'none' };
  switch (target.kind) {
    case 'verdict':
      return { kind: target.verdict === 'ACCEPT' ? 'accept' : target.verdict === 'DROP' ? 'drop' : 'return' };
    case 'extension':
      return target.extension.compile(target.options, context);
    default: {
      const chain = chains.get(target.chain);
      // The parser has refused jumps to chains that are not there.
      return chain === undefined ? { kind: 'none' } : { kind: target.kind, chain };
    }
  }
}
