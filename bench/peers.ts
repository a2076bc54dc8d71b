/** Times natreplay beside other programs on the same capture. See README.md. */
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { type Generated, generate, trafficOf } from './generate.js';
import { count, options, run } from './lib/args.js';
import { checkCapture } from './lib/check.js';
import { measure } from './lib/child.js';
import { machine, machineLine } from './lib/machine.js';
import { type Files, type Peer, peers } from './lib/peers.js';
import { profileNamed } from './lib/profiles.js';
import { writeResult } from './lib/results.js';
import { type Quartiles, quartiles } from './lib/statistics.js';

const USAGE = `usage: npm run bench:peers -- [--profile 64byte|imix|all] [--rounds N] [--quick]
  --rounds N      times each program is run (default: 5)
  --quick         captures of a tenth of the size, 3 rounds
  --only A,B      only these programs, by the first word of their name
  --data DIR      where captures and outputs go (default: bench/data); a tmpfs leaves the disk out
  --keep          leave the generated captures there`;

const TCPREWRITE = 'tcprewrite --pnat';

interface Samples {
  readonly peer: Peer;
  readonly seconds: number[];
  peakBytes: number;
  failure: string | undefined;
}

async function main(): Promise<void> {
  const given = options(USAGE, {
    profile: 'all',
    rounds: '',
    quick: false,
    only: '',
    data: 'bench/data',
    keep: false,
  });
  const rounds = count(given.rounds === '' ? (given.quick ? '3' : '5') : given.rounds);
  const chosen = choose(peers(), given.only);
  process.stdout.write(`${machineLine(machine())}\n`);
  for (const { name, missing } of chosen) {
    if (missing !== undefined) process.stdout.write(`missing: ${name} (${missing})\n`);
  }
  for (const name of given.profile === 'all' ? ['64byte', 'imix'] : [given.profile]) {
    const profile = profileNamed(name);
    const traffic = trafficOf(profile, given.quick ? { packets: profile.packets / 10 } : {});
    const input = generate(given.data, traffic);
    try {
      const samples = await runRounds(chosen, input, given.data, rounds);
      report(name, input, samples, rounds);
    } finally {
      if (!given.keep) rmSync(input.capture, { force: true });
    }
  }
}

function choose(all: readonly Peer[], only: string): Peer[] {
  const words = only === '' ? undefined : only.split(',');
  const chosen = all.filter((p) => words?.includes(p.name.split(' ')[0] ?? '') ?? true);
  if (chosen.length === 0) throw new RangeError(`--only ${only}: none of ${all.map((p) => p.name).join(', ')}`);
  return chosen;
}

/**
 * Each round runs every program once, and starts with another one, so that neither the machine's other work nor the order
 * favours anybody. The capture is read once before, so that it comes from the page cache for all.
 */
async function runRounds(chosen: readonly Peer[], input: Generated, data: string, rounds: number): Promise<Samples[]> {
  mkdirSync(data, { recursive: true });
  checkCapture(input.capture);
  const samples = chosen
    .filter((peer) => peer.missing === undefined)
    .map((peer): Samples => ({ peer, seconds: [], peakBytes: 0, failure: undefined }));
  for (let round = 0; round < rounds; round++) {
    for (let i = 0; i < samples.length; i++) {
      const sample = samples[(i + round) % samples.length];
      if (sample === undefined || sample.failure !== undefined) continue;
      try {
        await runOnce(sample, input, join(data, `out-${process.pid}.pcap`), round === 0);
      } catch (error) {
        sample.failure = error instanceof Error ? error.message : String(error);
        process.stderr.write(`${sample.peer.name}: ${sample.failure}\n`);
        process.exitCode = 1;
      }
    }
  }
  return samples;
}

async function runOnce(sample: Samples, input: Generated, output: string, first: boolean): Promise<void> {
  const { peer } = sample;
  const files: Files = { capture: input.capture, rules: input.rules, host: input.host, output };
  rmSync(output, { force: true });
  try {
    const measured = await measure(peer.program, peer.args(files));
    if (!peer.writes) expectCount(Number(measured.stdout.trim()), input.packets);
    else if (first) checkOutput(peer, output, input.packets);
    sample.seconds.push(measured.seconds);
    sample.peakBytes = Math.max(sample.peakBytes, measured.peakBytes);
  } finally {
    rmSync(output, { force: true });
  }
}

