/** Captures in, captures out: what is written, logged and left alone (DESIGN: "The host", "Commands"). */
import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { hostFromOptions } from '../../src/host/hostoptions.js';
import { type ReplayOptions, replay } from '../../src/pipeline/replay.js';
import { parseRules } from '../../src/rules/parse.js';
import { Section, temporaryFolder, text } from '../capture/build.js';
import { readAll } from '../capture/read.js';
import { build, parsePacket } from '../kernel/language.js';
import { DOCKER } from '../support/gateway.js';
import { type CaptureRecord, frame, pcapFile, say, sll2, TcpConnection, tcp, udp } from '../support/packets.js';

const folder = temporaryFolder();

const ETH0 = '02:42:c0:00:02:01';
const DOCKER0 = '02:42:ac:11:00:01';
const PEER = '02:00:00:00:00:99';
const host = hostFromOptions({
  iface: [`eth0@${ETH0}=192.0.2.1/24`, `docker0@${DOCKER0}=172.17.0.1/16`],
  route: DOCKER.route,
});
const rules = parseRules(DOCKER.rules ?? '', { file: 'docker.rules', family: 4, unsupported: 'stop' });
const CLIENT = '198.51.100.7:40000';
const T = 1_700_000_000;

const syn = tcp({ src: CLIENT, dst: '192.0.2.1:80', flags: 'S' });
const translated = tcp({ src: CLIENT, dst: '172.17.0.4:80', flags: 'S', ttl: 63 });
const synAck = tcp({ src: '172.17.0.4:80', dst: CLIENT, flags: 'SA', seq: 1, ack: 1001 });

/** An Ethernet frame that comes in by an interface. */
const into = (mac: string, packet: Uint8Array, at = T): CaptureRecord => ({ at, frame: frame(PEER, mac, packet) });

interface Run {
  readonly log: readonly Record<string, unknown>[];
  readonly records: Awaited<ReturnType<typeof readAll>>['records'];
  readonly done: Awaited<ReturnType<typeof replay>>;
}

let runs = 0;

async function run(captures: ReplayOptions['captures'], options: Partial<ReplayOptions> = {}): Promise<Run> {
  const output = folder(`out${runs++}.pcap`);
  const log = `${output}.ndjson`;
  const done = await replay({ captures, host, rules, output, packetLog: log, ...options });
  const lines = readFileSync(log, 'utf8').trimEnd().split('\n');
  const written = existsSync(output) ? (await readAll(output)).records : [];
  return {
    done,
    records: written,
    log: lines.filter((line) => line !== '').map((line) => JSON.parse(line) as Record<string, unknown>),
  };
}

const capture = (name: string, records: readonly CaptureRecord[], linkType = 1): string =>
  folder(name, pcapFile(records, linkType));
const ipOf = ({ frame: bytes }: { readonly frame: string }): Buffer => Buffer.from(bytes, 'hex').subarray(14);

describe('fragments in the result', () => {
  it('are counted: who waited, what was put together, refused, given up, and not complete at the end', async () => {
    const piece = (id: number, range: string, at: number): CaptureRecord =>
      into(ETH0, build(parsePacket(`udp ${CLIENT} > 192.0.2.1:53 len 92 id ${id} piece ${range}`.split(' '))), T + at);
    const records = [
      ...[piece(1, '0-40', 0), piece(1, '40-100', 0)],
      ...[piece(2, '0-40', 0), piece(2, '0-40', 1), piece(3, '0-40', 40), piece(3, '40-80', 41)],
    ];
    const { done } = await run([{ path: capture('fragments.pcap', records), iface: 'eth0' }]);
    expect(done.result.fragments).toEqual({
      held: 4,
      dropped: 1,
      reassembled: 1,
      expired: 1,
      waitingDatagrams: 1,
      waitingFragments: 2,
    });
    const none = await run([{ path: capture('whole.pcap', [into(ETH0, syn)]), iface: 'eth0' }]);
    expect(none.done.result.fragments).toBeUndefined();
  });
});

