/** The steps of a packet's way as sentences, for text and diagrams alike. */
import type {
  ChainVisit,
  Change,
  Explanation,
  HookStage,
  Journey,
  NatStep,
  Outcome,
  PacketState,
  RoutingStage,
  TrackStep,
} from './model.js';
import { isRule, meaningOf } from './words.js';

/** `tcp 198.51.100.7:40000 > 192.0.2.1:8799 SYN, in eth0, TTL 64, 40 bytes` */
export function packetSentence(journey: Journey): string {
  const { packet } = journey;
  const parts = [packet === undefined ? 'not an IP packet' : withFlags(packet)];
  if (journey.in === '@local') parts.push('from the host itself');
  else if (journey.in !== undefined)
    parts.push(`in ${journey.in}${journey.ingressIsInferred ? ' (the interface towards its sender)' : ''}`);
  if (packet !== undefined && packet.length > 0) parts.push(`TTL ${packet.ttl}`, `${packet.length} bytes`);
  if (packet !== undefined && packet.mark !== 0) parts.push(`mark ${hex(packet.mark)}`);
  return parts.join(', ');
}

export const withFlags = ({ text, flags }: PacketState): string => (flags === undefined ? text : `${text} ${flags}`);

const hex = (value: number): string => `0x${value.toString(16)}`;

export function hookSentence(stage: HookStage): string {
  const where = [stage.in === undefined ? '' : `in ${stage.in}`, stage.out === undefined ? '' : `out ${stage.out}`];
  const text = where.filter((part) => part !== '').join(', ');
  return text === '' ? stage.hook : `${stage.hook} (${text})`;
}

export function trackSentence({ state, entry, connection, why }: TrackStep): string {
  const tcp = connection?.tcpState === undefined ? '' : `, ${connection.tcpState}`;
  const zone = connection === undefined || connection.zone === 0 ? '' : `, zone ${connection.zone}`;
  if (state === 'INVALID') return `INVALID, ${meaningOf(why ?? 'invalid')}; NAT will pass it by`;
  if (state === 'UNTRACKED') return 'UNTRACKED, a rule took it out of connection tracking; NAT will pass it by';
  if (connection === undefined) return state ?? 'nothing is tracked';
  if (entry === 'new') return `${state}, a new connection${tcp}${zone}`;
  const whose = connection.direction === 'reply' ? 'a reply of' : state === 'RELATED' ? 'about' : 'of';
  const kept = entry === 'kept' ? ' (known before it came here)' : '';
  return `${state}, ${whose} the connection ${connection.original}${tcp}${zone}${kept}`;
}

export function routingSentence({ of, decision, destination, iface, gateway, why }: RoutingStage): string {
  if (decision === 'drop') return `dropped: ${meaningOf(why ?? '')}`;
  const via =
    gateway === undefined ? `on ${iface ?? 'no interface'}` : `by way of ${gateway} on ${iface ?? 'no interface'}`;
  if (of === 'incoming' && decision === 'local') return `${destination} is for the host itself: it is to be delivered`;
  if (of === 'incoming') return `${destination} is ${via}: it is to be forwarded`;
  const anew = of === 'again' ? 'anew, for it was changed: ' : '';
  return `${anew}${destination} is ${decision === 'local' ? `the host itself, by ${iface ?? 'loopback'}` : via}`;
}

const SIDES = { source: 'source', destination: 'destination' } as const;

export function natSentence({ manipulates, how, asked, choice, change, passed, walk }: NatStep): string {
  const side = manipulates === undefined ? 'packet' : SIDES[manipulates];
  const because = choice === undefined ? '' : `; ${choice}`;
  switch (how) {
    case 'no-connection':
      return 'it belongs to no connection, so nothing is translated';
    case 'icmp-error':
      return change === undefined
        ? 'it goes with the connection it is about: nothing to translate'
        : 'translated with the connection it is about';
    case 'rule':
      if (!passed) return `dropped${because}`;
      if (change !== undefined) return `the ${side} is mapped to ${asked ?? 'another'}${because}`;
      return `the ${side} is mapped to ${asked ?? 'an address'}, which it has already${because}`;
    case 'null-binding':
      if (change !== undefined) return `no rule translates, but the ${side} is changed${because}`;
      return walk === undefined
        ? `no rule is there: the ${side} stays as it is`
        : `no rule translates: the ${side} stays as it is`;
    case 'dropped':
      return 'dropped';
    case 'settled':
      if (change !== undefined) return `the ${side} is translated as its connection is, no rule is asked`;
      return 'the connection is known: no rule is asked, nothing is to be translated';
  }
}

