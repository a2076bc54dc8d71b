/** All values that each field of a packet may have. */
import type { Family } from '../../host/types.js';
import {
  STATE_DNAT,
  STATE_ESTABLISHED,
  STATE_INVALID,
  STATE_NEW,
  STATE_RELATED,
  STATE_SNAT,
  STATE_UNTRACKED,
} from '../context.js';
import {
  between,
  DESTINATION,
  DESTINATION_TYPE,
  FLAGS,
  IN,
  LATER_FRAGMENT,
  MARK,
  OUT,
  PROTOCOL,
  SOURCE,
  SOURCE_TYPE,
  STATE,
  span,
  type Universe,
} from './box.js';
import { setOf, type ValueSet } from './intervals.js';

/** Behind every name. */
const LAST_NAME = '\uffff'.repeat(64);
/** Address types are numbered as RTN_* of rtnetlink.h. */
export const ADDRESS_TYPES = 12;

const NAT_BITS = [0, STATE_SNAT, STATE_DNAT, STATE_SNAT | STATE_DNAT];
/** What a packet's state may be: one of five, and with a connection how that is translated. */
export const STATES: readonly number[] = [
  ...[STATE_NEW, STATE_ESTABLISHED, STATE_RELATED].flatMap((state) => NAT_BITS.map((bits) => state | bits)),
  STATE_INVALID,
  STATE_UNTRACKED,
];

export const stateSet = (holds: (state: number) => boolean): ValueSet =>
  setOf(STATES.filter(holds).map((state) => ({ from: state, to: state + 1 })));

const NAMES = between('', LAST_NAME);
const BYTE = span(0, 255);
const SHORT = span(0, 65535);
const ALL_STATES = stateSet(() => true);
const TYPES = span(0, ADDRESS_TYPES - 1);

export function universeOf(family: Family): Universe {
  const addresses: ValueSet = family === 4 ? between(0, 2 ** 32) : between(0n, 1n << 128n);
  return (dimension) => {
    switch (dimension) {
      case SOURCE:
      case DESTINATION:
        return addresses;
      case PROTOCOL:
        // An IPv6 packet cut before its transport header has none.
        return family === 4 ? BYTE : span(-1, 255);
      case IN:
      case OUT:
        return NAMES;
      case LATER_FRAGMENT:
        return span(0, 1);
      case FLAGS:
        return BYTE;
      case STATE:
        return ALL_STATES;
      case SOURCE_TYPE:
      case DESTINATION_TYPE:
        return TYPES;
      case MARK:
        return between(0, 2 ** 32);
      default:
        return SHORT;
    }
  };
}

/** The names an interface option stands for. */
export function namesLike(pattern: string): ValueSet {
  if (!pattern.endsWith('+')) return between(pattern, `${pattern}\0`);
  const prefix = pattern.slice(0, -1);
  return between(prefix, afterPrefix(prefix));
}

/** The first name behind all that begin with `prefix`. */
function afterPrefix(prefix: string): string {
  for (let end = prefix.length; end > 0; end--) {
    const code = prefix.charCodeAt(end - 1);
    if (code < 0xffff) return prefix.slice(0, end - 1) + String.fromCharCode(code + 1);
  }
  return LAST_NAME;
}
