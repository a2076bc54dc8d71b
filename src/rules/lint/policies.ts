/** Policies, and what they make of the rules before them: no answers, no loopback, nothing to decide. */
import { STATE_DNAT, STATE_ESTABLISHED, STATE_NEW, STATE_SNAT } from '../context.js';
import {
  type Box,
  DESTINATION_PORT,
  EVERYTHING,
  FLAGS,
  HEADER,
  ICMP,
  IN,
  LATER_FRAGMENT,
  OUT,
  PROTOCOL,
  SOURCE_PORT,
  STATE,
  span,
} from '../meaning/box.js';
import { drops, effectOf, targetName } from '../meaning/effect.js';
import type { ValueSet } from '../meaning/intervals.js';
import type { Reach } from '../meaning/reach.js';
import { namesLike, stateSet } from '../meaning/universe.js';
import type { BuiltinChain, Chain } from '../types.js';
import type { LintContext } from './context.js';
import { whoDrops } from './dnat-way.js';
import { refusal } from './fate.js';
import type { Finding } from './finding.js';

export function policies(context: LintContext): Finding[] {
  const reach = context.reaches.get('filter');
  if (context.bare || reach === undefined) return [];
  return [
    ...repliesDropped(reach, context),
    ...loopbackDropped(reach, context),
    ...neighboursDropped(reach, context),
    ...pointless(reach),
  ];
}

function packets(fields: readonly (readonly [dimension: number, set: ValueSet])[]): Box {
  const sets = [...EVERYTHING.sets];
  for (const [dimension, set] of fields) sets[dimension] = set;
  return { sets, terms: [] };
}

const NEW = stateSet((state) => (state & STATE_NEW) !== 0);
const ESTABLISHED = stateSet((state) => (state & STATE_ESTABLISHED) !== 0);
/** Of connections that are not translated. */
const PLAIN = stateSet((state) => (state & (STATE_SNAT | STATE_DNAT)) === 0);
const TCP = [
  [PROTOCOL, span(6, 6)],
  [LATER_FRAGMENT, span(0, 0)],
  [HEADER, span(20, 65535)],
] as const;
/** What clients use, by default at least (net.ipv4.ip_local_port_range). */
const CLIENT_PORTS = span(32768, 60999);
const SERVICES = span(1, 1023);
const SYN = span(2, 2);
const ACK = span(16, 16);

/** The other direction of what is let out: nothing accepts ESTABLISHED. */
function repliesDropped(reach: Reach, { universe }: LintContext): Finding[] {
  const request = packets([
    ...TCP,
    [FLAGS, SYN],
    [STATE, NEW],
    [SOURCE_PORT, CLIENT_PORTS],
    [DESTINATION_PORT, SERVICES],
  ]);
  const reply = packets([
    ...TCP,
    [FLAGS, ACK],
    [STATE, ESTABLISHED],
    [SOURCE_PORT, SERVICES],
    [DESTINATION_PORT, CLIENT_PORTS],
  ]);
  const ways: readonly (readonly [BuiltinChain, BuiltinChain])[] = [
    ['FORWARD', 'FORWARD'],
    ['OUTPUT', 'INPUT'],
    ['INPUT', 'OUTPUT'],
  ];
  return ways.flatMap(([there, back]): Finding[] => {
    if (refusal(reach, there, [request], universe) !== undefined) return [];
    const refused = refusal(reach, back, [reply], universe);
    if (refused === undefined) return [];
    // Nobody means to let in what only comes back over loopback.
    const what =
      there === 'FORWARD'
        ? 'answers to what is forwarded'
        : there === 'OUTPUT'
          ? "answers to the host's own requests"
          : "the host's answers";
    return [
      {
        code: 'REPLIES_DROPPED',
        severity: 'warning',
        table: 'filter',
        chain: back,
        reason: `${what} are dropped in ${back} by ${whoDrops(refused, back)}: connections that ${there} lets begin never come about`,
        fix: `accept them first: -A ${back} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT`,
        related: refused.rules.slice(0, 8),
      },
    ];
  });
}

