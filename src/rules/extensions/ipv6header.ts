/** `-m ipv6header`: which extension headers there are (kernel: net/ipv6/netfilter/ip6t_ipv6header.c). */
import {
  IPV6_HEADER,
  IPV6_NEXT_HEADER,
  isExtensionHeader,
  NEXTHDR_AUTH,
  NEXTHDR_DEST,
  NEXTHDR_FRAGMENT,
  NEXTHDR_HOP,
  NEXTHDR_NONE,
  NEXTHDR_ROUTING,
} from '../../packet/ipv6.js';
import type { PacketContext } from '../context.js';
import type { MatchExtension, ParseContext, Token } from '../extension.js';
import { didYouMean } from '../nearest.js';
import { protocolNumber } from '../values/protocols.js';
import { headerLength } from './ipv6-headers.js';
import { argument, bang, find, flag, has, option, requireOne } from './support.js';

export interface HeaderOptions {
  readonly negated: boolean;
  /** MASK bits below. */
  readonly headers: number;
  /** Others may be there too. */
  readonly soft: boolean;
}

const ESP = 50;
const UPPER_LAYER = 255;

/** Protocol, bit, iptables' name in printing. */
const HEADERS: readonly (readonly [protocol: number, bit: number, name: string])[] = [
  [NEXTHDR_HOP, 0x80, 'hop-by-hop'],
  [NEXTHDR_DEST, 0x40, 'ipv6-opts'],
  [NEXTHDR_ROUTING, 0x20, 'ipv6-route'],
  [NEXTHDR_FRAGMENT, 0x10, 'ipv6-frag'],
  [NEXTHDR_AUTH, 0x08, 'ah'],
  [ESP, 0x04, 'esp'],
  [NEXTHDR_NONE, 0x02, 'ipv6-nonxt'],
  [UPPER_LAYER, 0x01, 'protocol'],
];
const BITS = new Map(HEADERS.map(([protocol, bit]) => [protocol, bit]));
const bitOf = (protocol: number): number => BITS.get(protocol) ?? 0;

const SHORT_NAMES: ReadonlyMap<string, number> = new Map([
  ['hop', NEXTHDR_HOP],
  ['hop-by-hop', NEXTHDR_HOP],
  ['dst', NEXTHDR_DEST],
  ['route', NEXTHDR_ROUTING],
  ['frag', NEXTHDR_FRAGMENT],
  ['auth', NEXTHDR_AUTH],
  ['esp', ESP],
  ['none', NEXTHDR_NONE],
  ['prot', UPPER_LAYER],
  ['protocol', UPPER_LAYER],
]);

function parseHeaders(token: Token, context: ParseContext): number {
  let bits = 0;
  for (const word of token.text.split(',')) {
    const protocol = SHORT_NAMES.get(word) ?? (word === word.toLowerCase() ? protocolNumber(word) : undefined);
    const bit = protocol === undefined ? 0 : bitOf(protocol);
    if (bit === 0) {
      const names = [...SHORT_NAMES.keys()];
      context.fail(
        'RULES_BAD_HEADER',
        `"${word}" is not an extension header`,
        token,
        didYouMean(word, names, names.join(', ')),
      );
    }
    bits |= bit;
  }
  return bits;
}

/** Bits of the headers of a packet; -1 when they are cut. */
function headersOf({ view, l3, end }: PacketContext): number {
  let protocol = view.getUint8(l3 + IPV6_NEXT_HEADER);
  let bits = 0;
  let at = l3 + IPV6_HEADER;
  while (isExtensionHeader(protocol)) {
    if (at + 2 > end) return -1;
    bits |= bitOf(protocol);
    const next = view.getUint8(at);
    at += headerLength(view, at, protocol);
    protocol = next;
    if (at > end) break;
  }
  if (protocol === ESP && at + 2 > end) return -1;
  return bits | (protocol === ESP || protocol === NEXTHDR_NONE ? bitOf(protocol) : bitOf(UPPER_LAYER));
}

const namesOf = (headers: number): string =>
  HEADERS.filter(([, bit]) => (headers & bit) !== 0)
    .map(([, , name]) => name)
    .join(',');

export const ipv6header: MatchExtension<HeaderOptions> = {
  kind: 'match',
  name: 'ipv6header',
  summary: 'which extension headers there are',
  families: [6],
  options: [option(true, '--header'), flag(false, '--soft')],
  parse(options, context) {
    requireOne(options, 'match ipv6header', context, '--header');
    const found = find(options, '--header');
    if (found === undefined) throw new RangeError('--header');
    return { negated: found.negated, headers: parseHeaders(argument(found), context), soft: has(options, '--soft') };
  },
  print({ negated, headers, soft }) {
    return ` ${bang(negated)}--header ${namesOf(headers)}${soft ? ' --soft' : ''}`;
  },
  list({ negated, headers, soft }, _family, names) {
    const bits = `0x${headers.toString(16).toUpperCase().padStart(2, '0')}`;
    return `ipv6header flags:${negated ? '!' : ''}${names === undefined ? bits : namesOf(headers)}${soft ? ' soft' : ''}`;
  },
  compile({ negated, headers, soft }) {
    const wanted = negated ? 0 : headers;
    return (packet) => {
      const found = headersOf(packet);
      if (found < 0) return false;
      return soft ? (found & headers) === wanted : (found === headers) !== negated;
    };
  },
};
