/** `-m iprange`: addresses from one to another (kernel: net/netfilter/xt_iprange.c). */
import { formatAddress } from '../../host/address.js';
import type { Family } from '../../host/types.js';
import type { MatchExtension, NumberRange, ParseContext, ParsedOption } from '../extension.js';
import { compareAddresses } from '../values/addresses.js';
import { parseAddressRange } from '../values/nat-range.js';
import { argument, bang, find, option, requireOne } from './support.js';

interface AddressRange {
  readonly negated: boolean;
  readonly min: Uint32Array;
  readonly max: Uint32Array;
}

export interface IprangeOptions {
  readonly source: AddressRange | undefined;
  readonly destination: AddressRange | undefined;
}

function parseRange(found: ParsedOption | undefined, context: ParseContext): AddressRange | undefined {
  if (found === undefined) return undefined;
  const token = argument(found);
  const [min, max] = parseAddressRange(token.text, token, context);
  return { negated: found.negated, min, max };
}

function formatRange({ min, max }: AddressRange, family: Family): string {
  return `${formatAddress(family, min)}-${formatAddress(family, max)}`;
}

function inRange({ negated, min, max }: AddressRange, address: Uint32Array): boolean {
  return (compareAddresses(address, min) >= 0 && compareAddresses(address, max) <= 0) !== negated;
}

export const iprange: MatchExtension<IprangeOptions> = {
  kind: 'match',
  name: 'iprange',
  summary: 'source and destination from one address to another',
  families: [4, 6],
  options: [option(true, '--src-range'), option(true, '--dst-range')],
  parse(options, context) {
    requireOne(options, 'match iprange', context, '--src-range', '--dst-range');
    return {
      source: parseRange(find(options, '--src-range'), context),
      destination: parseRange(find(options, '--dst-range'), context),
    };
  },
  print({ source, destination }, family) {
    let text = '';
    if (source !== undefined) text += ` ${bang(source.negated)}--src-range ${formatRange(source, family)}`;
    if (destination !== undefined)
      text += ` ${bang(destination.negated)}--dst-range ${formatRange(destination, family)}`;
    return text;
  },
  list({ source, destination }, family) {
    const words: string[] = [];
    if (source !== undefined) words.push(`source IP range ${bang(source.negated)}${formatRange(source, family)}`);
    if (destination !== undefined) {
      words.push(`destination IP range ${bang(destination.negated)}${formatRange(destination, family)}`);
    }
    return words.join(' ');
  },
  reads({ source, destination }) {
    const range = ({ min, max }: AddressRange): NumberRange => ({ min: min[0] ?? 0, max: max[0] ?? 0 });
    return {
      sources: source === undefined ? [] : [range(source)],
      destinations: destination === undefined ? [] : [range(destination)],
    };
  },
  compile({ source, destination }) {
    return (packet) => {
      if (source !== undefined && !inRange(source, packet.source)) return false;
      return destination === undefined || inRange(destination, packet.destination);
    };
  },
};
