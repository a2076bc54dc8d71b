/** Link-layer padding: what comes in with it leaves without. */
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { hostFromOptions } from '../../src/host/hostoptions.js';
import { type ReplayOptions, replay } from '../../src/pipeline/replay.js';
import type { ReplayResult } from '../../src/report/types.js';
import { parseRules } from '../../src/rules/parse.js';
import { Section, text } from '../capture/build.js';
import { scratch } from '../support/cli.js';
import { DOCKER } from '../support/gateway.js';
import { type CaptureRecord, frame, pcapFile, sll, tcp, udp, vlan } from '../support/packets.js';
import { needs } from '../support/requirements.js';

const folder = scratch();
afterAll(() => folder.remove());

const CLIENT = '02:00:00:00:00:01';
const HOST = '02:00:00:00:00:02';
/** The frame as Ethernet pads it: to 60 bytes, with bytes that would be seen if they stayed. */
const padded = (bytes: Uint8Array, to = 60): Uint8Array =>
  Buffer.concat([bytes, Buffer.alloc(Math.max(0, to - bytes.length), 0xee)]);
/** Who has 192.0.2.1? Padded as such a request is on every wire. */
const ARP_REQUEST = Buffer.from('0001080006040001020000000001c0000207000000000000c0000201', 'hex');
const ARP = padded(frame('ff:ff:ff:ff:ff:ff', CLIENT, ARP_REQUEST, 0x0806));

const toHost = (packet: Uint8Array): Uint8Array => frame(HOST, CLIENT, packet);

interface Replayed {
  readonly result: ReplayResult;
  /** The outputs one after the other. */
  readonly output: Buffer;
  readonly log: string;
}

let runs = 0;

/** A capture taken on eth0, through the Docker host's rules. */
async function throughDocker(
  capture: Buffer,
  format: string,
  { name = `out.${format}`, ...options }: Partial<ReplayOptions> & { readonly name?: string } = {},
): Promise<Replayed> {
  const own = `${runs++}`;
  const input = folder.at(`${own}-in.${format}`);
  const packetLog = folder.at(`${own}.ndjson`);
  writeFileSync(input, capture);
  const { result } = await replay({
    captures: [{ path: input, iface: 'eth0' }],
    host: hostFromOptions({ iface: DOCKER.iface, route: DOCKER.route }),
    rules: parseRules(DOCKER.rules ?? '', { file: 'rules', family: 4, unsupported: 'stop' }),
    output: folder.at(`${own}-${name}`),
    packetLog,
    ...options,
  });
  const output = Buffer.concat(result.outputs.map(({ path }) => readFileSync(path)));
  return { result, output, log: readFileSync(packetLog, 'utf8') };
}

/** Five packets to the published port, each the first that the host sees of its connection. */
function packetsOf(client: string, port = 40_000): Uint8Array[] {
  const segments = [['S'], ['A'], ['PA', 'GET'], ['PA', 'x'.repeat(40)], ['A']] as const;
  return segments.map(([flags, payload = ''], i) =>
    tcp({ src: `${client}:${port + i}`, dst: '192.0.2.1:8799', flags, payload }),
  );
}

const at = (frames: readonly Uint8Array[]): CaptureRecord[] =>
  frames.map((bytes, i) => ({ at: 1_700_000_000 + i / 8, frame: bytes }));

describe('a forwarded packet leaves without its padding', () => {
  const packets = packetsOf('198.51.100.7');

  it.each([
    { name: 'Ethernet', linkType: 1, wrap: toHost },
    {
      name: 'Ethernet with a priority tag',
      linkType: 1,
      wrap: (p: Uint8Array): Uint8Array => vlan([0x8100], p).fill(0, 14, 16),
    },
    { name: 'Linux cooked', linkType: 113, wrap: (p: Uint8Array): Uint8Array => sll(0, p) },
    { name: 'raw IP', linkType: 101, wrap: (p: Uint8Array): Uint8Array => p },
  ])('$name', async ({ linkType, wrap }) => {
    const plain = packets.map(wrap);
    const with60 = await throughDocker(pcapFile(at(plain.map((bytes) => padded(bytes))), linkType), 'pcap');
    const without = await throughDocker(pcapFile(at(plain), linkType), 'pcap');
    expect(with60.result.verdicts.forward).toBe(5);
    expect(with60.output.equals(without.output)).toBe(true);
    expect(with60.log).toBe(without.log);
  });

  it('an acknowledgement of 60 bytes leaves with 54', async () => {
    const [syn] = packets;
    const { output } = await throughDocker(pcapFile(at([padded(toHost(syn as Uint8Array))])), 'pcap');
    expect(output.length).toBe(24 + 16 + 54);
    expect([output.readUInt32LE(32), output.readUInt32LE(36)]).toEqual([54, 54]);
  });

  it('cut by the snaplen: the length on the wire shrinks, and so do captured bytes of padding', async () => {
    const datagram = toHost(udp({ src: '198.51.100.7:5000', dst: '172.17.0.3:53', payload: 'ab' }));
    const lengths = async (captured: number): Promise<number[]> => {
      const records = [{ at: 1, frame: padded(datagram), captured }];
      const { output } = await throughDocker(pcapFile(records), 'pcap', { checksums: 'ignore' });
      return [output.readUInt32LE(32), output.readUInt32LE(36)];
    };
    expect(datagram.length).toBe(44);
    expect(await lengths(60)).toEqual([44, 44]);
    expect(await lengths(50)).toEqual([44, 44]);
    expect(await lengths(43)).toEqual([43, 44]);
  });

  it('from pcapng, with its options, beside other blocks, to one file and to one for each interface', async () => {
    const s = new Section();
    const content = (wrap: (bytes: Uint8Array) => Uint8Array): Buffer =>
      Buffer.concat([
        s.header(),
        s.iface(1, [text(2, 'eth0')]),
        ...packets.map((packet, i) => s.enhanced(0, BigInt(i), wrap(toHost(packet)), [text(1, `packet ${i}`)])),
        s.names(),
        s.enhanced(0, 9n, ARP),
      ]);
    for (const name of ['out.pcapng', 'out-{iface}.pcapng']) {
      const from60 = await throughDocker(content(padded), 'pcapng', { name });
      const plain = await throughDocker(
        content((bytes) => bytes),
        'pcapng',
        { name },
      );
      expect(from60.result.outputs).toHaveLength(name === 'out.pcapng' ? 1 : 2);
      expect(from60.output.equals(plain.output)).toBe(true);
    }
  });
});

