/** `-m mh`: type of the mobility header (RFC 6275; kernel: net/ipv6/netfilter/ip6t_mh.c). */
import { NEXTHDR_NONE } from '../../packet/ipv6.js';
import type { MatchExtension, ParseContext, Token } from '../extension.js';
import { didYouMean } from '../nearest.js';
import { parseUnsigned } from '../values/numbers.js';
import { formatRange, inRange, isWhole, type NumberRange } from '../values/ranges.js';
import { argument, bang, option } from './support.js';

export interface MhOptions extends NumberRange {
  readonly negated: boolean;
}

/** By number; both names stand for it, and so does the beginning of one. */
const TYPES: readonly (readonly string[])[] = [
  ['binding-refresh-request', 'brr'],
  ['home-test-init', 'hoti'],
  ['careof-test-init', 'coti'],
  ['home-test', 'hot'],
  ['careof-test', 'cot'],
  ['binding-update', 'bu'],
  ['binding-acknowledgement', 'ba'],
  ['binding-error', 'be'],
];
const MAX = 255;
const HEADER = 6;

function parseType(text: string, token: Token, context: ParseContext): number {
  const word = text.toLowerCase();
  const exact = TYPES.findIndex((names) => names.includes(word));
  const found =
    exact >= 0 ? exact : TYPES.findIndex((names) => word !== '' && names.some((name) => name.startsWith(word)));
  const number = found >= 0 ? found : parseUnsigned(text, MAX);
  if (number !== undefined) return number;
  const advice = didYouMean(text, TYPES.flat(), 'write a name such as binding-update, or a number from 0 to 255');
  return context.fail('RULES_BAD_MH_TYPE', `"${text}" is not a type of mobility header`, token, advice);
}

export const mh: MatchExtension<MhOptions> = {
  kind: 'match',
  name: 'mh',
  summary: 'type of the mobility header',
  families: [6],
  protocols: [135],
  options: [option(true, '--mh-type')],
  parse([found], context) {
    if (found === undefined) return { negated: false, min: 0, max: MAX };
    const token = argument(found);
    const [low = '', high] = token.text.split(':', 2);
    const min = low === '' && high !== undefined ? 0 : parseType(low, token, context);
    const max = high === undefined ? min : high === '' ? MAX : parseType(high, token, context);
    if (min > max) context.fail('RULES_BAD_NUMBER', `range ${token.text} runs backwards`, token, 'swap its ends');
    return { negated: found.negated, min, max };
  },
  print: (options) => (isWhole(options, MAX) ? '' : ` ${bang(options.negated)}--mh-type ${formatRange(options)}`),
  list(options, _family, names) {
    if (isWhole(options, MAX) && !options.negated) return 'mh';
    const { min, max, negated } = options;
    const name = (type: number): string => (names === undefined ? undefined : TYPES[type]?.[0]) ?? String(type);
    return `mh ${negated ? '!' : ''}${min === max ? name(min) : `${name(min)}:${name(max)}`}`;
  },
  compile(options) {
    return (packet) => {
      if (packet.fragmentOffset !== 0) return false;
      const { view, l4, end } = packet;
      // Nothing may follow a mobility header.
      if (end - l4 < HEADER || view.getUint8(l4) !== NEXTHDR_NONE) {
        packet.hotDrop();
        return false;
      }
      return inRange(view.getUint8(l4 + 2), options) !== options.negated;
    };
  },
};
