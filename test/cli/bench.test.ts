/** `natreplay bench` and `compare` as typed. What they find is not looked at: no test depends on a clock. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { HistogramLogReader } from 'hdr-histogram-js';
import { afterAll, describe, expect, it } from 'vitest';
import { comparisonJsonSchema } from '../../src/bench/comparetext.js';
import { benchJsonSchema, benchText, parseBench } from '../../src/bench/json.js';
import { inProcess, ROOT, scratch } from '../support/cli.js';

const DOCKER = join(ROOT, 'captures/docker-bridge');
const ANY = join(DOCKER, 'any.pcap');
const RULES = join(DOCKER, 'rules.v4');
const HOST = ['--host', join(DOCKER, 'host.json')];

const folder = scratch();
const at = folder.at;
afterAll(() => folder.remove());

describe('bench', () => {
  it('measures two rule sets, latency under load, and writes all of it', async () => {
    const { code, stderr, stdout } = await inProcess([
      ...['bench', ANY, '--rules', RULES, '--rules', RULES, ...HOST, '--runs', '2', '--quick'],
      ...['--rate', '100kpps', '--arrival', 'poisson', '--search', 'ndr', '--queue', '32', '--sweep', 'rules=10..10'],
      ...['--json', at('one.json'), '--hlog', at('one.hlog')],
    ]);
    expect(code).toBe(0);
    expect(stderr).toMatch(/warning: quick: times are of a program that has not warmed up/);
    expect(stdout).toMatch(
      /no difference can be told between .*rules\.v4 \(2\) and .*rules\.v4: an interval takes 6 runs/,
    );
    const json = parseBench(readFileSync(at('one.json'), 'utf8'), 'one.json');
    expect(json.ruleSets.map(({ exact }) => exact.packets)).toEqual([534, 534]);
    expect(json.ruleSets[0]?.exact).toEqual(json.ruleSets[1]?.exact);
    expect(json.ruleSets[0]?.rates.packetsPerSecond).toMatchObject({ low: null, high: null });
    expect(json.ruleSets[0]?.openLoop[0]?.latency.samples).toBe(json.ruleSets[0]?.openLoop[0]?.packets);
    expect(json.ruleSets[0]?.search?.found.map(({ goal }) => goal)).toEqual(['ndr', 'pdr']);
    expect(json.ruleSets[0]?.search?.latency).toHaveLength(3);
    expect(json.sweep?.rows.map(({ value }) => value)).toEqual([10, 10]);
    const log = readFileSync(at('one.hlog'), 'utf8');
    const tag = /^Tag=(\S*latency@0\.1_Mpps),/m.exec(log)?.[1];
    const reader = new HistogramLogReader(log);
    let tags = 0;
    for (let one = reader.nextIntervalHistogram(); one; one = reader.nextIntervalHistogram()) tags++;
    expect(tag).toBeDefined();
    expect(tags).toBeGreaterThan(4);
  });

  it('prints JSON, and what github-action-benchmark reads', async () => {
    const args = ['bench', ANY, '--rules', RULES, ...HOST, '--runs', '1', '--quick', '--format'];
    const { stdout, stderr } = await inProcess([...args, 'benchmark-action']);
    expect(stderr).toMatch(/warning: one run only: nothing can be said/);
    const entries = JSON.parse(stdout);
    expect(Object.keys(entries[0])).toEqual(['name', 'unit', 'value', 'extra']);
    expect(parseBench((await inProcess([...args, 'json'])).stdout, '-').ruleSets).toHaveLength(1);
  });
});

/** A result with made-up times, so that no machine decides what a comparison says. */
function withTimes(from: string, to: string, cpuSeconds: number): void {
  const result = parseBench(readFileSync(from, 'utf8'), from);
  for (const run of result.ruleSets.flatMap(({ runs }) => runs))
    run.undisturbed = { cpuSeconds, translateCpuSeconds: cpuSeconds };
  writeFileSync(to, benchText(result));
}

