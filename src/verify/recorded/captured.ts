/** What is known of captured records beside the packets in them: their columns, frame numbers and interfaces. */
import type { Slab } from '../../capture/slab.js';
import type { CaptureReader } from '../../capture/types.js';
import type { Host } from '../../host/types.js';
import { INGRESS_UNKNOWN, ResultColumns } from '../../netfilter/results.js';
import { KIND_CUT, KIND_OTHER, PacketColumns } from '../../packet/columns.js';
import { LINKTYPE_ETHERNET } from '../../packet/link.js';
import { isIpPacket } from './packet.js';

/** Columns for a slab, and the frame numbers of the files on this pass over them. */
export class Bench {
  readonly columns: PacketColumns;
  readonly results: ResultColumns;

  constructor(
    private readonly capacity: number,
    readonly frames = new FrameNumbers(),
  ) {
    this.columns = new PacketColumns(capacity);
    this.results = new ResultColumns(capacity);
  }

  for(slab: Slab): Bench {
    const { capacity } = slab.records;
    return capacity <= this.capacity ? this : new Bench(capacity, this.frames);
  }
}

/** Counts frames as Wireshark numbers them: file by file, from 1. */
class FrameNumbers {
  private readonly last: number[] = [];

  next(file: number): number {
    const frame = (this.last[file] ?? 0) + 1;
    this.last[file] = frame;
    return frame;
  }
}

/** Which of the host's interfaces the captures would show a packet on. */
export class CapturedInterfaces {
  private readonly seen = new Set<number>();
  private all = false;
  private known = 0;

  constructor(
    private readonly host: Host,
    private readonly reader: CaptureReader,
  ) {}

  note(iface: number): void {
    if (iface >= 0) this.seen.add(iface);
  }

  has(iface: number): boolean {
    for (; this.known < this.reader.interfaces.length; this.known++) {
      const described = this.reader.interfaces[this.known];
      const name = described?.assignedName ?? described?.name;
      const index = name === undefined ? undefined : this.host.interfaceByName(name)?.index;
      if (index !== undefined) this.seen.add(index);
      // Cooked captures are of all interfaces, unless they say otherwise.
      else if (described?.linkType !== LINKTYPE_ETHERNET) this.all = true;
    }
    return this.all || this.seen.has(iface);
  }
}

/** The packet of record i; undefined if it is not IP, or too little of it was captured. */
export function ipBytes(slab: Slab, columns: PacketColumns, i: number): Uint8Array | undefined {
  const kind = columns.kind[i] as number;
  if (kind === KIND_OTHER || kind === KIND_CUT) return undefined;
  const { frame, capturedLength } = slab.records;
  const bytes = slab.bytes.subarray(columns.l3[i] as number, (frame[i] as number) + (capturedLength[i] as number));
  return isIpPacket(bytes) ? bytes : undefined;
}

/** The interface whose MAC sent the frame, where the capture does not name one. */
export function interfaceOfMac(host: Host, slab: Slab, sender: number): number {
  if (sender < 0) return INGRESS_UNKNOWN;
  const mac = slab.bytes.subarray(sender, sender + 6);
  const having = host.interfaces.filter((each) => each.mac !== undefined && Buffer.compare(each.mac, mac) === 0);
  return having.length === 1 ? (having[0]?.index ?? INGRESS_UNKNOWN) : INGRESS_UNKNOWN;
}
