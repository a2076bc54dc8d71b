/**
 * natreplay's own answer to packets that the kernel was asked about, one packet at a time so that the ports which the
 * kernel drew at random can be told to the engine before it chooses: from then on both must agree to the byte.
 */
import { Slab } from '../../src/capture/index.js';
import { describeHostText } from '../../src/host/hostfile.js';
import type { HostFile } from '../../src/host/hostschema.js';
import { makeHost } from '../../src/host/machine.js';
import type { Host } from '../../src/host/types.js';
import { Engine, type EngineOptions } from '../../src/netfilter/engine.js';
import type { PortChoice } from '../../src/netfilter/nat/portchoice.js';
import {
  INGRESS_LOCAL,
  ResultColumns,
  VERDICT_DROP,
  VERDICT_FORWARD,
  VERDICT_LOCAL,
} from '../../src/netfilter/results.js';
import { PacketColumns } from '../../src/packet/columns.js';
import { parseSlab } from '../../src/packet/parse.js';
import { connectionEntries } from '../../src/pipeline/connections.js';
import { conntrackText } from '../../src/report/conntrack.js';
import { parseRules } from '../../src/rules/index.js';
import { printRules } from '../../src/rules/print.js';
import {
  type Allowance,
  type AttributedFrame,
  compareOutputs,
  ipPacket,
  type Mismatch,
} from '../../src/verify/compare.js';
import { differInFragmentIdOnly } from '../../src/verify/fragmentid.js';
import { FROM_HOST } from '../../src/verify/gateway.js';
import { TO_HOST } from './language.js';
import { upperLayer } from './oddities6.js';
import type { SentPacket, TrafficRun } from './traffic.js';

interface Judged {
  readonly verdict: number;
  readonly iface: string;
  /** More than one where a datagram leaves in fragments. */
  readonly frames: readonly Uint8Array[];
  readonly why: string;
  /** What the host itself says about a packet that it drops, with `hostPackets`. */
  readonly answers: readonly { readonly iface: string; readonly frame: Uint8Array }[];
}

export class Prediction {
  readonly host: Host;
  readonly engine: Engine;
  readonly #slab = new Slab(1 << 17, 1);
  readonly #columns = new PacketColumns(1);
  readonly #results = new ResultColumns(1);
  #drawn: Drawn | undefined;