describe('a limit', () => {
  const SHORT = join(DOCKER, 'errors/eth0.pcap');
  const measure = ['bench', SHORT, '--rules', RULES, ...HOST, '--quick', '--runs', '6', '-q'];
  const LIMIT = ['--max-regression', '5%'];

  it('is held by compare', async () => {
    await inProcess([...measure, '--json', at('six.json')]);
    withTimes(at('six.json'), at('fast.json'), 1e-6);
    withTimes(at('six.json'), at('slow.json'), 1e6);
    const slower = await inProcess(['compare', at('fast.json'), at('slow.json'), ...LIMIT]);
    expect(slower.code).toBe(1);
    expect(slower.stdout).toMatch(/BEYOND THE LIMIT\nslower than the limit of 5 % allows\n$/);
    const faster = await inProcess(['compare', at('slow.json'), at('fast.json'), ...LIMIT]);
    expect(faster.code).toBe(0);
    expect(faster.stdout).toMatch(/within the limit of 5 %\n$/);
  });

  it('is held by bench --against, which measures once more before it says so', async () => {
    // What the calibration loop takes differs from run to run; a machine twice as slow as just before is refused a verdict.
    const slower = await inProcess([...measure, '--against', at('fast.json')]);
    expect(slower.code).toBe(0);
    const held = await inProcess([...measure, '--against', at('fast.json'), ...LIMIT]);
    if (held.code === 2) expect(held.stderr).toMatch(/no limit can be held: the calibration loop took/);
    else {
      expect(held.stderr).toMatch(/slower than the limit; measuring once more to be sure/);
      expect(held.code).toBe(1);
    }
  });
});

describe('the schemas', () => {
  it.each([
    ['bench', benchJsonSchema()],
    ['compare', comparisonJsonSchema()],
  ])('docs/%s.schema.json is the one in the source (scripts/schema.ts)', (name, schema) => {
    expect(JSON.parse(readFileSync(join(ROOT, `docs/${name}.schema.json`), 'utf8'))).toEqual(schema);
  });
});

describe('bad input is one line, exit code 2', () => {
  const bench = (...more: string[]): string[] => ['bench', ANY, '--rules', RULES, ...HOST, ...more];
  const EMPTY = Buffer.from('d4c3b2a1020004000000000000000000ffff000001000000', 'hex');
  writeFileSync(at('empty.pcap'), EMPTY);
  writeFileSync(at('half.json'), '{"schema": 1, "kind": "bench", "vers');
  writeFileSync(at('other.json'), '{"schema": 9, "kind": "bench"}');

  it.each<[string, string[], RegExp]>([
    ['a rate of 0', bench('--rate', '0Mpps'), /--rate 0Mpps is no rate above 0; write it as 1Mpps/],
    ['a speed of 0', bench('--speed', '0x'), /--speed 0x is no factor above 0/],
    ['no bits a second', bench('--mbps', '0'), /it must be a number above 0/],
    ['two paces', bench('--rate', '1Mpps', '--speed', '2x'), /exclude each other/],
    ['no runs', bench('--runs', '0'), /it must be 1 or more/],
    ['threads', bench('--workers', '2'), /only 0, the main thread alone/],
    ['a sweep of what?', bench('--sweep', 'cows=1..3'), /--sweep cows=1\.\.3 is not understood/],
    ['a limit and no base', bench('--max-regression', '5%'), /held against nothing; name the base with --against/],
    ['a base half-written', bench('--against', at('half.json')), /half\.json: the file ends too early or is damaged/],
    ['a base of another version', bench('--against', at('other.json')), /has version 9, and this natreplay reads 1/],
    ['no base', bench('--against', at('none.json')), /none\.json: there is no such file/],
    ['no packets', ['bench', at('empty.pcap'), '--rules', RULES, ...HOST], /there are no packets to measure/],
    ['the result over the capture', bench('--json', ANY), /is the capture as well/],
    ['more --rules6 than --rules', bench('--rules6', RULES, '--rules6', RULES), /there are 2 --rules6 for 1 --rules/],
    ['compare: no base', ['compare', at('none.json'), at('half.json')], /none\.json: there is no such file/],
    ['compare: half a file', ['compare', at('half.json'), at('half.json')], /ends too early or is damaged/],
    ['replay: a rate of 0', ['replay', ANY, '--pps', '0'], /--pps 0 is no rate above 0/],
    ['replay: a pipe again', ['replay', '-', '--loop', '2'], /standard input can be read once only/],
  ])('%s', async (_, args, line) => {
    const { code, stderr, stdout } = await inProcess(args);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toMatch(/^natreplay: [^\n]+\n$/);
    expect(stderr).toMatch(line);
  });

  it('a capture too short for the search', async () => {
    const { code, stderr } = await inProcess(bench('--runs', '1', '--quick', '--search', 'pdr'));
    expect(code).toBe(2);
    expect(stderr).toMatch(
      /534 packets are too few .* queue of 4096; name a longer capture, or a queue of 53 or less\n$/,
    );
  });
});
