/** A host that packets are played to, one by one, some of them watched. */
import type { Slab } from '../capture/slab.js';
import type { Host } from '../host/types.js';
import { Engine } from '../netfilter/engine.js';
import { statesIpv6 } from '../netfilter/ipv6stack.js';
import type { Packet } from '../netfilter/packet.js';
import type { PacketPath } from '../netfilter/path.js';
import {
  EGRESS_REPLACED,
  INGRESS_LOCAL,
  INGRESS_UNKNOWN,
  type ResultColumns,
  VERDICT_FORWARD,
  VERDICT_LOCAL,
} from '../netfilter/results.js';
import type { PacketColumns } from '../packet/columns.js';
import type { ChecksumMode } from '../packet/parse.js';
import { LOCAL_NAME } from '../pipeline/ingress.js';
import { describePacket, VERDICT_NAMES } from '../pipeline/packetlog.js';
import type { Ruleset, TableName } from '../rules/types.js';
import type { Journey, Outcome } from './model.js';
import { stateOf } from './packetstate.js';
import { Recorder, RuleIndex } from './recorder.js';

export interface PlayerOptions {
  readonly host: Host;
  readonly rules: Ruleset | undefined;
  readonly rules6: Ruleset | undefined;
  /** Default 1. */
  readonly seed?: number | undefined;
  readonly tables?: readonly TableName[] | undefined;
  /** For datagrams put together from fragments; default `offload`. */
  readonly checksums?: ChecksumMode | undefined;
}

/** What came of a packet, with its bytes from the IP header on as they are now; undefined if no hook saw it. */
export interface Watched {
  readonly journey: Journey;
  readonly bytes: Uint8Array | undefined;
  /** It went from port to port of a bridge. */
  readonly bridged: boolean;
}

const NO_RULES6: Ruleset = { family: 6, file: '', tables: new Map(), skipped: [] };

export class Player {
  readonly engine: Engine;
  private readonly host: Host;
  private readonly index4: RuleIndex;
  private readonly index6: RuleIndex | undefined;

  constructor({ host, rules, rules6, seed = 1, tables, checksums }: PlayerOptions) {
    this.host = host;
    // The path of IPv6 has to be there before the first packet, to be watched.
    const known6 = rules6 ?? (statesIpv6(host) ? NO_RULES6 : undefined);
    this.engine = new Engine(host, rules, { seed, rules6: known6, tables, checksums, fastPath: false });
    const { counters, ipv6 } = this.engine;
    this.index4 = new RuleIndex(rules, counters);
    this.index6 = ipv6 === undefined ? undefined : new RuleIndex(rules6, ipv6.counters);
  }

  /** Plays records `start` to `end` of a slab, parsed, their ingress in the results. */
  play(slab: Slab, columns: PacketColumns, results: ResultColumns, start: number, end: number): void {
    this.engine.track(slab, columns, results, start, end);
    this.engine.extras.length = 0;
  }

  /** Plays record i, and tells its way. */
  watch(slab: Slab, columns: PacketColumns, results: ResultColumns, i: number): Watched {
    const stated = results.ingress[i] ?? INGRESS_UNKNOWN;
    const before = describePacket(slab, columns, i);
    const { path, ipv6 } = this.engine;
    const watched = [this.recorder(path, this.index4), this.recorder(ipv6?.path, this.index6)];
    this.play(slab, columns, results, i, i + 1);
    path.watch(undefined);
    ipv6?.path.watch(undefined);
    const seen = watched.find((one) => one?.recorder.packet !== undefined);
    const { recorder, path: taken } = seen ?? {};
    const outcome = this.outcome(results, i, taken, recorder);
    const packet = recorder?.first ?? (before === undefined ? undefined : plainState(before));
    return {
      journey: {
        in: this.ingressName(results.ingress[i] ?? INGRESS_UNKNOWN),
        ingressIsInferred: stated === INGRESS_UNKNOWN,
        packet,
        path: recorder?.stages ?? [],
        outcome,
      },
      bytes: recorder?.packet === undefined ? undefined : wholeBytes(recorder.packet),
      bridged: taken?.bridged ?? false,
    };
  }

  private recorder(path: PacketPath | undefined, index: RuleIndex | undefined): Watching | undefined {
    if (path === undefined || index === undefined) return undefined;
    const recorder = new Recorder(this.host, index, () => path.why);
    path.watch(recorder);
    return { recorder, path };
  }

  private outcome(
    results: ResultColumns,
    i: number,
    path: PacketPath | undefined,
    recorder: Recorder | undefined,
  ): Outcome {
    const verdict = results.verdict[i] ?? 0;
    const why = this.engine.reasons.words[results.why[i] ?? 0] ?? '';
    const passes = verdict === VERDICT_FORWARD || verdict === VERDICT_LOCAL;
    const egress = results.egress[i] ?? -1;
    const out = egress === EGRESS_REPLACED ? (path?.egress ?? -1) : egress;
    const pieces = path?.cuts?.length ?? 1;
    return {
      verdict: VERDICT_NAMES[verdict] ?? 'drop',
      why: why === '' ? undefined : why,
      answer: verdict === VERDICT_FORWARD || verdict === VERDICT_LOCAL ? undefined : recorder?.answer,
      out: verdict === VERDICT_FORWARD ? this.host.interfaces[out]?.name : undefined,
      after: passes && recorder?.packet !== undefined ? stateOf(recorder.packet) : undefined,
      pieces: passes && pieces > 1 ? pieces : undefined,
    };
  }

  private ingressName(ingress: number): string | undefined {
    return ingress === INGRESS_LOCAL ? LOCAL_NAME : this.host.interfaces[ingress]?.name;
  }
}

interface Watching {
  readonly recorder: Recorder;
  readonly path: PacketPath;
}

/** Of a packet that came to no hook, so that nothing but its addresses is known. */
const plainState = (text: string): Journey['packet'] => ({
  text,
  flags: undefined,
  ttl: 0,
  length: 0,
  tos: 0,
  mark: 0,
  connectionMark: undefined,
});

/** As long as it says it is: what the snaplen cut off is zero. */
function wholeBytes({ bytes, l3, end, totalLength }: Packet): Uint8Array {
  const whole = new Uint8Array(totalLength);
  whole.set(bytes.subarray(l3, Math.min(end, l3 + totalLength)));
  return whole;
}
