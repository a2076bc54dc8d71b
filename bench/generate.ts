/** Writes a capture for benchmarks, with the host and the rules it belongs to. See README.md. */

import { closeSync, mkdirSync, openSync, renameSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { count, options, run } from './lib/args.js';
import { type Profile, profileNamed } from './lib/profiles.js';
import { hostFile, publishedPorts, rulesText } from './lib/scenario.js';
import { captureBlocks, type TrafficOptions } from './lib/traffic.js';

const USAGE = `usage: npm run bench:generate -- [--profile 64byte|imix|all] [--out DIR]
  --packets N      packets (default: 5M for 64byte, 2M for imix)
  --connections N  connections (default: 100k), at least 8 packets each
  --concurrent N   of them open at a time (default: half)
  --rate N         packets a second of capture time (default: 1M)
  --published N    published ports, a DNAT rule each (default: 100)
  --seed N         same seed, same bytes (default: 1)
  --out DIR        where PROFILE.pcap, host.json and rules.v4 go (default: bench/data)
  --stdout         the capture of one profile to standard output; DIR gets host.json and rules.v4 only
Numbers may end in k, M, G.`;

export interface Generated {
  readonly capture: string;
  readonly host: string;
  readonly rules: string;
  readonly packets: number;
  readonly bytes: number;
}

/** Writes host.json and rules.v4 into `directory`. */
export function writeScenario(directory: string, published: number): { host: string; rules: string } {
  mkdirSync(directory, { recursive: true });
  const host = join(directory, 'host.json');
  const rules = join(directory, 'rules.v4');
  writeFileSync(host, `${JSON.stringify(hostFile(), undefined, 1)}\n`);
  writeFileSync(rules, rulesText(publishedPorts(published)));
  return { host, rules };
}

/** Writes a capture and what belongs to it into `directory`; the capture has its name only once it is complete. */
export function generate(directory: string, traffic: TrafficOptions): Generated {
  const { host, rules } = writeScenario(directory, traffic.published.length);
  const capture = join(directory, `${traffic.profile.name}.pcap`);
  const file = openSync(`${capture}.partial`, 'w');
  let bytes = 0;
  try {
    for (const block of captureBlocks(traffic)) {
      for (let done = 0; done < block.length; ) done += writeSync(file, block, done);
      bytes += block.length;
    }
  } finally {
    closeSync(file);
  }
  renameSync(`${capture}.partial`, capture);
  return { capture, host, rules, packets: traffic.packets, bytes };
}

/** The traffic of a profile; what is not given is the profile's own. */
export function trafficOf(profile: Profile, given: Partial<TrafficOptions> = {}): TrafficOptions {
  return {
    profile,
    packets: profile.packets,
    connections: Math.min(profile.connections, Math.floor((given.packets ?? profile.packets) / 16) || 1),
    seed: 1,
    published: publishedPorts(100),
    ...given,
  };
}

async function main(): Promise<void> {
  const given = options(USAGE, {
    profile: 'all',
    packets: '',
    connections: '',
    concurrent: '',
    rate: '',
    published: '100',
    seed: '1',
    out: 'bench/data',
    stdout: false,
  });
  const names = given.profile === 'all' ? ['64byte', 'imix'] : [given.profile];
  const [first] = names;
  const traffics = names.map((name) =>
    trafficOf(profileNamed(name), {
      ...(given.packets === '' ? {} : { packets: count(given.packets) }),
      ...(given.connections === '' ? {} : { connections: count(given.connections) }),
      ...(given.concurrent === '' ? {} : { concurrent: count(given.concurrent) }),
      ...(given.rate === '' ? {} : { rate: count(given.rate) }),
      published: publishedPorts(count(given.published)),
      seed: count(given.seed),
    }),
  );
  if (given.stdout) {
    if (first === undefined || traffics[0] === undefined || names.length > 1) {
      throw new RangeError('--stdout takes one profile: say which with --profile');
    }
    writeScenario(given.out, count(given.published));
    for (const block of captureBlocks(traffics[0])) {
      // The block's memory is used again for the next one, so its writing is waited for.
      await new Promise((resolve) => process.stdout.write(block, resolve));
    }
    return;
  }
  for (const traffic of traffics) {
    const start = performance.now();
    const made = generate(given.out, traffic);
    const seconds = (performance.now() - start) / 1000;
    process.stdout.write(
      `${made.capture}: ${made.packets} packets, ${(made.bytes / 1e6).toFixed(1)} MB, ` +
        `${traffic.connections} connections, in ${seconds.toFixed(2)} s (${(made.packets / seconds / 1e6).toFixed(1)} Mpps)\n`,
    );
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) run(main);
