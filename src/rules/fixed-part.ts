/** The part every rule has: addresses, protocol, interfaces, fragments, counters. */
import type { Family } from '../host/types.js';
import type { Token } from './extension.js';
import { didYouMean } from './nearest.js';
import type { AddressMatch, InterfaceMatch, ProtocolMatch } from './types.js';
import { isZero, parseNetwork } from './values/addresses.js';
import { PROTOCOL_NAMES, protocolNumber } from './values/protocols.js';

export type Fail = (code: string, what: string, token: Token | undefined, advice: string) => never;

export interface FixedPart {
  /** A list (`-s a,b`) makes several rules; an entry is undefined when it stands for every address. */
  readonly sources?: readonly (AddressMatch | undefined)[] | undefined;
  readonly destinations?: readonly (AddressMatch | undefined)[] | undefined;
  readonly protocol?: ProtocolMatch | undefined;
  readonly inInterface?: InterfaceMatch | undefined;
  readonly outInterface?: InterfaceMatch | undefined;
  readonly inToken?: Token | undefined;
  readonly outToken?: Token | undefined;
  readonly fragment?: { readonly negated: boolean } | undefined;
}

export interface Counters {
  readonly packets: number;
  readonly bytes: number;
}

/** Longest interface name (IFNAMSIZ less its end). */
const MAX_INTERFACE_NAME = 15;

export function parseAddressList(
  token: Token,
  negated: boolean,
  family: Family,
  fail: Fail,
): (AddressMatch | undefined)[] {
  if (!token.text.includes(',')) return [parseAddress(token.text, token, negated, family, fail)];
  const parts = token.text.split(',');
  if (negated) {
    fail(
      'RULES_NEGATED_LIST',
      `a list of addresses cannot be negated ("${token.text}")`,
      token,
      'write a rule for each',
    );
  }
  return parts.map((part) => parseAddress(part, token, negated, family, fail));
}

function parseAddress(
  part: string,
  token: Token,
  negated: boolean,
  family: Family,
  fail: Fail,
): AddressMatch | undefined {
  const network = parseNetwork(part, family);
  if ('wrong' in network) return badAddress(part, network.wrong, token, family, fail);
  const { address, mask } = network;
  // Every address: iptables keeps nothing of it, unless it is negated (and so never matches).
  if (!negated && isZero(mask)) return undefined;
  for (let word = 0; word < address.length; word++) address[word] = (address[word] ?? 0) & (mask[word] ?? 0);
  return { negated, address, mask };
}

function badAddress(part: string, wrong: 'address' | 'mask', token: Token, family: Family, fail: Fail): never {
  if (wrong === 'mask') {
    const bits = family === 4 ? 32 : 128;
    fail(
      'RULES_BAD_ADDRESS',
      `"${part}" has a bad mask`,
      token,
      `write a length of 0 to ${bits}, as in ${family === 4 ? '10.0.0.0/8' : 'fd00::/8'}`,
    );
  }
  const other = family === 4 ? part.includes(':') : /^[0-9.]+(\/|$)/.test(part);
  if (other) {
    fail(
      'RULES_BAD_ADDRESS',
      `"${part}" is not an IPv${family} address`,
      token,
      `IPv${family === 4 ? 6 : 4} rules go into a file of their own`,
    );
  }
  fail('RULES_BAD_ADDRESS', `"${part}" is not an address`, token, 'write it as numbers: host names are not looked up');
}

export function parseProtocol(token: Token, negated: boolean, fail: Fail): ProtocolMatch | undefined {
  const number = protocolNumber(token.text);
  if (number === undefined) {
    const advice = didYouMean(token.text, PROTOCOL_NAMES, 'write its number (0-255)');
    return fail('RULES_BAD_PROTOCOL', `"${token.text}" is not a protocol`, token, advice);
  }
  if (number !== 0) return { negated, number };
  if (negated)
    fail('RULES_BAD_PROTOCOL', 'a rule with "! -p all" could never match', token, 'leave out the "!" or the rule');
  return undefined;
}

export function parseInterface(token: Token, negated: boolean, fail: Fail): InterfaceMatch | undefined {
  const pattern = token.text;
  if (pattern === '') fail('RULES_BAD_INTERFACE', 'an interface needs a name', token, 'name one, as in -i eth0');
  if (pattern.length > MAX_INTERFACE_NAME) {
    fail(
      'RULES_BAD_INTERFACE',
      `interface name "${pattern}" is longer than ${MAX_INTERFACE_NAME} characters`,
      token,
      'no interface can have it',
    );
  }
  if (/[\s"\\]/.test(pattern)) {
    fail(
      'RULES_BAD_INTERFACE',
      `interface name "${pattern}" holds blanks or quotes`,
      token,
      'no interface can be named so',
    );
  }
  return pattern === '+' && !negated ? undefined : { negated, pattern };
}

export function parseFragment(
  word: Token,
  negated: boolean,
  family: Family,
  fail: Fail,
): { readonly negated: boolean } {
  if (family === 6) fail('RULES_WRONG_FAMILY', '-f is not for IPv6', word, 'IPv6 has -m frag for this');
  return { negated };
}

export function parseCounter(token: Token, fail: Fail): number {
  if (!/^[0-9]{1,20}$/.test(token.text))
    fail('RULES_BAD_COUNTER', `"${token.text}" is not a counter`, token, 'write a whole number');
  return Number(token.text);
}
