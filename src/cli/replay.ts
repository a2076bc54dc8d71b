/** `natreplay replay`: captures and rules in, the translated capture and what there is to say about it out. */
import { Command, InvalidArgumentError, Option } from 'commander';
import { NatreplayError, printable } from '../errors.js';
import { connectionEntries } from '../pipeline/connections.js';
import { type Replay, type ReplayOptions, replay } from '../pipeline/replay.js';
import { conntrackText } from '../report/conntrack.js';
import { writeTextFile } from '../report/files.js';
import type { Progress } from '../report/progress.js';
import { terminalReport } from '../report/terminal.js';
import type { ReplayResult, RuleCounters, WrittenText } from '../report/types.js';
import { listChains } from '../rules/list.js';
import { printRules } from '../rules/print.js';
import type { TableName } from '../rules/types.js';
import type { RecordedOptions } from '../verify/recorded/run.js';
import { captureInput, loadHost, loadRules } from './inputs.js';
import { atLeastOne, positive } from './numbers.js';
import { paceOf } from './pace.js';
import { checkPaths, type NamedPath } from './paths.js';
import { type Separated, separateCaptures } from './separate.js';
import { interruptible } from './signals.js';
import { tableNames } from './tablenames.js';

interface CliOptions {
  readonly rules?: string[];
  readonly rules6?: string[];
  readonly host?: string;
  readonly iface?: string[];
  readonly route?: string[];
  readonly write?: string;
  readonly packetLog?: string;
  readonly counters?: string;
  readonly counters6?: string;
  readonly conntrack?: string;
  readonly json?: string;
  readonly seed: number;
  readonly learnPorts?: boolean;
  readonly unsupported: 'stop' | 'skip';
  readonly checksum: 'verify' | 'offload' | 'ignore';
  readonly nonIp: 'copy' | 'drop';
  readonly outgoing: 'skip' | 'replay' | 'copy';
  readonly writeLocal?: boolean;
  readonly hostPackets?: boolean;
  readonly pps?: string;
  readonly speed?: string;
  readonly mbps?: number;
  readonly loop: number;
  readonly tables?: TableName[];
  readonly quiet?: boolean;
}

const collect = (value: string, previous: readonly string[] = []): string[] => [...previous, value];
const WIDTH_WITHOUT_TERMINAL = 100;

export function replayCommand(): Command {
  return new Command('replay')
    .description('translate captures as the Linux kernel would, and say what became of every packet')
    .argument('[capture...]', 'captures, merged by time; IFACE=CAPTURE names an ingress, - is standard input')
    .option('--rules <file...>', 'IPv4 rules, as iptables-save writes them')
    .option('--rules6 <file...>', 'IPv6 rules, as ip6tables-save writes them')
    .option('--host <file>', 'the host: JSON as natreplay snapshot writes it')
    .option('--iface <name=addresses>', 'an interface of the host: eth0=192.0.2.1/24 (may be repeated)', collect)
    .option('--route <dest=gateway@iface>', 'a route: default=192.0.2.254@eth0 (may be repeated)', collect)
    .option('-w, --write <file>', "the translated capture; - is standard output, 'out-{iface}.pcapng' splits by egress")
    .option('--packet-log <file>', 'a line of JSON for every record')
    .option('--counters <file>', "the rules with their counters, as iptables-save -c; '-' is standard output")
    .option('--counters6 <file>', 'the same for the IPv6 rules')
    .option('--conntrack <file>', 'the connection table at the end, as conntrack -L')
    .option('--json <file>', 'the report as JSON')
    .option('--seed <number>', 'seed of every random choice', wholeNumber, 1)
    .option('--learn-ports', 'take ports that the real host drew from the outgoing records; reads the captures twice')
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
    .addOption(new Option('--non-ip <how>', 'records that are not IP').choices(['copy', 'drop']).default('copy'))
    .addOption(
      new Option('--outgoing <how>', 'records that the host itself sent: leave out, replay, or copy as they are')
        .choices(['skip', 'replay', 'copy'])
        .default('skip'),
    )
    .option('--write-local', 'write packets delivered to the host to the capture, too')
    .option('--host-packets', "write the host's own answers (REJECT, TTL exceeded, unreachable), each behind its cause")
    .option('--pps <rate>', 'take packets at this rate, for a pipe to tcpreplay: 1000, 250kpps')
    .option('--speed <factor>', "take them by the capture's own timing, so many times as fast: 1x, 2x")
    .option('--mbps <number>', 'take them at so many million bits a second', positive)
    .option('--loop <number>', 'go through the captures so many times', atLeastOne, 1)
    .option('--tables <names>', 'evaluate these tables only: nat, or a list like nat,filter', tableNames)
    .option('-q, --quiet', 'no report')
    .action((captures: string[], options: CliOptions) =>
      interruptible((signal) => run(captures, options, signal), 'unfinished outputs are left beside as .partial'),
    );
}

function wholeNumber(text: string): number {
  if (!/^\d{1,15}$/.test(text)) throw new InvalidArgumentError('it must be a whole number.');
  return Number(text);
}

