/** One fuzzed case: a host, rules, packets; what the running kernel and natreplay each make of it. */
import { NatreplayError } from '../../../src/errors.js';
import { parseRules } from '../../../src/rules/index.js';
import { describeMismatch, ipPacket } from '../../../src/verify/compare.js';
import {
  type Backend,
  FROM_HOST,
  Gateway,
  type GatewayOptions,
  type KernelPacket,
} from '../../../src/verify/gateway.js';
import { compareConntrack, compareCounters, type LineDifference } from '../../../src/verify/listings.js';
import { say } from '../packets.js';
import { comparePrediction, connectionsText, counters6Text, countersText, Prediction } from '../prediction.js';
import { SeededRandom } from '../random.js';
import { runTraffic, type TrafficPlan, type TrafficRun } from '../traffic.js';
import { beyondChance } from './chance.js';
import { PORTS, SOURCE_PORTS } from './conditions.js';
import { type RuleSet, randomRules, rulesText } from './rules.js';
import { type Family, randomWorld, type World } from './world.js';

export interface FuzzCase {
  readonly family: Family;
  readonly backend: Backend;
  readonly host: World['host'];
  readonly rules: RuleSet;
}

export interface Difference {
  /** The packet it is about; undefined for counters and connections. */
  readonly input: number | undefined;
  readonly text: string;
}

export interface Outcome {
  readonly run: TrafficRun;
  readonly agreed: number;
  readonly differences: readonly Difference[];
  /** How many packets became what. */
  readonly forwarded: number;
  readonly delivered: number;
  readonly translated: number;
}

export interface Knobs {
  readonly odd?: number;
  readonly errors?: number;
  readonly fragments?: number;
  /** Of connections that the host itself opens; with any, it answers those that are opened to it. */
  readonly host?: number;
}

/** What a seed stands for. */
export function caseOf(
  seed: number,
  family: Family,
  backend: Backend,
  host = 0,
): FuzzCase & { readonly traffic: TrafficPlan } {
  // Neighbouring seeds give mulberry32 related streams at first; a stride of a large odd number keeps them apart.
  const random = new SeededRandom(Math.imul(seed, 0x9e3779b1));
  const world = randomWorld(random, family);
  const rules = randomRules(random, world, host > 0);
  const traffic = { ...trafficPlan(random, world), host: host > 0 ? { share: host, addresses: world.own } : undefined };
  return { family, backend, host: world.host, rules, traffic };
}

function trafficPlan(random: SeededRandom, world: World): TrafficPlan {
  const from = world.interfaces;
  const some = (ports: readonly number[]): number[] => ports.filter(() => random.chance(0.6));
  const target = (address: string) => ({
    from,
    address,
    tcp: [80, ...some(PORTS)],
    udp: [53, ...some(PORTS)],
    ping: true,
    protocols: random.chance(0.2) ? [50, 47, 253] : [],
  });
  const addresses = [
    ...world.own,
    ...world.own,
    ...world.machines.map((machine) => machine.address),
    ...world.nowhere.filter(() => random.chance(0.3)),
  ];
  return {
    clients: world.machines,
    targets: addresses.map(target),
    sourcePorts: SOURCE_PORTS.filter(() => random.chance(0.7)).concat(4000),
    open: 0.15 + 0.2 * (random.below(100) / 100),
  };
}

const EMPTY = '*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\nCOMMIT\n';

export function gatewayOptions(test: FuzzCase): GatewayOptions {
  const text = rulesText(test.rules);
  const rules = test.family === 4 ? { rules: text } : { rules: EMPTY, rules6: text };
  return { host: test.host, backend: test.backend, ...rules };
}

/** Sends random traffic through a kernel of its own, and holds natreplay to what came of it. */
export async function fuzz(
  seed: number,
  count: number,
  family: Family,
  backend: Backend,
  knobs: Knobs,
): Promise<Outcome> {
  const { host, ...shares } = knobs;
  const test = caseOf(seed, family, backend, host);
  const gateway = await open(test);
  if (typeof gateway === 'string') return { ...NOTHING, differences: [{ input: undefined, text: gateway }] };
  try {
    const run = await runTraffic(gateway, { ...test.traffic, ...shares }, seed, count);
    return await judge(test, gateway, run);
  } finally {
    await gateway.close();
  }
}

const NOTHING = {
  run: { packets: [], outputs: [], delivered: [] },
  agreed: 0,
  forwarded: 0,
  delivered: 0,
  translated: 0,
};

/** The gateway, or why iptables refuses rules that natreplay reads. */
async function open(test: FuzzCase): Promise<Gateway | string> {
  try {
    return await Gateway.open(gatewayOptions(test));
  } catch (error) {
    if (error instanceof NatreplayError && error.code === 'VERIFY_RULES_REFUSED') return error.message;
    throw error;
  }
}