  constructor(host: HostFile, rules: string, options: Partial<EngineOptions> = {}) {
    this.host = makeHost(describeHostText(JSON.stringify(host), 'host.json'));
    const ruleset = parseRules(rules, { file: 'rules', family: 4, unsupported: 'stop' });
    const portChooser = { choose: ({ manipulation }: PortChoice) => this.#drawn?.[manipulation] };
    this.engine = new Engine(this.host, ruleset, { seed: 1, portChooser, checksums: 'verify', ...options });
  }

  /** What leaves because of a packet, or what the host itself gets (as an output to TO_HOST). */
  outputs(packet: SentPacket): readonly { readonly iface: string; readonly frame: Uint8Array }[] {
    const { verdict, iface, frames } = this.judge(packet);
    if (verdict !== VERDICT_FORWARD && verdict !== VERDICT_LOCAL) return [];
    return frames.map((frame) => ({ iface: verdict === VERDICT_LOCAL ? TO_HOST : iface, frame }));
  }

  /** `drawn`: the ports with which the kernel sent it, for where chance decides. */
  judge(packet: SentPacket, drawn?: Drawn): Judged {
    this.#drawn = drawn;
    const { records, bytes } = this.#slab;
    const { length } = packet.frame;
    bytes.fill(0, 0, 2048);
    bytes.set(packet.frame);
    this.#slab.end = length;
    records.count = 1;
    records.end[0] = length;
    records.capturedLength[0] = length;
    records.wireLength[0] = length;
    records.seconds[0] = Math.floor(packet.time / 1000);
    records.nanoseconds[0] = (packet.time % 1000) * 1e6;
    parseSlab(this.#slab, this.#columns, [1], 'verify');
    this.#results.ingress[0] =
      packet.iface === FROM_HOST ? INGRESS_LOCAL : (this.host.interfaceByName(packet.iface)?.index ?? -1);
    this.engine.track(this.#slab, this.#columns, this.#results);
    const extras = this.engine.extras.splice(0);
    const name = (index: number): string => this.host.interfaces[index]?.name ?? '';
    const dropped = this.#results.verdict[0] === VERDICT_DROP;
    return {
      verdict: this.#results.verdict[0] ?? 0,
      answers: dropped ? extras.map(({ output, frame }) => ({ iface: name(output), frame })) : [],
      iface: this.host.interfaces[extras[0]?.output ?? this.#results.egress[0] ?? -1]?.name ?? '',
      frames: extras.length > 0 ? extras.map(({ frame }) => frame) : [Uint8Array.from(bytes.subarray(0, length))],
      why: this.engine.reasons.words[this.#results.why[0] ?? 0] ?? '',
    };
  }
}

export interface TrafficComparison {
  readonly agreed: number;
  readonly mismatches: readonly (Mismatch & { readonly why: string })[];
  /** Why natreplay dropped packets or passed them by, and how often. */
  readonly reasons: readonly (readonly [string, number])[];
}

/** Feeds what the kernel was sent to the engine and compares everything that came out, deliveries included. */
export function comparePrediction(run: TrafficRun, prediction: Prediction): TrafficComparison {
  const kernel: AttributedFrame[] = [
    ...run.outputs,
    ...run.delivered.map((d) => ({ input: d.input, iface: TO_HOST, frame: Buffer.concat([ETHERNET_IPV4, d.packet]) })),
  ].sort((a, b) => a.input - b.input);
  const predicted: AttributedFrame[] = [];
  const why: string[] = [];
  let at = 0;
  run.packets.forEach((packet, input) => {
    while ((kernel[at]?.input ?? Number.POSITIVE_INFINITY) < input) at++;
    const output = kernel[at]?.input === input ? kernel[at] : undefined;
    const judged = prediction.judge(packet, drawnPorts(output));
    why.push(judged.why);
    predicted.push(...judged.answers.map((answer) => ({ input, ...answer })));
    if (judged.verdict !== VERDICT_FORWARD && judged.verdict !== VERDICT_LOCAL) return;
    const iface = judged.verdict === VERDICT_LOCAL ? TO_HOST : judged.iface;
    predicted.push(...judged.frames.map((frame) => ({ input, iface, frame })));
  });
  const { agreed, mismatches } = compareOutputs(kernel, predicted, drawn);
  return {
    agreed,
    mismatches: mismatches.map((m) => ({ ...m, why: why[m.input] ?? '' })),
    reasons: prediction.engine.reasons.ranking(),
  };
}

const ETHERNET_IPV4 = Buffer.from('0200000000010200000000020800', 'hex');

/** The kernel draws the IPv4 id of an ICMP error that the host itself sends (and with it goes the header checksum). */
const drawsIpId: Allowance = (_input, kernel, _predicted, fields) =>
  kernel[9] === 1 &&
  kernel[1] === (((kernel[1] ?? 0) & 0x1e) | 0xc0) &&
  fields.every(({ field }) => field === 'ip.id' || field === 'ip.checksum');

/** And makes the flow label of an ICMPv6 error of a secret. */
const drawsFlowLabel: Allowance = (_input, kernel, predicted, fields) =>
  kernel[6] === 58 &&
  (kernel[40] ?? 128) < 128 &&
  (kernel[0] ?? 0) === (predicted[0] ?? 0) &&
  (kernel[1] ?? 0) >> 4 === (predicted[1] ?? 0) >> 4 &&
  fields.every(({ field }) => field === 'ip6.flow');

const drawn: Allowance = (input, kernel, predicted, fields) =>
  drawsIpId(input, kernel, predicted, fields) ||
  drawsFlowLabel(input, kernel, predicted, fields) ||
  differInFragmentIdOnly(kernel, predicted);

/** The ports (or ICMP id) with which the kernel let a packet go: what a random choice has to come to. */
interface Drawn {
  readonly src: number;
  readonly dst: number;
}

function drawnPorts(received: AttributedFrame | undefined): Drawn | undefined {
  if (received === undefined) return undefined;
  const packet = ipPacket(received.frame);
  const found = upperLayer(packet);
  if (found === undefined) return undefined;
  const { protocol, offset: l4 } = found;
  const word = (at: number): number => (packet[l4 + at] ?? 0) * 256 + (packet[l4 + at + 1] ?? 0);
  if (protocol === 1 || protocol === 58) return { src: word(4), dst: word(4) };
  return { src: word(0), dst: word(2) };
}

/** What natreplay writes for `--counters`. */
export function countersText({ engine }: Prediction): string {
  engine.flushCounters();
  return savedText(engine);
}

/** What natreplay writes for `--counters6`. */
export function counters6Text({ engine }: Prediction): string {
  return engine.ipv6 === undefined ? '' : savedText(engine.ipv6);
}

function savedText({ counters, ruleset }: Pick<Engine, 'counters' | 'ruleset'>): string {
  if (ruleset === undefined) return '';
  return printRules(ruleset, {
    counters: true,
    countersOf: (table, chain, rule) => {
      const id = counters.id(table, chain, rule) ?? -1;
      return { packets: counters.packets[id] ?? 0, bytes: counters.bytes[id] ?? 0 };
    },
  });
}

/** What natreplay writes for `--conntrack`. */
export function connectionsText({ engine }: Prediction): string {
  return conntrackText(connectionEntries(engine));
}
