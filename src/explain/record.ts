/** Explaining a record of a capture: everything before it is played first, so that its connection is what it was. */
import { mergeCaptures } from '../capture/merge.js';
import { openCapture } from '../capture/reader.js';
import { Slab } from '../capture/slab.js';
import type { CaptureReader } from '../capture/types.js';
import { NatreplayError } from '../errors.js';
import { inferHost } from '../host/infer/infer.js';
import type { Host } from '../host/types.js';
import { ResultColumns } from '../netfilter/results.js';
import { PacketColumns } from '../packet/columns.js';
import { parseSlab } from '../packet/parse.js';
import { IngressStage, LOCAL_NAME } from '../pipeline/ingress.js';
import type { CaptureInput } from '../pipeline/replay.js';
import { samplePackets } from '../pipeline/samples.js';
import type { Ruleset } from '../rules/types.js';
import { type ExplainedPacket, Sender } from './explain.js';
import type { Explanation } from './model.js';
import { Player, type PlayerOptions } from './player.js';

export interface RecordOptions extends Omit<PlayerOptions, 'host'> {
  readonly captures: readonly CaptureInput[];
  /** Number of the record over all captures in their merged order, from 0, as in the packet log. */
  readonly record: number;
  /** Undefined: inferred from the rules and the captures. */
  readonly host: Host | undefined;
  readonly signal?: AbortSignal | undefined;
}

const SLAB_BYTES = 512 * 1024;
const MAC_LENGTH = 6;
const ETHERNET_HEADER = 14;

/** Throws EXPLAIN_NO_RECORD, USAGE_UNKNOWN_INTERFACE and what reading captures throws. */
export async function explainRecord(options: RecordOptions): Promise<ExplainedPacket> {
  const readers: CaptureReader[] = [];
  try {
    for (const { path, iface } of options.captures) readers.push(await openCapture(path, { assignedName: iface }));
    return await playTo(options, mergeCaptures(readers));
  } finally {
    for (const reader of readers) await reader.close();
  }
}

async function playTo(options: RecordOptions, reader: CaptureReader): Promise<ExplainedPacket> {
  const { record, checksums = 'offload' } = options;
  const slab = new Slab(SLAB_BYTES);
  const columns = new PacketColumns(slab.records.capacity);
  const results = new ResultColumns(slab.records.capacity);
  let before = 0;
  let more = await reader.next(slab);
  const host = options.host ?? infer(options, slab, reader);
  checkNames(options.captures, host);
  const player = new Player({ ...options, host });
  const ingress = new IngressStage(host, reader.interfaces, true);
  while (more) {
    options.signal?.throwIfAborted();
    const linkTypes = reader.interfaces.map(({ linkType }) => linkType);
    parseSlab(slab, columns, linkTypes, checksums);
    ingress.run(slab, columns, results);
    const { count } = slab.records;
    if (record < before + count) {
      const i = record - before;
      player.play(slab, columns, results, 0, i);
      return { explanation: explain(player, host, slab, columns, results, i, record), host };
    }
    player.play(slab, columns, results, 0, count);
    before += count;
    more = await reader.next(slab);
  }
  throw new NatreplayError('EXPLAIN_NO_RECORD', `there is no record ${record}`, {
    advice:
      before === 0
        ? 'the captures hold none'
        : `the captures hold ${before}, which are counted from 0 to ${before - 1}`,
  });
}

function explain(
  player: Player,
  host: Host,
  slab: Slab,
  columns: PacketColumns,
  results: ResultColumns,
  i: number,
  played: number,
): Explanation {
  const { records, bytes } = slab;
  const start = records.frame[i] ?? 0;
  const macs = Uint8Array.from(bytes.subarray(start, start + 2 * MAC_LENGTH));
  const isEthernet =
    (columns.l3[i] ?? 0) - start >= ETHERNET_HEADER && (columns.sender[i] ?? -1) === start + MAC_LENGTH;
  const [seconds, nanoseconds] = [records.seconds[i] ?? 0, records.nanoseconds[i] ?? 0];
  const watched = player.watch(slab, columns, results, i);
  const sender = new Sender(player, host, seconds, nanoseconds + PAUSE);
  // On a bridge the answer goes back to whom the frame came from.
  const ends = isEthernet ? { sender: macs.subarray(0, MAC_LENGTH), receiver: macs.subarray(MAC_LENGTH) } : undefined;
  const reply = sender.reply(watched, ends);
  return {
    played,
    first: undefined,
    journey: watched.journey,
    reply: typeof reply === 'string' ? undefined : reply.journey,
    noReply: typeof reply === 'string' ? reply : undefined,
  };
}

/** Nanoseconds from a record to its answer. */
const PAUSE = 1000;

function infer({ rules, rules6 }: RecordOptions, slab: Slab, { interfaces }: CaptureReader): Host {
  const rulesets = [rules, rules6].filter((ruleset): ruleset is Ruleset => ruleset !== undefined);
  return inferHost({ rulesets, samples: samplePackets(slab, interfaces) });
}

function checkNames(captures: readonly CaptureInput[], host: Host): void {
  for (const { path, iface } of captures) {
    if (iface === undefined || iface === LOCAL_NAME || host.interfaceByName(iface) !== undefined) continue;
    throw new NatreplayError('USAGE_UNKNOWN_INTERFACE', `${iface}=${path} names an interface the host does not have`, {
      advice: `it has ${host.interfaces.map(({ name }) => name).join(', ')}; state it with --iface ${iface}=ADDRESS/LENGTH`,
    });
  }
}
