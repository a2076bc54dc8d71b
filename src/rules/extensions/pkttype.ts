/**
 * `-m pkttype`: whether the frame was sent to one, to many or to all (kernel: net/netfilter/xt_pkttype.c). Where there is no
 * frame, as over loopback, the destination address tells.
 */
import { FLAG_BROADCAST, FLAG_MULTICAST } from '../../packet/columns.js';
import type { PacketContext } from '../context.js';
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
    const byAddress = (destination: Uint32Array): PacketType => {
      const found = host.addressType(family, destination);
      return found === 'broadcast' || found === 'multicast' ? found : 'unicast';
    };
    return (packet) => {
      const is = typeOfFrame(packet) ?? byAddress(packet.destination);
      return (is === type) !== negated;
    };
  },
};

/** Undefined: it came in no frame that would say. */
function typeOfFrame({ hook, sourceMac = -1, toGroup = 0 }: PacketContext): PacketType | undefined {
  if (sourceMac < 0) return hook === 'OUTPUT' || hook === 'POSTROUTING' ? 'unicast' : undefined;
  if ((toGroup & FLAG_BROADCAST) !== 0) return 'broadcast';
  return (toGroup & FLAG_MULTICAST) !== 0 ? 'multicast' : 'unicast';
}