describe('what stays padded', () => {
  it('records that are not IP', async () => {
    const capture = pcapFile(at([ARP]));
    const { output, result } = await throughDocker(capture, 'pcap');
    expect(result.verdicts.ignored).toBe(1);
    expect(output.equals(capture)).toBe(true);
  });

  it('what the host sent itself, when it is copied', async () => {
    const sent = padded(sll(4, udp({ src: '192.0.2.1:53', dst: '198.51.100.7:5000', payload: 'ab' })));
    const capture = pcapFile(at([sent]), 113);
    const { output, result } = await throughDocker(capture, 'pcap', { outgoing: 'copy' });
    expect(result.verdicts.outgoing).toBe(1);
    expect(output.equals(capture)).toBe(true);
  });
});

describe('what is delivered to the host', () => {
  const toHostItself = toHost(udp({ src: '198.51.100.7:5000', dst: '192.0.2.1:53', payload: 'ab' }));

  it('is written without padding, if at all', async () => {
    const { output } = await throughDocker(pcapFile(at([padded(toHostItself)])), 'pcap', { writeLocal: true });
    expect(output.equals(pcapFile(at([toHostItself])))).toBe(true);
    expect((await throughDocker(pcapFile(at([padded(toHostItself)])), 'pcap')).output).toHaveLength(24);
  });
});

it('interfaces count what came in with its padding, what went out without', async () => {
  const frames = packetsOf('198.51.100.7').map((packet) => padded(toHost(packet)));
  const { result } = await throughDocker(pcapFile(at(frames)), 'pcap');
  const of = (name: string): unknown => result.interfaces.find((iface) => iface.name === name);
  expect(of('eth0')).toMatchObject({ rxPackets: 5, rxBytes: 60 * 4 + 94 });
  expect(of('docker0')).toMatchObject({ txPackets: 5, txBytes: 54 + 54 + 57 + 94 + 54 });
});

it('any padding makes no difference, in slabs of any size', async () => {
  const paddings = fc.array(fc.oneof(fc.constant(0), fc.nat(30)), { minLength: 5, maxLength: 200 });
  await fc.assert(
    fc.asyncProperty(paddings, async (sizes) => {
      const plain = sizes.map((_, i) => toHost(packetsOf('198.51.100.7', 40_000 + i)[i % 5] ?? ARP));
      const frames = plain.map((bytes, i) => padded(bytes, bytes.length + (sizes[i] ?? 0)));
      const one = await throughDocker(pcapFile(at(frames)), 'pcap', { slabBytes: 65_536 });
      const other = await throughDocker(pcapFile(at(plain)), 'pcap');
      expect(one.output.equals(other.output)).toBe(true);
      expect(one.log).toBe(other.log);
    }),
    { numRuns: 15, seed: 41 },
  );
});

const { skip, reason } = needs({ commands: ['tshark'] });
it.skipIf(skip)(`tshark has nothing to say against the results ${reason}`, async () => {
  const frames = [...packetsOf('198.51.100.7').map((packet) => padded(toHost(packet))), ARP];
  for (const name of ['out.pcap', 'out.pcapng']) {
    const { result } = await throughDocker(pcapFile(at(frames)), 'pcap', { name });
    const fields = ['frame.cap_len', 'frame.len', 'eth.padding', 'eth.trailer', '_ws.malformed'];
    const args = [
      '-r',
      result.outputs[0]?.path ?? '',
      '-n',
      '-T',
      'fields',
      ...fields.flatMap((field) => ['-e', field]),
    ];
    const lines = execFileSync('tshark', args, { stdio: 'pipe' }).toString().trimEnd().split('\n');
    const said = lines.map((line) => line.trimEnd().split('\t'));
    expect(said.slice(0, 5)).toEqual([54, 54, 57, 94, 54].map((length) => [`${length}`, `${length}`]));
    expect(said[5]?.slice(0, 2)).toEqual(['60', '60']);
  }
});
