/** `natreplay bench`: what the command line of it means. The work is in bench-run.ts, which other commands need not load. */
import { Command, InvalidArgumentError, Option } from 'commander';
import { FEWEST_RUNS } from '../measure/statistics.js';
import type { TableName } from '../rules/types.js';
import { atLeastOne, limit, positive, wholeNumber } from './numbers.js';
import { interruptible } from './signals.js';
import { tableNames } from './tablenames.js';

export interface BenchCliOptions {
  readonly rules?: string[];
  readonly rules6?: string[];
  readonly host?: string;
  readonly iface?: string[];
  readonly route?: string[];
  readonly unsupported: 'stop' | 'skip';
  readonly checksum: 'verify' | 'offload' | 'ignore';
  readonly tables?: TableName[];
  readonly runs: number;
  readonly time?: number;
  readonly workers: number;
  readonly seed: number;
  readonly rate?: string;
  readonly speed?: string;
  readonly mbps?: number;
  readonly arrival: 'constant' | 'poisson';
  readonly hlog?: string;
  readonly search?: 'ndr' | 'pdr';
  readonly queue: number;
  readonly sweep?: string;
  readonly against?: string;
  readonly maxRegression?: number;
  readonly json?: string;
  readonly format: 'text' | 'json' | 'benchmark-action';
  readonly quick?: boolean;
  readonly quiet?: boolean;
}

const collect = (value: string, previous: readonly string[] = []): string[] => [...previous, value];
const DEFAULT_RUNS = 10;
const DEFAULT_QUEUE = 4096;

export function benchCommand(): Command {
  return new Command('bench')
    .description('what rule sets cost on a capture: throughput, latency, memory, rules looked at, and how sure that is')
    .argument('<capture...>', 'captures, merged by time; IFACE=CAPTURE names an ingress')
    .option('--rules <file>', 'IPv4 rules to measure; again for others to compare them with', collect)
    .option('--rules6 <file>', 'IPv6 rules: one for all, or one for each --rules, in their order', collect)
    .option('--host <file>', 'the host: JSON as natreplay snapshot writes it')
    .option('--iface <name=addresses>', 'an interface of the host: eth0=192.0.2.1/24 (may be repeated)', collect)
    .option('--route <dest=gateway@iface>', 'a route: default=192.0.2.254@eth0 (may be repeated)', collect)
    .option('--runs <number>', `runs of each rule set; intervals take ${FEWEST_RUNS} or more`, atLeastOne, DEFAULT_RUNS)
    .option('--time <seconds>', 'measure for this long instead of a number of runs', positive)
    .option('--workers <number>', 'threads besides the main one: 0', workers, 0)
    .option('--seed <number>', 'seed of every random choice', wholeNumber, 1)
    .option('--rate <rate>', 'latency with packets due at this rate: 1Mpps, 250kpps')
    .option('--speed <factor>', "latency with packets due by the capture's own timing, so many times as fast: 2x")
    .option('--mbps <number>', 'latency with packets due at so many million bits a second', positive)
    .addOption(
      new Option('--arrival <how>', 'gaps between packets of --rate and --mbps')
        .choices(['constant', 'poisson'])
        .default('constant'),
    )
    .option('--hlog <file>', 'latency histograms in the log format of HdrHistogram')
    .addOption(
      new Option('--search <goal>', 'the highest rate without loss (ndr), or with 0.5 % (pdr)').choices(['ndr', 'pdr']),
    )
    .option('--queue <packets>', 'packets that may wait, for --search', atLeastOne, DEFAULT_QUEUE)
    .option('--sweep <what>', 'how cost grows: rules=1..10k')
    .option('--against <file>', 'compare with what bench --json wrote before; a regression is confirmed by another run')
    .option('--max-regression <percent>', 'with --against: exit code 1 when times are surely longer by more', limit)
    .option('--json <file>', 'the result as JSON; - is standard output')
    .addOption(
      new Option('--format <which>', 'what is printed: a report, the JSON, or what github-action-benchmark reads')
        .choices(['text', 'json', 'benchmark-action'])
        .default('text'),
    )
    .addOption(
      new Option('--unsupported <how>', 'rules that hold something unknown: stop, or skip (never match)')
        .choices(['stop', 'skip'])
        .default('stop'),
    )
    .addOption(
      new Option('--checksum <how>', 'layer-4 checksums: verify; accept unfinished (offloaded) ones; do not look')
        .choices(['verify', 'offload', 'ignore'])
        .default('offload'),
    )
    .option('--tables <names>', 'evaluate these tables only: nat, or a list like nat,filter', tableNames)
    .option('--quick', 'no warm-up, one pass a run: to see what there is to be seen, not to trust its times')
    .option('-q, --quiet', 'no report')
    .action((captures: string[], options: BenchCliOptions) =>
      interruptible(async (signal) => {
        const { bench } = await import('./bench-run.js');
        await bench(captures, options, signal);
      }),
    );
}

function workers(text: string): number {
  if (text !== '0') throw new InvalidArgumentError('only 0, the main thread alone, can be measured so far.');
  return 0;
}
