/** The result of `bench` as people read it on a terminal. */
import { bytesIec, counted, durationNs, grouped, rate, si } from '../report/humanize.js';
import type { BenchJson, EstimateJson, LatencyJson, OpenLoopJson, RuleSetJson } from './json.js';
import { machineLine } from './machine.js';

export function benchReport(result: BenchJson): string {
  const { capture, ruleSets, calibration } = result;
  const packets = ruleSets[0]?.exact.packets ?? 0;
  const runs = ruleSets[0]?.runs ?? [];
  const lines = [
    `${capture.files.join(', ')}: ${counted(packets, 'packet')}, ${bytesIec(capture.bytes)} in memory`,
    `${counted(runs.length, 'run')} of ${counted(runs[0]?.passes ?? 0, 'pass', 'passes')} each, warm-up ${counted(result.warmUp.passes, 'pass', 'passes')}; median [95 % interval]`,
    machineLine(result.machine),
    `calibration loop: ${spread(calibration.cpuSeconds, (seconds) => durationNs(seconds * 1e9))}`,
    '',
  ];
  for (const ruleSet of ruleSets) lines.push(...ruleSetLines(ruleSet), '');
  if (result.comparisons.length > 0) {
    lines.push('By processor time, run by run:');
    lines.push(...result.comparisons.map(({ sentence }) => `  ${sentence}`), '');
  }
  lines.push(...sweepLines(result));
  return `${lines.join('\n').trimEnd()}\n`;
}

function ruleSetLines(ruleSet: RuleSetJson): string[] {
  const { label, exact, rates, stages, memory, serviceTime } = ruleSet;
  const perSecond = (unit: string) => (value: number) => rate(value, unit);
  const share = (name: 'read' | 'translate' | 'write'): string => `${name} ${durationNs(stages[name].median)}`;
  const rows: [string, string][] = [
    ['packets', spread(rates.packetsPerSecond, perSecond('pps'))],
    ['bytes', spread(rates.bytesPerSecond, perSecond('B/s'))],
    [
      'processor',
      `${spread(rates.cpuNanosecondsPerPacket, durationNs)} a packet: ${(['read', 'translate', 'write'] as const).map(share).join(', ')}`,
    ],
  ];
  if (rates.newConnectionsPerSecond !== null)
    rows.push(['new connections', `${spread(rates.newConnectionsPerSecond, si)} a second`]);
  if (rates.establishedPacketsPerSecond !== null)
    rows.push(['other packets', spread(rates.establishedPacketsPerSecond, perSecond('pps'))]);
  if (memory !== null)
    rows.push([
      'memory',
      `${bytesIec(memory.ownBytes)} for a run, peak ${bytesIec(memory.peakBytes)} with the capture`,
    ]);
  rows.push(['rules', rulesText(ruleSet)]);
  if (serviceTime !== null) {
    if (serviceTime.new !== null) rows.push(['service time, new', latencyText(serviceTime.new)]);
    if (serviceTime.established !== null) rows.push(['service time, others', latencyText(serviceTime.established)]);
  }
  for (const load of ruleSet.openLoop) rows.push(...loadRows(load));
  if (ruleSet.search !== null) {
    for (const { goal, lossRatio, packetsPerSecond } of ruleSet.search.found)
      rows.push([
        goal.toUpperCase(),
        `${spread(packetsPerSecond, perSecond('pps'))} at most ${lossRatio * 100} % lost, queue of ${grouped(ruleSet.search.queue)} (simulated)`,
      ]);
    for (const load of ruleSet.search.latency) rows.push(...loadRows(load));
  }
  rows.push(['output', `sha256 ${exact.outputSha256.slice(0, 16)}, ${grouped(exact.tableProbes)} table probes`]);
  const width = Math.max(...rows.map(([name]) => name.length));
  return [
    `${label}: ${counted(ruleSet.rules, 'rule')}`,
    ...rows.map(([name, text]) => `  ${name.padEnd(width)}  ${text}`),
  ];
}

function rulesText({ exact: { rulesPerConnection, rulesEvaluated, connections, remembered } }: RuleSetJson): string {
  if (rulesPerConnection === null) return `${grouped(rulesEvaluated)} looked at, no connection begun`;
  const { min, mean, max } = rulesPerConnection;
  const walked = remembered > 0 ? `, ${grouped(remembered)} of them by a remembered way` : '';
  return `${min} / ${mean.toFixed(1)} / ${max} looked at (min/mean/max) by the first packets of ${counted(connections, 'connection')}${walked}`;
}

function loadRows(load: OpenLoopJson): [string, string][] {
  const how = load.arrival === 'captured' ? 'as captured' : load.arrival;
  const name = `latency at ${load.pace}`;
  const disturbed = load.interruptions > 0 ? `, processor taken away ${counted(load.interruptions, 'time')}` : '';
  return [
    [name, latencyText(load.latency)],
    ['', `${how}, ${counted(load.packets, 'packet')}, longest queue ${grouped(load.longestQueue)}${disturbed}`],
  ];
}

const PERCENTILE_NAMES = [
  ['p50', 'p50'],
  ['p90', 'p90'],
  ['p99', 'p99'],
  ['p999', 'p99.9'],
  ['p9999', 'p99.99'],
] as const;

/** Percentiles that too few samples were taken for are a dash. */
function latencyText(latency: LatencyJson): string {
  const of = (value: number | null): string => (value === null ? '-' : durationNs(value));
  const parts = PERCENTILE_NAMES.map(([key, name]) => `${name} ${of(latency[key])}`);
  return `${parts.join('  ')}  max ${durationNs(latency.max)}`;
}

function sweepLines({ sweep }: BenchJson): string[] {
  if (sweep === null) return [];
  const head = [sweep.of, 'rule set', 'rules/connection', 'ns/packet', 'connections/s'];
  const rows = sweep.rows.map(
    ({ value, label, rulesPerConnection, cpuNanosecondsPerPacket, newConnectionsPerSecond }) => [
      grouped(value),
      label,
      rulesPerConnection === null ? '-' : rulesPerConnection.toFixed(1),
      cpuNanosecondsPerPacket.median.toFixed(1),
      newConnectionsPerSecond === null ? '-' : si(newConnectionsPerSecond.median),
    ],
  );
  const widths = head.map((name, k) => Math.max(name.length, ...rows.map((row) => row[k]?.length ?? 0)));
  return [head, ...rows].map((row) => row.map((cell, k) => cell.padStart(widths[k] ?? 0)).join('  '));
}

/** `1.23 Mpps [1.20 Mpps - 1.25 Mpps]`; without an interval the quartiles are no substitute, so there is none. */
export function spread({ median, low, high }: EstimateJson, text: (value: number) => string): string {
  return low === null || high === null ? `${text(median)} [-]` : `${text(median)} [${text(low)} - ${text(high)}]`;
}
