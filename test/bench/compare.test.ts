/** Two results side by side: what is reported first, when a limit is broken, and what is refused. */
import { describe, expect, it } from 'vitest';
import { actionEntries } from '../../src/bench/action.js';
import { compareResults } from '../../src/bench/compare.js';
import { COMPARE_FORMATS, comparisonSchema, comparisonText } from '../../src/bench/comparetext.js';
import { type BenchJson, benchSchema, benchText, parseBench } from '../../src/bench/json.js';
import { comparisons, estimateJson } from '../../src/bench/result.js';
import { benchReport } from '../../src/bench/text.js';
import { uniform } from '../../src/measure/statistics.js';

interface Made {
  /** Seconds of a pass, on a machine whose calibration loop takes a millisecond. */
  readonly seconds?: number;
  readonly runs?: number;
  /** How much slower the machine is. */
  readonly slow?: number;
  readonly label?: string;
  readonly output?: string;
  readonly capture?: string;
  readonly seed?: number;
  readonly node?: string;
}

let seed = 0;

function result(made: Made = {}): BenchJson {
  const { seconds = 1, runs = 10, slow = 1, label = 'rules.v4', output = 'aa'.repeat(32), capture = 'c0ffee' } = made;
  const random = uniform(++seed);
  const noise = (): number => 1 + 0.02 * random();
  const all = Array.from({ length: runs }, (): BenchJson['ruleSets'][number]['runs'][number] => {
    const cpu = seconds * slow * noise();
    const times = { seconds: cpu * 1.1, cpuSeconds: cpu };
    const part = (share: number) => ({ seconds: cpu * share * 1.1, cpuSeconds: cpu * share });
    return {
      passes: 1,
      ...times,
      stages: { read: part(0.1), translate: part(0.7), write: part(0.2) },
      undisturbed: { cpuSeconds: cpu, translateCpuSeconds: cpu * 0.7 },
      calibration: { seconds: 0.001 * slow, cpuSeconds: 0.001 * slow, least: 0.001 * slow },
      split: null,
      peakBytes: null,
      ownBytes: null,
    };
  });
  const estimate = estimateJson(all.map(({ cpuSeconds }) => cpuSeconds));
  return {
    schema: 1,
    kind: 'bench',
    version: '0.1.0',
    taken: '2024-05-01T10:00:00.000Z',
    machine: {
      cpu: 'Z80',
      cores: 2,
      memoryBytes: 1e9,
      kernel: 'Linux 6',
      node: made.node ?? 'v20.1.0',
      arch: 'x64',
      load: 0,
    },
    capture: { files: ['in.pcap'], sha256: capture, bytes: 1000 },
    settings: { seed: made.seed ?? 1, checksums: 'offload', workers: 0, quick: false },
    warmUp: { passes: 4, steady: true },
    calibration: { cpuSeconds: estimateJson([0.001 * slow]), least: estimateJson([0.001 * slow]) },
    ruleSets: [
      {
        label,
        files: [label],
        sha256: 'bb'.repeat(32),
        rules: 3,
        exact: {
          packets: 1000,
          bytes: 64_000,
          verdicts: { forward: 1000, local: 0, drop: 0, held: 0, outgoing: 0, ignored: 0 },
          connections: 10,
          rulesEvaluated: 30,
          rulesPerConnection: { min: 3, mean: 3, max: 3 },
          remembered: 9,
          tableProbes: 1010,
          outputSha256: output,
        },
        rates: {
          packetsPerSecond: estimate,
          bytesPerSecond: estimate,
          cpuNanosecondsPerPacket: estimate,
          newConnectionsPerSecond: null,
          establishedPacketsPerSecond: null,
        },
        stages: { read: estimate, translate: estimate, write: estimate },
        memory: null,
        serviceTime: null,
        openLoop: [],
        search: null,
        runs: all,
      },
    ],
    comparisons: [],
    sweep: null,
    warnings: [],
  };
}

const compare = (base: Made, now: Made, limit: number | null = 0.05) =>
  compareResults({ name: 'base.json', result: result(base) }, { name: 'new.json', result: result(now) }, limit);

describe('times', () => {
  it.each([
    ['the same', {}, {}, 'same', false],
    ['a tenth slower', {}, { seconds: 1.1 }, 'slower', true],
    ['slower, but within the limit', {}, { seconds: 1.03 }, 'slower', false],
    ['faster', {}, { seconds: 0.8 }, 'faster', false],
    ['a machine half as fast again, the same program', {}, { slow: 1.5 }, 'same', false],
    ['a faster machine hides nothing', { slow: 1.5 }, { seconds: 1.1 }, 'slower', true],
  ] as const)('%s', (_, base, now, verdict, regression) => {
    const comparison = compare(base, now);
    expect(comparison.times.map((time) => time.verdict)).toEqual([verdict, verdict]);
    expect(comparison.regression).toBe(regression);
  });

  it('without a limit nothing is a regression', () => {
    expect(compare({}, { seconds: 2 }, null).regression).toBe(false);
  });
});

