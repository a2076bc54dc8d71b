/**
 * `npm run demo`: the main job on a recorded Docker host. Replays what the host received, as the command line would,
 * into out/; says which of Docker's rules did what; and holds every translated packet against the one that the real
 * kernel sent. Exit code 1 when one differs.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { hostFromFile } from '../src/host/hostfile.js';
import { colours } from '../src/report/page.js';
import type { PacketLogEntry } from '../src/report/types.js';
import { parseRules } from '../src/rules/parse.js';
import { allAgree, recordedText } from '../src/verify/recorded/report.js';
import { verifyRecorded } from '../src/verify/recorded/run.js';

process.chdir(fileURLToPath(new URL('..', import.meta.url)));

const FOLDER = 'captures/docker-bridge';
const CAPTURES = ['eth0', 'docker0'].map((iface) => ({ iface, path: `${FOLDER}/${iface}.pcap` }));
const HOST = `${FOLDER}/host.json`;
const RULES = `${FOLDER}/rules.v4`;
const REPLAY = [
  ['replay', ...CAPTURES.map(({ iface, path }) => `${iface}=${path}`)],
  ['--rules', RULES, '--host', HOST],
  ['-w', 'out/translated.pcapng', '--packet-log', 'out/packets.ndjson'],
  ['--counters', 'out/counters.v4', '--conntrack', 'out/conntrack.txt', '--json', 'out/report.json'],
];

function main(): Promise<number> {
  mkdirSync('out', { recursive: true });
  print(`$ natreplay ${REPLAY.map((words) => words.join(' ')).join(' \\\n    ')}\n`);
  run(REPLAY.flat());
  // The same once more, a file for each interface that packets leave by.
  run([...(REPLAY[0] ?? []), ...(REPLAY[1] ?? []), '-w', 'out/translated-{iface}.pcap', '--quiet']);
  tellRules();
  return compare();
}

function run(args: readonly string[]): void {
  const { status } = spawnSync(process.execPath, ['dist/cli/main.js', ...args], { stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? 3);
}

interface CountedRule {
  readonly name: string;
  readonly text: string;
  readonly packets: number;
}

/** The rules of the nat table that looked at connections and let something come of it, with what that was. */
function tellRules(): void {
  const log = readLog();
  print('\nWhich rule did what (nat rules see the first packet of a connection; the others follow it)\n');
  for (const { name, text, packets } of natRules()) {
    if (packets === 0 || / -j DOCKER$/.test(text)) continue;
    print(`  ${name.padEnd(18)} ${text}`);
    for (const line of text.endsWith('-j RETURN') ? returned(log, packets) : translated(log, name))
      print(`      ${line}`);
    print('');
  }
}

function translated(log: readonly PacketLogEntry[], rule: string): string[] {
  const packets = log.filter((entry) => entry.rule === rule);
  const first = packets.find(({ state }) => state === 'new');
  const reply = packets.find(({ before, in: iface }) => iface !== first?.in && isReply(before, first?.after));
  const connections = new Set(packets.filter(({ state }) => state === 'new').map(({ before }) => before)).size;
  return [
    `translated ${packets.length} packets of ${connections} connections, such as`,
    `  ${first?.before}  ->  ${first?.after}`,
    ...(reply === undefined ? [] : [`  ${reply.before}  ->  ${reply.after}   (the reply)`]),
  ];
}

/** What docker0's RETURN is for: containers that ask the host itself are not sent to a published container. */
function returned(log: readonly PacketLogEntry[], packets: number): string[] {
  const left = log.filter(({ verdict, in: iface }) => verdict === 'local' && iface === 'docker0');
  const tuples = new Set(left.map(({ before }) => before));
  return [
    `left ${packets} connections that containers began as they are, no DNAT for them:`,
    ...[...tuples].map((tuple) => `  ${tuple}   (delivered to the host)`),
  ];
}

const isReply = (before: string | undefined, after: string | undefined): boolean =>
  before !== undefined && before === after?.replace(/^(\S+) (\S+) > (\S+)/, '$1 $3 > $2');

/** Rules of the nat table with their counters and their names in the packet log (`nat:DOCKER:2`). */
function natRules(): CountedRule[] {
  const save = readFileSync('out/counters.v4', 'utf8');
  const nat = /^\*nat$([\s\S]*?)^COMMIT$/m.exec(save)?.[1] ?? '';
  const seen = new Map<string, number>();
  return [...nat.matchAll(/^\[(\d+):\d+\] (-A (\S+) .*)$/gm)].map(([, packets, text = '', chain = '']) => {
    const number = (seen.get(chain) ?? 0) + 1;
    seen.set(chain, number);
    return { name: `nat:${chain}:${number}`, text, packets: Number(packets) };
  });
}

function readLog(): PacketLogEntry[] {
  const lines = readFileSync('out/packets.ndjson', 'utf8').trimEnd().split('\n');
  return lines.map((line) => JSON.parse(line) as PacketLogEntry);
}

async function compare(): Promise<number> {
  const rules = parseRules(readFileSync(RULES, 'utf8'), { file: RULES, family: 4, unsupported: 'stop' });
  const { report } = await verifyRecorded({ captures: CAPTURES, host: hostFromFile(HOST), rules });
  print('Held against the kernel (the captures show both directions: what went out is what the real host sent)\n');
  print(
    `  ${report.agreed} of ${report.predicted} packets equal what the kernel sent, byte for byte from the IP header on`,
  );
  const { answers } = report.setAside;
  const count = [...answers.values()].reduce((sum, each) => sum + each, 0);
  const kinds = [...answers].map(([what, each]) => `${each} ${what}`);
  print(`  ${count} more were the host's own answers to packets delivered to it: ${kinds.join(', ')}`);
  const failed = !allAgree(report) || report.agreed === 0;
  if (failed) print(recordedText(report, { colours: colours(false), width: 100 }));
  return failed ? 1 : 0;
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

process.exitCode = await main();
