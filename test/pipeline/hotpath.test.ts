/**
 * The hot path (WebAssembly) against the stages it stands for (TypeScript): random traffic must come out the same to the
 * byte, with the same report, counters and connections.
 */
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { buildInterface, buildPacket, buildSection } from '../../src/capture/pcapng.js';
import { hostFromOptions } from '../../src/host/hostoptions.js';
import { TcpTracker } from '../../src/netfilter/conntrack/tcp.js';
import { connectionEntries } from '../../src/pipeline/connections.js';
import { type ReplayOptions, replay } from '../../src/pipeline/replay.js';
import { parseRules } from '../../src/rules/parse.js';
import { temporaryFolder } from '../capture/build.js';
import { conversationsOf, turn } from '../support/conversations.js';
import { type Sent, withSysctls } from '../support/gateway.js';
import { NETS, step, trafficOf } from '../support/nets.js';
import { frame, pcapFile, TcpConnection, tcp, udp } from '../support/packets.js';

const folder = temporaryFolder();
const PEER = '02:00:00:00:00:99';
const OTHER = '02:00:00:00:00:98';

/** A MAC for each interface of a host that states none. */
const macOf = (index: number): string => `02:42:00:00:${index.toString(16).padStart(2, '0')}:01`;

/** Runs a replay and returns all that it leaves behind, the times it took apart. */
async function outcome(options: ReplayOptions): Promise<Record<string, unknown>> {
  const { result, engine } = await replay(options);
  const { serviceTime: _, elapsedSeconds: __, outputs, rules, host: ___, ...rest } = result;
  return {
    ...rest,
    counters: [[...engine.counters.packets], [...engine.counters.bytes]],
    entries: [...(engine.conntrack?.live(engine.now) ?? [])].length,
    expiries: [...(engine.conntrack?.live(engine.now) ?? [])].map((entry) =>
      [...engine.table.words.subarray(entry * 32, entry * 32 + 32)].join(' '),
    ),
    files: outputs.map(({ path, records }) => [records, readFileSync(path).toString('hex')]),
    listed: rules.map(({ packets }) => packets('nat', 'POSTROUTING', 'policy')),
  };
}

const odd = fc.record({
  /** Bytes behind the IP packet: padding, or a trailer. */
  trailing: fc.constantFrom(0, 0, 0, 4, 18),
  /** Whom the frame is from and to. */
  macs: fc.constantFrom('host', 'host', 'host', 'host', 'broadcast', 'other', 'own'),
});

/** What makes the rarer timeouts of TCP common. */
const HASTY = {
  'net.netfilter.nf_conntrack_tcp_max_retrans': '1',
  'net.netfilter.nf_conntrack_tcp_timeout_max_retrans': '20',
  'net.netfilter.nf_conntrack_tcp_timeout_unacknowledged': '40',
};
/** Shorter than CLOSE_WAIT's, so that it tells after how many retransmissions it holds. */
const SHORT = { 'net.netfilter.nf_conntrack_tcp_timeout_max_retrans': '20' };
const LIBERAL = { 'net.netfilter.nf_conntrack_tcp_be_liberal': '1', 'net.netfilter.nf_conntrack_tcp_loose': '0' };

