/** The connection of a packet, in words. */
import { META_ZONE, ORIGINAL, REPLY } from '../netfilter/conntrack/flowtable.js';
import { TCP_STATE_NAMES } from '../netfilter/conntrack/timeouts.js';
import { CT_ESTABLISHED, CT_NEW, CT_NONE, CT_RELATED, CT_UNTRACKED, type Packet } from '../netfilter/packet.js';
import { PROTO_TCP } from '../packet/transport.js';
import { Tuple } from '../packet/tuple.js';
import { tupleText } from '../report/tupletext.js';
import type { Connection, StateWord } from './model.js';

const STATE_WORDS = new Map<number, StateWord>([
  [CT_NEW, 'NEW'],
  [CT_ESTABLISHED, 'ESTABLISHED'],
  [CT_RELATED, 'RELATED'],
  [CT_NONE, 'INVALID'],
  [CT_UNTRACKED, 'UNTRACKED'],
]);

const ZONE_BITS = 0xffff;

/** As a rule sees it; undefined where nothing is tracked. */
export const stateWord = ({ info }: Packet): StateWord | undefined => STATE_WORDS.get(info);

/** The connection of a packet that has one. */
export function connectionOf({ table, entry, direction, status }: Packet): Connection {
  const text = (side: number): string => tupleText(table.readTuple(entry, side, new Tuple()));
  const zone = table.words[entry * table.entryWords + table.meta + META_ZONE] ?? 0;
  return {
    original: text(ORIGINAL),
    reply: text(REPLY),
    direction: direction === ORIGINAL ? 'original' : 'reply',
    tcpState: (status & 0xff) === PROTO_TCP ? TCP_STATE_NAMES[(status >>> 8) & 0xff] : undefined,
    zone: zone & ZONE_BITS,
  };
}
