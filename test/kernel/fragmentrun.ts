/** One run of random fragments through kernel and engine, and what differs, in words. */
import { parseRules } from '../../src/rules/index.js';
import { describeMismatch, ipPacket } from '../../src/verify/compare.js';
import { type Backend, Gateway } from '../../src/verify/gateway.js';
import { compareConntrack, compareCounters } from '../../src/verify/listings.js';
import { type FragmentScenario, fragmentTraffic } from './fragmenttraffic.js';
import { fragmentTraffic6 } from './fragmenttraffic6.js';
import type { ScenarioRun } from './mismatches.js';
import { say } from './packets.js';
import { comparePrediction, connectionsText, counters6Text, countersText, Prediction } from './prediction.js';

export async function runFragments(
  scenario: FragmentScenario,
  backend: Backend,
  seed: number,
  count: number,
): Promise<ScenarioRun> {
  const { host, rules, rules6 } = scenario;
  const gateway = await Gateway.open({ host, rules, rules6, backend });
  try {
    const frames =
      scenario.rules6 === undefined ? fragmentTraffic(scenario, seed, count) : fragmentTraffic6(scenario, seed, count);
    const time = Date.now();
    const packets = frames.map((frame) => ({ ...frame, time }));
    const prediction = new Prediction(host, rules, {
      backend,
      rules6: rules6 === undefined ? undefined : parseRules(rules6, { file: 'rules6', family: 6, unsupported: 'stop' }),
    });
    const run = { packets, ...(await gateway.send(packets)) };
    const { agreed, mismatches, reasons } = comparePrediction(run, prediction);
    const listings = [
      ...compareCounters(await gateway.counters(), countersText(prediction)),
      ...(rules6 === undefined ? [] : compareCounters(await gateway.counters6(), counters6Text(prediction))),
      ...compareConntrack(await gateway.conntrack(), connectionsText(prediction)),
    ];
    const text = (input: number): string => {
      const packet = ipPacket(packets[input]?.frame ?? new Uint8Array(14));
      return `${packets[input]?.iface} ${say(packet)} ${Buffer.from(packet.subarray(0, 100)).toString('hex')} (${packet.length})`;
    };
    return {
      agreed,
      reasons,
      differing: [
        ...mismatches.map((m) => `${describeMismatch(m)} [${text(m.input)}] ${m.why}`),
        ...listings.map((l) => `${l.what}: kernel ${l.kernel}, predicted ${l.predicted}`),
      ],
    };
  } finally {
    await gateway.close();
  }
}
