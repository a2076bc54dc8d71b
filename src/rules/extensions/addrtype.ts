/** `-m addrtype`: what kind of address it is to the host (kernel: net/netfilter/xt_addrtype.c). */
import type { Host, InterfaceIndex, RouteType } from '../../host/types.js';
import type { PacketContext } from '../context.js';
import type { MatchExtension, ParseContext, ParsedOption } from '../extension.js';
import { didYouMean } from '../nearest.js';
import { argument, bang, exclusive, find, flag, has, option, requireOne } from './support.js';

export interface AddressTypes {
  readonly negated: boolean;
  /** Bit i stands for TYPES[i]. */
  readonly mask: number;
}

export interface AddrtypeOptions {
  readonly source: AddressTypes | undefined;
  readonly destination: AddressTypes | undefined;
  readonly limit: 'in' | 'out' | undefined;
}

/** In the order of the RTN_* numbers of rtnetlink.h. */
const TYPES = [
  'UNSPEC',
  'UNICAST',
  'LOCAL',
  'BROADCAST',
  'ANYCAST',
  'MULTICAST',
  'BLACKHOLE',
  'UNREACHABLE',
  'PROHIBIT',
  'THROW',
  'NAT',
  'XRESOLVE',
];

const bitOf = (type: string): number => 1 << TYPES.indexOf(type);

const ROUTE_TYPE_BITS: Readonly<Record<RouteType, number>> = {
  unspec: bitOf('UNSPEC'),
  unicast: bitOf('UNICAST'),
  local: bitOf('LOCAL'),
  broadcast: bitOf('BROADCAST'),
  anycast: bitOf('ANYCAST'),
  multicast: bitOf('MULTICAST'),
  blackhole: bitOf('BLACKHOLE'),
  unreachable: bitOf('UNREACHABLE'),
  prohibit: bitOf('PROHIBIT'),
  throw: bitOf('THROW'),
  nat: bitOf('NAT'),
};

const [UNSPEC, UNICAST, MULTICAST] = [bitOf('UNSPEC'), bitOf('UNICAST'), bitOf('MULTICAST')];
/** Types that need a look at the routes in IPv6. */
const ROUTED_IN_6 = bitOf('LOCAL') | bitOf('ANYCAST') | bitOf('UNREACHABLE');

function parseTypes(found: ParsedOption | undefined, context: ParseContext): AddressTypes | undefined {
  if (found === undefined) return undefined;
  const token = argument(found);
  let mask = 0;
  for (const word of token.text.split(',')) {
    const index = TYPES.indexOf(word.toUpperCase());
    if (index < 0) {
      const advice = didYouMean(word, TYPES, TYPES.join(', '));
      return context.fail('RULES_BAD_ADDRESS_TYPE', `"${word}" is not an address type`, token, advice);
    }
    const onlyIpv4 = ['BROADCAST', 'BLACKHOLE'].includes(word.toUpperCase()) || index >= TYPES.indexOf('PROHIBIT');
    if (context.family === 6 && onlyIpv4) {
      context.fail('RULES_WRONG_FAMILY', `address type ${word} is not for IPv6`, token, 'use it in IPv4 rules');
    }
    mask |= 1 << index;
  }
  return { negated: found.negated, mask };
}

function formatTypes({ mask }: AddressTypes): string {
  return TYPES.filter((_, i) => (mask & (1 << i)) !== 0).join(',');
}

/** IPv6: every kind of type asked for must hold, and only some look at the routes (kernel: match_type6). */
function matches6(host: Host, mask: number, address: Uint32Array, iface: InterfaceIndex | undefined): boolean {
  const first = address[0] as number;
  const multicast = first >>> 24 === 0xff;
  const zeros = (first | (address[1] as number)) === 0;
  const unspecified = zeros && ((address[2] as number) | (address[3] as number)) === 0;
  // ipv6_addr_type takes an IPv4-mapped address for none of unicast.
  const mapped = zeros && address[2] === 0xffff;
  if ((mask & MULTICAST) !== 0 && !multicast) return false;
  if ((mask & UNICAST) !== 0 && (multicast || unspecified || mapped)) return false;
  if ((mask & UNSPEC) !== 0 && !unspecified) return false;
  if ((mask & ROUTED_IN_6) === 0) return true;
  return (mask & ROUTED_IN_6 & ROUTE_TYPE_BITS[host.addressType(6, address, iface)]) !== 0;
}

function limitOf(options: readonly ParsedOption[]): 'in' | 'out' | undefined {
  if (has(options, '--limit-iface-in')) return 'in';
  return has(options, '--limit-iface-out') ? 'out' : undefined;
}

export const addrtype: MatchExtension<AddrtypeOptions> = {
  kind: 'match',
  name: 'addrtype',
  summary: 'type of the source or destination address: LOCAL, UNICAST, BROADCAST, ...',
  families: [4, 6],
  options: [
    option(true, '--src-type'),
    option(true, '--dst-type'),
    flag(false, '--limit-iface-in'),
    flag(false, '--limit-iface-out'),
  ],
  usableIn({ limit }) {
    if (limit === 'in') return ['PREROUTING', 'INPUT', 'FORWARD'];
    return limit === 'out' ? ['FORWARD', 'OUTPUT', 'POSTROUTING'] : undefined;
  },
  parse(options, context) {
    requireOne(options, 'match addrtype', context, '--src-type', '--dst-type');
    exclusive(options, context, '--limit-iface-in', '--limit-iface-out');
    return {
      source: parseTypes(find(options, '--src-type'), context),
      destination: parseTypes(find(options, '--dst-type'), context),
      limit: limitOf(options),
    };
  },
  print({ source, destination, limit }) {
    let text = '';
    if (source !== undefined) text += ` ${bang(source.negated)}--src-type ${formatTypes(source)}`;
    if (destination !== undefined) text += ` ${bang(destination.negated)}--dst-type ${formatTypes(destination)}`;
    return limit === undefined ? text : `${text} --limit-iface-${limit}`;
  },
  list({ source, destination, limit }) {
    let text = 'ADDRTYPE match';
    if (source !== undefined) text += ` src-type ${source.negated ? '!' : ''}${formatTypes(source)}`;
    if (destination !== undefined) text += ` dst-type ${destination.negated ? '!' : ''}${formatTypes(destination)}`;
    return limit === undefined ? text : `${text} limit-${limit}`;
  },
  // Types come of the host's own addresses and routes.
  reads: () => ({}),
  compile({ source, destination, limit }, { host, family }) {
    const interfaceOf = (packet: PacketContext): InterfaceIndex | undefined => {
      if (limit === undefined) return undefined;
      return limit === 'in' ? packet.inInterface : packet.outInterface;
    };
    const test = (types: AddressTypes, address: Uint32Array, iface: InterfaceIndex | undefined): boolean => {
      const found =
        family === 6
          ? matches6(host, types.mask, address, iface)
          : (types.mask & ROUTE_TYPE_BITS[host.addressType(4, address, iface)]) !== 0;
      return found !== types.negated;
    };
    return (packet) => {
      const iface = interfaceOf(packet);
      if (source !== undefined && !test(source, packet.source, iface)) return false;
      return destination === undefined || test(destination, packet.destination, iface);
    };
  },
};
