/**
 * What of a rule can be told without asking it: its fixed part, and the destination ports of its matches as far as they
 * stand before any that counts its visits. The rest stays with the rule's predicates.
 */
import type { Host } from '../../host/types.js';
import type { AddressMatch, InterfaceMatch, ProtocolMatch, Rule } from '../../rules/types.js';

export const coversAddress = (match: AddressMatch): boolean => !match.negated;
export const coversInterface = (match: InterfaceMatch): boolean => !match.negated && !match.pattern.endsWith('+');
export const coversProtocol = (match: ProtocolMatch): boolean => !match.negated;

/** Stands for an interface that the host does not have. */
export const ABSENT = -1;

/** Interface index + 1, or ABSENT. */
export function interfaceWord({ pattern }: InterfaceMatch, host: Host): number {
  const iface = host.interfaceByName(pattern);
  return iface === undefined ? ABSENT : iface.index + 1;
}

/** Whether the rule names an interface that the host does not have: it can't match. */
export function isAbsent({ inInterface, outInterface }: Rule, host: Host): boolean {
  const absent = (match: InterfaceMatch | undefined): boolean =>
    match !== undefined && coversInterface(match) && interfaceWord(match, host) === ABSENT;
  return absent(inInterface) || absent(outInterface);
}

/** Ports as one word: the lowest in the low half, the highest in the high half. */
export const ANY_PORT = 0xffff0000 | 0;

/**
 * The ports that every match of the rule leaves: the narrowest range is not needed, the first found will do, unless a
 * match stands before it that may count how often it is asked: none of its visits may be saved.
 */
export function portsWord(rule: Rule): number {
  if (rule.unsupported) return ANY_PORT;
  for (const { extension, options } of rule.matches) {
    const ports = extension.destinationPorts?.(options);
    if (ports !== undefined) return ports.min | (ports.max << 16);
    if (extension.reads?.(options) === undefined) return ANY_PORT;
  }
  return ANY_PORT;
}