/** A fast program that did something else would be no comparison. */
function checkOutput(peer: Peer, output: string, packets: number): void {
  const found = checkCapture(output);
  expectCount(found.packets, packets);
  if (found.wrongChecksums > 0) throw new Error(`its output has ${found.wrongChecksums} wrong checksums`);
  if (peer.translates && found.untranslated > 0) throw new Error(`${found.untranslated} packets are not translated`);
}

function expectCount(found: number, expected: number): void {
  if (found !== expected) throw new Error(`its output has ${found} packets, the capture has ${expected}`);
}

function report(profile: string, input: Generated, samples: readonly Samples[], rounds: number): void {
  const measured = samples
    .filter((s) => s.failure === undefined && s.seconds.length > 0)
    .map((s) => ({ peer: s.peer, peakBytes: s.peakBytes, samples: s.seconds, seconds: quartiles(s.seconds) }));
  const reference = measured.find((m) => m.peer.name === TCPREWRITE)?.seconds.median;
  const megabytes = (input.bytes / 1e6).toFixed(0);
  const lines = [
    '',
    `${profile}: ${input.packets} packets, ${megabytes} MB, ${rounds} rounds; time: median (quartiles)`,
    row('', ['ns/packet', 'quartiles', 'Mpps', 'GB/s', 'peak MiB', 'x tcprewrite']),
    ...measured.map(({ peer, seconds, peakBytes }) =>
      row(peer.name, figures(seconds, peakBytes, input, reference)).concat(`  ${peer.does}`),
    ),
    ...samples.filter((s) => s.failure !== undefined).map((s) => `${s.peer.name.padEnd(18)} FAILED: ${s.failure}`),
    ...peers()
      .filter((p) => p.missing !== undefined)
      .map((p) => `${p.name.padEnd(18)} missing: ${p.missing}`),
  ];
  const file = writeResult(`peers-${profile}`, {
    capture: { profile, packets: input.packets, bytes: input.bytes, publishedPorts: publishedCount(input.rules) },
    rounds,
    programs: measured.map(({ peer, seconds, peakBytes, samples: all }) => ({
      name: peer.name,
      nanosecondsPerPacket: scaled(seconds, 1e9 / input.packets),
      seconds: all,
      peakBytes,
      timesAsFastAsTcprewrite: reference === undefined ? undefined : reference / seconds.median,
    })),
    failed: samples.filter((s) => s.failure !== undefined).map((s) => ({ name: s.peer.name, failure: s.failure })),
    missing: peers()
      .filter((p) => p.missing !== undefined)
      .map((p) => ({ name: p.name, reason: p.missing })),
  });
  process.stdout.write(`${lines.join('\n')}\n${file}\n`);
}

function figures(seconds: Quartiles, peak: number, input: Generated, reference: number | undefined): string[] {
  const ns = scaled(seconds, 1e9 / input.packets);
  return [
    ns.median.toFixed(1),
    `${ns.q1.toFixed(1)}-${ns.q3.toFixed(1)}`,
    (1000 / ns.median).toFixed(2),
    (input.bytes / seconds.median / 1e9).toFixed(2),
    (peak / 2 ** 20).toFixed(0),
    reference === undefined ? '-' : (reference / seconds.median).toFixed(2),
  ];
}

function row(name: string, cells: readonly string[]): string {
  return name.padEnd(18) + cells.map((c, i) => c.padStart(i === 1 ? 18 : i === 5 ? 14 : 11)).join('');
}

function scaled(q: Quartiles, by: number): Quartiles {
  return { min: q.min * by, q1: q.q1 * by, median: q.median * by, q3: q.q3 * by, max: q.max * by };
}

function publishedCount(rules: string): number {
  return readFileSync(rules, 'utf8').split('-j DNAT').length - 1;
}

run(main);
