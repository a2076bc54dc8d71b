/** Interfaces that are not there, look like a slip of the finger, or stand on the wrong side. */
import { networkOf } from '../../host/address.js';
import type { Host, HostInterface } from '../../host/types.js';
import { nearest } from '../nearest.js';
import type { AddressMatch, InterfaceMatch, Rule } from '../types.js';
import { inNetwork } from '../values/addresses.js';
import { allRules, hooksOf, type LintContext, liveRules } from './context.js';
import type { Finding } from './finding.js';

export function interfaces(context: LintContext): Finding[] {
  const { host, ruleset } = context;
  const used = usedNames([...allRules(ruleset)]);
  if (host === undefined) return lookalikes(used);
  return [...unknown(used, host), ...swapped(context, host)];
}

interface Use {
  readonly rules: Rule[];
  readonly option: '-i' | '-o';
}

function usedNames(rules: readonly Rule[]): Map<string, Use> {
  const used = new Map<string, Use>();
  const add = (rule: Rule, match: InterfaceMatch | undefined, option: '-i' | '-o'): void => {
    if (match === undefined) return;
    const use = used.get(match.pattern);
    if (use === undefined) used.set(match.pattern, { rules: [rule], option });
    else use.rules.push(rule);
  };
  for (const rule of rules) {
    add(rule, rule.inInterface, '-i');
    add(rule, rule.outInterface, '-o');
  }
  return used;
}

/** Names of devices that come and go. */
const PASSING = /^(veth|br-|tun|tap|ppp|wg|vnet|cali|cilium|flannel|cni|docker|virbr|lxc|ipsec|vti|nodelocaldns|kube-)/;

function unknown(used: ReadonlyMap<string, Use>, host: Host): Finding[] {
  const names = host.interfaces.map(({ name }) => name);
  return [...used].flatMap(([pattern, { rules, option }]): Finding[] => {
    const prefix = pattern.endsWith('+') ? pattern.slice(0, -1) : undefined;
    if (names.some((name) => (prefix === undefined ? name === pattern : name.startsWith(prefix)))) return [];
    const [rule] = rules;
    if (rule === undefined) return [];
    const near = nearest(pattern, names);
    const passing = prefix !== undefined || PASSING.test(pattern);
    const others = rules.length === 1 ? '' : ` (in ${rules.length} rules)`;
    return [
      {
        code: 'INTERFACE_UNKNOWN',
        severity: passing && near === undefined ? 'note' : 'warning',
        table: rule.table,
        chain: rule.chain,
        rule,
        reason: `the host has no interface ${pattern}${others}`,
        fix:
          near === undefined
            ? `the host has ${names.slice(0, 8).join(', ')}; correct ${option} ${pattern}, or take the rule out if it is gone for good`
            : `did you mean ${near}?`,
        related: rules.slice(1, 9),
      },
    ];
  });
}

/** As it looks at a glance. */
const glance = (name: string): string => name.toLowerCase().replace(/o/g, '0').replace(/[li]/g, '1');

/** Without a host: names that differ from one in use only by what looks alike, or by two letters in the wrong order. */
function lookalikes(used: ReadonlyMap<string, Use>): Finding[] {
  const findings: Finding[] = [];
  for (const [name, { rules, option }] of used) {
    const [rule] = rules;
    for (const [other, { rules: more }] of used) {
      if (rule === undefined || other === name || !isSlip(name, other) || !isLikelier(other, more, name, rules))
        continue;
      findings.push({
        code: 'INTERFACE_LOOKALIKE',
        severity: 'warning',
        table: rule.table,
        chain: rule.chain,
        rule,
        reason: `interface ${name} looks like ${other}, which ${more.length} other ${more.length === 1 ? 'rule has' : 'rules have'}`,
        fix: `did you mean ${option} ${other}?`,
      });
      break;
    }
  }
  return findings;
}

function isLikelier(other: string, more: readonly Rule[], name: string, rules: readonly Rule[]): boolean {
  if (other === 'lo') return true;
  return name !== 'lo' && rules.length < more.length;
}

function isSlip(a: string, b: string): boolean {
  if (a.length !== b.length) return false;
  if (glance(a) === glance(b)) return true;
  const different = [...a].flatMap((letter, k) => (letter === b[k] ? [] : [k]));
  const [first, second, third] = different;
  if (first === undefined || second !== first + 1 || third !== undefined) return false;
  // The numbers of two interfaces may well be each other's reverse.
  if (/[0-9]/.test(a.slice(first, second + 1))) return false;
  return a[first] === b[second] && a[second] === b[first];
}

/** FORWARD rules that let packets in by the interface that leads to where they go. */
function swapped({ reaches, family }: LintContext, host: Host): Finding[] {
  const reach = reaches.get('filter');
  if (reach === undefined) return [];
  return [...liveRules(reach)].flatMap((rule): Finding[] => {
    const hooks = hooksOf(rule, reach);
    if (hooks.size !== 1 || !hooks.has('FORWARD')) return [];
    if (rule.target?.kind !== 'verdict' || rule.target.verdict !== 'ACCEPT') return [];
    const { inInterface, outInterface, source, destination } = rule;
    const comes = named(host, inInterface);
    const goes = named(host, outInterface);
    if (
      comes !== undefined &&
      comes !== goes &&
      outInterface?.pattern !== inInterface?.pattern &&
      isOn(comes, destination, family)
    )
      return [side(rule, '-i', comes.name, 'go to', '-o')];
    if (
      goes !== undefined &&
      comes !== goes &&
      isOn(goes, source, family) &&
      destination === undefined &&
      comes !== undefined
    )
      return [side(rule, '-o', goes.name, 'come from', '-i')];
    return [];
  });
}

function named(host: Host, match: InterfaceMatch | undefined): HostInterface | undefined {
  return match === undefined || match.negated ? undefined : host.interfaceByName(match.pattern);
}

/** Whether a network is the one of that interface, or part of it. */
function isOn({ addresses }: HostInterface, network: AddressMatch | undefined, family: 4 | 6): boolean {
  if (network === undefined || network.negated) return false;
  return addresses.some((own) => {
    if (own.family !== family || own.prefixLength === 0 || own.peer !== undefined) return false;
    const length = own.prefixLength;
    const wide = network.mask.some((word) => word !== 0) && maskBits(network.mask) >= length;
    const subnet = networkOf(family, own.words, length);
    return (
      wide && networkOf(family, network.address, length).join() === subnet.join() && inNetwork(network.address, network)
    );
  });
}

const maskBits = (mask: Uint32Array): number =>
  mask.reduce((sum, word) => sum + word.toString(2).replace(/0/g, '').length, 0);

function side(rule: Rule, option: string, name: string, verb: string, right: string): Finding {
  return {
    code: 'INTERFACE_SWAPPED',
    severity: 'warning',
    table: rule.table,
    chain: rule.chain,
    rule,
    reason: `what it lets through would ${verb} a network that is behind ${name} itself, by which it should not ${option === '-i' ? 'come in' : 'go out'}`,
    fix: `${right} ${name} instead of ${option} ${name}?`,
  };
}
