/** What NAT makes of a packet at a hook, and why. */
import { ORIGINAL, REPLY } from '../netfilter/conntrack/flowtable.js';
import { invertTuple } from '../netfilter/conntrack/tuples.js';
import { manipulationAt } from '../netfilter/hooks.js';
import { CT_RELATED, type Packet } from '../netfilter/packet.js';
import { PROTO_ICMP, PROTO_ICMPV6 } from '../packet/transport.js';
import { Tuple } from '../packet/tuple.js';
import { tupleText } from '../report/tupletext.js';
import type { NatRange } from '../rules/extension.js';
import type { BuiltinChain } from '../rules/types.js';
import { formatNatRange } from '../rules/values/nat-range.js';
import type { ChainVisit, NatStep, PacketState } from './model.js';
import { differ, stateOf } from './packetstate.js';

export interface NatParts {
  readonly hook: BuiltinChain;
  readonly state: PacketState;
  readonly walk: ChainVisit | undefined;
  /** Undefined: no rule asked for anything. */
  readonly asked: { readonly range: NatRange | undefined } | undefined;
  readonly packet: Packet;
  /** Status of the entry before the step. */
  readonly status: number;
  readonly passed: boolean;
}

export function natStep(parts: NatParts): NatStep {
  const { hook, state, walk, asked, packet, passed } = parts;
  const manipulation = manipulationAt(hook);
  const after = stateOf(packet);
  const range = asked?.range;
  return {
    kind: 'nat',
    manipulates: manipulation === undefined ? undefined : manipulation === 'src' ? 'source' : 'destination',
    walk,
    how: how(parts),
    asked: range === undefined ? undefined : rangeText(range, packet),
    choice: choiceOf(parts, manipulation),
    change: differ(state, after) ? { before: state, after } : undefined,
    passed,
  };
}

function how({ walk, asked, packet, passed, status }: NatParts): NatStep['how'] {
  if (packet.entry < 0) return 'no-connection';
  if (packet.info === CT_RELATED && (packet.protocol === PROTO_ICMP || packet.protocol === PROTO_ICMPV6))
    return 'icmp-error';
  if (asked !== undefined) return 'rule';
  if (walk !== undefined) return passed ? 'null-binding' : 'dropped';
  // Without a chain at the hook, what a first packet gets is the null binding too.
  return status === packet.status ? 'settled' : 'null-binding';
}

const CHOOSES: ReadonlySet<NatStep['how']> = new Set(['rule', 'null-binding']);

function rangeText(range: NatRange, { family }: Packet): string {
  const text = formatNatRange(range, family);
  const flags = [
    range.randomFully ? '--random-fully' : range.random ? '--random' : '',
    range.persistent ? '--persistent' : '',
  ];
  return [text, ...flags].filter((part) => part !== '').join(' ');
}

/** Why a port is another than before, where it was chosen now. */
function choiceOf(parts: NatParts, manipulation: 'src' | 'dst' | undefined): string | undefined {
  const { packet, asked, walk, passed } = parts;
  if (asked !== undefined && asked.range === undefined)
    return 'there is no address to map to, so the packet is dropped';
  if (packet.entry < 0 || manipulation === undefined || !passed || !CHOOSES.has(how(parts))) return undefined;
  const { table } = packet;
  const original = table.readTuple(packet.entry, ORIGINAL, new Tuple());
  const mapping = new Tuple();
  if (!invertTuple(table.readTuple(packet.entry, REPLY, new Tuple()), mapping)) return undefined;
  const isIcmp = original.protocol === PROTO_ICMP || original.protocol === PROTO_ICMPV6;
  const [own, chosen] =
    manipulation === 'src' || isIcmp
      ? [original.sourcePort, mapping.sourcePort]
      : [original.destinationPort, mapping.destinationPort];
  if (own === chosen) return undefined;
  const what = isIcmp ? 'id' : 'port';
  const range = asked?.range;
  if (range?.randomFully === true || range?.random === true)
    return `${what} ${chosen} drawn at random, as the rule asks`;
  if (range?.minPort !== undefined)
    return range.minPort === range.maxPort ? undefined : `${what} ${chosen} of the range`;
  if (manipulation === 'dst' && walk === undefined) return undefined;
  return `${what} ${chosen} instead of ${own}: ${whyAnother(packet, mapping, own)}`;
}

/** The mapping with the own port is taken, or another connection of the same source has the chosen one already. */
function whyAnother({ table, tracker, now, zone }: Packet, mapping: Tuple, own: number): string {
  const wanted = new Tuple();
  wanted.copyFrom(mapping);
  wanted.sourcePort = own;
  const reply = new Tuple();
  invertTuple(wanted, reply);
  // Looked up as the kernel's own search does, but without a trace.
  const taken = table.findOnSide(reply, zone, REPLY);
  if (taken < 0 || tracker?.isExpired(taken >> 1, now) === true)
    return 'another connection from the same address and port has this one';
  return `${own} is taken by ${tupleText(table.readTuple(taken >> 1, ORIGINAL, new Tuple()))}`;
}
