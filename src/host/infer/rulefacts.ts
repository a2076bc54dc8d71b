/** What rules give away about the machine they were written for. */
import type { Rule, Ruleset } from '../../rules/types.js';
import { addressBits, maskLength, type Prefix, parseAddress } from '../address.js';
import type { Family } from '../types.js';

export interface NamedPrefix extends Prefix {
  /** Interface it belongs to; undefined if the rules do not say. */
  readonly name: string | undefined;
  /** Why it is taken to be so, for a sentence: "the network the rules masquerade". */
  readonly why: string;
}

/** A port that a DNAT rule publishes on whatever address the host has. */
export interface PublishedPort {
  readonly family: Family;
  /** 0: any. */
  readonly protocol: number;
  readonly low: number;
  readonly high: number;
}

export interface RuleFacts {
  /** Interfaces named, `lo` left out, wildcards made one name (`veth+` is veth0), in order of their first mention. */
  readonly names: readonly string[];
  /** Interfaces the rules translate sources on, or destinations from: they lead outside. */
  readonly outside: readonly string[];
  /** Networks inside. */
  readonly networks: readonly NamedPrefix[];
  /** Single addresses inside: where DNAT leads. */
  readonly neighbours: readonly NamedPrefix[];
  /** The host's own addresses. */
  readonly own: readonly NamedPrefix[];
  readonly published: readonly PublishedPort[];
  readonly hidesSources: boolean;
}

class Facts implements RuleFacts {
  readonly names: string[] = [];
  readonly outside: string[] = [];
  readonly networks: NamedPrefix[] = [];
  readonly neighbours: NamedPrefix[] = [];
  readonly own: NamedPrefix[] = [];
  readonly published: PublishedPort[] = [];
  hidesSources = false;
}

export function factsOf(rulesets: readonly Ruleset[]): RuleFacts {
  const facts = new Facts();
  for (const ruleset of rulesets) {
    for (const table of ruleset.tables.values()) {
      for (const chain of table.chains.values()) for (const rule of chain.rules) look(rule, ruleset.family, facts);
    }
  }
  return facts;
}

function look(rule: Rule, family: Family, facts: Facts): void {
  for (const match of [rule.inInterface, rule.outInterface]) {
    if (match !== undefined) note(facts.names, nameOf(match.pattern));
  }
  switch (extensionName(rule)) {
    case 'MASQUERADE':
    case 'SNAT':
      lookAtSource(rule, family, facts);
      break;
    case 'DNAT':
      lookAtDestination(rule, family, facts);
      break;
    default:
      lookAtFilter(rule, family, facts);
  }
}

/** `-s 172.17.0.0/16 ! -o docker0 -j MASQUERADE`: the network of docker0. `-o ppp0 -j SNAT --to-source A`: A is ppp0's. */
function lookAtSource(rule: Rule, family: Family, facts: Facts): void {
  facts.hidesSources = true;
  const out = rule.outInterface;
  const name = out === undefined ? undefined : nameOf(out.pattern);
  if (out?.negated === false) note(facts.outside, name);
  const source = prefixOf(rule.source, family);
  if (source !== undefined && source.prefixLength > 0 && source.prefixLength < addressBits(family)) {
    const why = 'the network whose sources the rules translate';
    facts.networks.push({ ...source, name: out?.negated === true ? name : undefined, why });
  }
  const to = translatedTo(rule, family);
  if (to !== undefined)
    facts.own.push({ ...to, name: out?.negated === false ? name : undefined, why: 'the address SNAT gives' });
}