async function run(named: readonly string[], options: CliOptions, signal: AbortSignal): Promise<void> {
  const separated = separateCaptures(named, options.rules ?? [], options.rules6 ?? []);
  const { captures } = separated;
  const ruleFiles = { rules: separated.rules, rules6: separated.rules6 };
  if (captures.length === 0)
    throw new NatreplayError('USAGE_NO_CAPTURE', 'no capture is named', {
      advice: 'name a file, or - for standard input',
    });
  if (options.loop > 1 && captures.some((capture) => captureInput(capture).path === '-'))
    throw new NatreplayError('USAGE_LOOP', 'standard input can be read once only', {
      advice: 'name a file to --loop through',
    });
  checkPaths(inputPaths(captures, ruleFiles, options.host), outputPaths(options));
  const host = loadHost({ host: options.host, iface: options.iface ?? [], route: options.route ?? [] });
  const rules = loadRules({ ...ruleFiles, unsupported: options.unsupported }, host, options.host);
  rules.warnings.forEach(warn);
  let progress: Progress | undefined;
  // What many runs do not need is loaded by those that do.
  const { createProgress } = process.stderr.isTTY ? await import('../report/progress.js') : {};
  const settings: ReplayOptions = {
    captures: captures.map(captureInput),
    host,
    rules: rules.ipv4,
    rules6: rules.ipv6,
    output: options.write,
    packetLog: options.packetLog,
    seed: options.seed,
    checksums: options.checksum,
    nonIp: options.nonIp,
    outgoing: options.outgoing,
    writeLocal: options.writeLocal,
    hostPackets: options.hostPackets,
    pace: paceOf({ rate: ['--pps', options.pps], speed: options.speed, mbps: options.mbps }),
    loop: options.loop,
    tables: options.tables,
    signal,
    onStart: (totalBytes) => {
      progress = createProgress?.({ stream: process.stderr, totalBytes });
    },
    onProgress: (bytes, packets) => progress?.update(bytes, packets),
  };
  const { learnPorts } = options.learnPorts === true ? await import('../verify/recorded/run.js') : {};
  const learnt = await learnPorts?.(learningFrom(settings, options));
  const run = { ...settings, portChooser: learnt?.chooser };
  const done = await replay(run).finally(() => progress?.stop());
  const texts = [...(done.result.texts ?? []), ...(await writeListings(done, options))];
  const result: ReplayResult = { ...done.result, texts: [...texts], ports: learnt?.ports };
  if (options.json !== undefined) {
    const { jsonReportText } = await import('../report/json.js');
    const bytes = await writeTextFile(options.json, jsonReportText(result));
    texts.push({ path: options.json, what: 'report', bytes });
  }
  const ofInputs = result.inputs.flatMap(({ warnings }) => warnings.map(({ file, message }) => `${file}: ${message}`));
  for (const warning of [...ofInputs, ...result.warnings]) warn(warning);
  if (!options.quiet) printReport({ ...result, texts }, options);
}

/** The first of the two passes: the same captures, rules and choices, and none of the outputs. */
function learningFrom(settings: ReplayOptions, { outgoing }: CliOptions): RecordedOptions {
  if (outgoing === 'replay')
    throw new NatreplayError('USAGE_LEARN_PORTS', '--learn-ports and --outgoing replay exclude each other', {
      advice: 'the ports are learnt from the outgoing records, so these cannot be replayed',
    });
  const { captures, host, rules, rules6, tables, hostPackets, seed, checksums, signal } = settings;
  return { captures, host, rules, rules6, tables, hostPackets, seed, checksums, signal };
}

function warn(text: string): void {
  process.stderr.write(`natreplay: warning: ${printable(text)}\n`);
}

function inputPaths(
  captures: readonly string[],
  { rules, rules6 }: Pick<Separated, 'rules' | 'rules6'>,
  host: string | undefined,
): NamedPath[] {
  return [
    ...captures.map((capture) => ({ option: 'capture', path: captureInput(capture).path })),
    ...rules.map((path) => ({ option: '--rules', path })),
    ...rules6.map((path) => ({ option: '--rules6', path })),
    ...(host === undefined ? [] : [{ option: '--host', path: host }]),
  ];
}

function outputPaths(options: CliOptions): NamedPath[] {
  const { write, packetLog, counters, counters6, conntrack, json } = options;
  const named = { '--write': write, '--packet-log': packetLog, '--counters': counters, '--counters6': counters6 };
  return Object.entries({ ...named, '--conntrack': conntrack, '--json': json }).flatMap(([option, path]) =>
    path === undefined ? [] : [{ option, path }],
  );
}

async function writeListings({ result, engine }: Replay, options: CliOptions): Promise<WrittenText[]> {
  const texts: WrittenText[] = [];
  const write = async (path: string | undefined, what: string, text: () => string): Promise<void> => {
    if (path !== undefined) texts.push({ path, what, bytes: await writeTextFile(path, text()) });
  };
  const countersOf = (family: number): RuleCounters | undefined =>
    result.rules.find(({ ruleset }) => ruleset.family === family);
  await write(options.counters, 'counters', () => countersText(countersOf(4)));
  await write(options.counters6, 'counters (IPv6)', () => countersText(countersOf(6)));
  await write(options.conntrack, 'connections', () => conntrackText(connectionEntries(engine)));
  return texts;
}

function countersText(counters: RuleCounters | undefined): string {
  if (counters === undefined) return '';
  return printRules(counters.ruleset, {
    counters: true,
    countersOf: (table, chain, rule) => ({
      packets: counters.packets(table, chain, rule),
      bytes: counters.bytes(table, chain, rule),
    }),
  });
}

/** To standard output, unless a result goes there. */
function printReport(result: ReplayResult, options: CliOptions): void {
  const taken = outputPaths(options).some(({ path }) => path === '-');
  const stream = taken ? process.stderr : process.stdout;
  const colour = stream.isTTY === true && process.env['NO_COLOR'] === undefined;
  stream.write(terminalReport(result, { colour, width: stream.columns ?? WIDTH_WITHOUT_TERMINAL, listChains }));
}