function loopbackDropped(reach: Reach, { universe }: LintContext): Finding[] {
  const own = (dimension: number): Box =>
    packets([...TCP, [FLAGS, SYN], [STATE, NEW], [dimension, namesLike('lo')], [DESTINATION_PORT, span(1024, 32767)]]);
  if (refusal(reach, 'OUTPUT', [own(OUT)], universe) !== undefined) return [];
  const refused = refusal(reach, 'INPUT', [own(IN)], universe);
  if (refused === undefined) return [];
  return [
    {
      code: 'LOOPBACK_DROPPED',
      severity: 'warning',
      table: 'filter',
      chain: 'INPUT',
      reason: `programs of the host do not reach each other by 127.0.0.1 or ::1: what comes in by lo is dropped by ${whoDrops(refused, 'INPUT')}`,
      fix: '-A INPUT -i lo -j ACCEPT, before everything else',
      related: refused.rules.slice(0, 8),
    },
  ];
}

/** IPv6 finds its neighbours by ICMPv6: without it nothing works. */
function neighboursDropped(reach: Reach, { universe, family }: LintContext): Finding[] {
  if (family !== 6) return [];
  const NEIGHBOUR_SOLICITATION = 135 * 256;
  const asked = packets([
    [PROTOCOL, span(58, 58)],
    [LATER_FRAGMENT, span(0, 0)],
    [HEADER, span(24, 65535)],
    [ICMP, span(NEIGHBOUR_SOLICITATION, NEIGHBOUR_SOLICITATION)],
  ]);
  const refused = refusal(reach, 'INPUT', [asked], universe);
  if (refused === undefined) return [];
  // A host that takes nothing at all is meant to.
  const anything = packets([[STATE, PLAIN]]);
  if (refusal(reach, 'INPUT', [anything], universe) !== undefined) return [];
  return [
    {
      code: 'NEIGHBOURS_DROPPED',
      severity: 'warning',
      table: 'filter',
      chain: 'INPUT',
      reason: `neighbour solicitations are dropped in INPUT by ${whoDrops(refused, 'INPUT')}: nobody on the link can find the host by IPv6`,
      fix: '-A INPUT -p ipv6-icmp -j ACCEPT, or at least its types 133 to 136',
      related: refused.rules.slice(0, 8),
    },
  ];
}

/** Chains of ACCEPT rules with policy ACCEPT: nothing is kept out. */
function pointless(reach: Reach): Finding[] {
  return (['INPUT', 'FORWARD', 'OUTPUT'] as const).flatMap((name): Finding[] => {
    const chain = reach.table.chains.get(name);
    if (chain?.policy !== 'ACCEPT') return [];
    const accepting = chain.rules.filter((rule) => targetName(rule) === 'ACCEPT' && !reach.dead.has(rule));
    if (accepting.length === 0 || decidesOtherwise(chain, reach, new Set())) return [];
    return [
      {
        code: 'POLICY_ACCEPTS_ALL',
        // Few mean to keep anything in.
        severity: name === 'OUTPUT' ? 'note' : 'warning',
        table: 'filter',
        chain: name,
        reason: `${accepting.length === 1 ? 'its rule that accepts something decides' : `its ${accepting.length} rules that accept something decide`} nothing: no rule of ${name} drops anything, and its policy is ACCEPT`,
        fix: `to keep the rest out: -P ${name} DROP, with what must come in accepted before`,
        related: accepting.slice(0, 8),
      },
    ];
  });
}

/** Whether any rule of the chain, or where it leads, does anything but accept. */
function decidesOtherwise(chain: Chain, reach: Reach, seen: Set<string>): boolean {
  if (seen.has(chain.name)) return false;
  seen.add(chain.name);
  return chain.rules.some((rule) => {
    if (rule.unsupported || drops(rule)) return true;
    const effect = effectOf(rule);
    if (effect === 'jump' || effect === 'goto') {
      const next =
        rule.target !== undefined && 'chain' in rule.target ? reach.table.chains.get(rule.target.chain) : undefined;
      return next !== undefined && decidesOtherwise(next, reach, seen);
    }
    // Targets that do more than to let pass: queues, logs, sets.
    return rule.target?.kind === 'extension';
  });
}
