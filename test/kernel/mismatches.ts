/** One run of a scenario through kernel and engine, and what differs, in words. */
import { parseRules } from '../../src/rules/index.js';
import type { Ruleset } from '../../src/rules/types.js';
import { describeMismatch, ipPacket } from '../../src/verify/compare.js';
import { type Backend, Gateway } from '../../src/verify/gateway.js';
import { compareConntrack, compareCounters } from '../../src/verify/listings.js';
import { say } from './packets.js';
import { comparePrediction, connectionsText, counters6Text, countersText, Prediction } from './prediction.js';
import type { Scenario } from './scenarios.js';
import { runTraffic, type TrafficPlan, type TrafficRun } from './traffic.js';

export interface ScenarioRun {
  readonly agreed: number;
  /** A line for each mismatch, with the packet it is about; empty when kernel and engine agree. */
  readonly differing: readonly string[];
  readonly reasons: readonly (readonly [string, number])[];
}

export async function runScenario(
  scenario: Scenario,
  backend: Backend,
  seed: number,
  count: number,
  change: Partial<TrafficPlan> = {},
): Promise<ScenarioRun> {
  const { host, rules, rules6, traffic } = scenario;
  const gateway = await Gateway.open({ host, rules, rules6, backend });
  try {
    const run = await runTraffic(gateway, { ...traffic, ...change }, seed, count);
    const prediction = new Prediction(host, rules, {
      backend,
      rules6: rules6 === undefined ? undefined : parsed6(rules6),
    });
    const connections = await gateway.conntrack();
    prediction.list(connections);
    const { agreed, mismatches, reasons } = comparePrediction(run, prediction);
    const listings = [
      ...compareCounters(await gateway.counters(), countersText(prediction)),
      ...(rules6 === undefined ? [] : compareCounters(await gateway.counters6(), counters6Text(prediction))),
      ...compareConntrack(steady(connections, run), steady(connectionsText(prediction), run)),
    ];
    const differing = [
      ...mismatches.map((m) => `${describeMismatch(m)} [${inputText(run, m.input)}] ${m.why}`),
      ...listings.map((l) => `${l.what}: kernel ${l.kernel}, predicted ${l.predicted}`),
    ];
    return { agreed, differing, reasons };
  } finally {
    await gateway.close();
  }
}

function parsed6(rules6: string): Ruleset {
  return parseRules(rules6, { file: 'rules6', family: 6, unsupported: 'stop' });
}

/**
 * UDP is ASSURED by a packet that comes two seconds after the first (F4). The kernel's clock is not the sender's to the
 * millisecond, so in a run that lasts so long (a busy machine) nothing is said of it.
 */
function steady(conntrack: string, run: TrafficRun): string {
  const lasted = (run.packets.at(-1)?.time ?? 0) - (run.packets[0]?.time ?? 0);
  return lasted < 1500 ? conntrack : conntrack.replace(/^(udp .*) \[ASSURED\]/gm, '$1');
}

/** The packet as text and as bytes, so that a mismatch can be made a case of its own. */
function inputText(run: TrafficRun, input: number): string {
  const packet = run.packets[input];
  if (packet === undefined) return '';
  return `${packet.iface} ${say(ipPacket(packet.frame))} ${Buffer.from(packet.frame.subarray(14)).toString('hex')}`;
}
