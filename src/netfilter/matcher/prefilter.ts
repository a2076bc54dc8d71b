/**
 * The prefilter of a chain: what most rules ask first (addresses, protocol, interfaces, destination ports), laid out in
 * words so that a rule that can't match costs a few comparisons instead of calls. It never decides that a rule matches;
 * the counters and the order of rules are untouched.
 *
 * Hot path of new connections; nothing is allocated.
 */
import type { Host } from '../../host/types.js';
import type { AddressMatch, Rule } from '../../rules/types.js';
import { coversAddress, coversInterface, coversProtocol, interfaceWord, portsWord } from './covered.js';
import type { PacketFields } from './packetfields.js';

/** Words per rule. */
const WORDS = 8;
const SOURCE = 0;
const SOURCE_MASK = 1;
const DESTINATION = 2;
const DESTINATION_MASK = 3;
/** Protocol number, 0 for any. */
const PROTOCOL = 4;
/** As `interfaceWord` has it, 0 for any. */
const IN = 5;
const OUT = 6;
/** As `portsWord` has them. */
const PORTS = 7;

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

/** Index of the first rule from `from` on that may match; `count` if there is none. */
export function nextFitting(words: Int32Array, fields: PacketFields, from: number, count: number): number {
  const { source, destination, protocol, inWord, outWord, port } = fields;
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
