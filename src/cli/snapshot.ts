/** `natreplay snapshot`: the host file of the machine it runs on. Reads only; asks the machine's own tools. */
import { type SpawnSyncReturns, spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Command } from 'commander';
import { NatreplayError, printable } from '../errors.js';
import { writeTextFile } from '../report/files.js';

export function snapshotCommand(): Command {
  return new Command('snapshot')
    .description('write the host file of this machine: addresses, routes, sysctls, rules and sets')
    .option('-o, --output <file>', 'where to write it; - is standard output', '-')
    .action(async (options: { output: string }) => {
      const warn = (text: string): unknown => process.stderr.write(`natreplay: ${printable(text)}\n`);
      await writeTextFile(options.output, `${JSON.stringify(takeSnapshot(LIVE, warn), null, 1)}\n`);
    });
}

/** What a snapshot asks; tests answer instead of the machine. */
export interface Machine {
  run(command: string, args: readonly string[]): Answer;
  /** Sysctls by name, as sysctl(8) prints them. */
  sysctls(): Record<string, string>;
}

export interface Answer {
  /** Undefined when it could not be run or failed. */
  readonly stdout: string | undefined;
  /** Why, one line. */
  readonly problem: string;
  /** The command is not there at all. */
  readonly missing: boolean;
}

/** JSON of iproute2, by key of the host file. */
const IP_QUESTIONS: readonly (readonly [key: string, args: readonly string[], required: boolean])[] = [
  ['addr', ['-d', '-j', 'addr'], true],
  ['route', ['-j', 'route', 'show', 'table', 'all'], true],
  ['route6', ['-j', '-6', 'route', 'show', 'table', 'all'], false],
  ['rule', ['-j', 'rule'], false],
  ['rule6', ['-j', '-6', 'rule'], false],
];

const TEXT_QUESTIONS: readonly (readonly [key: string, command: string, args: readonly string[]])[] = [
  ['iptables', 'iptables-save', ['-c']],
  ['ip6tables', 'ip6tables-save', ['-c']],
  ['ipset', 'ipset', ['save']],
];

/** The host file as an object. Errors: SNAPSHOT_NO_IP (exit code 2), SNAPSHOT_FAILED (3). */
export function takeSnapshot(machine: Machine, warn: (text: string) => void): Record<string, unknown> {
  const snapshot: Record<string, unknown> = {};
  for (const [key, args, required] of IP_QUESTIONS) {
    const answer = machine.run('ip', args);
    const json = answer.stdout === undefined ? undefined : parseLines(answer.stdout);
    if (json !== undefined) snapshot[key] = json;
    else if (required) throw ipError(args, answer);
    else warn(`'ip ${args.join(' ')}' gave nothing (${answer.problem}); "${key}" is left out`);
  }
  snapshot['sysctl'] = machine.sysctls();
  for (const [key, command, args] of TEXT_QUESTIONS) {
    const { stdout, problem } = machine.run(command, args);
    if (stdout === undefined) warn(`'${command} ${args.join(' ')}' gave nothing (${problem}); "${key}" is left out`);
    else snapshot[key] = stdout;
  }
  return snapshot;
}

/** `ip -j` prints nothing at all for an empty list in some versions. */
function parseLines(text: string): unknown {
  try {
    return text.trim() === '' ? [] : JSON.parse(text);
  } catch {
    return undefined;
  }
}

function ipError(args: readonly string[], answer: Answer): NatreplayError {
  if (answer.missing) {
    return new NatreplayError('SNAPSHOT_NO_IP', "'ip' is not installed here", { advice: 'install iproute2' });
  }
  const problem = answer.stdout === undefined ? answer.problem : 'what it printed is not JSON';
  const advice = 'iproute2 4.13 or newer is needed for its JSON';
  return new NatreplayError('SNAPSHOT_FAILED', `'ip ${args.join(' ')}' failed: ${problem}`, { advice, exitCode: 3 });
}

/** Room for the rules of a large cluster node. */
const LARGEST_ANSWER = 1 << 30;

const LIVE: Machine = {
  run(command, args) {
    const result = spawnSync(command, args, { encoding: 'utf8', maxBuffer: LARGEST_ANSWER, env: plainEnvironment() });
    if (result.error === undefined && result.status === 0)
      return { stdout: result.stdout, problem: '', missing: false };
    const missing = (result.error as NodeJS.ErrnoException | undefined)?.code === 'ENOENT';
    return { stdout: undefined, problem: missing ? 'not installed' : problemOf(result), missing };
  },
  sysctls: () => readSysctls('/proc/sys'),
};

/** Administrators' tools are often not on a plain user's PATH. */
function plainEnvironment(): NodeJS.ProcessEnv {
  return { ...process.env, LC_ALL: 'C', PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin:/usr/bin:/bin` };
}

function problemOf(result: SpawnSyncReturns<string>): string {
  const line = (result.stderr ?? '').trim().split('\n')[0] ?? '';
  return line === '' ? (result.error?.message ?? `exit code ${result.status}`) : line;
}

/** Folders of /proc/sys and the files in them that decide what becomes of a packet; `*` is any interface. */
const SYSCTLS: readonly (readonly [folder: string, wanted: RegExp])[] = [
  ['net/netfilter', /^nf_conntrack_(?!count$)/],
  ['net', /^nf_conntrack_max$/],
  [
    'net/ipv4',
    /^(ip_forward|ip_default_ttl|ip_local_port_range|ipfrag_.*|icmp_ratelimit|icmp_ratemask|fib_multipath_hash_policy)$/,
  ],
  ['net/ipv6', /^ip6frag_/],
  [
    'net/ipv4/conf/*',
    /^(rp_filter|route_localnet|accept_local|forwarding|accept_source_route|ignore_routes_with_linkdown|src_valid_mark|bc_forwarding|send_redirects)$/,
  ],
  [
    'net/ipv6/conf/*',
    /^(forwarding|accept_source_route|disable_ipv6|ignore_routes_with_linkdown|use_tempaddr|use_oif_addrs_only)$/,
  ],
  ['net/bridge', /^bridge-nf-/],
];

function readSysctls(root: string): Record<string, string> {
  const found: Record<string, string> = {};
  for (const [folder, wanted] of SYSCTLS) {
    for (const parts of expand(root, folder)) {
      for (const file of list(join(root, ...parts)).filter((name) => wanted.test(name))) {
        const value = readValue(join(root, ...parts, file));
        // A dot inside a name (eth0.100) is written as a slash, as sysctl(8) does.
        if (value !== undefined) found[[...parts, file].map((part) => part.replaceAll('.', '/')).join('.')] = value;
      }
    }
  }
  return found;
}

function expand(root: string, folder: string): string[][] {
  const parts = folder.split('/');
  if (parts.at(-1) !== '*') return [parts];
  const above = parts.slice(0, -1);
  return list(join(root, ...above)).map((name) => [...above, name]);
}

function list(folder: string): string[] {
  try {
    return readdirSync(folder).sort();
  } catch {
    return [];
  }
}

function readValue(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8').trim().replaceAll('\t', ' ');
  } catch {
    return undefined;
  }
}
