/**
 * The recordings replayed: what natreplay makes of the incoming records against what the kernel sent, which
 * recording.ts reads from the captures by itself.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { describeHostFile } from '../../src/host/hostfile.js';
import { makeHost } from '../../src/host/machine.js';
import type { Engine } from '../../src/netfilter/engine.js';
import { connectionEntries } from '../../src/pipeline/connections.js';
import { type CaptureInput, replay } from '../../src/pipeline/replay.js';
import { conntrackText } from '../../src/report/conntrack.js';
import type { ReplayResult } from '../../src/report/types.js';
import { parseRules } from '../../src/rules/parse.js';
import {
  byTime,
  checksumsAreRight,
  conntrackTuples,
  findTwins,
  type HostFile,
  type Packet,
  readCapture,
  readHost,
  tuple,
} from './recording.js';

const CAPTURES = fileURLToPath(new URL('../../captures/', import.meta.url));
const scratch = mkdtempSync(join(tmpdir(), 'natreplay-recorded-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

interface Session {
  readonly result: ReplayResult;
  readonly engine: Engine;
  /** Predicted packets, from the IP header on, by egress interface. */
  readonly sent: ReadonlyMap<string, readonly string[]>;
  readonly recorded: ReturnType<typeof findTwins>;
  readonly text: (name: string) => string;
}

let runs = 0;

async function run(session: string, inputs: readonly CaptureInput[]): Promise<Session> {
  const folder = join(CAPTURES, session);
  const text = (name: string): string => readFileSync(join(folder, name), 'utf8');
  const output = join(scratch, `${runs++}`);
  const done = await replay({
    captures: inputs.map(({ path, iface }) => ({ path: join(folder, path), iface })),
    host: makeHost(describeHostFile(join(folder, 'host.json'))),
    rules: parseRules(text('rules.v4'), { file: 'rules.v4', family: 4, unsupported: 'stop' }),
    output: `${output}-{iface}.pcap`,
  });
  const host = readHost(join(folder, 'host.json'));
  const sent = new Map<string, readonly string[]>();
  for (const { path, iface = '' } of done.result.outputs) sent.set(iface, ipPackets(path, iface, host));
  const recorded = ['eth0', 'docker0', 'lan0', 'wan0'].flatMap((iface) =>
    load(join(folder, `${iface}.pcap`), iface, host),
  );
  return { ...done, sent, recorded: findTwins(byTime(recorded), host), text };
}

const hex = ({ ip }: Packet): string => ip?.toString('hex') ?? '';