/** What is different, part by part: `source 10.0.0.1:80 -> 192.0.2.1:80`, `mark 0x0 -> 0x1`. */
export function changesOf({ before, after }: Change): string[] {
  const changes = addressChanges(before, after);
  const add = (what: string, from: string | number, to: string | number): void => {
    if (from !== to) changes.push(`${what} ${from} -> ${to}`);
  };
  add('TCP flags', before.flags ?? 'none', after.flags ?? 'none');
  add('TTL', before.ttl, after.ttl);
  add('TOS', hex(before.tos), hex(after.tos));
  add('bytes', before.length, after.length);
  add('mark', hex(before.mark), hex(after.mark));
  add("the connection's mark", hex(before.connectionMark ?? 0), hex(after.connectionMark ?? 0));
  return changes;
}

function addressChanges(before: PacketState, after: PacketState): string[] {
  if (before.text === after.text) return [];
  const [from, to] = [partsOf(before.text), partsOf(after.text)];
  if (from === undefined || to === undefined) return [`${before.text} -> ${after.text}`];
  return (['source', 'destination', 'rest'] as const)
    .filter((part) => from[part] !== to[part])
    .map((part) => `${part === 'rest' ? '' : `${part} `}${from[part]} -> ${to[part]}`);
}

interface TextParts {
  readonly protocol: string;
  readonly source: string;
  readonly destination: string;
  /** Of ICMP: `type 8 code 0 id 17`. */
  readonly rest: string;
}

/** Of `tcp 192.0.2.1:80 > 192.0.2.2:4000`. */
function partsOf(text: string): TextParts | undefined {
  const [, protocol, source, destination, rest] = /^(\S+(?: \d+)?) (\S+) > (\S+) ?(.*)$/.exec(text) ?? [];
  if (protocol === undefined || source === undefined || destination === undefined) return undefined;
  return { protocol, source, destination, rest: rest ?? '' };
}

export function outcomeSentence({ verdict, why, answer, out, after, pieces }: Outcome): string {
  const as = after === undefined ? '' : ` as ${withFlags(after)}`;
  const cut = pieces === undefined ? '' : `, in ${pieces} pieces`;
  const reason = why === undefined ? '' : isRule(why) ? ` by ${why}` : `: ${meaningOf(why)}`;
  switch (verdict) {
    case 'forward':
      return `sent out of ${out ?? 'an unknown interface'}${as}${cut}${goesOn(why)}`;
    case 'local':
      return `delivered to the host${as}${goesOn(why)}`;
    case 'drop':
      return `dropped${reason}${answer === undefined ? '' : `; its sender is told: ${answer}`}`;
    case 'held':
      return 'held back until the other fragments of its datagram are there';
    case 'outgoing':
      return 'not played: it is what the host itself sent, as it was recorded';
    case 'ignored':
      return `not looked at${reason}`;
  }
}

/** There is something to say of a packet that passes. */
const goesOn = (why: string | undefined): string => (why === undefined ? '' : ` (${meaningOf(why)})`);

/** What a walk ended with: `filter:FORWARD:3 accepts`, `policy DROP`. */
export function walkSentence(table: string, walk: ChainVisit): string {
  if (walk.end === 'policy') return `${table}:${walk.chain}, policy ${walk.policy ?? ''}`;
  const rule = deciding(walk);
  return rule === undefined ? table : `${rule.rule}, ${rule.target ?? 'no target'}`;
}

export function deciding(walk: ChainVisit): ChainVisit['rules'][number] | undefined {
  const last = walk.rules.findLast(({ matched, drops }) => matched || drops);
  return last?.jump === undefined ? last : deciding(last.jump);
}

/** Whether the reply reaches the sender from where it was sent to; undefined where that can't be told. */
export function replyFits({ journey, reply }: Explanation): boolean | undefined {
  const asked = journey.packet?.text;
  const got = reply?.outcome.after?.text;
  if (asked === undefined || got === undefined) return undefined;
  const [from, to] = [partsOf(asked), partsOf(got)];
  if (from === undefined || to === undefined) return undefined;
  return from.source === to.destination && from.destination === to.source;
}
