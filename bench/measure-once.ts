/** One measurement in a process of its own, as JSON: what bench/gate.ts repeats. Not for use by hand. */
import { writeFileSync } from 'node:fs';
import { runBench } from '../src/bench/bench.js';
import { MemoryCapture } from '../src/bench/capture.js';
import { benchText } from '../src/bench/json.js';
import { benchJson } from '../src/bench/result.js';
import { loadHost, loadRules } from '../src/cli/inputs.js';
import { options, run } from './lib/args.js';

const USAGE =
  'usage: tsx bench/measure-once.ts --capture FILE --host FILE --rules FILE --runs N --planted SHARE --out FILE';

async function main(): Promise<void> {
  const given = options(USAGE, { capture: '', host: '', rules: '', runs: '10', planted: '0', out: '' });
  const capture = await MemoryCapture.load([{ path: given.capture }]);
  const host = loadHost({ host: given.host, iface: [], route: [] });
  if (host === undefined) throw new RangeError('no host');
  const { ipv4: rules } = loadRules({ rules: [given.rules], rules6: [], unsupported: 'stop' }, host, undefined);
  const passes = { seed: 1, checksums: 'offload' } as const;
  const result = await runBench({
    ...passes,
    capture,
    subjects: [{ label: 'rules', host, rules, rules6: undefined }],
    runs: Number(given.runs),
    plantedSlowness: Number(given.planted),
    split: false,
  });
  const json = await benchJson(result, capture, passes, { version: 'gate', extras: [], sweep: null });
  writeFileSync(given.out, benchText(json));
}

run(main);
