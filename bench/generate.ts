/** The generated captures that the other scripts measure with, and `npm run bench:generate`. See README.md. */

import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { writeCapture, writeScenario as writeScenarioTo } from '../src/generate/generate.js';
import { trafficOf } from '../src/generate/options.js';
import type { Profile } from '../src/generate/plan.js';
import { profileNamed } from '../src/generate/profiles.js';
import type { Traffic } from '../src/generate/traffic.js';
import { count, options, run } from './lib/args.js';

const USAGE = `usage: npm run bench:generate -- [--profile NAME|all] [--out DIR]
  --profile NAME   a profile of natreplay generate (default: all, which is 64byte and imix)
  --packets N      packets (default: 5M for 64byte, 2M for imix)
  --connections N  connections (default: 100k), at least 8 packets each
  --concurrent N   of them open at a time (default: half)
  --rate N         packets a second of capture time (default: 1M)
  --published N    published ports, a DNAT rule each (default: the profile's)
  --seed N         same seed, same bytes (default: 1)
  --out DIR        where PROFILE.pcap, host.json and rules.v4 go (default: bench/data)
Numbers may end in k, M, G. For a capture on standard output: natreplay generate PROFILE -w -`;

export interface Generated {
  readonly capture: string;
  readonly host: string;
  readonly rules: string;
  readonly packets: number;
  readonly bytes: number;
}

/** Writes host.json and rules.v4 (and rules.v6, of a profile with IPv6) into `directory`. */
export async function writeScenario(
  directory: string,
  profile: Profile,
  traffic: Traffic,
): Promise<{ host: string; rules: string }> {
  mkdirSync(directory, { recursive: true });
  const paths = { host: join(directory, 'host.json'), rules: join(directory, 'rules.v4') };
  await writeScenarioTo(traffic.plan, profile.name, { ...paths, rules6: join(directory, 'rules.v6') });
  return paths;
}

/** Writes a capture and what belongs to it into `directory`; the capture has its name only once it is complete. */
export async function generate(directory: string, profile: Profile, traffic: Traffic): Promise<Generated> {
  const paths = await writeScenario(directory, profile, traffic);
  const capture = join(directory, `${profile.name}.pcap`);
  const bytes = await writeCapture(traffic, capture);
  return { capture, ...paths, packets: traffic.packets, bytes };
}

async function main(): Promise<void> {
  const given = options(USAGE, {
    profile: 'all',
    packets: '',
    connections: '',
    concurrent: '',
    rate: '',
    published: '',
    seed: '',
    out: 'bench/data',
  });
  const { packets, connections, concurrent, rate, published: rulesCount, seed } = given;
  const numbers = Object.fromEntries(
    Object.entries({ packets, connections, concurrent, rate, rulesCount, seed })
      .filter(([, text]) => text !== '')
      .map(([name, text]) => [name, count(text)]),
  );
  for (const name of given.profile === 'all' ? ['64byte', 'imix'] : [given.profile]) {
    const profile = profileNamed(name);
    const traffic = trafficOf(profile, numbers);
    const start = performance.now();
    const made = await generate(given.out, profile, traffic);
    const seconds = (performance.now() - start) / 1000;
    process.stdout.write(
      `${made.capture}: ${made.packets} packets, ${(made.bytes / 1e6).toFixed(1)} MB, ` +
        `${traffic.connections} connections, in ${seconds.toFixed(2)} s (${(made.packets / seconds / 1e6).toFixed(1)} Mpps)\n`,
    );
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) run(main);