/** Sends packets that are known already. The gateway has to be the case's own, with nothing sent since its rules were loaded. */
export async function resend(test: FuzzCase, gateway: Gateway, packets: readonly KernelPacket[]): Promise<Outcome> {
  const first = gateway.sent;
  const { outputs, delivered, times } = await gateway.send(packets);
  const renumber = <T extends { readonly input: number }>(items: readonly T[]): T[] =>
    items.map((item) => ({ ...item, input: item.input - first }));
  const timed = packets.map((packet, i) => ({ ...packet, time: times[i] ?? Date.now() }));
  return judge(test, gateway, { packets: timed, outputs: renumber(outputs), delivered: renumber(delivered) });
}

/** Enough to tell how far a counter strays. */
const OTHER_SEEDS = [2, 3, 4, 5, 6, 7, 8, 9];

function predictionOf(test: FuzzCase, connections: string, seed?: number): Prediction {
  const { rules, rules6 } = gatewayOptions(test);
  const prediction = new Prediction(test.host, rules, {
    backend: test.backend,
    rules6: rules6 === undefined ? undefined : parseRules(rules6, { file: 'rules6', family: 6, unsupported: 'stop' }),
    seed,
  });
  prediction.list(connections);
  return prediction;
}

async function judge(test: FuzzCase, gateway: Gateway, run: TrafficRun): Promise<Outcome> {
  const { rules6 } = gatewayOptions(test);
  const connections = await gateway.conntrack();
  const prediction = predictionOf(test, connections);
  const { agreed, mismatches } = comparePrediction(run, prediction);
  const again = (seed: number): Prediction => {
    const other = predictionOf(test, connections, seed);
    comparePrediction(run, other);
    return other;
  };
  const counters = (kernel: string, text: (of: Prediction) => string): readonly LineDifference[] => {
    const differing = compareCounters(kernel, text(prediction));
    return differing.length === 0 ? [] : beyondChance(differing, kernel, OTHER_SEEDS.map(again).map(text));
  };
  const isOfHost = run.packets.some(({ iface }) => iface === FROM_HOST);
  const listings = [
    ...counters(await gateway.counters(), countersText),
    ...(rules6 === undefined ? [] : counters(await gateway.counters6(), counters6Text)),
    ...compareConntrack(steady(connections, run), steady(connectionsText(prediction), run)).filter(
      (difference) => !(isOfHost && isUnseenDraw(difference)),
    ),
  ];
  return {
    run,
    agreed,
    differences: [
      ...mismatches.map((m) => ({
        input: m.input,
        text: `${describeMismatch(m)} ${m.why} [${inputText(run, m.input)}]`,
      })),
      ...listings.map((l) => ({ input: undefined, text: `${l.what}: kernel ${l.kernel}, natreplay ${l.predicted}` })),
    ],
    forwarded: run.outputs.length,
    delivered: run.delivered.length,
    translated: run.outputs.filter((output) => isTranslated(run, output)).length,
  };
}

/**
 * A source port that the kernel drew for a packet over loopback which was dropped behind POSTROUTING: nobody saw it, but
 * the connection is there.
 */
function isUnseenDraw({ kernel, predicted }: LineDifference): boolean {
  const port = / (sport|dport|id)=\d+/g;
  if (kernel?.includes('[UNREPLIED]') !== true) return false;
  const [before = '', after = ''] = kernel.split('[UNREPLIED]');
  const [ownBefore = '', ownAfter = ''] = predicted?.split('[UNREPLIED]') ?? [];
  return before === ownBefore && after.replaceAll(port, '') === ownAfter.replaceAll(port, '');
}

/**
 * UDP is ASSURED by a packet that comes two seconds after the first, and the kernel's clock ticks in jiffies: in a run
 * that lasts so long nothing is said of it.
 */
function steady(conntrack: string, run: TrafficRun): string {
  const lasted = (run.packets.at(-1)?.time ?? 0) - (run.packets[0]?.time ?? 0);
  return lasted < 1500 ? conntrack : conntrack.replace(/^(udp .*) \[ASSURED\]/gm, '$1');
}

function isTranslated(run: TrafficRun, output: TrafficRun['outputs'][number]): boolean {
  const before = ipPacket(run.packets[output.input]?.frame ?? new Uint8Array(14));
  const after = ipPacket(output.frame);
  const [from, to] = (after[0] ?? 0) >> 4 === 6 ? [8, 44] : [12, 24];
  return Buffer.compare(before.subarray(from, to), after.subarray(from, to)) !== 0;
}

/** The packet as text and as bytes, so that a mismatch can be made a case of its own. */
function inputText(run: TrafficRun, input: number): string {
  const packet = run.packets[input];
  return packet === undefined ? '' : `${packet.iface} ${say(ipPacket(packet.frame))}`;
}
