/** Times natreplay beside other programs on the same capture. See README.md. */
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { trafficOf } from '../src/generate/options.js';
import { profileNamed } from '../src/generate/profiles.js';
import { type Generated, generate } from './generate.js';
import { count, options, run } from './lib/args.js';
import { checkCapture } from './lib/check.js';
import { measure } from './lib/child.js';
import { machine, machineLine } from './lib/machine.js';
import { type Files, type Peer, peers, TCPREWRITE } from './lib/peers.js';
import { writeResult } from './lib/results.js';
import { type Quartiles, quartiles } from './lib/statistics.js';

const USAGE = `usage: npm run bench:peers -- [--profile 64byte|imix|all] [--rounds N] [--quick]
  --rounds N      times each program is run (default: 5)
  --quick         captures of a tenth of the size, 3 rounds
  --only A,B      only these programs, by the first word of their name
  --data DIR      where captures and outputs go (default: bench/data); a tmpfs leaves the disk out
  --keep          leave the generated captures there`;

interface Samples {
  readonly peer: Peer;
  readonly seconds: number[];
  readonly processorSeconds: number[];
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
    const input = await generate(given.data, profile, traffic);
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
    .map((peer): Samples => ({ peer, seconds: [], processorSeconds: [], peakBytes: 0, failure: undefined }));
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
    sample.processorSeconds.push(measured.processorSeconds);
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

interface Summary {
  readonly peer: Peer;
  readonly seconds: Quartiles;
  readonly processor: Quartiles;
  readonly peakBytes: number;
}

function report(profile: string, input: Generated, samples: readonly Samples[], rounds: number): void {
  const measured = samples
    .filter((s) => s.failure === undefined && s.seconds.length > 0)
    .map(
      (s): Summary => ({
        peer: s.peer,
        seconds: quartiles(s.seconds),
        processor: quartiles(s.processorSeconds),
        peakBytes: s.peakBytes,
      }),
    );
  const failed = samples.flatMap((s) => (s.failure === undefined ? [] : [{ name: s.peer.name, failure: s.failure }]));
  const missing = peers().flatMap((p) => (p.missing === undefined ? [] : [{ name: p.name, reason: p.missing }]));
  const reference = measured.find((m) => m.peer.name === TCPREWRITE);
  const lines = [
    '',
    `${profile}: ${input.packets} packets, ${(input.bytes / 1e6).toFixed(0)} MB, ${rounds} rounds, medians`,
    row('', COLUMNS),
    ...measured.map((m) => `${row(m.peer.name, figures(m, input, reference))}  ${m.peer.does}`),
    ...failed.map((f) => `${f.name.padEnd(NAME)} FAILED: ${f.failure}`),
    ...missing.map((m) => `${m.name.padEnd(NAME)} missing: ${m.reason}`),
  ];
  const file = writeResult(`peers-${profile}`, {
    capture: { profile, packets: input.packets, bytes: input.bytes, publishedPorts: publishedCount(input.rules) },
    rounds,
    programs: measured.map((m) => ({
      name: m.peer.name,
      nanosecondsPerPacket: scaled(m.seconds, 1e9 / input.packets),
      processorNanosecondsPerPacket: scaled(m.processor, 1e9 / input.packets),
      peakBytes: m.peakBytes,
      timesAsFastAsTcprewrite: reference && reference.seconds.median / m.seconds.median,
      timesAsFastAsTcprewriteByProcessorTime: reference && reference.processor.median / m.processor.median,
    })),
    failed,
    missing,
  });
  process.stdout.write(`${lines.join('\n')}\n${file}\n`);
}

const NAME = 22;
const COLUMNS = ['ns/packet', 'quartiles', 'CPU ns', 'Mpps', 'GB/s', 'peak MiB', 'x tcprewrite', 'by CPU'];
const WIDTHS = [11, 18, 9, 9, 7, 10, 14, 8];

function figures(m: Summary, input: Generated, reference: Summary | undefined): string[] {
  const ns = scaled(m.seconds, 1e9 / input.packets);
  const ratio = (theirs: number | undefined, own: number): string =>
    theirs === undefined || own === 0 ? '-' : (theirs / own).toFixed(2);
  return [
    ns.median.toFixed(1),
    `${ns.q1.toFixed(1)}-${ns.q3.toFixed(1)}`,
    ((m.processor.median * 1e9) / input.packets).toFixed(0),
    (1000 / ns.median).toFixed(2),
    (input.bytes / m.seconds.median / 1e9).toFixed(2),
    (m.peakBytes / 2 ** 20).toFixed(0),
    ratio(reference?.seconds.median, m.seconds.median),
    ratio(reference?.processor.median, m.processor.median),
  ];
}

function row(name: string, cells: readonly string[]): string {
  return name.padEnd(NAME) + cells.map((c, i) => c.padStart(WIDTHS[i] ?? 10)).join('');
}

function scaled(q: Quartiles, by: number): Quartiles {
  return { min: q.min * by, q1: q.q1 * by, median: q.median * by, q3: q.q3 * by, max: q.max * by };
}

function publishedCount(rules: string): number {
  return readFileSync(rules, 'utf8').split('-j DNAT').length - 1;
}

run(main);
