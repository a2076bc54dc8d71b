/**
 * Holds what a replay wrote against what the real host sent: captures of both directions have the kernel's own packets
 * in them, as outgoing records. Packets are equal when they left by the same interface and have the same bytes from the
 * IP header on (the frames around them differ: a replay does not know the neighbours' MAC addresses).
 *
 * IPv4 only, and everything is held in memory at once: this is for recordings, not for a day of traffic.
 */
import { readFileSync } from 'node:fs';
import { openCapture } from '../capture/reader.js';
import { Slab } from '../capture/slab.js';
import type { CaptureReader } from '../capture/types.js';
import type { Host } from '../host/types.js';
import { ResultColumns } from '../netfilter/results.js';
import { FLAG_OUTGOING, KIND_IPV4, KIND_IPV4_BROKEN, KIND_IPV4_PORTS, PacketColumns } from '../packet/columns.js';
import { parseSlab } from '../packet/parse.js';
import type { PacketLogEntry } from '../report/types.js';
import { IngressStage } from './ingress.js';
import { describePacket } from './packetlog.js';
import type { CaptureInput } from './replay.js';

export interface EvidenceInput {
  /** The captures that were replayed. */
  readonly captures: readonly CaptureInput[];
  readonly host: Host;
  /** What the replay wrote: the translated packets (one pcapng, whose interfaces have names) and the packet log. */
  readonly translated: string;
  readonly packetLog: string;
}

export interface SentPacket {
  readonly iface: string;
  /** The tuple as text: `tcp 198.51.100.7:40000 > 172.17.0.3:1337`. */
  readonly tuple: string;
  /** From the IP header on, without link-layer padding, as latin1 text so that it can be a key. */
  readonly bytes: string;
}

export interface Evidence {
  /** Packets that the replay says the host sends on. */
  readonly predicted: number;
  /** Packets that the real host sent. */
  readonly recorded: number;
  /** Predicted ones with an equal recorded one, each recorded one taken once. */
  readonly equal: number;
  /** Predicted, but the host sent no such packet. */
  readonly wrong: readonly SentPacket[];
  /** Sent by the host, not predicted, and an answer to a packet that was delivered to it or dropped by it. */
  readonly answers: readonly SentPacket[];
  /** Sent by the host, not predicted, and nothing in the captures is its cause. */
  readonly unexplained: readonly SentPacket[];
}

export async function compareWithRecorded(input: EvidenceInput): Promise<Evidence> {
  const predicted = await sentPackets([{ path: input.translated }], input.host, false);
  const recorded = await sentPackets(input.captures, input.host, true);
  const waiting = new Map<string, SentPacket[]>();
  for (const packet of recorded) {
    const alike = waiting.get(keyOf(packet));
    if (alike === undefined) waiting.set(keyOf(packet), [packet]);
    else alike.push(packet);
  }
  const wrong = predicted.filter((packet) => waiting.get(keyOf(packet))?.shift() === undefined);
  const causes = answersTo(readLog(input.packetLog));
  const rest = [...waiting.values()].flat();
  return {
    predicted: predicted.length,
    recorded: recorded.length,
    equal: predicted.length - wrong.length,
    wrong,
    answers: rest.filter(({ tuple }) => causes(tuple)),
    unexplained: rest.filter(({ tuple }) => !causes(tuple)),
  };
}

const keyOf = ({ iface, bytes }: SentPacket): string => `${iface} ${bytes}`;

async function sentPackets(
  captures: readonly CaptureInput[],
  host: Host,
  outgoingOnly: boolean,
): Promise<SentPacket[]> {
  const packets: SentPacket[] = [];
  for (const { path, iface } of captures) {
    const reader = await openCapture(path, { assignedName: iface });
    try {
      await collect(reader, host, outgoingOnly, packets);
    } finally {
      await reader.close();
    }
  }
  return packets;
}

async function collect(reader: CaptureReader, host: Host, outgoingOnly: boolean, into: SentPacket[]): Promise<void> {
  const slab = new Slab(512 * 1024);
  const columns = new PacketColumns(slab.records.capacity);
  const results = new ResultColumns(slab.records.capacity);
  const ingress = new IngressStage(host, reader.interfaces, outgoingOnly);
  while (await reader.next(slab)) {
    const linkTypes = reader.interfaces.map(({ linkType }) => linkType);
    parseSlab(slab, columns, linkTypes, 'ignore');
    ingress.run(slab, columns, results);
    for (let i = 0; i < slab.records.count; i++) {
      const kind = columns.kind[i];
      if (kind !== KIND_IPV4 && kind !== KIND_IPV4_PORTS && kind !== KIND_IPV4_BROKEN) continue;
      if (outgoingOnly && ((columns.flags[i] ?? 0) & FLAG_OUTGOING) === 0) continue;
      const described = reader.interfaces[slab.records.source[i] ?? 0];
      into.push({
        iface: host.interfaces[results.ingress[i] ?? -1]?.name ?? described?.name ?? '',
        tuple: describePacket(slab, columns, i) ?? 'not sound IPv4',
        bytes: Buffer.from(slab.bytes.subarray(columns.l3[i], endOf(slab, columns, i))).toString('latin1'),
      });
    }
  }
}

/** Without padding; of an unsound packet, which states no length to be trusted, the whole frame. */
function endOf({ records }: Slab, { kind, end }: PacketColumns, i: number): number {
  if (kind[i] !== KIND_IPV4_BROKEN) return end[i] ?? 0;
  return (records.frame[i] ?? 0) + (records.capturedLength[i] ?? 0);
}

function readLog(path: string): PacketLogEntry[] {
  const lines = readFileSync(path, 'utf8').trimEnd().split('\n');
  return lines.filter((line) => line !== '').map((line) => JSON.parse(line) as PacketLogEntry);
}

/** Tells of a tuple whether such a packet is the host's own answer to one that it took in for itself, or dropped. */
function answersTo(log: readonly PacketLogEntry[]): (tuple: string) => boolean {
  const answers = new Set<string>();
  const refused = new Set<string>();
  for (const { verdict, before } of log) {
    if (before === undefined || (verdict !== 'local' && verdict !== 'drop')) continue;
    if (verdict === 'local') answers.add(turned(before));
    refused.add(senderOf(before));
  }
  return (tuple) => answers.has(tuple) || (ICMP_ERROR.test(tuple) && refused.has(receiverOf(tuple)));
}

/** Destination unreachable, time exceeded, parameter problem. */
const ICMP_ERROR = /^icmp .* type (3|11|12) /;
/** ICMP queries (RFC 792, RFC 950): echo, timestamp, information, address mask; each with the type of its answer. */
const ICMP_ANSWERS = new Map([
  ['8', '0'],
  ['13', '14'],
  ['15', '16'],
  ['17', '18'],
]);

/** `tcp a:1 > b:2` as `tcp b:2 > a:1`; an echo request as its reply. */
function turned(tuple: string): string {
  return tuple
    .replace(/^(\S+) (\S+) > (\S+)/, '$1 $3 > $2')
    .replace(/ type (\d+) /, (text, type: string) => ` type ${ICMP_ANSWERS.get(type) ?? text} `);
}

const withoutPort = (address: string | undefined): string => (address ?? '').replace(/:\d+$/, '');
const senderOf = (tuple: string): string => withoutPort(tuple.split(' ')[1]);
const receiverOf = (tuple: string): string => withoutPort(tuple.split(' ')[3]);
