/**
 * `-m pkttype`: whether the frame was sent to one, to many or to all (kernel: net/netfilter/xt_pkttype.c). The kernel
 * goes by the frame's type; here the destination address tells, which is the same for anything but odd senders.
 */
import type { MatchExtension } from '../extension.js';
import { didYouMean } from '../nearest.js';
import { argument, find, option, requireOne } from './support.js';

type PacketType = 'unicast' | 'broadcast' | 'multicast' | 'otherhost';

export interface PkttypeOptions {
  readonly negated: boolean;
  readonly type: PacketType;
}

const NAMES = new Map<string, PacketType>([
  ['unicast', 'unicast'],
  ['host', 'unicast'],
  ['broadcast', 'broadcast'],
  ['bcast', 'broadcast'],
  ['multicast', 'multicast'],
  ['mcast', 'multicast'],
  ['otherhost', 'otherhost'],
]);

export const pkttype: MatchExtension<PkttypeOptions> = {
  kind: 'match',
  name: 'pkttype',
  summary: 'unicast, multicast or broadcast',
  families: [4, 6],
  options: [option(true, '--pkt-type')],
  parse(options, context) {
    requireOne(options, 'match pkttype', context, '--pkt-type');
    const found = find(options, '--pkt-type');
    if (found === undefined) throw new RangeError('--pkt-type');
    const token = argument(found);
    const type = NAMES.get(token.text.toLowerCase());
    if (type !== undefined) return { negated: found.negated, type };
    const advice = didYouMean(token.text, NAMES.keys(), 'unicast, multicast or broadcast');
    return context.fail('RULES_BAD_PACKET_TYPE', `"${token.text}" is not a packet type`, token, advice);
  },
  print({ negated, type }) {
    return ` ${negated ? '! ' : ''}--pkt-type ${type}`;
  },
  list({ negated, type }) {
    return `PKTTYPE ${negated ? '!=' : '='} ${type}`;
  },
  compile({ negated, type }, { host, family }) {
    return ({ destination }) => {
      const found = host.addressType(family, destination);
      const is: PacketType = found === 'broadcast' || found === 'multicast' ? found : 'unicast';
      return (is === type) !== negated;
    };
  },
};
