/** Records a second of the two capture readers, counting only: pcap-parser and src/capture. See README.md. */
import { rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import Benchmark from 'benchmark';
import { openCapture } from '../src/capture/index.js';
import { Slab } from '../src/capture/slab.js';
import { trafficOf } from '../src/generate/options.js';
import { profileNamed } from '../src/generate/profiles.js';
import { generate } from './generate.js';
import { count, options, run } from './lib/args.js';
import { machine, machineLine } from './lib/machine.js';
import { writeResult } from './lib/results.js';

const USAGE = `usage: npm run bench:micro -- [--profile 64byte|imix] [--packets 500k] [--data DIR]
  --data DIR      where the capture goes (default: bench/data)`;

const SLAB = 4 << 20;

/** The part of pcap-parser that is used; it has no types of its own. */
interface PcapParser {
  parse(path: string): NodeJS.EventEmitter;
}
const pcapParser = createRequire(import.meta.url)('pcap-parser') as PcapParser;

async function main(): Promise<void> {
  const given = options(USAGE, { profile: '64byte', packets: '500k', data: 'bench/data' });
  // pcap-parser calls `new Buffer`, which Node warns about.
  Object.assign(process, { noDeprecation: true });
  const profile = profileNamed(given.profile);
  const packets = count(given.packets);
  const folder = join(given.data, `micro-${process.pid}`);
  const { capture } = await generate(folder, profile, trafficOf(profile, { packets }));
  try {
    process.stdout.write(`${machineLine(machine())}\n${profile.name}: ${packets} packets, page cache warm\n`);
    const slab = new Slab(SLAB);
    const readers = [
      await measureReader('pcap-parser', packets, () => countWithPcapParser(capture)),
      await measureReader('natreplay reader', packets, () => countWithReader(capture, slab)),
    ];
    process.stdout.write(`${writeResult('micro', { profile: profile.name, packets, readers })}\n`);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

interface ReaderResult {
  readonly name: string;
  readonly recordsPerSecond: number;
  readonly nanosecondsPerRecord: number;
  /** Relative margin of error of the mean, 95 %, in percent. */
  readonly marginOfError: number;
  readonly runs: number;
}

function measureReader(name: string, packets: number, readAll: () => Promise<number>): Promise<ReaderResult> {
  return new Promise((resolve, reject) => {
    const benchmark = new Benchmark(name, {
      defer: true,
      minSamples: 10,
      maxTime: 5,
      fn: (deferred: { resolve(): void }) => {
        readAll().then((found) => {
          if (found !== packets) reject(new Error(`${name} found ${found} records of ${packets}`));
          deferred.resolve();
        }, reject);
      },
      onComplete: () => {
        const { mean, rme, sample } = benchmark.stats;
        const recordsPerSecond = packets / mean;
        const nanosecondsPerRecord = 1e9 / recordsPerSecond;
        process.stdout.write(
          `${name.padEnd(18)}${(recordsPerSecond / 1e6).toFixed(2).padStart(8)} M records/s ` +
            `${nanosecondsPerRecord.toFixed(1).padStart(8)} ns each, +-${rme.toFixed(1)} % (${sample.length} runs)\n`,
        );
        resolve({ name, recordsPerSecond, nanosecondsPerRecord, marginOfError: rme, runs: sample.length });
      },
    });
    benchmark.run({ async: true });
  });
}

function countWithPcapParser(path: string): Promise<number> {
  return new Promise((resolve, reject) => {
    let packets = 0;
    const parser = pcapParser.parse(path);
    parser.on('packet', () => {
      packets++;
    });
    parser.on('error', reject);
    parser.on('end', () => resolve(packets));
  });
}

async function countWithReader(path: string, slab: Slab): Promise<number> {
  const reader = await openCapture(path);
  let packets = 0;
  try {
    while (await reader.next(slab)) packets += slab.records.count;
  } finally {
    await reader.close();
  }
  return packets;
}

run(main);
