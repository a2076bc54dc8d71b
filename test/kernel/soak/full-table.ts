/**
 * A connection table that is full, in the kernel and in natreplay: who makes room, and who is turned away.
 *
 *   npm run soak:full-table [-- unassured|assured]
 *
 * nf_conntrack_max is the whole machine's and can't be set in a network namespace, so the table is filled: as many
 * connections as the machine allows, in a namespace of their own, and some more. Takes minutes, and a few hundred bytes
 * of kernel memory for each connection; no setting is changed. Which entries make room follows from a secret of the kernel:
 * held against each other are what became of every newcomer, and how many entries there are.
 */
import { readFileSync } from 'node:fs';
import type { HostFile } from '../../../src/host/hostschema.js';
import { Gateway, type KernelPacket } from '../../../src/verify/gateway.js';
import { compareCounters } from '../../../src/verify/listings.js';
import { HOME_HOST } from '../hosts.js';
import { ether, tcp, udp } from '../packets.js';
import { Prediction } from '../prediction.js';

const RULES = `*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
-A FORWARD -m conntrack --ctstate NEW
-A FORWARD -m conntrack --ctstate ESTABLISHED
COMMIT
`;
/** Connections beyond the limit. */
const NEWCOMERS = 2000;
/** Packets between two looks at what became of them. */
const CHUNK = 8192;
/** Entries by which the two may differ at the end: those of a bucket or two, which go at once. */
const TOLERANCE = 16;
const LARGEST = 1 << 20;

const setting = (name: string): number => Number(readFileSync(`/proc/sys/net/netfilter/${name}`, 'utf8'));
const max = setting('nf_conntrack_max');
const buckets = setting('nf_conntrack_buckets');

const LASTING = { 'net.netfilter.nf_conntrack_udp_timeout': '7200', 'net.netfilter.nf_conntrack_tcp_loose': '1' };
const KERNEL_HOST: HostFile = { ...HOME_HOST, sysctl: LASTING };
const HOST: HostFile = {
  ...HOME_HOST,
  sysctl: {
    ...LASTING,
    'net.netfilter.nf_conntrack_max': String(max),
    'net.netfilter.nf_conntrack_buckets': String(buckets),
  },
};

/** Both ends of connection n: 32,768 ports on each of many servers. */
const client = (n: number): string => `192.168.1.10:${1024 + (n & 0x7fff)}`;
const server = (n: number): string => `198.51.${100 + (n >>> 23)}.${(n >>> 15) & 255}:80`;

const query = (n: number): KernelPacket => ({
  iface: 'lan',
  frame: ether(udp({ src: client(n), dst: server(n), payload: 'q' })),
});
/** Picked up in the middle, a connection is assured with the first packet after an answer. */
const request = (n: number, flags = 'A'): KernelPacket => ({
  iface: 'lan',
  frame: ether(tcp({ src: client(n), dst: server(n), flags, seq: 1000, ack: 5000 })),
});
const reply = (n: number): KernelPacket => ({
  iface: 'wan',
  frame: ether(tcp({ src: server(n), dst: client(n), flags: 'A', seq: 5000, ack: 1000 })),
});

interface Phase {
  readonly what: string;
  readonly fill: (n: number) => readonly KernelPacket[];
  readonly newcomer: (n: number) => KernelPacket;
  /** How many newcomers get in. */
  readonly admitted: number;
  /** A packet of a connection that was there before. */
  readonly known?: (n: number) => KernelPacket;
}

const PHASES: Readonly<Record<string, Phase>> = {
  unassured: { what: 'none of them assured', fill: (n) => [query(n)], newcomer: query, admitted: NEWCOMERS },
  assured: {
    what: 'all of them assured',
    fill: (n) => [request(n), reply(n), request(n)],
    newcomer: (n) => request(n, 'S'),
    admitted: 0,
    known: (n) => request(n),
  },
};

async function run({ what, fill, newcomer, admitted, known }: Phase): Promise<string[]> {
  const gateway = await Gateway.open({ host: KERNEL_HOST, rules: RULES, backend: 'legacy' });
  const prediction = new Prediction(HOST, RULES);
  const problems: string[] = [];
  /** How many of the packets came through, in the kernel and in natreplay. */
  const send = async (packets: readonly KernelPacket[]): Promise<[kernel: number, natreplay: number]> => {
    const first = gateway.sent;
    const { outputs } = await gateway.send(packets);
    const time = Date.now();
    const through = new Set(outputs.map(({ input }) => input - first));
    let passed = 0;
    packets.forEach((packet, i) => {
      const passes = prediction.judge({ ...packet, time }).sent.length > 0;
      if (passes) passed++;
      if (passes !== through.has(i) && problems.length < 20)
        problems.push(
          `packet ${first + i}: the kernel ${through.has(i) ? 'forwarded' : 'dropped'} it, natreplay did not`,
        );
    });
    return [through.size, passed];
  };
  try {
    for (let n = 0; n < max; n += CHUNK) {
      const some = Array.from({ length: Math.min(CHUNK, max - n) }, (_, k) => fill(n + k));
      await send(some.flat());
    }
    const full = await counts(gateway, prediction);
    const [let1, let2] = await send(Array.from({ length: NEWCOMERS }, (_, k) => newcomer(max + k)));
    const kept =
      known === undefined ? undefined : await send(Array.from({ length: NEWCOMERS }, (_, k) => known(k * 7)));
    const after = await counts(gateway, prediction);
    if (let1 !== admitted || let2 !== admitted) problems.push(`newcomers let in: ${let1} / ${let2}, not ${admitted}`);
    if (full[0] !== full[1]) problems.push(`entries when full: kernel ${full[0]}, natreplay ${full[1]}`);
    if (Math.abs(after[0] - after[1]) > TOLERANCE || after[0] > max || after[1] > max)
      problems.push(`entries afterwards: kernel ${after[0]}, natreplay ${after[1]}`);
    for (const { what: counter, kernel, predicted } of compareCounters(await gateway.counters(), prediction.counters()))
      problems.push(`${counter}: kernel ${kernel}, natreplay ${predicted}`);
    console.log(`${max} connections in ${buckets} buckets, ${what} (kernel / natreplay):`);
    console.log(`  entries when full      ${full.join(' / ')}`);
    console.log(`  of ${NEWCOMERS} newcomers let in ${let1} / ${let2}`);
    if (kept !== undefined) console.log(`  of ${NEWCOMERS} known passed on  ${kept.join(' / ')}`);
    console.log(`  entries afterwards     ${after.join(' / ')}`);
    return problems;
  } finally {
    await gateway.close();
  }
}

async function counts(gateway: Gateway, { engine }: Prediction): Promise<[kernel: number, natreplay: number]> {
  const listed = (await gateway.conntrack()).split('\n').filter((line) => line.includes('src=')).length;
  return [listed, engine.liveConnections()];
}

if (max > LARGEST) throw new Error(`nf_conntrack_max is ${max}: more than this fills a table with`);
const wanted = process.argv.slice(2);
let wrong = 0;
for (const [name, phase] of Object.entries(PHASES)) {
  if (wanted.length > 0 && !wanted.includes(name)) continue;
  const problems = await run(phase);
  wrong += problems.length;
  for (const problem of problems) console.log(`  MISMATCH ${problem}`);
}
process.exitCode = wrong === 0 ? 0 : 1;
