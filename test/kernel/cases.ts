/**
 * Cases that both the running kernel and natreplay are asked about: a few packets through a host, what came out of each
 * byte for byte, the counters of every rule and the connections left behind.
 */
import type { HostFile } from '../../src/host/hostschema.js';
import { parseRules } from '../../src/rules/index.js';
import { describeMismatch, ipPacket } from '../../src/verify/compare.js';
import type { KernelDelivery, KernelOutput } from '../../src/verify/gateway.js';
import { compareConntrack, compareCounters } from '../../src/verify/listings.js';
import { countedFrom, Gateways } from './gateways.js';
import { ether, say } from './packets.js';
import { comparePrediction, connectionsText, counters6Text, countersText, Prediction } from './prediction.js';
import type { SentPacket } from './traffic.js';

/** A packet (from its IP header on) that arrives at an interface. */
export interface Arrival {
  readonly iface: string;
  readonly packet: Uint8Array;
  /** Milliseconds that pass before it, for the kernel too. */
  readonly wait?: number;
  /** Its frame is for everybody (broadcast MAC). */
  readonly toAll?: boolean;
}

/** What the kernel sent so far, so that a server can answer what it really got. */
export type Step = Arrival | ((sent: readonly KernelOutput[]) => Arrival);

export interface KernelCase {
  readonly name: string;
  readonly host: HostFile;
  readonly rules: string;
  readonly rules6?: string;
  readonly steps: readonly Step[];
  /**
   * What becomes of each packet, as people say it: `wan tcp 203.0.113.5:4000 > ...` where it went out, `local ...`
   * where the host got it, `` where it was dropped. Undefined: only compared.
   */
  readonly expected?: readonly string[];
  /** Undefined: what is listed is only compared. */
  readonly connections?: readonly string[];
  /** What the host itself says about the packets is compared, too. */
  readonly answers?: boolean;
  /** What the kernel's random choice decides, in counters or connections: not compared. */
  readonly listings?: boolean;
}

export interface CaseAnswer {
  /** What became of each packet in the kernel, as `KernelCase.expected` says it. */
  readonly said: readonly string[];
  /** `conntrack -L` of the kernel without seconds, sorted. */
  readonly connections: readonly string[];
  readonly conntrack: string;
  readonly counters: string;
  /** What natreplay writes for --conntrack and --counters. */
  readonly predicted: { readonly conntrack: string; readonly counters: string };
  /** A line for each thing in which natreplay and the kernel differ. */
  readonly differing: readonly string[];
}

/** `shared`: where the case may find a gateway of another one; without, it gets one of its own. */
export async function askKernel(test: KernelCase, shared?: Gateways): Promise<CaseAnswer> {
  const gateways = shared ?? new Gateways();
  try {
    const { host, rules, rules6, answers = false } = test;
    const gateway = await gateways.get({ host, rules, rules6, backend: 'legacy', answers });
    const first = gateway.sent;
    const packets: SentPacket[] = [];
    const outputs: KernelOutput[] = [];
    const delivered: KernelDelivery[] = [];
    for (const step of test.steps) {
      const { iface, packet, wait = 0, toAll = false } = typeof step === 'function' ? step(outputs) : step;
      if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait));
      const sent = { iface, frame: ether(packet) };
      if (toAll) sent.frame.fill(0xff, 0, 6);
      const answer = await gateway.send([sent]);
      // The first packets of a gateway wait until it listens: what counts is when the kernel had them.
      packets.push({ ...sent, time: answer.times[0] ?? Date.now() });
      const result = countedFrom(first, answer);
      outputs.push(...result.outputs);
      delivered.push(...result.delivered);
    }
    const run = { packets, outputs, delivered };
    const prediction = new Prediction(host, rules, {
      hostPackets: answers,
      rules6: rules6 === undefined ? undefined : parseRules(rules6, { file: 'rules6', family: 6, unsupported: 'stop' }),
    });
    const { mismatches } = comparePrediction(run, prediction);
    const conntrack = await gateway.conntrack();
    const counters = await gateway.counters();
    const listings =
      test.listings === false
        ? []
        : [
            ...compareCounters(counters, countersText(prediction)),
            ...(rules6 === undefined ? [] : compareCounters(await gateway.counters6(), counters6Text(prediction))),
            ...compareConntrack(conntrack, connectionsText(prediction)),
          ];
    return {
      said: packets.map((_, i) => outcome(run, i)),
      connections: connectionLines(conntrack),
      conntrack,
      counters,
      predicted: { conntrack: connectionsText(prediction), counters: countersText(prediction) },
      differing: [
        ...mismatches.map((m) => `${describeMismatch(m)} [${say(ipPacket(packets[m.input]?.frame ?? NONE))}] ${m.why}`),
        ...listings.map((l) => `${l.what}: kernel ${l.kernel}, predicted ${l.predicted}`),
      ],
    };
  } finally {
    if (shared === undefined) await gateways.close();
  }
}

const NONE = new Uint8Array(0);

function outcome(
  run: { readonly outputs: readonly KernelOutput[]; readonly delivered: readonly KernelDelivery[] },
  input: number,
): string {
  const words = [
    ...run.outputs.filter((o) => o.input === input).map((o) => `${o.iface} ${say(ipPacket(o.frame))}`),
    ...run.delivered.filter((d) => d.input === input).map((d) => `local ${say(d.packet)}`),
  ];
  return words.join(', ');
}

/** A `conntrack -L` line for each connection, without the seconds left and the use count. */
export function connectionLines(text: string): string[] {
  return text
    .split('\n')
    .filter((line) => line.includes('src='))
    .map((line) =>
      line
        .replace(/^(\S+)\s+(\d+)\s+\d+\s/, '$1 $2 ')
        .replace(/ use=\d+\s*$/, '')
        .trim(),
    )
    .sort();
}