describe.each(NETS)('%s', (name, net) => {
  const described = hostFromOptions({ iface: net.options.iface, route: net.options.route });
  const iface = net.options.iface.map((text, k) => text.replace(/^([^=@]+)=/, `$1@${macOf(k)}=`));
  const host = hostFromOptions({ iface, route: net.options.route });
  const rules = parseRules(net.options.rules ?? '', { file: 'rules', family: 4, unsupported: 'stop' });

  const captureOf = (of: string, sent: readonly Sent[]) => {
    const frames = sent.map(({ packet, at = 0, iface: from }) => {
      const index = described.interfaceByName(from)?.index ?? 0;
      return { at, frame: frame(PEER, macOf(index), packet) };
    });
    return [{ path: folder(`${of}.pcap`, pcapFile(frames, 1)) }];
  };

  it('comes out of the hot path as of the stages', async () => {
    let runs = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(step, odd), { minLength: 20, maxLength: 120 }),
        fc.constantFrom<'verify' | 'ignore' | 'offload'>('verify', 'ignore', 'offload'),
        fc.boolean(),
        fc.boolean(),
        async (steps, checksums, stated, writeLocal) => {
          const traffic = trafficOf(
            steps.map(([each]) => each),
            net,
          );
          const frames = traffic.map(({ packet, at = 0, iface: from, captured }, k) => {
            const { trailing = 0, macs = 'host' } = steps[k]?.[1] ?? {};
            const index = described.interfaceByName(from)?.index ?? 0;
            const to = macs === 'broadcast' ? 'ff:ff:ff:ff:ff:ff' : macs === 'other' ? OTHER : macOf(index);
            const whole = frame(macs === 'own' ? macOf(index) : PEER, to, packet);
            const padded = new Uint8Array(whole.length + trailing);
            padded.set(whole);
            const cut = captured !== undefined && captured < packet.length;
            return { at, iface: from, frame: padded, ...(cut ? { captured: 14 + captured } : {}) };
          });
          const captures = stated
            ? described.interfaces.map(({ name: of }) => ({
                path: folder(
                  `${name}-${of}.pcap`,
                  pcapFile(
                    frames.filter(({ iface: from }) => from === of),
                    1,
                  ),
                ),
                iface: of,
              }))
            : [{ path: folder(`${name}.pcap`, pcapFile(frames, 1)) }];
          const common = { captures, host, rules, checksums, writeLocal };
          const [hot, plain] = [folder(`hot${++runs}.pcap`), folder(`plain${runs}.pcap`)];
          const fast = await outcome({ ...common, output: hot });
          expect(fast).toEqual(await outcome({ ...common, output: plain, hotPath: false }));
        },
      ),
      { numRuns: 25 },
    );
  }, 30_000);

  it('follows TCP conversations in the hot path as in the stages', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(turn, { minLength: 50, maxLength: 300, size: 'max' }),
        fc.constantFrom({}, {}, HASTY, LIBERAL),
        async (turns, sysctl) => {
          const captures = captureOf('talk', conversationsOf(turns, net));
          const common = { captures, host: withSysctls(host, sysctl), rules };
          const stages = await outcome({ ...common, output: folder('talk-plain.pcap'), hotPath: false });
          expect(await outcome({ ...common, output: folder('talk-hot.pcap') })).toEqual(stages);
        },
      ),
      { numRuns: 25 },
    );
  }, 30_000);
});

