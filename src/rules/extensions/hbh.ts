/** `-m hbh` and `-m dst`: the IPv6 options headers (kernel: net/ipv6/netfilter/ip6t_hbh.c). */
import { NEXTHDR_DEST, NEXTHDR_HOP } from '../../packet/ipv6.js';
import type { PacketContext } from '../context.js';
import type { MatchExtension, ParseContext, ParsedOption } from '../extension.js';
import { parseUnsigned } from '../values/numbers.js';
import { MAX_32, parseNumber } from '../values/ranges.js';
import { findHeader, headerLength } from './ipv6-headers.js';
import type { Negatable } from './portmatch.js';
import { argument, bang, find, option } from './support.js';

/** Length 255: any. */
interface WantedOption {
  readonly type: number;
  readonly length: number;
}

export interface OptionsHeader {
  readonly length: Negatable<number> | undefined;
  readonly wanted: readonly WantedOption[];
}

const MOST_OPTIONS = 16;
const ANY_LENGTH = 255;

/** `5:3,1`: types, with lengths if these are asked for; both are taken modulo 256. */
function parseWanted(found: ParsedOption | undefined, context: ParseContext): WantedOption[] {
  if (found === undefined) return [];
  const token = argument(found);
  const words = token.text.split(',');
  const read = (text: string): number => {
    const value = parseUnsigned(text, MAX_32);
    const what = `"${token.text}" is not a list of option types`;
    return value ?? context.fail('RULES_BAD_NUMBER', what, token, 'write it like 5:3,1 (type:length)');
  };
  if (words.length > MOST_OPTIONS)
    context.fail(
      'RULES_BAD_NUMBER',
      `${words.length} options, and ${MOST_OPTIONS} are the most`,
      token,
      'leave some out',
    );
  return words.map((word) => {
    const [type = '', length] = word.split(':', 2);
    return { type: read(type) & 0xff, length: length === undefined ? ANY_LENGTH : read(length) & 0xff };
  });
}

const formatWanted = (wanted: readonly WantedOption[]): string =>
  wanted.map(({ type, length }) => (length === ANY_LENGTH ? String(type) : `${type}:${length}`)).join(',');

/** Whether the options from `start` to `end` begin with those wanted. */
function beginsWith({ view }: PacketContext, start: number, end: number, wanted: readonly WantedOption[]): boolean {
  let at = start;
  for (let k = 0; k < wanted.length; k++) {
    const { type, length } = wanted[k] ?? { type: 0, length: 0 };
    if (at >= end || view.getUint8(at) !== type) return false;
    if (type === 0) {
      at++;
      continue;
    }
    if (at + 2 > end) return false;
    const found = view.getUint8(at + 1);
    if (length !== ANY_LENGTH && found !== length) return false;
    // The last one may reach over the header's end.
    if (at + found + 2 > end && k < wanted.length - 1) return false;
    at += found + 2;
  }
  return true;
}

function optionsHeader(name: 'hbh' | 'dst', header: number, thing: string): MatchExtension<OptionsHeader> {
  const [lengthOption, listOption] = [`--${name}-len`, `--${name}-opts`];
  return {
    kind: 'match',
    name,
    summary: `the ${thing} header and what it begins with`,
    families: [6],
    options: [option(true, lengthOption), option(false, listOption)],
    parse(options, context) {
      const length = find(options, lengthOption);
      return {
        length: length && { negated: length.negated, value: parseNumber(argument(length), 0, MAX_32, context) },
        wanted: parseWanted(find(options, listOption), context),
      };
    },
    print({ length, wanted }) {
      const text = length === undefined ? '' : ` ${bang(length.negated)}${lengthOption} ${length.value}`;
      return wanted.length === 0 ? text : `${text} ${listOption} ${formatWanted(wanted)}`;
    },
    list({ length, wanted }) {
      const text = length === undefined ? name : `${name} length:${length.negated ? '!' : ''}${length.value}`;
      return wanted.length === 0 ? text : `${text} opts ${formatWanted(wanted)}`;
    },
    compile({ length, wanted }) {
      return (packet) => {
        const at = findHeader(packet, header, 2);
        if (at < 0) return false;
        const bytes = headerLength(packet.view, at, header);
        if (at + bytes > packet.end) {
          packet.hotDrop();
          return false;
        }
        if (length !== undefined && (bytes === length.value) === length.negated) return false;
        return beginsWith(packet, at + 2, at + bytes, wanted);
      };
    },
  };
}

export const hbh = optionsHeader('hbh', NEXTHDR_HOP, 'hop-by-hop options');
export const dst = optionsHeader('dst', NEXTHDR_DEST, 'destination options');
