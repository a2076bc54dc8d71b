/** Ports published to more than was meant, and published ports that inside hosts cannot use. */
import { formatPrefix, networkOf } from '../../host/address.js';
import { STATE_DNAT, STATE_NEW } from '../context.js';
import {
  apart,
  type Box,
  DESTINATION,
  DESTINATION_PORT,
  DESTINATION_TYPE,
  IN,
  MARK,
  OUT,
  PROTOCOL,
  SOURCE,
  STATE,
  span,
} from '../meaning/box.js';
import { rangeOf } from '../meaning/condition.js';
import { targetName } from '../meaning/effect.js';
import { areDisjoint, type Interval, includes, type ValueSet } from '../meaning/intervals.js';
import { addressValue } from '../meaning/matchfields.js';
import { namesLike } from '../meaning/universe.js';
import { formatNetwork } from '../values/addresses.js';
import { type LintContext, liveRules } from './context.js';
import type { Finding } from './finding.js';
import { addressSet, isLocal, isWide, type Published, publishedPorts, targetOf, wayTo } from './published.js';

export function publishing(context: LintContext): Finding[] {
  if (context.bare) return [];
  return publishedPorts(context).flatMap((published) => {
    const everywhere = openToAll(published, context);
    if (everywhere?.code === 'DNAT_EVERYWHERE') return [everywhere];
    return [...(everywhere === undefined ? [] : [everywhere]), ...hairpin(published, context)];
  });
}

/** Addresses that are less than half of all there are. */
function isNarrow(set: ValueSet | undefined, context: LintContext): boolean {
  if (set === undefined) return false;
  const [all] = context.universe(SOURCE);
  const size = set.reduce((sum, { from, to }) => sum + Number(to) - Number(from), 0);
  return all !== undefined && size < Number(all.to) / 2;
}

function openToAll(published: Published, context: LintContext): Finding | undefined {
  const { rule, region } = published;
  const open = region.filter(
    (box) =>
      isWide(box) && box.terms.length === 0 && box.sets[MARK] === undefined && !isNarrow(box.sets[SOURCE], context),
  );
  const base = { table: rule.table, chain: rule.chain, rule };
  const target = targetOf(published, context.family);
  const all = open.some(({ sets }) => sets[DESTINATION_TYPE] === undefined && !isNarrow(sets[DESTINATION], context));
  if (all)
    return {
      ...base,
      code: 'DNAT_EVERYWHERE',
      severity: 'warning',
      reason: `without -i and -d, connections to that port of any address are sent to ${target}, also those of inside hosts to the Internet`,
      fix: 'add -i with the interface they come in by, -d with the address they are for, or -m addrtype --dst-type LOCAL',
    };
  const local = open.some(({ sets }) => sets[DESTINATION_TYPE] !== undefined && !isNarrow(sets[DESTINATION], context));
  if (!local) return undefined;
  return {
    ...base,
    code: 'PUBLISHED_EVERYWHERE',
    severity: 'note',
    reason: `${target} is open to every interface of the host`,
    fix: 'if it is not for everybody: -d ADDRESS, which docker run -p ADDRESS:PORT:PORT writes, or -i',
  };
}

interface Network {
  readonly range: Interval;
  readonly text: string;
  /** Undefined: not known. */
  readonly iface: string | undefined;
}

/** Hosts beside the one a port leads to: their requests are translated, and the answers must come back the same way. */
function hairpin(published: Published, context: LintContext): Finding[] {
  const { family, host } = context;
  const { address, rule, region, ports } = published;
  if (isLocal(host, family, address)) return [];
  const network = networkOfBackend(published, context);
  if (network === undefined) return [];
  const { iface, range } = network;
  const fromInside = region.filter(({ sets, terms }) => {
    const from = sets[IN];
    const wide = iface === undefined ? from === undefined : from === undefined || includes(from, namesLike(iface));
    const source = sets[SOURCE];
    return wide && terms.length === 0 && (source === undefined || !areDisjoint(source, [range]));
  });
  if (fromInside.length === 0) return [];
  const reach = context.reaches.get('nat');
  if (reach === undefined) return [];
  const back = fromInside.map(({ sets, terms }): Box => {
    const behind = new Array<ValueSet | undefined>(sets.length).fill(undefined);
    behind[SOURCE] = [range];
    behind[DESTINATION] = addressSet(address, family);
    behind[PROTOCOL] = sets[PROTOCOL];
    behind[DESTINATION_PORT] = ports === undefined ? sets[DESTINATION_PORT] : span(ports.min, ports.max);
    behind[STATE] = span(STATE_NEW | STATE_DNAT, STATE_NEW | STATE_DNAT);
    if (iface !== undefined) behind[OUT] = namesLike(iface);
    return { sets: behind, terms };
  });
  const translates = [...liveRules(reach)].some((other) => {
    if (!['MASQUERADE', 'SNAT', 'NETMAP'].includes(targetName(other))) return false;
    const upper = reach.conditions.get(other)?.upper;
    return upper !== undefined && back.some((box) => !apart(box, upper));
  });
  if (translates) return [];
  const target = targetOf(published, family);
  return [
    {
      code: 'HAIRPIN_MISSING',
      severity: 'warning',
      table: rule.table,
      chain: rule.chain,
      rule,
      reason: `hosts in ${network.text} that use the published port are sent to ${target} too, which answers them directly: they do not know that answer`,
      fix: `masquerade these (-t nat -A POSTROUTING -s ${network.text} -d ${target.split(':')[0]} -j MASQUERADE), or leave them out of the DNAT (! -i with their interface)`,
    },
  ];
}

/** From the host's interfaces; without a host, from a network that is masqueraded and has the address in it. */
function networkOfBackend({ address }: Published, context: LintContext): Network | undefined {
  const { family, host, reaches } = context;
  if (host !== undefined) {
    const iface = wayTo(host, family, address);
    const own = host
      .interfaceByName(iface ?? '')
      ?.addresses.find(
        (one) =>
          one.family === family &&
          one.peer === undefined &&
          networkOf(family, one.words, one.prefixLength).join() === networkOf(family, address, one.prefixLength).join(),
      );
    if (own === undefined) return undefined;
    const words = networkOf(family, own.words, own.prefixLength);
    const from = addressValue(words, family);
    const bits = family === 4 ? 32 : 128;
    const size = 1n << BigInt(bits - own.prefixLength);
    const to = typeof from === 'bigint' ? from + size : Number(from) + Number(size);
    return { range: { from, to }, text: formatPrefix(family, words, own.prefixLength), iface };
  }
  for (const rule of liveRules(reaches.get('nat'))) {
    const name = targetName(rule);
    if ((name !== 'MASQUERADE' && name !== 'SNAT') || rule.source === undefined || rule.source.negated) continue;
    const range = rangeOf(rule.source, family);
    if (range === undefined || Number(range.to) - Number(range.from) <= 1) continue;
    if (includes([range], addressSet(address, family)))
      return { range, text: formatNetwork(family, rule.source), iface: undefined };
  }
  return undefined;
}
