/**
 * Policy routing: the rules of `ip rule` in order of their priority, each of which may lead to a table (kernel:
 * fib_rules_lookup, fib4_rule_match, fib6_rule_match). Used only for hosts whose rules are not those of a fresh kernel.
 */
import { addressBits, prefixMask } from './address.js';
import type { PortSpan, RuleDescription } from './description.js';
import {
  type Family,
  type Flow,
  type HostInterface,
  NO_INTERFACE,
  type RouteType,
  type RoutingDependencies,
} from './types.js';

/** Asks a table for an address: index of the route; NO_MATCH: no route, `throw`, or suppressed: ask the next rule. */
export type TableLookup = (flow: Flow) => number;

/** What a rule does with a packet it applies to. */
export type PreparedAction =
  | { readonly kind: 'table'; readonly lookUp: TableLookup }
  | { readonly kind: 'goto'; readonly to: number }
  | { readonly kind: 'nop' }
  | { readonly kind: 'result'; readonly route: number };

/** Result of a lookup without a route. */
export const NO_ROUTE = -1;

/** The upper six bits of TOS are compared (inet_dscp_t); ECN plays no part. */
export const DSCP_MASK = 0xfc;

export interface PolicyParts {
  readonly interfaces: ReadonlyMap<string, HostInterface>;
  /** A table with a rule's suppress_prefixlength. */
  table(name: string, suppressPrefixLength: number | undefined): TableLookup;
  /** Number of a route that only has a type. */
  error(type: RouteType): number;
}

export class PolicyRules {
  private readonly rules: readonly PreparedRule[];

  constructor(family: Family, descriptions: readonly RuleDescription[], parts: PolicyParts) {
    const sorted = [...descriptions].sort((a, b) => a.priority - b.priority);
    this.rules = sorted.map((rule) => new PreparedRule(family, rule, parts, actionOf(rule, sorted, parts)));
  }

  /** Index of the route, NO_ROUTE without one. */
  lookUp(flow: Flow): number {
    const { rules } = this;
    for (let k = 0; k < rules.length; k++) {
      const rule = rules[k] as PreparedRule;
      if (!rule.applies(flow)) continue;
      const { action } = rule;
      if (action.kind === 'result') return action.route;
      if (action.kind === 'goto') {
        // Only forward, so there is no circle; behind the last rule: nothing more to ask.
        k = Math.max(k, action.to - 1);
      } else if (action.kind === 'table') {
        const found = action.lookUp(flow);
        if (found !== NO_ROUTE) return found;
      }
    }
    return NO_ROUTE;
  }
}

function actionOf(rule: RuleDescription, sorted: readonly RuleDescription[], parts: PolicyParts): PreparedAction {
  const { action } = rule;
  switch (action.kind) {
    case 'table':
      return { kind: 'table', lookUp: parts.table(action.table, action.suppressPrefixLength) };
    case 'goto': {
      // A goto without a target is skipped (FIB_RULE_UNRESOLVED).
      const to = sorted.findIndex((other) => other.priority === action.priority);
      return to < 0 ? { kind: 'nop' } : { kind: 'goto', to };
    }
    case 'nop':
      return action;
    default:
      return { kind: 'result', route: parts.error(action.kind) };
  }
}

const NEVER = -2;

class PreparedRule {
  private readonly width: number;
  private readonly fromMask: Uint32Array | undefined;
  private readonly toMask: Uint32Array | undefined;
  private readonly ingress: number;
  private readonly egress: number;

  constructor(
    family: Family,
    private readonly rule: RuleDescription,
    parts: PolicyParts,
    readonly action: PreparedAction,
  ) {
    this.width = addressBits(family) / 32;
    this.fromMask = rule.from && prefixMask(family, rule.from.prefixLength);
    this.toMask = rule.to && prefixMask(family, rule.to.prefixLength);
    const index = (name: string | undefined): number =>
      name === undefined ? NO_INTERFACE : (parts.interfaces.get(name)?.index ?? NEVER);
    this.ingress = index(rule.iif);
    this.egress = index(rule.oif);
  }

  applies(flow: Flow): boolean {
    return this.matches(flow) !== this.rule.inverted;
  }

  private matches(flow: Flow): boolean {
    const { rule } = this;
    if (rule.neverMatches) return false;
    if (this.ingress !== NO_INTERFACE && this.ingress !== flow.ingress) return false;
    if (this.egress !== NO_INTERFACE && this.egress !== flow.egress) return false;
    if (((rule.mark ^ flow.mark) & rule.mask) !== 0) return false;
    if (!this.inside(flow.source, rule.from?.words, this.fromMask)) return false;
    if (!this.inside(flow.destination, rule.to?.words, this.toMask)) return false;
    if (rule.tos !== undefined && ((rule.tos ^ flow.tos) & DSCP_MASK) !== 0) return false;
    if (rule.protocol !== undefined && rule.protocol !== flow.protocol) return false;
    return inSpan(rule.sourcePorts, flow.sourcePort) && inSpan(rule.destinationPorts, flow.destinationPort);
  }

  private inside(address: Uint32Array, network: Uint32Array | undefined, mask: Uint32Array | undefined): boolean {
    if (network === undefined || mask === undefined) return true;
    for (let i = 0; i < this.width; i++) {
      if ((((address[i] as number) ^ (network[i] as number)) & (mask[i] as number)) !== 0) return false;
    }
    return true;
  }
}

function inSpan(span: PortSpan | undefined, port: number): boolean {
  return span === undefined || (port >= span[0] && port <= span[1]);
}

const NOTHING: RoutingDependencies = {
  any: false,
  source: false,
  ingress: false,
  mark: false,
  tos: false,
  ports: false,
};

/** What the rules look at, and the TOS of routes. */
export function dependenciesOf(rules: readonly RuleDescription[] | undefined, byTos: boolean): RoutingDependencies {
  if (rules === undefined) return byTos ? { ...NOTHING, any: true, tos: true } : NOTHING;
  const some = (test: (rule: RuleDescription) => boolean): boolean => rules.some(test);
  return {
    any: true,
    source: some(({ from }) => from !== undefined),
    ingress: some(({ iif }) => iif !== undefined),
    mark: some(({ mask }) => mask !== 0),
    tos: byTos || some(({ tos }) => tos !== undefined),
    ports: some((rule) => (rule.protocol ?? rule.sourcePorts ?? rule.destinationPorts) !== undefined),
  };
}
