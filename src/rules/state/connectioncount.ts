/** Connections by group, as far as they still live (kernel: net/netfilter/nf_conncount.c). */
import { Tuple } from '../../packet/tuple.js';
import type { ConnectionTable } from '../context.js';

/** More dead ones than these are not removed at a time (CONNCOUNT_GC_MAX_COLLECT). */
const MAX_COLLECTED = 64;
/** Groups are looked through for empty ones when there are that many more than the last time. */
const SWEEP_EVERY = 4096;

interface Counted {
  readonly tuple: Tuple;
  readonly zone: number;
}

interface Group {
  members: Counted[];
  /** Jiffy in which the dead were last removed. */
  collected: number;
}

/** The packet's connection. */
export interface CountedPacket {
  readonly connections: ConnectionTable;
  readonly tuple: Tuple;
  readonly zone: number;
  /** It is in the connection table, so it was counted when it began. */
  readonly known: boolean;
}

export class ConnectionCount {
  private readonly groups = new Map<string, Group>();
  private sweepAt = SWEEP_EVERY;

  /** Connections of the group, the packet's among them. */
  count(key: string, packet: CountedPacket, now: number): number {
    const group = this.groups.get(key);
    if (group === undefined) {
      this.groups.set(key, { members: [counted(packet)], collected: -1 });
      if (this.groups.size > this.sweepAt) this.sweep(packet.connections);
      return 1;
    }
    // What has died is found when another connection comes; until then packets of living ones are held to the old count.
    if (packet.known) return group.members.length;
    if (now !== group.collected && collect(group, packet.connections, packet)) return group.members.length;
    group.members.push(counted(packet));
    group.collected = now;
    return group.members.length;
  }

  /** The group as it is; what it returns brings it back. */
  save(key: string): () => void {
    const group = this.groups.get(key);
    const saved = group && { ...group, members: [...group.members] };
    return () => {
      if (saved === undefined) this.groups.delete(key);
      else this.groups.set(key, { ...saved, members: [...saved.members] });
    };
  }

  private sweep(connections: ConnectionTable): void {
    for (const [key, group] of this.groups) {
      group.members = group.members.filter(({ tuple, zone }) => connections.standing(tuple, zone) === 'open');
      if (group.members.length === 0) this.groups.delete(key);
    }
    this.sweepAt = this.groups.size + SWEEP_EVERY;
  }
}

const counted = ({ tuple, zone }: CountedPacket): Counted => ({ tuple: new Tuple().copyFrom(tuple), zone });

/** Removes what is gone or closed; true, and it stops, where it comes upon the packet's own connection. */
function collect(group: Group, connections: ConnectionTable, own: CountedPacket): boolean {
  let removed = 0;
  for (let k = 0; k < group.members.length && removed <= MAX_COLLECTED; ) {
    const { tuple, zone } = group.members[k] as Counted;
    const standing = connections.standing(tuple, zone);
    if (standing !== 'gone' && zone === own.zone && tuple.equals(own.tuple)) return true;
    if (standing === 'open') k++;
    else {
      group.members.splice(k, 1);
      removed++;
    }
  }
  return false;
}
