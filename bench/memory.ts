/** How much memory natreplay takes for a capture of any size. See README.md. */
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { trafficOf } from '../src/generate/options.js';
import type { Profile } from '../src/generate/plan.js';
import { profileNamed } from '../src/generate/profiles.js';
import { captureBlocks, captureBytes, type Traffic } from '../src/generate/traffic.js';
import { writeScenario } from './generate.js';
import { count, options, run } from './lib/args.js';
import { ended, type Usage, watchUsage } from './lib/child.js';
import { machine, machineLine } from './lib/machine.js';
import { natreplayMain, replayArguments } from './lib/peers.js';
import { writeResult } from './lib/results.js';

const USAGE = `usage: npm run bench:memory -- [--bytes 4GiB] [--profile 64byte|imix] [--connections N] [--bar 400MiB]
  --bytes N        size of the capture, which is made on the fly and never stored
  --profile NAME   64byte (default) or imix
  --connections N  connections in it (default: 100k)
  --bar N          exit 1 if the peak is above it`;

const MARKS = 8;

async function main(): Promise<void> {
  const given = options(USAGE, { bytes: '4GiB', profile: '64byte', connections: '100k', bar: '400MiB' });
  const profile = profileNamed(given.profile);
  const bytes = count(given.bytes);
  const bar = count(given.bar);
  if (!existsSync(natreplayMain())) throw new RangeError('natreplay is not built; npm run build');
  const packets = Math.floor(bytes / (captureBytes(profile.sizes, 1) - captureBytes(profile.sizes, 0)));
  const traffic = trafficOf(profile, { packets, connections: count(given.connections) });
  process.stdout.write(`${machineLine(machine())}\n`);
  process.stdout.write(
    `${profile.name}: ${packets} packets, ${mebibytes(bytes)} MiB, ${traffic.connections} connections, from pipe to pipe\n`,
  );
  const scenario = mkdtempSync(join(tmpdir(), 'natreplay-memory-'));
  try {
    const result = await replayPipe(profile, traffic, bytes, scenario);
    const peak = result.usage.peakBytes;
    const within = peak <= bar;
    const file = writeResult('memory', { profile: profile.name, packets, bytes, bar, peakBytes: peak, ...result });
    process.stdout.write(
      `in ${mebibytes(result.bytesIn)} MiB, out ${mebibytes(result.bytesOut)} MiB, ${result.seconds.toFixed(1)} s\n` +
        `peak ${mebibytes(peak)} MiB, bar ${mebibytes(bar)} MiB: ${within ? 'within' : 'ABOVE'}\n${file}\n`,
    );
    if (!within) process.exitCode = 1;
  } finally {
    rmSync(scenario, { recursive: true, force: true });
  }
}

interface Result {
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly seconds: number;
  readonly usage: Usage;
  /** Peak so far, by bytes fed in: flat when memory does not follow the capture's size. */
  readonly peakAfter: readonly { readonly bytes: number; readonly peakBytes: number }[];
}

async function replayPipe(profile: Profile, traffic: Traffic, expected: number, directory: string): Promise<Result> {
  const { host, rules } = await writeScenario(directory, profile, traffic);
  const start = performance.now();
  const child = spawn(process.execPath, [natreplayMain(), ...replayArguments('-', rules, host, '-')], {
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  const watch = watchUsage(child);
  let bytesOut = 0;
  child.stdout.on('data', (chunk: Buffer) => {
    bytesOut += chunk.length;
  });
  const end = ended({ child, name: 'natreplay replay', stdout: 'ignored' });
  // A child that fails early breaks the pipe; its own message, which `end` rejects with below, says more.
  child.stdin.on('error', () => undefined);
  end.catch(() => undefined);
  const peakAfter: { bytes: number; peakBytes: number }[] = [];
  let bytesIn = 0;
  try {
    for (const block of captureBlocks(traffic)) {
      if (child.exitCode !== null || child.stdin.destroyed) break;
      bytesIn += block.length;
      // The block's memory is used again for the next one, so its writing is waited for.
      await new Promise((resolve) => child.stdin.write(block, resolve));
      if (bytesIn >= ((peakAfter.length + 1) * expected) / MARKS) {
        const { peakBytes } = watch.usage();
        peakAfter.push({ bytes: bytesIn, peakBytes });
        process.stdout.write(`  after ${mebibytes(bytesIn)} MiB: peak ${mebibytes(peakBytes)} MiB\n`);
      }
    }
    child.stdin.end();
    await end;
  } finally {
    watch.stop();
  }
  // Only padding goes missing on the way: at most ten bytes of a packet without data.
  if (bytesOut < bytesIn * 0.9) throw new Error(`natreplay wrote ${bytesOut} bytes for ${bytesIn}`);
  return { bytesIn, bytesOut, seconds: (performance.now() - start) / 1000, usage: watch.usage(), peakAfter };
}

function mebibytes(bytes: number): string {
  return (bytes / 2 ** 20).toFixed(0);
}

run(main);
