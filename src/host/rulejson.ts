/** Policy rules of a host file: what `ip -j rule` prints, whose address has no length when it is one address. */
import { addressBits, networkOf, type Prefix, parseAddress } from './address.js';
import type { PortSpan, RuleAction, RuleDescription } from './description.js';
import type { RuleJson } from './hostschema.js';
import { tableName } from './tablename.js';
import type { Family } from './types.js';

/** Sentences go to `assumptions` for what cannot be followed. */
export function describeRule(rule: RuleJson, family: Family, assumptions: string[]): RuleDescription {
  const mark = number(rule.fwmark) ?? 0;
  const action = actionOf(rule);
  if (rule.suppress_ifgroup !== undefined) {
    assumptions.push(
      `The policy rule of priority ${rule.priority ?? 0} suppresses an interface group; natreplay ignores that.`,
    );
  }
  return {
    family,
    priority: rule.priority ?? 0,
    inverted: 'not' in rule,
    from: prefixOf(rule.src, rule.srclen, family),
    to: prefixOf(rule.dst, rule.dstlen, family),
    iif: rule.iif,
    oif: rule.oif,
    mark,
    mask: number(rule.fwmask) ?? (rule.fwmark === undefined ? 0 : 0xffffffff),
    tos: tosOf(rule),
    protocol: protocolOf(rule.ipproto),
    sourcePorts: spanOf(rule.sport, rule.sport_start, rule.sport_end),
    destinationPorts: spanOf(rule.dport, rule.dport_start, rule.dport_end),
    // What comes in by an interface, and what root sends, counts as user 0.
    neverMatches: 'l3mdev' in rule || 'tun_id' in rule || (rule.uid_start ?? 0) > 0,
    action: action ?? { kind: 'nop' },
  };
}

/** `ip rule` of a fresh kernel: local, main, default (IPv6: no default). */
export function isStandard(rules: readonly RuleDescription[], family: Family): boolean {
  const standard = family === 4 ? ['local', 'main', 'default'] : ['local', 'main'];
  return rules.length === standard.length && rules.every((rule, i) => isPlain(rule) && leadsTo(rule) === standard[i]);
}

function isPlain(rule: RuleDescription): boolean {
  const { from, to, iif, oif, mark, mask, tos, protocol, sourcePorts, destinationPorts } = rule;
  const conditions = [from, to, iif, oif, tos, protocol, sourcePorts, destinationPorts];
  return (
    !rule.inverted && !rule.neverMatches && mark === 0 && mask === 0 && conditions.every((one) => one === undefined)
  );
}

function leadsTo({ action }: RuleDescription): string | undefined {
  return action.kind === 'table' && action.suppressPrefixLength === undefined ? action.table : undefined;
}

function actionOf(rule: RuleJson): RuleAction | undefined {
  if (rule.goto !== undefined) return { kind: 'goto', priority: rule.goto };
  switch (rule.action) {
    case 'blackhole':
    case 'unreachable':
    case 'prohibit':
      return { kind: rule.action };
    default:
      break;
  }
  if ('nop' in rule || rule.table === undefined) return { kind: 'nop' };
  const suppressed = rule.suppress_prefixlen;
  return {
    kind: 'table',
    table: tableName(rule.table),
    suppressPrefixLength: suppressed !== undefined && suppressed >= 0 ? suppressed : undefined,
  };
}

function prefixOf(text: string | undefined, length: number | undefined, family: Family): Prefix | undefined {
  if (text === undefined || text === 'all') return undefined;
  const address = parseAddress(text, family);
  if (address === undefined) return undefined;
  const prefixLength = Math.min(length ?? addressBits(family), addressBits(family));
  return { family, words: networkOf(family, address.words, prefixLength), prefixLength };
}

function spanOf(one: number | undefined, first: number | undefined, last: number | undefined): PortSpan | undefined {
  if (one !== undefined) return [one, one];
  return first === undefined ? undefined : [first, last ?? first];
}

function number(value: string | number | undefined): number | undefined {
  if (value === undefined) return undefined;
  const found = Number(value);
  return Number.isFinite(found) ? found >>> 0 : undefined;
}

const DSCP_SHIFT = 2;

/** `tos` is the byte; `dscp` (since iproute2 6.13) its upper six bits. 0 is no condition. */
function tosOf(rule: RuleJson): number | undefined {
  const dscp = number(rule.dscp) ?? classOf(rule.dscp);
  const tos = dscp === undefined ? tosByte(rule.tos) : dscp << DSCP_SHIFT;
  return tos === 0 ? undefined : tos;
}

/** A TOS byte as iproute2 prints it: `0x10`, or a name of RFC 2474's and RFC 2597's classes (rt_dsfield). */
export function tosByte(value: string | number | undefined): number | undefined {
  const named = classOf(value);
  return number(value) ?? (named === undefined ? undefined : named << DSCP_SHIFT);
}

/** Code point of CS0-CS7, AF11-AF43, EF. */
function classOf(value: string | number | undefined): number | undefined {
  const name = String(value).toUpperCase();
  if (name === 'EF') return 46;
  const selector = /^CS([0-7])$/.exec(name);
  if (selector !== null) return Number(selector[1]) * 8;
  const assured = /^AF([1-4])([1-3])$/.exec(name);
  return assured === null ? undefined : Number(assured[1]) * 8 + Number(assured[2]) * 2;
}

/** Protocols that have names in iproute2's output; others are numbers. */
const PROTOCOLS: Readonly<Record<string, number>> = {
  icmp: 1,
  tcp: 6,
  udp: 17,
  dccp: 33,
  gre: 47,
  esp: 50,
  ah: 51,
  'ipv6-icmp': 58,
  sctp: 132,
  udplite: 136,
};

function protocolOf(value: string | number | undefined): number | undefined {
  if (value === undefined) return undefined;
  return PROTOCOLS[String(value)] ?? number(String(value).replace(/^ipproto-/, ''));
}
