/** `natreplay generate`: what the command line of it means. The work is in generation.ts, which other commands need not load. */
import { Command, InvalidArgumentError } from 'commander';
import { interruptible } from './signals.js';

export interface GenerateCliOptions {
  readonly write: string;
  readonly packets?: number;
  readonly connections?: number;
  readonly concurrent?: number;
  readonly rulesCount?: number;
  readonly seed?: number;
  readonly rate?: number;
  readonly host?: string;
  readonly rules?: string;
  readonly rules6?: string;
  readonly quiet?: boolean;
}

export function generateCommand(): Command {
  return new Command('generate')
    .description('make a capture for benchmarks, with the host and the rules that belong to it')
    .argument(
      '<profile>',
      'docker, home, kubernetes, csit-nat44, csit-nat44-tcp, imix, 64byte, syn-flood, icmp-errors, fragments or mix',
    )
    .requiredOption(
      '-w, --write <file>',
      'the capture: .pcap or .pcapng, then .gz or .zst to compress; - is standard output',
    )
    .option('--packets <number>', 'packets (500k, 5M)', amount)
    .option('--connections <number>', 'connections; each needs a few packets', amount)
    .option('--concurrent <number>', 'connections that are open at a time (default: half of them)', amount)
    .option('--rules-count <number>', 'published ports, services or whatever the profile has rules for', amount)
    .option('--seed <number>', 'the same seed gives the same bytes', amount)
    .option('--rate <pps>', 'packets a second of capture time (default: 1M)', amount)
    .option('--host <file>', 'the host (default: host.json beside the capture)')
    .option('--rules <file>', 'its rules (default: rules.v4 beside the capture)')
    .option('--rules6 <file>', 'its IPv6 rules, if the profile has IPv6 (default: rules.v6 beside the capture)')
    .option('-q, --quiet', 'print nothing')
    .action((profile: string, options: GenerateCliOptions) =>
      interruptible(async (signal) => {
        const { runGeneration } = await import('./generation.js');
        await runGeneration(profile, options, signal);
      }, 'what was written so far stays with the ending .partial'),
    );
}

/** A whole number, with `k`, `M` or `G` (powers of ten) behind it if it has many zeros. */
function amount(text: string): number {
  const found = /^(\d+(?:\.\d+)?)([kMG])?$/.exec(text);
  const unit = { k: 1e3, M: 1e6, G: 1e9 }[found?.[2] ?? ''] ?? 1;
  // 1.1 thousands are 1100.0000000000002 by multiplication alone.
  const value = Math.round(Number(found?.[1]) * unit * 1e3) / 1e3;
  if (!Number.isSafeInteger(value)) throw new InvalidArgumentError('It must be a whole number such as 500, 20k or 5M.');
  return value;
}
