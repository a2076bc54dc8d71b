/** The connection table at the capture's end, entry by entry, for `conntrack -L` text. */
import type { Family } from '../host/types.js';
import type { Conntrack } from '../netfilter/conntrack/conntrack.js';
import {
  ASSURED,
  META_EXPIRES,
  META_MARK,
  META_ZONE,
  ORIGINAL,
  REPLY,
  SEEN_REPLY,
  zoneOf,
} from '../netfilter/conntrack/flowtable.js';
import { SCTP_STATE_NAMES } from '../netfilter/conntrack/sctptransitions.js';
import { TCP_STATE_NAMES } from '../netfilter/conntrack/timeouts.js';
import type { Engine } from '../netfilter/engine.js';
import { PROTO_SCTP, PROTO_TCP } from '../packet/transport.js';
import { Tuple } from '../packet/tuple.js';
import { connectionTuple } from '../report/tupletext.js';
import type { ConnectionEntry } from '../report/types.js';

/** IPv4's connections, then IPv6's. */
export function* connectionEntries({ conntrack, ipv6, now }: Engine): Generator<ConnectionEntry> {
  yield* entriesOf(conntrack, 4, now);
  yield* entriesOf(ipv6?.conntrack, 6, now);
}

function* entriesOf(conntrack: Conntrack | undefined, family: Family, now: number): Generator<ConnectionEntry> {
  if (conntrack === undefined) return;
  const { table } = conntrack;
  const tuple = new Tuple();
  for (const entry of conntrack.live(now)) {
    const meta = entry * table.entryWords + table.meta;
    const word = (offset: number): number => table.words[meta + offset] ?? 0;
    const status = word(0);
    const protocol = status & 0xff;
    yield {
      family,
      protocol,
      timeout: Math.floor(((word(META_EXPIRES) - now) | 0) / 1000),
      tcpState: stateNames(protocol)?.[(status >>> 8) & 0xff],
      original: connectionTuple(table.readTuple(entry, ORIGINAL, tuple)),
      reply: connectionTuple(table.readTuple(entry, REPLY, tuple)),
      seenReply: (status & SEEN_REPLY) !== 0,
      assured: (status & ASSURED) !== 0,
      mark: word(META_MARK) >>> 0,
      zone: word(META_ZONE) & 0xffff,
      zoneDirection: zoneDirection(word(META_ZONE)),
    };
  }
}

/** Of a zone word (flowtable.ts). */
function zoneDirection(word: number): ConnectionEntry['zoneDirection'] {
  if ((word & 0xffff) === 0) return undefined;
  if (zoneOf(word, ORIGINAL) === zoneOf(word, REPLY)) return undefined;
  return zoneOf(word, ORIGINAL) === 0 ? 'reply' : 'original';
}

/** Protocols whose connections have a state that is listed. */
function stateNames(protocol: number): readonly string[] | undefined {
  if (protocol === PROTO_TCP) return TCP_STATE_NAMES;
  return protocol === PROTO_SCTP ? SCTP_STATE_NAMES : undefined;
}
