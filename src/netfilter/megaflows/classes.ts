/**
 * Packets that no rule and no route can tell apart: their addresses and ports fall into the same intervals between all
 * that rules and routes name.
 */
import type { Host } from '../../host/types.js';
import type { HeaderReads, NumberRange } from '../../rules/extension.js';
import type { AddressMatch, Rule, Ruleset } from '../../rules/types.js';
import { Intervals, scaled } from './intervals.js';

/** Intervals of a packet's fields; those of ports are of `scaled` ones. */
export interface PacketClasses {
  readonly sources: Intervals;
  readonly destinations: Intervals;
  readonly sourcePorts: Intervals;
  readonly destinationPorts: Intervals;
  /** Some rule looks at TCP flags. */
  readonly tcpFlags: boolean;
}

/** Where addresses begin and end that are none of a packet on the wire, or of no ordinary one (KERNEL.md E7). */
const SPECIAL: readonly NumberRange[] = [
  { min: 0, max: 0 },
  { min: 0x7f000000, max: 0x7fffffff },
  { min: 0xe0000000, max: 0xefffffff },
  { min: 0xe0000001, max: 0xe0000001 },
  { min: 0xffffffff, max: 0xffffffff },
];

const ANY_PORTS: readonly NumberRange[] = [];

class Bounds {
  readonly sources = new Set<number>();
  readonly destinations = new Set<number>();
  readonly sourcePorts = new Set<number>();
  readonly destinationPorts = new Set<number>();
  tcpFlags = false;

  add(reads: HeaderReads): void {
    for (const range of reads.sources ?? []) addRange(this.sources, range);
    for (const range of reads.destinations ?? []) addRange(this.destinations, range);
    for (const range of reads.sourcePorts ?? ANY_PORTS) addRange(this.sourcePorts, range);
    for (const range of reads.destinationPorts ?? ANY_PORTS) addRange(this.destinationPorts, range);
    if (reads.tcpFlags === true) this.tcpFlags = true;
  }
}

function addRange(bounds: Set<number>, { min, max }: NumberRange): void {
  bounds.add(min);
  if (max < 0xffffffff) bounds.add(max + 1);
}

/**
 * The classes of IPv4 packets, or undefined where there are none to be had: a rule has a mask that is no prefix, or
 * connections are in zones.
 */
export function packetClasses(ruleset: Ruleset, host: Host): PacketClasses | undefined {
  const bounds = new Bounds();
  for (const range of [...SPECIAL, ...host.prefixes4]) bounds.add({ sources: [range], destinations: [range] });
  for (const table of ruleset.tables.values())
    for (const chain of table.chains.values())
      for (const rule of chain.rules) if (!addRule(bounds, rule)) return undefined;
  return {
    sources: Intervals.of(bounds.sources),
    destinations: Intervals.of(bounds.destinations),
    sourcePorts: ofPorts(bounds.sourcePorts),
    destinationPorts: ofPorts(bounds.destinationPorts),
    tcpFlags: bounds.tcpFlags,
  };
}

const ofPorts = (bounds: ReadonlySet<number>): Intervals =>
  Intervals.of([...bounds].filter((port) => port < 65536).map(scaled));

function addRule(bounds: Bounds, { source, destination, matches, target }: Rule): boolean {
  if (target?.kind === 'extension' && target.extension.name === 'CT') return false;
  for (const [match, into] of [
    [source, bounds.sources],
    [destination, bounds.destinations],
  ] as const) {
    if (match === undefined) continue;
    const range = rangeOf(match);
    if (range === undefined) return false;
    addRange(into, range);
  }
  for (const { extension, options } of matches) {
    const reads = extension.reads?.(options);
    if (reads !== undefined) bounds.add(reads);
    // The prefilter of a chain goes by these whatever else the match looks at.
    const ports = extension.destinationPorts?.(options);
    if (ports !== undefined) addRange(bounds.destinationPorts, ports);
  }
  return true;
}

function rangeOf({ address, mask }: AddressMatch): NumberRange | undefined {
  const bits = (mask[0] ?? 0) >>> 0;
  const host = ~bits >>> 0;
  if ((host & (host + 1)) !== 0) return undefined;
  const min = ((address[0] ?? 0) & bits) >>> 0;
  return { min, max: min + host };
}

/** One word for the classes of both ports, given in host order. */
export function portClasses(classes: PacketClasses, sourcePort: number, destinationPort: number): number {
  const source = classes.sourcePorts.classOf(scaled(sourcePort));
  return (source << 16) | classes.destinationPorts.classOf(scaled(destinationPort));
}
