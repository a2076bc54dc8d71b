/** What github-action-benchmark reads (tool: customSmallerIsBetter): a list of named values. */
import type { BenchJson, EstimateJson } from './json.js';

export interface ActionEntry {
  readonly name: string;
  readonly unit: string;
  readonly value: number;
  readonly range?: string;
  readonly extra?: string;
}

export function actionEntries({ ruleSets, calibration }: BenchJson): ActionEntry[] {
  const entry = (name: string, unit: string, of: EstimateJson, extra: string): ActionEntry => {
    const { median, low, high } = of;
    return {
      name,
      unit,
      value: median,
      ...(low === null || high === null
        ? {}
        : { range: `± ${(Math.max(high - median, median - low)).toPrecision(3)}` }),
      extra,
    };
  };
  return ruleSets.flatMap(({ label, rates, stages, exact, runs }) => {
    const extra = `${runs.length} runs, ${exact.packets} packets, output ${exact.outputSha256.slice(0, 16)}, calibration loop ${(calibration.cpuSeconds.median * 1e3).toFixed(3)} ms`;
    return [
      entry(`${label}: processor time`, 'ns/packet', rates.cpuNanosecondsPerPacket, extra),
      entry(`${label}: translating`, 'ns/packet', stages.translate, extra),
      { name: `${label}: rules looked at`, unit: 'rules', value: exact.rulesEvaluated, extra },
      { name: `${label}: table probes`, unit: 'slots', value: exact.tableProbes, extra },
    ];
  });
}