/** `! -i docker0 -j DNAT --to-destination A`: A is behind docker0. `-d A -j DNAT`: A is the host's own. */
function lookAtDestination(rule: Rule, family: Family, facts: Facts): void {
  const into = rule.inInterface;
  const name = into === undefined ? undefined : nameOf(into.pattern);
  if (into?.negated === false) note(facts.outside, name);
  const to = translatedTo(rule, family);
  if (to !== undefined) {
    facts.neighbours.push({ ...to, name: into?.negated === true ? name : undefined, why: 'the network DNAT leads to' });
  }
  const destination = prefixOf(rule.destination, family);
  if (destination?.prefixLength === addressBits(family)) {
    facts.own.push({
      ...destination,
      name: into?.negated === false ? name : undefined,
      why: 'the address the rules publish',
    });
  } else if (rule.destination === undefined) {
    facts.published.push(...portsOf(rule, family));
  }
}

/** `-d A -o docker0 -j ACCEPT`: A is behind docker0. `-A INPUT -d A`: A is the host's own. */
function lookAtFilter(rule: Rule, family: Family, facts: Facts): void {
  const destination = prefixOf(rule.destination, family);
  if (destination?.prefixLength !== addressBits(family) || !isUnicast(destination)) return;
  const out = rule.outInterface;
  if (out?.negated === false && out.pattern !== 'lo') {
    facts.neighbours.push({
      ...destination,
      name: nameOf(out.pattern),
      why: `where the rules send ${out.pattern}'s packets`,
    });
  }
  const into = rule.inInterface;
  if (rule.chain === 'INPUT' && !isLoopback(destination)) {
    const name = into?.negated === false ? nameOf(into.pattern) : undefined;
    facts.own.push({ ...destination, name, why: 'an address whose packets the rules look for in INPUT' });
  }
}

function extensionName(rule: Rule): string | undefined {
  return rule.target?.kind === 'extension' ? rule.target.extension.name : undefined;
}

/** The (first) address a NAT target writes, from its canonical text. */
function translatedTo(rule: Rule, family: Family): Prefix | undefined {
  if (rule.target?.kind !== 'extension') return undefined;
  const text = rule.target.extension.print(rule.target.options, family);
  const first = /--to-(?:destination|source) (\[[^\]]*\]|[^ ]*)/.exec(text)?.[1] ?? '';
  const bare = first.startsWith('[') ? first.slice(1, -1) : family === 4 ? (first.split(':')[0] ?? '') : first;
  const address = parseAddress(bare.split('-')[0] ?? '', family);
  return address && { ...address, prefixLength: addressBits(family) };
}

function portsOf(rule: Rule, family: Family): PublishedPort[] {
  const protocol = rule.protocol === undefined || rule.protocol.negated ? 0 : rule.protocol.number;
  const text = rule.matches.map((match) => match.extension.print(match.options, family)).join('');
  const list = /(?<!! )--(?:dports?|ports) ([0-9:,]+)/.exec(text)?.[1];
  return (list?.split(',') ?? []).map((range) => {
    const [low, high] = range.split(':');
    return { family, protocol, low: Number(low), high: Number(high ?? low) };
  });
}

function prefixOf(match: Rule['source'], family: Family): Prefix | undefined {
  if (match === undefined || match.negated) return undefined;
  const prefixLength = maskLength(family, match.mask);
  return prefixLength === undefined ? undefined : { family, words: match.address, prefixLength };
}

/** One interface stands for a wildcard; `+` alone names none. */
function nameOf(pattern: string): string | undefined {
  const name = pattern.endsWith('+') ? `${pattern.slice(0, -1)}0` : pattern;
  return name === '0' || name === 'lo' || name === '' ? undefined : name;
}

function note(list: string[], name: string | undefined): void {
  if (name !== undefined && !list.includes(name)) list.push(name);
}

export function isUnicast({ family, words }: { family: Family; words: Uint32Array }): boolean {
  const first = words[0] ?? 0;
  if (family === 6) return first >>> 24 !== 0xff && words.some((word) => word !== 0);
  return first !== 0 && first >>> 28 < 0xe;
}

export function isLoopback({ family, words }: { family: Family; words: Uint32Array }): boolean {
  if (family === 4) return (words[0] ?? 0) >>> 24 === 127;
  return words[0] === 0 && words[1] === 0 && words[2] === 0 && words[3] === 1;
}
