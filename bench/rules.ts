/** What rule sets cost by their size: loading them, and a new connection's way through them. See README.md. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { hostFile } from '../src/generate/hostfile.js';
import { GATEWAY } from '../src/generate/profiles/gateway.js';
import { count, options, run } from './lib/args.js';
import { type Measured, measure } from './lib/child.js';
import { machine, machineLine } from './lib/machine.js';
import { type ConnectionKind, connectionKinds, measureConnections } from './lib/newconnections.js';
import { writeResult } from './lib/results.js';
import { blockList, blockSet, docker, kubernetes, portDnat, type RuleText } from './lib/rulesets.js';
import { quartiles } from './lib/statistics.js';

const USAGE = `usage: npm run bench:rules -- [--rounds N] [--rules N] [--connections N] [--only load|connections]
  --rounds N        times each is measured (default: 5)
  --rules N         size of the long chains (default: 100k), beside chains of 10
  --connections N   new connections of a round (default: 50k)
  --only PART       only loading, or only new connections`;

const MAIN = fileURLToPath(new URL('../dist/cli/main.js', import.meta.url));
const DATA = fileURLToPath(new URL('data/rules', import.meta.url));
const FEW = 10;
/** The bars. */
const LOAD_SECONDS = 2;
const LOAD_BYTES = 500 * 2 ** 20;
const FLAT = 1.5;

async function main(): Promise<void> {
  const given = options(USAGE, { rounds: '5', rules: '100k', connections: '50k', only: '' });
  const rounds = count(given.rounds);
  process.stdout.write(`${machineLine(machine())}\n`);
  const loading = given.only === 'connections' ? [] : await measureLoading(rounds);
  const connections = given.only === 'load' ? [] : measureKinds(rounds, count(given.rules), count(given.connections));
  process.stdout.write(`\nwritten to ${writeResult('rules', { rounds, loading, connections })}\n`);
}

interface Loading {
  readonly name: string;
  readonly rules: number;
  readonly command: string;
  readonly seconds: number;
  readonly processorSeconds: number;
  readonly peakBytes: number;
}

async function measureLoading(rounds: number): Promise<Loading[]> {
  const profiles: readonly (readonly [string, RuleText, ipset?: string])[] = [
    ['Kubernetes, 20,000 services', kubernetes(20_000)],
    ['Docker, 10,000 published ports', docker(10_000)],
    ['block list, 100,000 networks', blockList(100_000)],
    ['100,000 DNAT rules', portDnat(100_000)],
    setProfile(),
  ];
  process.stdout.write(`\nloading, medians of ${rounds} (bars: ${LOAD_SECONDS} s, ${LOAD_BYTES / 2 ** 20} MiB)\n`);
  mkdirSync(DATA, { recursive: true });
  const found: Loading[] = [];
  try {
    const [rulesFile, host, capture] = ['rules.v4', 'host.json', 'empty.pcap'].map((name) => join(DATA, name)) as [
      string,
      string,
      string,
    ];
    // The header of a capture without records.
    writeFileSync(capture, Buffer.from('d4c3b2a1020004000000000000000000ffff000001000000', 'hex'));
    for (const [name, { text, rules }, ipset] of profiles) {
      writeFileSync(rulesFile, text);
      writeFileSync(host, JSON.stringify({ ...hostFile(GATEWAY), ipset }));
      const replay = ['replay', capture, '--host', host, '--rules', rulesFile, '-w', join(DATA, 'out.pcap')];
      for (const args of [['rules', 'check', rulesFile], replay])
        found.push(await loading(name, rules, [MAIN, ...args], args[0] ?? '', rounds));
    }
  } finally {
    rmSync(DATA, { recursive: true, force: true });
  }
  return found;
}

function setProfile(): readonly [string, RuleText, string] {
  const { ipset, ...rules } = blockSet(1_000_000);
  return ['a set of a million addresses', rules, ipset];
}

async function loading(
  name: string,
  rules: number,
  args: readonly string[],
  command: string,
  rounds: number,
): Promise<Loading> {
  const runs: Measured[] = [];
  for (let round = 0; round < rounds; round++) runs.push(await measure(process.execPath, args));
  const median = (of: (one: (typeof runs)[number]) => number): number => quartiles(runs.map(of)).median;
  const seconds = median((one) => one.seconds);
  const processorSeconds = median((one) => one.processorSeconds);
  const peakBytes = median((one) => one.peakBytes);
  const over = seconds > LOAD_SECONDS || peakBytes > LOAD_BYTES ? '  over the bar' : '';
  process.stdout.write(
    `${name.padEnd(32)} ${command.padEnd(7)} ${seconds.toFixed(2).padStart(6)} s ${processorSeconds.toFixed(2).padStart(6)} s CPU ` +
      `${(peakBytes / 2 ** 20).toFixed(0).padStart(5)} MiB${over}\n`,
  );
  return { name, rules, command, seconds, processorSeconds, peakBytes };
}

interface Cost {
  readonly kind: string;
  readonly way: string;
  readonly fewNanoseconds: number;
  readonly manyNanoseconds: number;
  readonly ratio: number;
}

function measureKinds(rounds: number, rules: number, connections: number): Cost[] {
  process.stdout.write(
    `\na new connection, medians of ${rounds} rounds of ${connections} (bar: ${FLAT} x)\n` +
      `${''.padEnd(44)} ${`${FEW} rules`.padStart(12)} ${`${rules} rules`.padStart(14)}   ratio\n`,
  );
  return connectionKinds(rules).flatMap((kind) =>
    (['hook by hook', 'as replayed'] as const).map((way) => {
      const cost = costOf(kind, way === 'as replayed', rounds, rules, connections);
      const over = cost.ratio > FLAT ? '  over the bar' : '';
      process.stdout.write(
        `${`${kind.name}, ${way}`.padEnd(44)} ${`${cost.fewNanoseconds.toFixed(0)} ns`.padStart(12)} ` +
          `${`${cost.manyNanoseconds.toFixed(0)} ns`.padStart(14)} ${cost.ratio.toFixed(2).padStart(7)}${over}\n`,
      );
      return cost;
    }),
  );
}

function costOf(kind: ConnectionKind, fastPath: boolean, rounds: number, rules: number, connections: number): Cost {
  const few: number[] = [];
  const many: number[] = [];
  // In turns, so that other work on the machine favours neither; the first of each warms up.
  for (let round = 0; round <= rounds; round++) {
    for (const [size, times] of [
      [FEW, few],
      [rules, many],
    ] as const) {
      const nanoseconds = measureConnections(kind, size, connections, fastPath);
      if (round > 0) times.push(nanoseconds);
    }
  }
  const fewNanoseconds = quartiles(few).median;
  const manyNanoseconds = quartiles(many).median;
  const ratio = manyNanoseconds / fewNanoseconds;
  return { kind: kind.name, way: fastPath ? 'as replayed' : 'hook by hook', fewNanoseconds, manyNanoseconds, ratio };
}

run(main);