describe('a packet through the host', () => {
  it('comes out translated in the frame it came in, at its time', async () => {
    const path = capture('one.pcap', [into(ETH0, syn, T + 0.25)]);
    const { records, log } = await run([{ path, iface: 'eth0' }]);
    expect(records).toHaveLength(1);
    expect(records[0]).toMatchObject({
      seconds: T,
      nanoseconds: 250_000_000,
      frame: Buffer.from(frame(PEER, ETH0, translated)).toString('hex'),
    });
    expect(log).toEqual([
      {
        i: 0,
        ts: T + 0.25,
        in: 'eth0',
        verdict: 'forward',
        state: 'new',
        nat: 'dnat',
        rule: 'nat:DOCKER:3',
        out: [{ iface: 'docker0', record: 0 }],
        before: `tcp ${CLIENT} > 192.0.2.1:80`,
        after: `tcp ${CLIENT} > 172.17.0.4:80`,
      },
    ]);
  });

  it('is looked for in the interface towards its source when nothing states the ingress', async () => {
    const path = capture(
      'raw.pcap',
      [
        { at: T, frame: syn },
        { at: T, frame: synAck },
      ],
      101,
    );
    expect((await run([{ path }])).log.map((line) => line['in'])).toEqual(['eth0', 'docker0']);
  });

  it('from @local takes OUTPUT', async () => {
    const path = capture(
      'local.pcap',
      [{ at: T, frame: tcp({ src: '192.0.2.1:41000', dst: '192.0.2.1:80', flags: 'S' }) }],
      101,
    );
    const { log } = await run([{ path, iface: '@local' }]);
    expect(log[0]).toMatchObject({
      in: '@local',
      verdict: 'forward',
      rule: 'nat:DOCKER:3',
      out: [{ iface: 'docker0', record: 0 }],
    });
  });

  it('is merged with others by time', async () => {
    const outside = capture('outside.pcap', [
      into(ETH0, syn, T),
      into(ETH0, tcp({ src: CLIENT, dst: '192.0.2.1:80', flags: 'A', seq: 1001, ack: 2 }), T + 2),
    ]);
    const inside = capture('inside.pcap', [into(DOCKER0, synAck, T + 1)]);
    const { log, records } = await run([
      { path: inside, iface: 'docker0' },
      { path: outside, iface: 'eth0' },
    ]);
    expect(log.map(({ in: iface, state }) => `${iface} ${state}`)).toEqual([
      'eth0 new',
      'docker0 established',
      'eth0 established',
    ]);
    expect(records.map((record) => say(ipOf(record)).split(' ').slice(0, 4).join(' '))).toEqual([
      `tcp ${CLIENT} > 172.17.0.4:80`,
      `tcp 192.0.2.1:80 > ${CLIENT}`,
      `tcp ${CLIENT} > 172.17.0.4:80`,
    ]);
  });
});

