/** `-m dccp`: ports, packet types, an option (kernel: net/netfilter/xt_dccp.c). */
import type { PacketContext } from '../context.js';
import type { MatchExtension, ParseContext, Token } from '../extension.js';
import { didYouMean } from '../nearest.js';
import { parsePort } from '../values/ports.js';
import { formatRange, inRange, type NumberRange, parseNumber } from '../values/ranges.js';
import { type Negatable, PORT_OPTIONS, parseNegatable } from './portmatch.js';
import { listSctpPorts } from './sctp.js';
import { argument, bang, find, option } from './support.js';

export interface DccpOptions {
  readonly source: Negatable<NumberRange> | undefined;
  readonly destination: Negatable<NumberRange> | undefined;
  /** A bit for each of the 16 types. */
  readonly types: Negatable<number> | undefined;
  readonly option: Negatable<number> | undefined;
}

/** In the order of their numbers (RFC 4340 section 5.1); the others are INVALID. */
const TYPES = ['REQUEST', 'RESPONSE', 'DATA', 'ACK', 'DATAACK', 'CLOSEREQ', 'CLOSE', 'RESET', 'SYNC', 'SYNCACK'];
const INVALID = 0xfc00;

/** Generic header with a short sequence number. */
const HEADER = 12;

/** Bytes of what each type has behind the generic header; those of no known type count as RESET. */
const REQUEST_HEADER = 4;
const ACK_HEADER = 8;
const RESPONSE_HEADER = 12;
const EXTRA = [
  REQUEST_HEADER,
  RESPONSE_HEADER,
  0,
  ACK_HEADER,
  ACK_HEADER,
  ACK_HEADER,
  ACK_HEADER,
  12,
  ACK_HEADER,
  ACK_HEADER,
];

function parseTypes(token: Token, context: ParseContext): number {
  let bits = 0;
  for (const word of token.text.split(',')) {
    const name = word.toUpperCase();
    const number = TYPES.indexOf(name);
    if (number < 0 && name !== 'INVALID') {
      const names = [...TYPES, 'INVALID'];
      context.fail(
        'RULES_BAD_DCCP_TYPE',
        `"${word}" is not a DCCP packet type`,
        token,
        didYouMean(word, names, names.join(', ')),
      );
    }
    bits |= name === 'INVALID' ? INVALID : 1 << number;
  }
  return bits;
}

/** `a`, `a:b`, `:b`, `a:`; unlike those of TCP they may run backwards. */
function parsePorts(token: Token, context: ParseContext): NumberRange {
  const [low = '', high] = token.text.split(':', 2);
  const read = (text: string, missing: number): number => {
    if (text === '') return missing;
    const decimal = /^[0-9]+$/.test(text) ? String(Number(text)) : text;
    if (/^0x/i.test(text)) context.fail('RULES_BAD_PORT', `"${text}" is not a port`, token, 'write it in decimal');
    return parsePort(decimal, token, context);
  };
  const min = read(low, 0);
  return { min, max: high === undefined ? min : read(high, 65535) };
}

function typeNames(bits: number): string {
  const names = TYPES.filter((_, number) => (bits & (1 << number)) !== 0);
  if ((bits & INVALID) !== 0) names.push('INVALID');
  return names.join(',');
}

function typeNumbers(bits: number): string {
  return Array.from({ length: 16 }, (_, number) => number)
    .filter((number) => (bits & (1 << number)) !== 0)
    .join(',');
}

/** Whether the packet has the option; headers that contradict themselves drop it (dccp_find_option). */
function hasOption(packet: PacketContext, kind: number): boolean {
  const { view, l4, end } = packet;
  const typeByte = view.getUint8(l4 + 8);
  const from = HEADER + ((typeByte & 1) !== 0 ? 4 : 0) + (EXTRA[(typeByte >> 1) & 15] ?? 12);
  const length = view.getUint8(l4 + 4) * 4;
  if (length < from || (length > from && l4 + length > end)) {
    packet.hotDrop();
    return false;
  }
  for (let at = l4 + from; at < l4 + length; ) {
    const found = view.getUint8(at);
    if (found === kind) return true;
    if (found < 2 || at + 1 >= l4 + length) at++;
    else at += view.getUint8(at + 1) || 1;
  }
  return false;
}

export const dccp: MatchExtension<DccpOptions> = {
  kind: 'match',
  name: 'dccp',
  summary: 'DCCP source and destination ports, packet types and options',
  families: [4, 6],
  protocols: [33],
  options: [...PORT_OPTIONS, option(true, '--dccp-types'), option(true, '--dccp-option')],
  parse(options, context) {
    return {
      source: parseNegatable(find(options, '--sport'), (found) => parsePorts(argument(found), context)),
      destination: parseNegatable(find(options, '--dport'), (found) => parsePorts(argument(found), context)),
      types: parseNegatable(find(options, '--dccp-types'), (found) => parseTypes(argument(found), context)),
      option: parseNegatable(find(options, '--dccp-option'), (found) => parseNumber(argument(found), 1, 255, context)),
    };
  },
  print({ source, destination, types, option: kind }) {
    let text = source === undefined ? '' : ` ${bang(source.negated)}--sport ${formatRange(source.value)}`;
    if (destination !== undefined) text += ` ${bang(destination.negated)}--dport ${formatRange(destination.value)}`;
    if (types !== undefined) text += ` ${bang(types.negated)}--dccp-types ${typeNames(types.value)}`;
    if (kind !== undefined) text += ` ${bang(kind.negated)}--dccp-option ${kind.value}`;
    return text;
  },
  list({ source, destination, types, option: kind }, _family, names) {
    let text = `dccp${listSctpPorts('spt', source)}${listSctpPorts('dpt', destination)}`;
    if (types !== undefined)
      text += ` ${bang(types.negated)}${names === undefined ? typeNumbers(types.value) : typeNames(types.value)}`;
    if (kind !== undefined) text += ` option=${kind.negated ? '!' : ''}${kind.value}`;
    return text;
  },
  compile({ source, destination, types, option: kind }) {
    return (packet) => {
      if (packet.fragmentOffset !== 0) return false;
      const { view, l4, end } = packet;
      if (end - l4 < HEADER) {
        packet.hotDrop();
        return false;
      }
      if (source !== undefined && inRange(view.getUint16(l4), source.value) === source.negated) return false;
      if (destination !== undefined && inRange(view.getUint16(l4 + 2), destination.value) === destination.negated)
        return false;
      const type = (view.getUint8(l4 + 8) >> 1) & 15;
      if (types !== undefined && ((types.value & (1 << type)) !== 0) === types.negated) return false;
      return kind === undefined || hasOption(packet, kind.value) !== kind.negated;
    };
  },
};
