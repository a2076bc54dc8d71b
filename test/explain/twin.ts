/**
 * The same host twice: one that nobody watches, as in a replay, and one whose every packet is explained. What the traffic
 * of the kernel's fuzzer makes of the one must be what the other says.
 */
import { Slab } from '../../src/capture/slab.js';
import type { ChainVisit, Journey } from '../../src/explain/model.js';
import { Player } from '../../src/explain/player.js';
import type { Host } from '../../src/host/types.js';
import { Engine } from '../../src/netfilter/engine.js';
import { EGRESS_REPLACED, INGRESS_LOCAL, ResultColumns } from '../../src/netfilter/results.js';
import { PacketColumns } from '../../src/packet/columns.js';
import { LINKTYPE_ETHERNET } from '../../src/packet/link.js';
import { parseSlab } from '../../src/packet/parse.js';
import { describePacket, VERDICT_NAMES } from '../../src/pipeline/packetlog.js';
import type { Ruleset } from '../../src/rules/types.js';
import type { KernelPacket, SendResult } from '../../src/verify/gateway.js';
import { FROM_HOST } from '../../src/verify/gateway.js';

const ETHERNET_HEADER = 14;
const START = 1_700_000_000_000;

/** A slab of one record, and what is known of it. */
class OneRecord {
  readonly slab = new Slab(1 << 17, 1);
  readonly columns = new PacketColumns(1);
  readonly results = new ResultColumns(1);

  load(frame: Uint8Array, time: number, ingress: number): void {
    const { slab, columns, results } = this;
    const { records } = slab;
    slab.bytes.set(frame);
    slab.end = frame.length;
    records.count = 1;
    records.shortened = 0;
    records.start[0] = 0;
    records.frame[0] = 0;
    records.end[0] = frame.length;
    records.capturedLength[0] = frame.length;
    records.wireLength[0] = frame.length;
    records.source[0] = 0;
    records.direction[0] = 0;
    records.seconds[0] = Math.floor(time / 1000);
    records.nanoseconds[0] = (time % 1000) * 1e6;
    parseSlab(slab, columns, [LINKTYPE_ETHERNET], 'verify');
    results.ingress[0] = ingress;
  }
}

export interface Compared {
  readonly packets: number;
  readonly differences: readonly string[];
  /** Rules that matched, over all packets. */
  readonly matched: number;
  readonly forwarded: number;
}

export class Twin {
  readonly differences: string[] = [];
  /** Rules that do not match, of which nobody says why. */
  readonly unexplained: string[] = [];
  packets = 0;
  matched = 0;
  forwarded = 0;
  private readonly plain: Engine;
  private readonly player: Player;
  private readonly unwatched = new OneRecord();
  private readonly watched = new OneRecord();
  private time = START;

  constructor(
    private readonly host: Host,
    rules: Ruleset | undefined,
    rules6: Ruleset | undefined,
  ) {
    this.plain = new Engine(host, rules, { seed: 1, rules6, checksums: 'verify' });
    this.player = new Player({ host, rules, rules6, checksums: 'verify' });
  }

  /** As the gateway of the kernel's tests. */
  async send(packets: readonly KernelPacket[]): Promise<SendResult> {
    const outputs: SendResult['outputs'][number][] = [];
    const delivered: SendResult['delivered'][number][] = [];
    const times: number[] = [];
    for (const packet of packets) {
      const input = this.packets++;
      this.time += 3;
      times.push(this.time);
      const { verdict, out, frame } = this.both(packet);
      if (verdict === 'forward') outputs.push({ input, iface: out, frame });
      if (verdict === 'local') delivered.push({ input, iface: packet.iface, packet: frame.subarray(ETHERNET_HEADER) });
    }
    return { outputs, delivered, times };
  }

