/**
 * `-m connlimit`: how many connections an address or network has at once (kernel: net/netfilter/xt_connlimit.c,
 * nf_conncount.c). Each rule keeps the connections that it counted and asks the connection table which of them still live,
 * when another comes.
 */
import { prefixMask } from '../../host/address.js';
import { Tuple } from '../../packet/tuple.js';
import type { PacketContext } from '../context.js';
import type { MatchExtension, ParseContext, ParsedOption } from '../extension.js';
import { ConnectionCount } from '../state/connectioncount.js';
import { parseNetwork } from '../values/addresses.js';
import { parseUnsigned } from '../values/numbers.js';
import { argument, exclusive, find, flag, has, option, requireOne } from './support.js';

export interface ConnlimitOptions {
  readonly limit: number;
  readonly above: boolean;
  readonly prefixLength: number;
  readonly side: 'source' | 'destination';
}

/** A prefix length, or a mask of which the ones are counted. */
function parseLength(found: ParsedOption | undefined, context: ParseContext): number {
  const { family } = context;
  const bits = family === 4 ? 32 : 128;
  if (found === undefined) return bits;
  const token = argument(found);
  const length = parseUnsigned(token.text, 255);
  if (length !== undefined) return Math.min(length, bits);
  const mask = parseNetwork(token.text, family);
  if ('wrong' in mask)
    return context.fail(
      'RULES_BAD_MASK',
      `"${token.text}" is not a prefix length`,
      token,
      `write one from 0 to ${bits}`,
    );
  return [...mask.address].reduce((sum, word) => sum + onesOf(word), 0);
}

function onesOf(word: number): number {
  let ones = 0;
  for (let rest = word; rest !== 0; rest = (rest & (rest - 1)) >>> 0) ones++;
  return ones;
}

const tuple = new Tuple();

export const connlimit: MatchExtension<ConnlimitOptions> = {
  kind: 'match',
  name: 'connlimit',
  summary: 'how many connections an address or network has at once',
  families: [4, 6],
  options: [
    option(true, '--connlimit-upto'),
    option(true, '--connlimit-above'),
    option(false, '--connlimit-mask'),
    flag(false, '--connlimit-saddr'),
    flag(false, '--connlimit-daddr'),
  ],
  parse(options, context) {
    requireOne(options, 'match connlimit', context, '--connlimit-above', '--connlimit-upto');
    exclusive(options, context, '--connlimit-above', '--connlimit-upto');
    exclusive(options, context, '--connlimit-saddr', '--connlimit-daddr');
    const found = find(options, '--connlimit-above') ?? find(options, '--connlimit-upto');
    if (found === undefined) throw new RangeError('--connlimit-above');
    const token = argument(found);
    const limit = parseUnsigned(token.text, 0xffffffff);
    return {
      limit:
        limit ?? context.fail('RULES_BAD_NUMBER', `"${token.text}" is not a number`, token, 'write a whole number'),
      above: (found.name === '--connlimit-above') !== found.negated,
      prefixLength: parseLength(find(options, '--connlimit-mask'), context),
      side: has(options, '--connlimit-daddr') ? 'destination' : 'source',
    };
  },
  print({ limit, above, prefixLength, side }) {
    const name = side === 'source' ? 'saddr' : 'daddr';
    return ` --connlimit-${above ? 'above' : 'upto'} ${limit} --connlimit-mask ${prefixLength} --connlimit-${name}`;
  },
  list({ limit, above, prefixLength, side }) {
    return `#conn ${side === 'source' ? 'src' : 'dst'}/${prefixLength} ${above ? '>' : '<='} ${limit}`;
  },
  compile({ limit, above, prefixLength, side }, { shared, family }) {
    const mask = prefixMask(family, prefixLength);
    const counts = new ConnectionCount();
    const { clock, journal } = shared;
    const key = (packet: PacketContext, zone: number): string => {
      const address = side === 'source' ? packet.source : packet.destination;
      const word = (k: number): number => ((address[k] as number) & (mask[k] as number)) >>> 0;
      return family === 4 ? `${word(0)} ${zone}` : `${word(0)} ${word(1)} ${word(2)} ${word(3)} ${zone}`;
    };
    return (packet) => {
      const { connections, connection } = packet;
      if (connections === undefined || !connections.tupleOfPacket(tuple)) {
        packet.hotDrop();
        return false;
      }
      const { zone } = connections;
      const group = key(packet, zone & 0xffff);
      if (journal.active) journal.note(packet, counts.save(group));
      const count = counts.count(
        group,
        { connections, tuple, zone, known: connection?.confirmed === true },
        clock.now(packet),
      );
      return count > limit === above;
    };
  },
};
