/**
 * What an index can go by: for each field of a packet, the ranges of it that a chain's rules allow. Only what the kernel
 * asks before any match that counts its visits, so that leaving a rule out asks such a match as often as the kernel does.
 */
import { maskLength } from '../../host/address.js';
import type { Family, Host } from '../../host/types.js';
import type { AddressMatch, Rule } from '../../rules/types.js';
import {
  ANY_PORT,
  coversAddress,
  coversInterface,
  coversProtocol,
  interfaceWord,
  isAbsent,
  portsWord,
} from './covered.js';
import { serviceOf } from './packetfields.js';
import { AddressPositions, behind } from './positions.js';

export const SOURCE = 0;
export const DESTINATION = 1;
/** Protocol and destination port of TCP and UDP, see `serviceOf`. */
export const SERVICE = 2;
export const PROTOCOL = 3;
/** Interfaces by index + 1. */
export const IN = 4;
export const OUT = 5;
export const FIELDS = 6;

/**
 * Ranges of one field: rule k allows those from `first[k]` to `first[k + 1]`; a rule with none is not told apart by the
 * field. Any two ranges lie apart or one in the other; of those with one beginning, the smaller `rank` is the wider.
 */
export interface FieldRanges {
  readonly first: Uint32Array;
  readonly lows: Uint32Array;
  readonly highs: Uint32Array;
  readonly ranks: Uint8Array;
}

export interface ChainFields {
  readonly ranges: readonly FieldRanges[];
  /** Of IPv6 addresses; undefined for IPv4, whose addresses are numbers themselves. */
  readonly sources: AddressPositions | undefined;
  readonly destinations: AddressPositions | undefined;
  /** Rules that can match, in order. */
  readonly rules: Int32Array;
}

class Gatherer {
  private readonly first: number[] = [0];
  private readonly lows: number[] = [];
  private readonly highs: number[] = [];
  private readonly ranks: number[] = [];

  add(low: number, high: number, rank: number): void {
    this.lows.push(low);
    this.highs.push(high);
    this.ranks.push(rank);
  }

  /** What was added since is one rule's. */
  next(): void {
    this.first.push(this.lows.length);
  }

  done(): FieldRanges {
    return {
      first: Uint32Array.from(this.first),
      lows: Uint32Array.from(this.lows),
      highs: Uint32Array.from(this.highs),
      ranks: Uint8Array.from(this.ranks),
    };
  }
}

export function fieldsOf(rules: readonly Rule[], family: Family, host: Host): ChainFields {
  const sources = family === 6 ? positionsOf(rules, (rule) => rule.source) : undefined;
  const destinations = family === 6 ? positionsOf(rules, (rule) => rule.destination) : undefined;
  const fields = Array.from({ length: FIELDS }, () => new Gatherer());
  const possible: number[] = [];
  const [bySource, byDestination, byService, byProtocol, byIn, byOut] = fields as [
    Gatherer,
    Gatherer,
    Gatherer,
    Gatherer,
    Gatherer,
    Gatherer,
  ];
  for (const [k, rule] of rules.entries()) {
    if (!rule.unsupported && !isAbsent(rule, host)) possible.push(k);
    const { source, destination, protocol, inInterface, outInterface } = rule;
    if (source !== undefined) addAddress(bySource, source, family, sources);
    if (destination !== undefined) addAddress(byDestination, destination, family, destinations);
    if (protocol !== undefined && coversProtocol(protocol)) {
      addWord(byProtocol, protocol.number);
      const ports = portsWord(rule);
      if (ports !== ANY_PORT) addPorts(byService, serviceOf(protocol.number, 0), ports & 0xffff, ports >>> 16);
    }
    if (inInterface !== undefined && coversInterface(inInterface)) addWord(byIn, interfaceWord(inInterface, host));
    if (outInterface !== undefined && coversInterface(outInterface)) addWord(byOut, interfaceWord(outInterface, host));
    for (const field of fields) field.next();
  }
  return { ranges: fields.map((field) => field.done()), sources, destinations, rules: Int32Array.from(possible) };
}

/** A rule that names an interface which the host does not have is in no list. */
function addWord(field: Gatherer, word: number): void {
  if (word >= 0) field.add(word, word, 0);
}

/** A mask that is no prefix tells nothing apart that lies in ranges. */
function addAddress(
  field: Gatherer,
  match: AddressMatch,
  family: Family,
  positions: AddressPositions | undefined,
): void {
  const { address, mask } = match;
  if (!coversAddress(match)) return;
  if (positions === undefined) {
    const wild = ~(mask[0] ?? 0) >>> 0;
    if ((wild & (wild + 1)) !== 0) return;
    const low = ((address[0] ?? 0) & ~wild) >>> 0;
    field.add(low, low + wild, Math.clz32(wild));
    return;
  }
  const length = maskLength(family, mask);
  if (length === undefined) return;
  const end = behind(address, mask);
  field.add(positions.of(address), end === undefined ? 0xffffffff : positions.of(end) - 1, length);
}

function positionsOf(rules: readonly Rule[], of: (rule: Rule) => AddressMatch | undefined): AddressPositions {
  const ends: Uint32Array[] = [];
  for (const rule of rules) {
    const match = of(rule);
    if (match === undefined || !coversAddress(match) || maskLength(6, match.mask) === undefined) continue;
    ends.push(match.address);
    const end = behind(match.address, match.mask);
    if (end !== undefined) ends.push(end);
  }
  return AddressPositions.of(ends);
}

/** Any range of ports is a few blocks whose sizes are powers of two that divide their beginnings. */
function addPorts(field: Gatherer, base: number, min: number, max: number): void {
  for (let low = min; low <= max; ) {
    let bits = low === 0 ? 16 : Math.min(16, 31 - Math.clz32(low & -low));
    while (low + 2 ** bits - 1 > max) bits--;
    const size = 2 ** bits;
    field.add(base + low, base + low + size - 1, 16 - bits);
    low += size;
  }
}
