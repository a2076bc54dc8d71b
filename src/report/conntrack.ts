/**
 * The connection table as `conntrack -L` of conntrack-tools 1.4.7 prints it (libnetfilter_conntrack's default output):
 *
 *     tcp      6 431999 ESTABLISHED src=198.51.100.7 dst=192.0.2.1 sport=40000 dport=8799 src=172.17.0.3 ... [ASSURED] mark=0 use=1
 *
 * Families are not told apart: without `-f` that program lists both this way too.
 */
import { hasPorts, isIcmp, PROTOCOL_GRE, protocolName } from './tupletext.js';
import type { ConnectionEntry, ConnectionTuple } from './types.js';

/** A line per entry, in the order given; '' for none. Addresses are printed as they are. */
export function conntrackText(entries: Iterable<ConnectionEntry>): string {
  let text = '';
  for (const entry of entries) text += conntrackLine(entry);
  return text;
}

/** The entry as a line, newline included. */
export function conntrackLine(entry: ConnectionEntry): string {
  const { protocol } = entry;
  const parts = [
    knownName(protocol).padEnd(8),
    `${protocol}`,
    `${entry.timeout}`,
    ...(entry.tcpState === undefined ? [] : [entry.tcpState]),
    tupleFields(protocol, entry.original),
    ...(entry.zoneDirection === 'original' ? [`zone-orig=${entry.zone}`] : []),
    ...(entry.seenReply ? [] : ['[UNREPLIED]']),
    tupleFields(protocol, entry.reply),
    ...(entry.zoneDirection === 'reply' ? [`zone-reply=${entry.zone}`] : []),
    ...(entry.assured ? ['[ASSURED]'] : []),
    `mark=${entry.mark >>> 0}`,
    // Zone 0 is not sent by the kernel (ctnetlink_dump_zone_id) and so not shown.
    ...(entry.zone === 0 || entry.zoneDirection !== undefined ? [] : [`zone=${entry.zone}`]),
    'use=1',
  ];
  return `${parts.join(' ')}\n`;
}

/** Only protocols with a tracker of their own have a name there; ESP, say, is `unknown`. */
function knownName(protocol: number): string {
  return hasPorts(protocol) || isIcmp(protocol) || protocol === PROTOCOL_GRE ? protocolName(protocol) : 'unknown';
}

function tupleFields(protocol: number, tuple: ConnectionTuple): string {
  const addresses = `src=${tuple.source} dst=${tuple.destination}`;
  if (hasPorts(protocol)) return `${addresses} sport=${tuple.sourcePort ?? 0} dport=${tuple.destinationPort ?? 0}`;
  if (protocol === PROTOCOL_GRE) {
    const source = tuple.greKey ?? 0;
    const destination = tuple.greDestinationKey ?? source;
    return `${addresses} srckey=0x${source.toString(16)} dstkey=0x${destination.toString(16)}`;
  }
  if (tuple.icmp === undefined) return addresses;
  const { type, code, id } = tuple.icmp;
  return `${addresses} type=${type} code=${code} id=${id}`;
}