describe('where a packet came in, by the capture itself', () => {
  it("pcapng: the interface's name", async () => {
    const section = new Section();
    const blocks = [
      section.header(),
      section.iface(1, [text(2, 'eth0')]),
      section.enhanced(0, BigInt(T) * 1_000_000n, frame(PEER, ETH0, syn)),
    ];
    const path = folder('named.pcapng', Buffer.concat(blocks));
    const { log } = await run([{ path }]);
    expect(log[0]).toMatchObject({ in: 'eth0', verdict: 'forward' });
  });

  it('pcapng: the direction flag marks what the host sent', async () => {
    const section = new Section();
    const sent = section.enhanced(0, 0n, frame(PEER, PEER, syn), [section.number32(2, 2)]);
    const path = folder('sent.pcapng', Buffer.concat([section.header(), section.iface(1), sent]));
    expect((await run([{ path }])).log[0]).toMatchObject({ verdict: 'outgoing' });
  });

  it('cooked v2: the ifindex of a host that knows its own, and the packet type', async () => {
    const withIfindex = Object.create(host) as { interfaces: typeof host.interfaces };
    withIfindex.interfaces = host.interfaces.map((iface) => ({ ...iface, ifindex: iface.index + 10 }));
    const eth0 = 10 + (host.interfaceByName('eth0')?.index ?? 0);
    const path = capture(
      'any.pcap',
      [
        { at: T, frame: sll2(0, eth0, syn) },
        { at: T, frame: sll2(4, eth0, syn) },
        { at: T, frame: sll2(3, eth0, syn) },
        { at: T, frame: sll2(1, eth0, syn) },
        { at: T, frame: sll2(2, eth0, syn) },
      ],
      276,
    );
    const { log } = await run([{ path }], { host: withIfindex as typeof host });
    expect(log.map(({ in: iface, verdict, why }) => [iface, verdict, why])).toEqual([
      ['eth0', 'forward', undefined],
      ['eth0', 'outgoing', undefined],
      ['eth0', 'drop', 'other-host'],
      ['eth0', 'drop', 'link-broadcast'],
      ['eth0', 'drop', 'link-broadcast'],
    ]);
  });

  it('Ethernet: own MAC as sender means sent, another MAC as receiver means overheard', async () => {
    const path = capture('macs.pcap', [
      { at: T, frame: frame(ETH0, PEER, syn) },
      { at: T, frame: frame(PEER, '02:00:00:00:00:77', syn) },
      { at: T, frame: frame(PEER, 'ff:ff:ff:ff:ff:ff', syn) },
      into(ETH0, syn),
    ]);
    const { log, records } = await run([{ path, iface: 'eth0' }]);
    expect(log.map(({ verdict, why }) => why ?? verdict)).toEqual([
      'outgoing',
      'other-host',
      'link-broadcast',
      'forward',
    ]);
    expect(records).toHaveLength(1);
  });

  it('Ethernet: a frame to everybody is not forwarded, whether or not the interface’s MAC is known', async () => {
    const path = capture('group.pcap', [
      { at: T, frame: frame(PEER, 'ff:ff:ff:ff:ff:ff', syn) },
      { at: T, frame: frame(PEER, '01:00:5e:00:00:fb', syn) },
      into(ETH0, syn),
    ]);
    const { log } = await run([{ path }], {
      host: hostFromOptions({ iface: ['eth0=192.0.2.1/24', 'docker0=172.17.0.1/16'], route: DOCKER.route }),
    });
    expect(log.map(({ verdict, why }) => why ?? verdict)).toEqual(['link-broadcast', 'link-broadcast', 'forward']);
  });
});

describe('choices', () => {
  const arp = { at: T, frame: frame(PEER, ETH0, new Uint8Array(28), 0x0806) };
  const sent = { at: T, frame: frame(ETH0, PEER, translated) };
  const ssh = into(ETH0, tcp({ src: CLIENT, dst: '192.0.2.1:22', flags: 'S' }));
  const mixed = (): string => capture('mixed.pcap', [arp, sent, ssh, into(ETH0, syn)]);

  it.each<[string, Partial<ReplayOptions>, readonly number[]]>([
    ['default: not IP is copied, what was sent and what is delivered are not', {}, [0, 3]],
    ['--non-ip drop', { nonIp: 'drop' }, [3]],
    ['--outgoing copy', { outgoing: 'copy' }, [0, 1, 3]],
    ['--outgoing replay', { outgoing: 'replay' }, [0, 1, 3]],
    ['--write-local', { writeLocal: true }, [0, 2, 3]],
  ])('%s', async (_, options, written) => {
    const { log, records } = await run([{ path: mixed(), iface: 'eth0' }], options);
    expect(log.filter(({ out }) => out !== undefined).map(({ i }) => i)).toEqual(written);
    expect(records).toHaveLength(written.length);
    expect(
      log.flatMap(({ out }) => (out as { record: number }[] | undefined)?.map(({ record }) => record) ?? []),
    ).toEqual(written.map((__, k) => k));
  });

  it('{iface} splits by egress, and the log counts in each file', async () => {
    const path = capture('split.pcap', [
      into(ETH0, syn, T),
      { at: T + 1, frame: frame(PEER, DOCKER0, synAck) },
      into(ETH0, syn, T + 2),
    ]);
    const output = folder('split-{iface}.pcap');
    const { log, done } = await run([{ path }], { output });
    expect(log.map(({ out }) => out)).toEqual([
      [{ iface: 'docker0', record: 0 }],
      [{ iface: 'eth0', record: 0 }],
      [{ iface: 'docker0', record: 1 }],
    ]);
    expect(done.result.outputs.map(({ iface, records }) => `${iface} ${records}`).sort()).toEqual([
      'docker0 2',
      'eth0 1',
    ]);
    expect((await readAll(folder('split-docker0.pcap'))).records).toHaveLength(2);
  });
});