function load(path: string, iface: string, host: HostFile): Packet[] {
  try {
    return readCapture(path, iface, host);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

const ipPackets = (path: string, iface: string, host: HostFile): string[] =>
  readCapture(path, iface, host)
    .filter(({ ip }) => ip !== undefined)
    .map(hex);

/** What the kernel forwarded by each interface, in the order of the incoming records. */
function expectedBy(iface: string, { forwarded }: Session['recorded']): string[] {
  return [...forwarded]
    .sort((a, b) => (a.before.time < b.before.time ? -1 : 1))
    .filter(({ after }) => after.iface === iface)
    .map(({ after }) => hex(after));
}

/** Counters as lines, without those that packets the host made itself have raised. */
function counterDifferences({ engine, text }: Session): string[] {
  engine.flushCounters();
  const differences: string[] = [];
  const numbers = new Map<string, number>();
  let table = '';
  for (const line of text('rules-after.v4').split('\n')) {
    if (line.startsWith('*')) table = line.slice(1);
    const policy = /^:(\S+) [A-Z]+ \[(\d+:\d+)\]/.exec(line);
    const rule = /^\[(\d+:\d+)\] -A (\S+)/.exec(line);
    const chain = policy?.[1] ?? rule?.[2];
    if (chain === undefined) continue;
    let name = `${table}:${chain}:policy`;
    if (rule !== null) {
      const number = (numbers.get(`${table}:${chain}`) ?? 0) + 1;
      numbers.set(`${table}:${chain}`, number);
      name = `${table}:${chain}:${number}`;
    }
    const id = engine.counters.names.indexOf(name);
    const counted = `${engine.counters.packets[id]}:${engine.counters.bytes[id]}`;
    const kernel = policy?.[2] ?? rule?.[1];
    if (id >= 0 && counted !== kernel) differences.push(`${name} kernel ${kernel} replay ${counted}`);
  }
  return differences;
}

const connections = (engine: Engine): string => [...conntrackText(connectionEntries(engine))].join('');

const ETH0 = { path: 'eth0.pcap', iface: 'eth0' };
const DOCKER0 = { path: 'docker0.pcap', iface: 'docker0' };

describe.each<[string, readonly CaptureInput[]]>([
  ['eth0.pcap and docker0.pcap, named on the command line', [ETH0, DOCKER0]],
  ['the same in the other order', [DOCKER0, ETH0]],
  ['any.pcap, where each record names its interface', [{ path: 'any.pcap' }]],
])('captures/docker-bridge from %s', async (name, inputs) => {
  const session = await run('docker-bridge', inputs);

  it('is sent on as the kernel sent it, byte for byte from the IP header on: 260 of 260', () => {
    expect(session.recorded.forwarded).toHaveLength(260);
    for (const iface of ['eth0', 'docker0']) {
      // In any.pcap the link layer names the interface, so its packets carry that of the capture: the bytes count.
      expect(session.sent.get(iface) ?? [], iface).toEqual(expectedBy(iface, session.recorded));
    }
  });

  it('keeps what is for the host, drops nothing, and leaves out what the host sent', () => {
    expect(session.result.verdicts).toMatchObject({ forward: 260, local: 7, drop: 0, outgoing: 267, ignored: 0 });
  });

  it('counts as the kernel counted, but for the policies that the answers of the host itself went by', () => {
    const differences = counterDifferences(session);
    expect(
      differences.filter((line) => !/^filter:OUTPUT:policy|^nat:(OUTPUT|POSTROUTING):policy/.test(line)),
      name,
    ).toEqual([]);
  });

  it('ends with the connections that the kernel had', () => {
    expect(conntrackTuples(lines(connections(session.engine))).map(words)).toEqual(
      expect.arrayContaining(conntrackTuples(session.text('conntrack.txt')).map(words)),
    );
  });
});

/** The listing without what conntrack prints to the terminal only. */
const lines = (text: string): string =>
  text
    .split('\n')
    .filter((line) => /^(tcp|udp|icmp) /.test(line))
    .join('\n');
const words = ({ original, reply }: { original: string; reply: string }): string => `${original} => ${reply}`;

describe('captures/docker-bridge/errors', async () => {
  const session = await run('docker-bridge/errors', [ETH0, DOCKER0]);

  it('translates ICMP errors and what they quote as the kernel did', () => {
    expect(session.recorded.forwarded).toHaveLength(6);
    for (const iface of ['eth0', 'docker0'])
      expect(session.sent.get(iface) ?? []).toEqual(expectedBy(iface, session.recorded));
  });

  it('drops the one whose TTL ends here', () => {
    expect(session.result.verdicts.drop).toBe(1);
    expect(session.result.reasons).toContainEqual(['ttl-expired', 1]);
  });
});

describe('captures/docker-bridge/between-containers', () => {
  it('is bridged: frames for others go from port to port unchanged, past every hook', async () => {
    const { result } = await run('docker-bridge/between-containers', [DOCKER0]);
    expect(result.verdicts).toMatchObject({ forward: 14, local: 0, drop: 0, translated: 0 });
    expect(result.connections.created).toBe(0);
    const [rules] = result.rules;
    for (const chain of ['PREROUTING', 'FORWARD', 'POSTROUTING'])
      for (const table of ['nat', 'filter']) expect(rules?.packets(table, chain, 'policy')).toBe(0);
  });
});

describe('captures/docker-bridge/from-host', () => {
  it('forwards nothing', async () => {
    const { result } = await run('docker-bridge/from-host', [ETH0, DOCKER0]);
    expect(result.verdicts.forward).toBe(0);
    expect(result.verdicts.outgoing).toBe(52);
  });
});

describe('captures/home-gateway', async () => {
  const session = await run('home-gateway', [
    { path: 'lan0.pcap', iface: 'lan0' },
    { path: 'wan0.pcap', iface: 'wan0' },
  ]);
  const { forwarded } = session.recorded;
  /** Tuple as the machine behind sent it -> as it left by wan0: of the kernel, and of the replay. */
  const kernel = new Map<string, string>();
  const outward = [...forwarded]
    .filter(({ after }) => after.iface === 'wan0')
    .sort((a, b) => (a.before.time < b.before.time ? -1 : 1));
  for (const { before, after } of outward)
    if (before.ip !== undefined && after.ip !== undefined) kernel.set(tuple(before.ip), tuple(after.ip));
  const ours = new Map<string, string>();
  (session.sent.get('wan0') ?? []).forEach((bytes, i) => {
    const before = outward[i]?.before.ip;
    // Answers come to the ports that the kernel drew, so only a connection's first packet can be foretold.
    if (before !== undefined && !ours.has(tuple(before))) ours.set(tuple(before), tuple(Buffer.from(bytes, 'hex')));
  });
  const portOf = (from: string, to: string): [number, number] => {
    const number = (text: string): number => Number(/(?::| echo )(\d+)(?: >|$)/.exec(text)?.[1]);
    return [number(from), number(to)];
  };
  const classOf = (port: number): string => (port < 512 ? '1-511' : port < 1024 ? '600-1023' : '1024-65535');

  it('sends on by wan0 as many packets as the kernel did, each with right checksums', () => {
    expect(session.sent.get('wan0')).toHaveLength(outward.length);
    for (const bytes of session.sent.get('wan0') ?? []) expect(checksumsAreRight(Buffer.from(bytes, 'hex'))).toBe(true);
  });

  it('keeps and changes the ports that the kernel kept and changed', () => {
    expect([...ours.keys()]).toEqual([...kernel.keys()]);
    const kept = (map: ReadonlyMap<string, string>): string[] =>
      [...map].filter(([from, to]) => portOf(from, to)[0] === portOf(from, to)[1]).map(([from]) => from);
    expect(kept(ours)).toEqual(kept(kernel));
  });

  it('gives the others unique ports of the right class', () => {
    expect(new Set(ours.values()).size).toBe(ours.size);
    for (const [from, to] of ours) {
      const [own, public_] = portOf(from, to);
      if (!from.startsWith('icmp') && !from.startsWith('tcp 192.168.1.12:80 '))
        expect(classOf(public_), `${from} => ${to}`).toBe(classOf(own));
    }
  });

  it('sends byte for byte what does not depend on a port drawn at random', () => {
    const drawn = new Set(
      [...kernel].filter(([from, to]) => portOf(from, to)[0] !== portOf(from, to)[1]).map(([from]) => from),
    );
    const plain = outward.map(({ before, after }, i) => ({
      from: before.ip === undefined ? '' : tuple(before.ip),
      after: hex(after),
      ours: session.sent.get('wan0')?.[i],
    }));
    const compared = plain.filter(({ from }) => !drawn.has(from));
    expect(compared.length).toBeGreaterThan(50);
    expect(compared.map((each) => each.ours)).toEqual(compared.map((each) => each.after));
  });

  it('sends nothing by lan0 that the kernel did not', () => {
    const expected = new Set(expectedBy('lan0', session.recorded));
    expect((session.sent.get('lan0') ?? []).filter((bytes) => !expected.has(bytes))).toEqual([]);
  });
});
