/**
 * Why a rule does not match, in words: its first condition that does not hold. Which one that is, the walk itself has found
 * out; nothing that counts its visits is asked a second time.
 */
import { formatAddress } from '../host/address.js';
import type { Host, InterfaceIndex } from '../host/types.js';
import type { CompiledRule } from '../netfilter/compile.js';
import { FAILED_PREFILTER } from '../netfilter/observer.js';
import { protocolName } from '../report/tupletext.js';
import type { PacketContext } from '../rules/context.js';
import type { AddressMatch, InterfaceMatch, MatchUse, Rule } from '../rules/types.js';
import { formatNetwork, inNetwork } from '../rules/values/addresses.js';
import { matchReason, type Named } from './matchreasons.js';
import type { Reason } from './model.js';

/** `failed`: what the walk found: FAILED_PREFILTER, or the number of the predicate. */
export function reasonOf(rule: Rule, compiled: CompiledRule, packet: PacketContext, failed: number): Reason {
  return inWords(named(rule, compiled, packet, failed));
}

function inWords({ condition, wanted, has }: Named): Reason {
  return { condition, wanted, text: `${condition} ${wanted}${has === undefined ? '' : `, ${has}`}` };
}

function named(rule: Rule, compiled: CompiledRule, packet: PacketContext, failed: number): Named {
  if (rule.unsupported)
    return { condition: 'not supported', wanted: 'here, so it is taken as never matching', has: undefined };
  // Matches are the last predicates, as many as the rule has.
  const use =
    failed === FAILED_PREFILTER ? undefined : rule.matches[failed - (compiled.predicates.length - rule.matches.length)];
  if (use !== undefined) return matchReason(use, packet);
  return fixedReason(rule, packet) ?? portsReason(rule, packet) ?? UNKNOWN;
}

const UNKNOWN: Named = { condition: 'its conditions', wanted: 'are not met', has: undefined };

/** The ports by which a chain passes over rules are those of one of its matches. */
function portsReason(rule: Rule, packet: PacketContext): Named | undefined {
  const use = rule.matches.find(
    ({ extension, options }: MatchUse) => extension.destinationPorts?.(options) !== undefined,
  );
  return use === undefined ? undefined : matchReason(use, packet);
}

/** In the kernel's order (ip_packet_match). */
export function fixedReason(rule: Rule, packet: PacketContext): Named | undefined {
  const { host, family } = packet;
  return (
    addressReason('source', rule.source, packet.source, packet) ??
    addressReason('destination', rule.destination, packet.destination, packet) ??
    interfaceReason('incoming interface', rule.inInterface, packet.inInterface, host) ??
    interfaceReason('outgoing interface', rule.outInterface, packet.outInterface, host) ??
    protocolReason(rule, packet) ??
    (family === 4 ? fragmentReason(rule, packet) : undefined)
  );
}

const negation = (negated: boolean): string => (negated ? 'not ' : '');

function addressReason(
  condition: string,
  match: AddressMatch | undefined,
  address: Uint32Array,
  { family }: PacketContext,
): Named | undefined {
  if (match === undefined || inNetwork(address, match) !== match.negated) return undefined;
  const wanted = `${negation(match.negated)}${formatNetwork(family, match).replace(family === 4 ? /\/32$/ : /\/128$/, '')}`;
  return { condition, wanted, has: `the packet has ${formatAddress(family, address)}` };
}

function interfaceReason(
  condition: string,
  match: InterfaceMatch | undefined,
  iface: InterfaceIndex,
  host: Host,
): Named | undefined {
  if (match === undefined) return undefined;
  const { pattern, negated } = match;
  const name = host.interfaces[iface]?.name ?? '';
  const fits = pattern.endsWith('+') ? name.startsWith(pattern.slice(0, -1)) : name === pattern;
  if (fits !== negated) return undefined;
  const verb = condition.startsWith('in') ? 'the packet came in by' : 'the packet is to leave by';
  return {
    condition,
    wanted: `${negation(negated)}${pattern}`,
    has: name === '' ? 'the packet has none here' : `${verb} ${name}`,
  };
}

function protocolReason({ protocol }: Rule, packet: PacketContext): Named | undefined {
  if (protocol === undefined || protocol.number === 0) return undefined;
  const condition = 'protocol';
  const wanted = `${negation(protocol.negated)}${protocolName(protocol.number)}`;
  if (packet.protocol < 0) return { condition, wanted, has: 'the packet ends within its extension headers' };
  if ((packet.protocol === protocol.number) !== protocol.negated) return undefined;
  return { condition, wanted, has: `the packet is ${protocolName(packet.protocol)}` };
}

function fragmentReason({ fragment }: Rule, packet: PacketContext): Named | undefined {
  if (fragment === undefined) return undefined;
  const isLater = packet.fragmentOffset !== 0;
  if (isLater !== fragment.negated) return undefined;
  return {
    condition: 'fragment',
    wanted: fragment.negated ? 'none or the first' : 'a later one',
    has: `the packet is ${isLater ? 'one' : 'none'}`,
  };
}