describe('a capture of many connections', () => {
  /** 300 connections, some 3,000 records, 400 KiB: several slabs of the smallest size. */
  function traffic(): CaptureRecord[] {
    const records: CaptureRecord[] = [];
    for (let n = 0; n < 300; n++) {
      const client = `198.51.100.${n % 20}:${40000 + Math.floor(n / 40)}`;
      const connection = new TcpConnection(client, '192.0.2.1:80', { server: '172.17.0.4:80' });
      const at = (k: number): number => T + n * 0.01 + k * 0.001;
      records.push(into(ETH0, connection.fromClient('S'), at(0)), into(DOCKER0, connection.fromServer('SA'), at(1)));
      records.push(
        into(ETH0, connection.fromClient('A'), at(2)),
        into(ETH0, connection.fromClient('PA', 'x'.repeat(n)), at(3)),
      );
      records.push(
        into(DOCKER0, connection.fromServer('PA', 'y'.repeat(2 * n)), at(4)),
        into(ETH0, udp({ src: client, dst: '192.0.2.1:9' }), at(5)),
      );
      records.push(into(DOCKER0, udp({ src: `172.17.0.3:${5000 + (n % 9)}`, dst: '203.0.113.53:53' }), at(6)));
      records.push(into(DOCKER0, udp({ src: `172.17.0.4:${5000 + (n % 9)}`, dst: '203.0.113.53:53' }), at(7)));
    }
    return records;
  }

  it('comes out the same whatever the size of the slabs', async () => {
    const path = capture('many.pcap', traffic());
    const outcomes = [];
    for (const slabBytes of [64 << 10, 100_001, 256 << 10, 1 << 20]) {
      const { done, log, records } = await run([{ path }], { slabBytes });
      outcomes.push({
        log,
        records,
        counters: [...done.engine.counters.packets],
        verdicts: done.result.verdicts,
        reasons: done.result.reasons,
      });
    }
    for (const outcome of outcomes.slice(1)) expect(outcome).toEqual(outcomes[0]);
    expect(outcomes[0]?.records.length).toBeGreaterThan(2000);
  });

  it('aborted leaves only .partial', async () => {
    const path = capture('aborted.pcap', traffic());
    const output = folder('aborted-out.pcap');
    const stop = new AbortController();
    const running = replay({
      captures: [{ path }],
      host,
      rules,
      output,
      slabBytes: 64 << 10,
      signal: stop.signal,
      onProgress: () => stop.abort(),
    });
    await expect(running).rejects.toThrow();
    expect([existsSync(output), existsSync(`${output}.partial`)]).toEqual([false, true]);
  });
});

describe('what cannot be', () => {
  it('an interface that the host does not have', async () => {
    const path = capture('unknown.pcap', [into(ETH0, syn)]);
    await expect(run([{ path, iface: 'eth7' }])).rejects.toMatchObject({
      code: 'USAGE_UNKNOWN_INTERFACE',
      exitCode: 2,
    });
  });

  it('no capture at all', async () => {
    await expect(run([])).rejects.toMatchObject({ code: 'USAGE_NO_CAPTURE' });
  });
});
