/**
 * The prefilter of a chain: what most rules ask first (addresses, protocol, interfaces, destination ports), laid out in
 * words so that a rule that can't match costs a few comparisons instead of calls. It never decides that a rule matches;
 * the counters and the order of rules are untouched.
 *
 * Hot path of new connections; nothing is allocated.
 */
import type { Host } from '../host/types.js';
import { PROTO_TCP, PROTO_UDP, TCP_MIN_HEADER, UDP_HEADER } from '../packet/transport.js';
import type { AddressMatch, InterfaceMatch, ProtocolMatch, Rule } from '../rules/types.js';
import type { Packet } from './packet.js';

/** Words per rule. */
const WORDS = 8;
const SOURCE = 0;
const SOURCE_MASK = 1;
const DESTINATION = 2;
const DESTINATION_MASK = 3;
/** Protocol number, 0 for any. */
const PROTOCOL = 4;
/** Interface index + 1, 0 for any, ABSENT for one that the host does not have. */
const IN = 5;
const OUT = 6;
/** Lowest port (low half) and highest port (high half). */
const PORTS = 7;
const ANY_PORT = 0xffff0000 | 0;
const ABSENT = -1;

/** What the words cover of a rule's fixed part; the rest stays a predicate. */
export const coversAddress = (match: AddressMatch): boolean => !match.negated;
export const coversInterface = (match: InterfaceMatch): boolean => !match.negated && !match.pattern.endsWith('+');
export const coversProtocol = (match: ProtocolMatch): boolean => !match.negated;

/** The prefilter of a chain of IPv4 rules. */
export function prefilterOf(rules: readonly Rule[], host: Host): Int32Array {
  const words = new Int32Array(rules.length * WORDS);
  rules.forEach((rule, k) => {
    const at = k * WORDS;
    const { source, destination, protocol, inInterface, outInterface } = rule;
    if (source !== undefined && coversAddress(source)) setAddress(words, at + SOURCE, source);
    if (destination !== undefined && coversAddress(destination)) setAddress(words, at + DESTINATION, destination);
    if (protocol !== undefined && coversProtocol(protocol)) words[at + PROTOCOL] = protocol.number;
    if (inInterface !== undefined && coversInterface(inInterface)) words[at + IN] = interfaceWord(inInterface, host);
    if (outInterface !== undefined && coversInterface(outInterface))
      words[at + OUT] = interfaceWord(outInterface, host);
    words[at + PORTS] = portsWord(rule);
  });
  return words;
}

function setAddress(words: Int32Array, at: number, { address, mask }: AddressMatch): void {
  words[at] = address[0] ?? 0;
  words[at + 1] = mask[0] ?? 0;
}

function interfaceWord({ pattern }: InterfaceMatch, host: Host): number {
  const iface = host.interfaceByName(pattern);
  return iface === undefined ? ABSENT : iface.index + 1;
}

/**
 * The ports that every match of the rule leaves: the narrowest range is not needed, the first found will do, unless a
 * match stands before it that may count how often it is asked: none of its visits may be saved.
 */
function portsWord(rule: Rule): number {
  if (rule.unsupported) return ANY_PORT;
  for (const { extension, options } of rule.matches) {
    const ports = extension.destinationPorts?.(options);
    if (ports !== undefined) return ports.min | (ports.max << 16);
    if (extension.reads?.(options) === undefined) return ANY_PORT;
  }
  return ANY_PORT;
}

/** A packet as the words ask for it. A jump changes none of it, so one object serves every depth. */
export class Prefilter {
  private source = 0;
  private destination = 0;
  private protocol = 0;
  private inWord = 0;
  private outWord = 0;
  /** Destination port, -1 when the packet has no whole TCP or UDP header (then rules are asked themselves). */
  private port = -1;

  load(packet: Packet): void {
    this.source = packet.source[0] as number;
    this.destination = packet.destination[0] as number;
    this.protocol = packet.protocol;
    this.inWord = packet.inInterface + 1;
    this.outWord = packet.outInterface + 1;
    this.port = -1;
    const needed = packet.protocol === PROTO_TCP ? TCP_MIN_HEADER : UDP_HEADER;
    const hasPorts = packet.protocol === PROTO_TCP || packet.protocol === PROTO_UDP;
    if (hasPorts && packet.fragmentOffset === 0 && packet.l4 + needed <= packet.end)
      this.port = packet.view.getUint16(packet.l4 + 2);
  }

  /** Index of the first rule from `from` on that may match; `count` if there is none. */
  next(words: Int32Array, from: number, count: number): number {
    const { source, destination, protocol, inWord, outWord, port } = this;
    for (let rule = from, at = from * WORDS; rule < count; rule++, at += WORDS) {
      if (((source ^ (words[at + SOURCE] as number)) & (words[at + SOURCE_MASK] as number)) !== 0) continue;
      if (((destination ^ (words[at + DESTINATION] as number)) & (words[at + DESTINATION_MASK] as number)) !== 0)
        continue;
      const wantedProtocol = words[at + PROTOCOL] as number;
      if (wantedProtocol !== 0 && wantedProtocol !== protocol) continue;
      const wantedIn = words[at + IN] as number;
      if (wantedIn !== 0 && wantedIn !== inWord) continue;
      const wantedOut = words[at + OUT] as number;
      if (wantedOut !== 0 && wantedOut !== outWord) continue;
      const ports = words[at + PORTS] as number;
      if (port >= 0 && (port < (ports & 0xffff) || port > ports >>> 16)) continue;
      return rule;
    }
    return count;
  }
}