  private both({ iface, frame }: KernelPacket): { verdict: string; out: string; frame: Uint8Array } {
    const ingress = iface === FROM_HOST ? INGRESS_LOCAL : (this.host.interfaceByName(iface)?.index ?? -1);
    const { unwatched, watched, plain, player } = this;
    unwatched.load(frame, this.time, ingress);
    watched.load(frame, this.time, ingress);
    const before = countsOf(plain);
    plain.track(unwatched.slab, unwatched.columns, unwatched.results);
    const extras = plain.extras.splice(0);
    const { journey } = player.watch(watched.slab, watched.columns, watched.results, 0);
    const { results, slab } = unwatched;
    const verdict = VERDICT_NAMES[results.verdict[0] ?? 0] ?? '';
    const egress = results.egress[0] ?? -1;
    const replaced = egress === EGRESS_REPLACED;
    const out = this.host.interfaces[replaced ? (extras[0]?.output ?? -1) : egress]?.name ?? '';
    const after = describePacket(slab, unwatched.columns, 0);
    this.compare({
      verdict: [verdict, journey.outcome.verdict],
      why: [plain.reasons.words[results.why[0] ?? 0] ?? '', journey.outcome.why ?? ''],
      out: [verdict === 'forward' ? out : '', journey.outcome.out ?? ''],
      // What leaves in pieces, or is put together of them, is not in its record.
      after: after === undefined || replaced || !PASSES.has(verdict) ? ['', ''] : [after, journey.outcome.after?.text],
      bytes: [hexOf(slab, frame.length), hexOf(watched.slab, frame.length)],
      counted: [since(before, countsOf(plain)), countedBy(journey)],
    });
    this.unexplained.push(...unexplained(journey));
    if (verdict === 'forward') this.forwarded++;
    const first = extras[0]?.frame;
    return {
      verdict,
      out,
      frame: Uint8Array.from(replaced && first !== undefined ? first : slab.bytes.subarray(0, frame.length)),
    };
  }

  private compare(pairs: Readonly<Record<string, readonly [unknown, unknown]>>): void {
    for (const [what, [engine, explained]] of Object.entries(pairs))
      if (engine !== explained)
        this.differences.push(
          `packet ${this.packets - 1}: ${what}: ${String(engine)} explained as ${String(explained)}`,
        );
    this.matched += String(pairs['counted']?.[1] ?? '').split(' ').length;
  }

  /** What differs in the end between the counters of both, bytes included. */
  counterDifferences(): string[] {
    const pairs = [
      [this.plain.counters, this.player.engine.counters],
      [this.plain.ipv6?.counters, this.player.engine.ipv6?.counters],
    ] as const;
    return pairs.flatMap(([one, other]) =>
      (one?.names ?? []).flatMap((name, k) => {
        const counts = [one, other].map((table) => `${table?.packets[k]}:${table?.bytes[k]}`);
        return counts[0] === counts[1] ? [] : [`${name}: ${counts[0]} explained as ${counts[1]}`];
      }),
    );
  }
}

/** Packets by rule, of both families. */
function countsOf(engine: Engine): readonly Counts[] {
  engine.flushCounters();
  return [engine.counters, engine.ipv6?.counters]
    .filter((table) => table !== undefined)
    .map(({ names, packets }) => ({ names, packets: packets.slice(0, names.length) }));
}

interface Counts {
  readonly names: readonly string[];
  readonly packets: Float64Array;
}

const PASSES: ReadonlySet<string> = new Set(['forward', 'local']);

const hexOf = (slab: Slab, length: number): string => Buffer.from(slab.bytes.subarray(0, length)).toString('hex');

/** The rules that counted, as often as they did. */
function since(before: readonly Counts[], after: readonly Counts[]): string {
  return after
    .flatMap(({ names, packets }, t) =>
      names.flatMap((name, k) => Array<string>((packets[k] ?? 0) - (before[t]?.packets[k] ?? 0)).fill(name)),
    )
    .sort()
    .join(' ');
}

function unexplained({ path }: Journey): string[] {
  const visit = ({ rules }: ChainVisit): string[] =>
    rules.flatMap(({ matched, why, text, jump }) => [
      ...(matched || (why !== undefined && why.condition !== 'its conditions') ? [] : [text]),
      ...(jump === undefined ? [] : visit(jump)),
    ]);
  const steps = path.flatMap((stage) => (stage.kind === 'hook' ? stage.steps : []));
  return steps.flatMap((step) => ('walk' in step && step.walk !== undefined ? visit(step.walk) : []));
}

/** The rules and policies that the explanation shows as having counted the packet. */
export function countedBy({ path }: Journey): string {
  const names: string[] = [];
  const visit = (table: string, { rules, chain, end }: ChainVisit): void => {
    for (const { matched, rule, jump } of rules) {
      if (matched) names.push(rule);
      if (jump !== undefined) visit(table, jump);
    }
    if (end === 'policy') names.push(`${table}:${chain}:policy`);
  };
  for (const stage of path) {
    if (stage.kind !== 'hook') continue;
    for (const step of stage.steps) {
      if (step.kind === 'table') visit(step.table, step.walk);
      else if (step.kind === 'nat' && step.walk !== undefined) visit('nat', step.walk);
    }
  }
  return names.sort().join(' ');
}
