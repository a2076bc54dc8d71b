/** `-m rt`: the IPv6 routing header (kernel: net/ipv6/netfilter/ip6t_rt.c). */
import { formatAddress, parseAddress } from '../../host/address.js';
import { NEXTHDR_ROUTING } from '../../packet/ipv6.js';
import type { PacketContext } from '../context.js';
import type { MatchExtension, ParseContext, ParsedOption } from '../extension.js';
import {
  formatRange,
  inRange,
  isWhole,
  listRange,
  MAX_32,
  type NumberRange,
  parseNumber,
  parseNumberRange,
} from '../values/ranges.js';
import { findHeader, headerLength } from './ipv6-headers.js';
import type { Negatable } from './portmatch.js';
import { argument, bang, find, flag, option } from './support.js';

export interface RtOptions {
  readonly type: Negatable<number> | undefined;
  readonly left: Negatable<NumberRange>;
  readonly length: Negatable<number> | undefined;
  readonly reserved: boolean;
  readonly addresses: readonly Uint32Array[];
  readonly strict: boolean;
}

const MOST_ADDRESSES = 16;
const HEADER = 4;
/** Addresses begin behind type 0's reserved field. */
const ADDRESSES = 8;

/** The options of type 0 are for `--rt-type 0` alone, which must come before them. */
function checkOrder(options: readonly ParsedOption[], context: ParseContext): void {
  let isType0 = false;
  let hasAddresses = false;
  for (const { name, negated, args, token } of options) {
    if (name === '--rt-type') isType0 = !negated && Number(args[0]?.text) === 0;
    if (!name.startsWith('--rt-0-')) continue;
    if (!isType0 && name !== '--rt-0-not-strict')
      context.fail('RULES_MISSING_OPTION', `${name} needs --rt-type 0 before it`, token, 'add --rt-type 0');
    if (!hasAddresses && name === '--rt-0-not-strict')
      context.fail('RULES_MISSING_OPTION', `${name} needs --rt-0-addrs before it`, token, 'add --rt-0-addrs');
    hasAddresses ||= name === '--rt-0-addrs';
  }
}

function parseAddresses(found: ParsedOption | undefined, context: ParseContext): Uint32Array[] {
  if (found === undefined) return [];
  const token = argument(found);
  const words = token.text.split(',');
  if (words.length > MOST_ADDRESSES)
    context.fail(
      'RULES_TOO_MANY_ADDRESSES',
      `${words.length} addresses, and rt takes ${MOST_ADDRESSES}`,
      token,
      'leave some out',
    );
  return words.map((word) => {
    const address = parseAddress(word, 6)?.words;
    return (
      address ?? context.fail('RULES_BAD_ADDRESS', `"${word}" is not an IPv6 address`, token, 'write it as in fd00::1')
    );
  });
}

function sameAddress({ view }: PacketContext, at: number, wanted: Uint32Array | undefined): boolean {
  return wanted?.every((word, k) => view.getUint32(at + 4 * k) === word) === true;
}

/** Whether the header's addresses are these: exactly, or in this order with others between them. */
function hasAddresses(packet: PacketContext, at: number, count: number, { addresses, strict }: RtOptions): boolean {
  if (addresses.length > count) return false;
  let found = 0;
  for (let k = 0; k < count && found < addresses.length; k++) {
    if (sameAddress(packet, at + ADDRESSES + 16 * k, addresses[found])) found++;
    else if (strict) return false;
  }
  return found === addresses.length && (!strict || found === count);
}

export const rt: MatchExtension<RtOptions> = {
  kind: 'match',
  name: 'rt',
  summary: 'the routing header',
  families: [6],
  options: [
    option(true, '--rt-type'),
    option(true, '--rt-segsleft'),
    option(true, '--rt-len'),
    flag(false, '--rt-0-res'),
    option(false, '--rt-0-addrs'),
    flag(false, '--rt-0-not-strict'),
  ],
  parse(options, context) {
    checkOrder(options, context);
    const number = (name: string): Negatable<number> | undefined => {
      const found = find(options, name);
      return found && { negated: found.negated, value: parseNumber(argument(found), 0, MAX_32, context) };
    };
    const left = find(options, '--rt-segsleft');
    return {
      type: number('--rt-type'),
      left: {
        negated: left?.negated ?? false,
        value: left === undefined ? { min: 0, max: MAX_32 } : parseNumberRange(argument(left), MAX_32, context),
      },
      length: number('--rt-len'),
      reserved: find(options, '--rt-0-res') !== undefined,
      addresses: parseAddresses(find(options, '--rt-0-addrs'), context),
      strict: find(options, '--rt-0-not-strict') === undefined,
    };
  },
  print({ type, left, length, reserved, addresses, strict }) {
    let text = type === undefined ? '' : ` ${bang(type.negated)}--rt-type ${type.value}`;
    if (!isWhole(left.value, MAX_32)) text += ` ${bang(left.negated)}--rt-segsleft ${formatRange(left.value)}`;
    if (length !== undefined) text += ` ${bang(length.negated)}--rt-len ${length.value}`;
    if (reserved) text += ' --rt-0-res';
    if (addresses.length > 0) text += ` --rt-0-addrs ${addresses.map((words) => formatAddress(6, words)).join(',')}`;
    return strict ? text : `${text} --rt-0-not-strict`;
  },
  list({ type, left, length, reserved, addresses, strict }) {
    let text = type === undefined ? 'rt' : `rt type:${type.negated ? '!' : ''}${type.value}`;
    const segments = listRange('segsleft', left.value, left.negated, MAX_32);
    if (segments !== '') text += ` ${segments}`;
    if (length !== undefined) text += ` length:${length.negated ? '!' : ''}${length.value}`;
    if (reserved) text += ' reserved';
    if (addresses.length > 0) text += ` 0-addrs ${addresses.map((words) => formatAddress(6, words)).join(',')}`;
    return strict ? text : `${text} 0-not-strict`;
  },
  compile(options) {
    const { type, left, length, reserved, addresses } = options;
    return (packet) => {
      const at = findHeader(packet, NEXTHDR_ROUTING, HEADER);
      if (at < 0) return false;
      const { view } = packet;
      const bytes = headerLength(view, at, NEXTHDR_ROUTING);
      if (at + bytes > packet.end) {
        packet.hotDrop();
        return false;
      }
      if (inRange(view.getUint8(at + 3), left.value) === left.negated) return false;
      if (length !== undefined && (bytes === length.value) === length.negated) return false;
      if (type !== undefined && (view.getUint8(at + 2) === type.value) === type.negated) return false;
      if (reserved && view.getUint32(at + 4) !== 0) return false;
      return addresses.length === 0 || hasAddresses(packet, at, Math.floor((bytes - ADDRESSES) / 16), options);
    };
  },
};
