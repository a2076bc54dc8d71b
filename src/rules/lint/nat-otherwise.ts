/** NAT that cannot work: packets that are not tracked, addresses that are nobody's, forwarding that is off. */
import { formatAddress } from '../../host/address.js';
import type { NatRange } from '../extension.js';
import type { CtOptions } from '../extensions/ct.js';
import { type Box, contains, isEverything, type Region, STATE } from '../meaning/box.js';
import { effectOf, targetName } from '../meaning/effect.js';
import type { BuiltinChain, Rule } from '../types.js';
import { hooksOf, type LintContext, liveRules } from './context.js';
import { type Finding, nameOf } from './finding.js';
import { isLocal, publishedPorts } from './published.js';

export function natOtherwise(context: LintContext): Finding[] {
  return [...notTracked(context), ...foreignAddresses(context), ...notForwarded(context)];
}

const NAT: readonly string[] = ['DNAT', 'SNAT', 'MASQUERADE', 'REDIRECT', 'NETMAP'];

function isNotrack({ target }: Rule): boolean {
  if (target?.kind !== 'extension') return false;
  const { name } = target.extension;
  return name === 'NOTRACK' || (name === 'CT' && (target.options as CtOptions).notrack);
}

/** Of an untracked packet the table nat is not asked. */
function notTracked({ reaches, bare }: LintContext): Finding[] {
  const raw = reaches.get('raw');
  const nat = reaches.get('nat');
  if (bare || raw === undefined || nat === undefined) return [];
  const untracked = [...liveRules(raw)].flatMap((rule) => {
    const lower = raw.conditions.get(rule)?.lower;
    if (!isNotrack(rule) || lower === undefined || !isFirst(rule, raw.table.chains.get(rule.chain)?.rules ?? []))
      return [];
    return [
      { rule, lower, hooks: hooksOf(rule, raw), isBuiltin: raw.table.chains.get(rule.chain)?.policy !== undefined },
    ];
  });
  if (untracked.length === 0) return [];
  return [...liveRules(nat)].flatMap((rule): Finding[] => {
    const region = nat.regions.get(rule) ?? [];
    if (!NAT.includes(targetName(rule)) || region.length === 0) return [];
    const by = tookAll(untracked, hooksOf(rule, nat), region);
    if (by === undefined) return [];
    return [
      {
        code: 'NOTRACK_DEFEATS_NAT',
        severity: 'error',
        table: rule.table,
        chain: rule.chain,
        rule,
        reason: `it never matches: ${nameOf(by.rule)} takes all it is for out of connection tracking, and what is not tracked is not translated`,
        fix: `leave these packets out of ${nameOf(by.rule)}, or take this rule out`,
        related: [by.rule],
      },
    ];
  });
}

interface Untracked {
  readonly rule: Rule;
  readonly lower: Box;
  readonly hooks: ReadonlySet<BuiltinChain>;
  readonly isBuiltin: boolean;
}

/** A rule that keeps all that a NAT rule is for from being tracked. Behind routing only what takes everything is sure to. */
function tookAll(
  untracked: readonly Untracked[],
  hooks: ReadonlySet<BuiltinChain>,
  region: Region,
): Untracked | undefined {
  const behind = hooks.has('POSTROUTING') || hooks.has('INPUT');
  const needed: readonly BuiltinChain[] = behind ? ['PREROUTING', 'OUTPUT'] : [...hooks];
  const found = needed.map((hook) =>
    untracked.find(
      ({ lower, hooks: where, isBuiltin }) =>
        isBuiltin &&
        where.has(hook) &&
        (behind ? isEverything(lower) : region.every((box) => contains(lower, withoutState(box)))),
    ),
  );
  return found.includes(undefined) ? undefined : found[0];
}

/** Nothing before it keeps packets from it. */
function isFirst(rule: Rule, rules: readonly Rule[]): boolean {
  return rules.slice(0, rule.number - 1).every((before) => effectOf(before) === 'goes on');
}

function withoutState(box: Box): Box {
  return isEverything(box)
    ? box
    : { sets: box.sets.map((set, d) => (d === STATE ? undefined : set)), terms: box.terms };
}

function foreignAddresses(context: LintContext): Finding[] {
  const { host, family, reaches } = context;
  if (host === undefined) return [];
  return [...liveRules(reaches.get('nat'))].flatMap((rule): Finding[] => {
    if (targetName(rule) !== 'SNAT' || rule.target?.kind !== 'extension') return [];
    const { minAddress, maxAddress } = rule.target.options as NatRange;
    if (minAddress === undefined || minAddress.join() !== maxAddress?.join() || isLocal(host, family, minAddress))
      return [];
    return [
      {
        code: 'SNAT_TO_FOREIGN_ADDRESS',
        severity: 'warning',
        table: rule.table,
        chain: rule.chain,
        rule,
        reason: `${formatAddress(family, minAddress)} is no address of the host: answers come back only if others send them here`,
        fix: 'correct the address, use MASQUERADE, or make sure that it is routed to the host',
      },
    ];
  });
}

function notForwarded(context: LintContext): Finding[] {
  const { host, family } = context;
  const name = family === 4 ? 'net.ipv4.ip_forward' : 'net.ipv6.conf.all.forwarding';
  if (host?.sysctl(name) !== '0') return [];
  const first = publishedPorts(context).find(({ address }) => !isLocal(host, family, address));
  if (first === undefined) return [];
  const { rule } = first;
  return [
    {
      code: 'FORWARDING_OFF',
      severity: 'error',
      table: rule.table,
      chain: rule.chain,
      rule,
      reason: `the host does not forward (${name} is 0), so that nothing gets to where DNAT sends it`,
      fix: `sysctl -w ${name}=1`,
    },
  ];
}
