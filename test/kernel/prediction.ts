/**
 * natreplay's own answer to packets that the kernel was asked about, one packet at a time so that the ports which the
 * kernel drew at random can be told to the engine before it chooses: from then on both must agree to the byte.
 */
import { describeHostText } from '../../src/host/hostfile.js';
import type { HostFile } from '../../src/host/hostschema.js';
import { makeHost } from '../../src/host/machine.js';
import type { Engine } from '../../src/netfilter/engine.js';
import { parseRules } from '../../src/rules/index.js';
import {
  type Allowance,
  type AttributedFrame,
  compareOutputs,
  ipPacket,
  type Mismatch,
} from '../../src/verify/compare.js';
import { differInFragmentIdOnly } from '../../src/verify/fragmentid.js';
import type { KernelAnswer } from '../../src/verify/observedports.js';
import {
  type Judged,
  type PredictedPacket,
  type PredictionOptions,
  Prediction as VerifyPrediction,
} from '../../src/verify/prediction.js';
import { TO_HOST } from './language.js';
import type { SentPacket, TrafficRun } from './traffic.js';

/** What `verify` predicts, of a host and rules as tests write them. */
export class Prediction {
  readonly #own: VerifyPrediction;

  constructor(
    host: HostFile,
    rules: string,
    { backend = 'legacy', rules6, hostPackets, seed }: Partial<Omit<PredictionOptions, 'host' | 'rules'>> = {},
  ) {
    this.#own = new VerifyPrediction({
      host: makeHost(describeHostText(JSON.stringify(host), 'host.json')),
      rules: parseRules(rules, { file: 'rules', family: 4, unsupported: 'stop' }),
      rules6,
      backend,
      hostPackets,
      seed,
    });
  }

  get engine(): Engine {
    return this.#own.engine;
  }

  /** `kernel`: what the kernel made of it, for where chance decides; undefined: it was not asked. */
  judge({ iface, frame, time }: SentPacket, kernel?: KernelAnswer): Judged {
    return this.#own.judge(iface, frame, time, kernel);
  }

  /** `conntrack -L` of the kernel, for ports that it drew for packets which nobody saw again. */
  list(connections: string): void {
    this.#own.ports.list(connections);
  }

  /** What leaves because of a packet, or what the host itself gets (as an output to TO_HOST). */
  outputs(packet: SentPacket): readonly PredictedPacket[] {
    return outputsOf(this.judge(packet));
  }

  counters(): string {
    return this.#own.counters();
  }

  counters6(): string {
    return this.#own.counters6();
  }

  connectionsText(): string {
    return this.#own.connectionsText();
  }
}

function outputsOf({ sent, delivered }: Judged): readonly PredictedPacket[] {
  return [...sent, ...delivered.map(({ frame }) => ({ iface: TO_HOST, frame }))];
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
    const judged = prediction.judge(packet, output === undefined ? 'nothing' : ipPacket(output.frame));
    why.push(judged.why);
    predicted.push(...outputsOf(judged).map((predictedOutput) => ({ input, ...predictedOutput })));
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

/** What natreplay writes for `--counters`. */
export const countersText = (prediction: Prediction): string => prediction.counters();

/** What natreplay writes for `--counters6`. */
export const counters6Text = (prediction: Prediction): string => prediction.counters6();

/** What natreplay writes for `--conntrack`. */
export const connectionsText = (prediction: Prediction): string => prediction.connectionsText();
