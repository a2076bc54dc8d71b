/** What has become of a connection that was seen before, as `-m connlimit` asks (kernel: nf_conncount.c). */
import { PROTO_TCP } from '../../packet/transport.js';
import { copyAddress, type Tuple } from '../../packet/tuple.js';
import type { ConnectionTable, Standing } from '../../rules/context.js';
import type { Packet } from '../packet.js';
import type { Conntrack } from './conntrack.js';
import { ORIGINAL } from './flowtable.js';
import { TCP_CLOSE, TCP_TIME_WAIT } from './timeouts.js';
import { readPorts } from './tuples.js';

export class ConnectionStandings implements ConnectionTable {
  constructor(
    private readonly conntrack: Conntrack,
    private readonly packet: Packet,
  ) {}

  tupleOfPacket(tuple: Tuple): boolean {
    const { packet } = this;
    if (packet.entry >= 0) {
      packet.table.readTuple(packet.entry, ORIGINAL, tuple);
      return true;
    }
    if (packet.protocol < 0) return false;
    tuple.family = packet.family;
    tuple.protocol = packet.protocol;
    copyAddress(packet.source, tuple.source);
    copyAddress(packet.destination, tuple.destination);
    return packet.fragmentOffset === 0 && readPorts(tuple, packet.view, packet.l4, packet.end);
  }

  get zone(): number {
    return this.packet.entry < 0 ? 0 : this.packet.zone;
  }

  standing(tuple: Tuple, zone: number): Standing {
    const { conntrack, packet } = this;
    const reference = conntrack.lookup(tuple, packet.now, zone);
    if (reference < 0) return 'gone';
    const { words, entryWords, meta } = conntrack.table;
    const state = ((words[(reference >> 1) * entryWords + meta] as number) >>> 8) & 0xff;
    const closed = tuple.protocol === PROTO_TCP && (state === TCP_TIME_WAIT || state === TCP_CLOSE);
    return closed ? 'closed' : 'open';
  }
}
