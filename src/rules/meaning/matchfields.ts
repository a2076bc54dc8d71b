/**
 * What matches say about fields: their options as sets of values. A match that asks for something else is a term, as
 * iptables-save prints it; one that counts, draws or remembers is neither.
 */
import type { Family } from '../../host/types.js';
import type { AddrtypeOptions } from '../extensions/addrtype.js';
import type { ConntrackOptions } from '../extensions/conntrack.js';
import type { IprangeOptions } from '../extensions/iprange.js';
import type { MarkOptions } from '../extensions/mark.js';
import type { MultiportOptions } from '../extensions/multiport.js';
import type { Negatable, PortOptions } from '../extensions/portmatch.js';
import type { SetOptions } from '../extensions/set.js';
import type { StateOptions } from '../extensions/state.js';
import type { TcpOptions } from '../extensions/tcp.js';
import type { MatchUse } from '../types.js';
import {
  DESTINATION,
  DESTINATION_PORT,
  DESTINATION_TYPE,
  FLAGS,
  HEADER,
  ICMP,
  LATER_FRAGMENT,
  MARK,
  SOURCE,
  SOURCE_PORT,
  SOURCE_TYPE,
  STATE,
  span,
} from './box.js';
import { setOf, subtract, type Value, type ValueSet } from './intervals.js';
import { isSteady } from './stability.js';
import { ADDRESS_TYPES, stateSet } from './universe.js';

/** A field narrowed, and the words of the rule that do it. */
export interface Restriction {
  readonly dimension: number;
  readonly set: ValueSet;
  readonly words: string;
}

export interface Meaning {
  /** What packets that match are like. */
  readonly upper: readonly Restriction[];
  /** Enough to match, or to be dropped by the match; undefined: as `upper`. */
  readonly lower?: readonly Restriction[];
  /** The match says more than its fields: then it is a term, too. */
  readonly term: boolean;
  /** It counts, draws or remembers: nothing is enough to match. */
  readonly unsteady?: boolean;
}

const ALL_PORTS = span(0, 65535);

const inverted = (set: ValueSet, all: ValueSet, negated: boolean): ValueSet => (negated ? subtract(all, set) : set);

export function meaningOf({ extension, options }: MatchUse, family: Family): Meaning {
  const words = `-m ${extension.name}${extension.print(options, family)}`;
  switch (extension.name) {
    case 'comment':
      return { upper: [], term: false };
    case 'tcp':
      return tcpMeaning(options as TcpOptions, words);
    case 'udp':
      return transportMeaning(portFields(options as PortOptions, words), options as PortOptions, 8, 0, words, false);
    case 'multiport':
      return multiportMeaning(options as MultiportOptions, words);
    case 'icmp':
    case 'icmp6':
      return icmpMeaning(options as IcmpOptions, extension.name === 'icmp' ? ANY_ICMP : undefined, words);
    case 'state': {
      const { mask, negated } = options as StateOptions;
      return stateMeaning(mask, negated, words, false);
    }
    case 'conntrack':
      return conntrackMeaning(options as ConntrackOptions, words);
    case 'iprange':
      return iprangeMeaning(options as IprangeOptions, family, words);
    case 'addrtype':
      return addrtypeMeaning(options as AddrtypeOptions, family, words);
    case 'mark':
      return markMeaning(options as MarkOptions, words);
    case 'set': {
      const { packets, bytes } = options as SetOptions;
      return { upper: [], term: true, unsteady: packets !== undefined || bytes !== undefined };
    }
    default:
      return { upper: [], term: true, unsteady: !isSteady(extension.name) };
  }
}

function portFields({ sourcePorts, destinationPorts }: PortOptions, words: string): Restriction[] {
  const field = (dimension: number, ports: Negatable<{ min: number; max: number }> | undefined): Restriction[] =>
    ports === undefined
      ? []
      : [{ dimension, set: inverted(span(ports.value.min, ports.value.max), ALL_PORTS, ports.negated), words }];
  return [...field(SOURCE_PORT, sourcePorts), ...field(DESTINATION_PORT, destinationPorts)];
}

const isSingle = (ports: PortOptions['sourcePorts']): boolean =>
  ports?.negated === true && ports.value.min === ports.value.max;

/**
 * iptables-legacy drops what has no whole header; iptables-nft asks for no more than the fields that it compares, and takes
 * two negated ports for "not both". Whatever holds here holds for both of them.
 */
function transportMeaning(
  fields: readonly Restriction[],
  ports: PortOptions,
  header: number,
  flagsAt: number,
  words: string,
  term: boolean,
): Meaning {
  const first: Restriction = { dimension: LATER_FRAGMENT, set: span(0, 0), words };
  const needed = Math.max(flagsAt, ports.destinationPorts !== undefined ? 4 : ports.sourcePorts !== undefined ? 2 : 0);
  const least = (bytes: number): Restriction => ({ dimension: HEADER, set: span(bytes, 65535), words });
  const both = isSingle(ports.sourcePorts) && isSingle(ports.destinationPorts);
  const isPort = ({ dimension }: Restriction): boolean => dimension === SOURCE_PORT || dimension === DESTINATION_PORT;
  return {
    upper: [first, least(needed === 0 ? header : needed), ...fields.filter((field) => !both || !isPort(field))],
    lower: [first, ...(needed === 0 ? [] : [least(needed)]), ...fields],
    term: term || both,
  };
}