describe('a gateway', () => {
  const host = hostFromOptions({ iface: ['eth0=192.0.2.1/24', 'eth1=10.0.0.1/8'], route: [] });
  const rules = parseRules('*nat\n-A POSTROUTING -o eth0 -j MASQUERADE\nCOMMIT\n', {
    file: 'rules',
    family: 4,
    unsupported: 'stop',
  });
  const DAY = 86_400;
  /** Neither IP nor of a stated interface, so that it goes to the file of no interface; between packets that are forwarded. */
  const arp = Uint8Array.from({ length: 42 }, (_, k) => (k === 12 ? 8 : k === 13 ? 6 : k));
  const query = frame(PEER, macOf(1), udp({ src: '10.0.0.7:4000', dst: '192.0.2.9:53', payload: 'query' }));
  const answer = frame(PEER, macOf(0), udp({ src: '192.0.2.9:53', dst: '192.0.2.1:4000', payload: 'answer' }));

  it('writes a file for each interface and one for what has none, with the hot path as without', async () => {
    const frames = [query, arp, answer, query, arp, arp, query, answer].map((bytes, at) => ({ at, frame: bytes }));
    const captures = [{ path: folder('mixed.pcap', pcapFile(frames, 1)) }];
    const files = async (name: string, hotPath: boolean) => {
      const { result } = await replay({ captures, host, rules, output: folder(`${name}-{iface}.pcap`), hotPath });
      return result.outputs.map(({ iface, path, records }) => ({ iface, records, hex: readFileSync(path, 'hex') }));
    };
    const stages = await files('stages', false);
    expect(await files('hot', true)).toEqual(stages);
    expect(stages.map(({ iface, records }) => `${records} ${iface}`)).toEqual(['3 eth0', '3 undefined', '2 eth1']);
  });

  it('follows a connection from its SYN+ACK to its last ACK without the stages', async () => {
    const connection = new TcpConnection('10.0.0.7:4000', '192.0.2.9:80', { client: '192.0.2.1:4000' });
    const sides = {
      '>': (flags: string) => frame(PEER, macOf(1), connection.fromClient(flags, flags === 'PA' ? 'request' : '')),
      '<': (flags: string) => frame(PEER, macOf(0), connection.fromServer(flags, flags === 'PA' ? 'answer' : '')),
    };
    const frames = [
      ...[sides['>']('S'), sides['<']('SA'), sides['>']('A'), sides['>']('PA'), sides['<']('PA')],
      ...[sides['>']('FA'), sides['<']('FA'), sides['>']('A')],
    ].map((bytes, at) => ({ at, frame: bytes }));
    const packet = vi.spyOn(TcpTracker.prototype, 'packet');
    const captures = [{ path: folder('connection.pcap', pcapFile(frames, 1)) }];
    const { result, engine } = await replay({ captures, host, rules, hotPath: true });
    expect(result.verdicts).toMatchObject({ forward: 8, translated: 8 });
    expect([...connectionEntries(engine)]).toMatchObject([{ tcpState: 'TIME_WAIT', assured: true, timeout: 120 }]);
    expect(packet).toHaveBeenCalledTimes(1);
    packet.mockRestore();
  });

  /** Rare in random conversations, or soon written over there: what is compared is the entry right after the last one. */
  const from = (flags: string, seq: number, ack: number) =>
    frame(PEER, macOf(1), tcp({ src: '10.0.0.7:4000', dst: '192.0.2.9:80', flags, seq, ack }));
  const to = (flags: string, seq: number, ack: number) =>
    frame(PEER, macOf(0), tcp({ src: '192.0.2.9:80', dst: '192.0.2.1:4000', flags, seq, ack }));
  const opened = [from('S', 1000, 0), to('SA', 5000, 1001), from('A', 1001, 5001)];
  const closing = [...opened, from('FA', 1001, 5001), to('A', 5001, 1002)];
  it.each<[string, Uint8Array[]]>([
    ['a SYN sent again, which does not prolong the entry', [from('S', 1000, 0), from('S', 1000, 0)]],
    ['a SYN sent again that says something of acknowledging', [from('S', 1000, 0), from('S', 1000, -3)]],
    ['an acknowledgement sent again while closing', [...closing, ...Array(3).fill(to('A', 5001, 1002))]],
    ['one time less', [...closing, ...Array(2).fill(to('A', 5001, 1002))]],
    ['more often than a byte can count', [...closing, ...Array(258).fill(to('A', 5001, 1002))]],
    ['the FIN of the other side', [...closing, to('FA', 5001, 1002)]],
    ['the last ACK', [...closing, to('FA', 5001, 1002), from('A', 1002, 5002)]],
  ])('keeps of %s what the stages keep', async (_, frames) => {
    const file = pcapFile(
      frames.map((bytes, k) => ({ at: k / 8, frame: bytes })),
      1,
    );
    const common = { captures: [{ path: folder('rare.pcap', file) }], host: withSysctls(host, SHORT), rules };
    const stages = await outcome({ ...common, output: folder('rare-stages.pcap'), hotPath: false });
    expect(await outcome({ ...common, output: folder('rare-hot.pcap') })).toEqual(stages);
  });

  it.each([8, 8.25, 8.5, 8.75, 9, 10, 12, 16, 40])(
    'does the same with slabs of %s MiB, which may leave no room beside them',
    async (mib) => {
      const file = pcapFile(
        [...closing, to('FA', 5001, 1002), from('A', 1002, 5002)].map((bytes, k) => ({ at: k / 8, frame: bytes })),
        1,
      );
      const common = { captures: [{ path: folder('room.pcap', file) }], host, rules, slabBytes: mib * 2 ** 20 };
      const stages = await outcome({ ...common, output: folder('room-stages.pcap'), hotPath: false });
      expect(await outcome({ ...common, output: folder('room-hot.pcap') })).toEqual(stages);
    },
  );

  it.each([false, true])('translates what came just before a leap in time (hot path: %s)', async (hotPath) => {
    const frames = [0, 1, 2, 2 + 14 * DAY, 3 + 14 * DAY, 4 + 40 * DAY].map((at) => ({ at, frame: query }));
    const captures = [{ path: folder('leap.pcap', pcapFile(frames, 1)) }];
    const { result } = await replay({ captures, host, rules, hotPath });
    expect(result.verdicts).toMatchObject({ forward: 6, translated: 6 });
    expect(result.connections).toMatchObject({ created: 3, live: 1 });
  });

  it('keeps time as the stages do when a damaged capture leaps further than milliseconds can be counted', async () => {
    const times = [
      0n,
      1n,
      2n ** 63n + 12_345_678_912_345n,
      2n ** 63n + 12_345_678_912_345n,
      2n ** 64n - 1n,
      2n ** 64n - 1n,
    ];
    const packets = times.map((time) =>
      buildPacket({ interfaceId: 0, time, wireLength: query.length, frame: query }, true),
    );
    const described = { name: undefined, linkType: 1, snaplen: 0, tsresol: 0, tsoffset: 0n };
    const path = folder('far.pcapng', Buffer.concat([buildSection(), buildInterface(described, true), ...packets]));
    const common = { captures: [{ path }], host, rules };
    const stages = await outcome({ ...common, output: folder('far-stages.pcapng'), hotPath: false });
    expect(await outcome({ ...common, output: folder('far-hot.pcapng') })).toEqual(stages);
  });
});