describe('exact figures', () => {
  it('another output is another program, which is said first', () => {
    const comparison = compare({}, { output: 'cc'.repeat(32) });
    expect(comparison.differences).toEqual([
      { ruleSet: 'rules.v4', figure: 'output', base: 'aaaaaaaaaaaaaaaa', now: 'cccccccccccccccc' },
    ]);
    expect(comparisonText(comparison, 'text').split('\n')[1]).toMatch(/^! the output differs: this is another program/);
  });

  it('equal ones are one line', () =>
    expect(comparisonText(compare({}, {}), 'text')).toMatch(/exact figures: all equal\n/));
});

describe('refused in one line', () => {
  it.each<[string, Made, Made, RegExp]>([
    [
      'another capture',
      {},
      { capture: 'decaf' },
      /^new\.json: it measured another capture than base\.json; measure the same/,
    ],
    ['other settings', {}, { seed: 2 }, /it measured with seed 2.*and base\.json with seed 1/],
    ['too few runs for a limit', { runs: 1 }, {}, /no limit can be held: one of the two has fewer than 6 runs/],
    ['a machine of another kind', {}, { slow: 3 }, /no limit can be held: the calibration loop took 3\.00x as long/],
    ['another Node', {}, { node: 'v22.0.0' }, /the base is from Node v20\.1\.0, this from v22\.0\.0|from Node v22/],
  ])('%s', (_, base, now, message) => expect(() => compare(base, now)).toThrow(message));

  it('without a limit unlike machines and single runs are reported, and nothing is claimed', () => {
    const comparison = compare({ runs: 1 }, { slow: 3 }, null);
    const text = comparisonText(comparison, 'text');
    expect(text).toMatch(/! unlike machines: the calibration loop took 3\.00x as long/);
    expect(text).toMatch(/nothing can be told: too few runs/);
  });

  it.each([
    ['half a file', benchText(result()).slice(0, 900), /base\.json: the file ends too early or is damaged/],
    ['no JSON', 'hello', /this is no JSON/],
    ['another report', '{"schema": 1, "records": 3}', /no result of natreplay bench/],
    ['null', 'null', /no result of natreplay bench/],
    [
      'another version',
      benchText(result()).replace('"schema": 1', '"schema": 7'),
      /has version 7, and this natreplay reads 1/,
    ],
    ['a number missing', benchText(result()).replace('"cores": 2', '"cores": "two"'), /machine\.cores: /],
  ])('%s', (_, text, message) => expect(() => parseBench(text, 'base.json')).toThrow(message));
});

describe('formats', () => {
  const hostile = { label: '</script>|`*\u001b[31m,x:%0A' };

  it('what is written is read back', () => {
    const one = result();
    expect(parseBench(benchText(one), 'x')).toEqual(benchSchema.parse(JSON.parse(JSON.stringify(one))));
  });

  it.each(COMPARE_FORMATS)('%s: names from strangers stay text', (format) => {
    const text = comparisonText(compare(hostile, { ...hostile, seconds: 1.2 }), format);
    expect(text).not.toContain('\u001b');
    expect(text.includes('</script>')).toBe(format === 'text' || format === 'json' || format === 'github');
  });

  it('JSON has its schema', () => {
    const json = JSON.parse(comparisonText(compare({}, { seconds: 1.2 }), 'json'));
    expect(comparisonSchema.parse(json)).toMatchObject({ sameOutput: true, regression: true, maxRegression: 0.05 });
  });

  it('JUnit: a case for each time, failing beyond the limit', () => {
    const text = comparisonText(compare({}, { seconds: 1.2 }), 'junit');
    expect(text).toMatch(/<testsuites tests="2" failures="2">/);
    expect(text.match(/<failure /g)).toHaveLength(2);
  });

  it('GitHub: an annotation a line', () => {
    const text = comparisonText(compare({}, { seconds: 1.2 }), 'github');
    expect(text).toMatch(
      /^::error title=natreplay%3A time::rules\.v4: processor time 1\.\d+x .* slower, BEYOND THE LIMIT$/m,
    );
    for (const line of text.trimEnd().split('\n')) expect(line).toMatch(/^::(error|warning|notice) /);
  });

  it('Markdown: a table', () => {
    expect(comparisonText(compare({}, {}), 'markdown')).toMatch(
      /\| rule set \| time \| ratio \| 95 % interval \| \|\n\| --- /,
    );
  });

  it('github-action-benchmark: named values, smaller is better', () => {
    const entries = actionEntries(result());
    expect(entries.map(({ name, unit }) => `${name} ${unit}`)).toEqual([
      'rules.v4: processor time ns/packet',
      'rules.v4: translating ns/packet',
      'rules.v4: rules looked at rules',
      'rules.v4: table probes slots',
    ]);
    expect(entries[0]?.range).toMatch(/^± /);
  });

  it('the report of a single run claims no interval', () => {
    expect(benchReport(result({ runs: 1 }))).toMatch(/packets\s+1\.0\d* pps \[-\]|packets\s+1 pps \[-\]/);
  });
});

describe('rule sets of one measurement', () => {
  it('are compared by runs that followed each other', () => {
    const [a, b] = [result({ label: 'A' }).ruleSets[0], result({ label: 'B', seconds: 0.5 }).ruleSets[0]];
    if (a === undefined || b === undefined) throw new Error('none');
    expect(comparisons([a, b])[0]?.sentence).toMatch(/^B is (1\.9\d|2\.0\d)x \[[\d.]+-[\d.]+\] faster than A$/);
    expect(comparisons([a])).toEqual([]);
  });
});