function tcpMeaning(options: TcpOptions, words: string): Meaning {
  const { flags, option } = options;
  const fields = portFields(options, words);
  if (flags !== undefined) {
    const { mask, set } = flags.value;
    const bytes = Array.from({ length: 256 }, (_, byte) => byte);
    const fitting = bytes.filter((byte) => ((byte & mask) === set) !== flags.negated);
    fields.push({ dimension: FLAGS, set: setOf(fitting.flatMap((byte) => span(byte, byte))), words });
  }
  return transportMeaning(fields, options, 20, flags === undefined ? 0 : 14, words, option !== undefined);
}

function multiportMeaning({ which, negated, ranges }: MultiportOptions, words: string): Meaning {
  const ports = setOf(ranges.flatMap(({ min, max }) => span(min, max)));
  const first: Restriction = { dimension: LATER_FRAGMENT, set: span(0, 0), words };
  const whole: Restriction = { dimension: HEADER, set: span(4, 65535), words };
  const either = which === 'ports' && !negated;
  const fields: Restriction[] = [];
  const set = inverted(ports, ALL_PORTS, negated);
  if (!either && which !== 'dports') fields.push({ dimension: SOURCE_PORT, set, words });
  if (!either && which !== 'sports') fields.push({ dimension: DESTINATION_PORT, set, words });
  return { upper: [first, whole, ...fields], lower: [first, ...fields], term: either };
}

interface IcmpOptions {
  readonly negated: boolean;
  readonly type: number;
  readonly minCode: number;
  readonly maxCode: number;
}

/** The type that stands for all of them (iptables: `--icmp-type any`). */
const ANY_ICMP = 255;

function icmpMeaning(
  { negated, type, minCode, maxCode }: IcmpOptions,
  any: number | undefined,
  words: string,
): Meaning {
  const first: Restriction = { dimension: LATER_FRAGMENT, set: span(0, 0), words };
  const whole: Restriction = { dimension: HEADER, set: span(8, 65535), words };
  const types = type === any ? ALL_PORTS : span(type * 256 + minCode, type * 256 + maxCode);
  const field: Restriction = { dimension: ICMP, set: inverted(types, ALL_PORTS, negated), words };
  return { upper: [first, whole, field], lower: [first, field], term: false };
}

function stateMeaning(mask: number, negated: boolean, words: string, term: boolean): Meaning {
  return { upper: [{ dimension: STATE, set: stateSet((state) => ((state & mask) !== 0) !== negated), words }], term };
}

function conntrackMeaning({ state, ...others }: ConntrackOptions, words: string): Meaning {
  const { addresses, ports, protocol, status, expire, direction } = others;
  const more = [protocol, status, expire, direction].some((option) => option !== undefined);
  const term = more || addresses.length + ports.length > 0;
  if (state === undefined) return { upper: [], term };
  return stateMeaning(state.value, state.negated, words, term);
}

/** Addresses as values: numbers for IPv4, bigints for IPv6. */
export function addressValue(words: Uint32Array, family: Family): Value {
  if (family === 4) return words[0] ?? 0;
  return words.reduce((value, word) => (value << 32n) | BigInt(word), 0n);
}

export function afterAddress(value: Value): Value {
  return typeof value === 'bigint' ? value + 1n : Number(value) + 1;
}

const allAddresses = (family: Family): ValueSet => [
  family === 4 ? { from: 0, to: 2 ** 32 } : { from: 0n, to: 1n << 128n },
];

function iprangeMeaning({ source, destination }: IprangeOptions, family: Family, words: string): Meaning {
  const field = (dimension: number, range: IprangeOptions['source']): Restriction[] => {
    if (range === undefined) return [];
    const { negated, min, max } = range;
    const set = setOf([{ from: addressValue(min, family), to: afterAddress(addressValue(max, family)) }]);
    return [{ dimension, set: inverted(set, allAddresses(family), negated), words }];
  };
  return { upper: [...field(SOURCE, source), ...field(DESTINATION, destination)], term: false };
}

/** Types of IPv6 addresses are none that exclude each other (match_type6). */
function addrtypeMeaning({ source, destination, limit }: AddrtypeOptions, family: Family, words: string): Meaning {
  if (family === 6 || limit !== undefined) return { upper: [], term: true };
  const field = (dimension: number, types: AddrtypeOptions['source']): Restriction[] => {
    if (types === undefined) return [];
    const numbers = Array.from({ length: ADDRESS_TYPES }, (_, type) => type);
    const fitting = numbers.filter((type) => ((types.mask & (1 << type)) !== 0) !== types.negated);
    return [{ dimension, set: setOf(fitting.flatMap((type) => span(type, type))), words }];
  };
  return { upper: [...field(SOURCE_TYPE, source), ...field(DESTINATION_TYPE, destination)], term: false };
}

function markMeaning({ negated, value, mask }: MarkOptions, words: string): Meaning {
  if ((value & ~mask) !== 0) {
    // The mark under the mask never has that value.
    const none: Restriction = { dimension: MARK, set: [], words };
    return { upper: negated ? [] : [none], term: false };
  }
  if (mask !== 0xffffffff) return { upper: [], term: true };
  const all = [{ from: 0, to: 2 ** 32 }];
  return { upper: [{ dimension: MARK, set: inverted(span(value, value), all, negated), words }], term: false };
}
