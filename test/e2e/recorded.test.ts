/** The recorded hosts from the command line, against what their kernels sent. (The demo: test/docs.) */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { recordedSchema } from '../../src/verify/recorded/json.js';
import { inProcess, ROOT, scratch } from '../support/cli.js';

const CAPTURES = join(ROOT, 'captures');
const folder = scratch();
afterAll(() => folder.remove());

const named = (session: string, ifaces: readonly string[]): string[] =>
  ifaces.map((iface) => `${iface}=${join(CAPTURES, session, `${iface}.pcap`)}`);

const hostOf = (session: string, rules = join(CAPTURES, session, 'rules.v4')): string[] => [
  '--rules',
  rules,
  '--host',
  join(CAPTURES, session, 'host.json'),
];

/** `verify --recorded` with its JSON. */
async function verified(captures: readonly string[], session: string, rules?: string) {
  const ran = await inProcess([
    ...['verify', ...captures, '--recorded'],
    ...hostOf(session, rules),
    ...['--json', folder.at('recorded.json')],
  ]);
  const report = recordedSchema.parse(JSON.parse(readFileSync(folder.at('recorded.json'), 'utf8')));
  return { ...ran, report };
}

describe('verify --recorded', () => {
  it.each([
    ['docker-bridge', named('docker-bridge', ['eth0', 'docker0']), 260, { 'TCP resets': 2, 'echo replies': 5 }],
    ['docker-bridge', [join(CAPTURES, 'docker-bridge/any.pcap')], 260, { 'TCP resets': 2, 'echo replies': 5 }],
    ['docker-bridge/errors', named('docker-bridge/errors', ['eth0', 'docker0']), 6, { 'ICMP errors': 1 }],
    ['home-gateway', named('home-gateway', ['lan0', 'wan0']), 394, { 'TCP resets': 1, 'echo replies': 4 }],
  ])(
    'captures/%s: every prediction has its record, and what is left are answers',
    async (session, captures, agreed, answers) => {
      const { code, stderr, report } = await verified(captures, session);
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
      expect(report).toMatchObject({
        agree: true,
        predicted: agreed,
        agreed,
        differing: 0,
        missing: 0,
        unexplained: 0,
      });
      expect(report.setAside.answers).toEqual(answers);
      expect(report.outgoing).toBe(agreed + Object.values(answers).reduce((sum, count) => sum + count, 0));
    },
  );

  it('learns the ports that a home router had to draw', async () => {
    const { report } = await verified(named('home-gateway', ['lan0', 'wan0']), 'home-gateway');
    expect(report.ports).toEqual({ learnt: 20, unknown: 0, refused: 0, unforeseen: 0 });
  });

  it('leaves what the host itself began alone', async () => {
    const session = 'docker-bridge/from-host';
    const { code, report } = await verified(named(session, ['eth0', 'docker0']), session);
    expect(code).toBe(0);
    expect(report).toMatchObject({ predicted: 0, outgoing: 52, setAside: { own: 44, answers: { 'TCP segments': 8 } } });
  });

  it('says so when nothing was compared', async () => {
    const session = 'docker-bridge/between-containers';
    const { code, stdout, stderr } = await verified(named(session, ['docker0']), session);
    expect(code).toBe(0);
    expect(stdout).toContain('Nothing was compared');
    expect(stdout).toContain('14  passed between ports of a bridge, not routed\n');
    expect(stderr).toMatch(/^natreplay: warning: no record in these captures was sent by the host/);
  });

  it('finds a packet of which one byte differs', async () => {
    const bytes = readFileSync(join(CAPTURES, 'docker-bridge/docker0.pcap'));
    // The TTL of an outgoing packet in the middle: docker0's MAC, EtherType, version 4 with 20 bytes of header.
    const packet = bytes.indexOf(Buffer.from('024211000001' + '08004500', 'hex'), bytes.length / 2);
    const at = packet < 0 ? bytes.indexOf(Buffer.from('08004500', 'hex'), bytes.length / 2) + 2 : packet + 8;
    bytes.writeUInt8(bytes.readUInt8(at + 8) - 1, at + 8);
    writeFileSync(folder.at('docker0.pcap'), bytes);
    const [eth0 = ''] = named('docker-bridge', ['eth0']);
    const { code, report } = await verified([eth0, `docker0=${folder.at('docker0.pcap')}`], 'docker-bridge');
    expect(code).toBe(1);
    expect(report.findings).toHaveLength(1);
    expect(report.agreed).toBe(259);
  });

  it('refuses --keep: nothing is sent', async () => {
    const ran = await inProcess(['verify', 'in.pcap', '--recorded', '--keep', folder.at('kept')]);
    expect(ran).toMatchObject({ code: 2, stderr: expect.stringContaining('--keep has no meaning') });
  });
});

describe('replay --learn-ports', () => {
  const captures = named('home-gateway', ['lan0', 'wan0']);

  it('gives what the kernel gave: the output holds every recorded packet, byte for byte', async () => {
    const output = folder.at('translated.pcapng');
    const ran = await inProcess([
      'replay',
      ...captures,
      ...hostOf('home-gateway'),
      '--learn-ports',
      '-w',
      output,
      '--json',
      folder.at('r.json'),
    ]);
    expect(ran).toMatchObject({ code: 0, stderr: '' });
    expect(ran.stdout).toMatch(/Ports the kernel drew\n {2}20 {2}learnt/);
    expect(JSON.parse(readFileSync(folder.at('r.json'), 'utf8')).ports.learnt).toBe(20);
    const translated = readFileSync(output);
    const missing = outgoing('home-gateway', 'wan0').filter((packet) => !translated.includes(packet));
    // The answers of the router itself: a reset and two echo replies (the others go out by lan0).
    expect(missing).toHaveLength(3);
  });

  it('cannot read standard input, which is there only once', async () => {
    const ran = await inProcess(['replay', '-', ...hostOf('home-gateway'), '--learn-ports']);
    expect(ran).toMatchObject({ code: 2, stderr: expect.stringContaining('reads captures twice') });
  });

  it('cannot learn from records that are to be replayed', async () => {
    const ran = await inProcess([
      'replay',
      ...captures,
      ...hostOf('home-gateway'),
      '--learn-ports',
      '--outgoing',
      'replay',
    ]);
    expect(ran).toMatchObject({ code: 2, stderr: expect.stringContaining('exclude each other') });
  });
});

/** Packets that the host sent by an interface, from the IP header on: those with its own MAC (nanosecond pcap, Ethernet). */
function outgoing(session: string, iface: string): Buffer[] {
  const file = readFileSync(join(CAPTURES, session, `${iface}.pcap`));
  const host = JSON.parse(readFileSync(join(CAPTURES, session, 'host.json'), 'utf8'));
  const link = host.addr.find((each: { ifname: string }) => each.ifname === iface);
  const mac = link.address.replaceAll(':', '');
  const packets: Buffer[] = [];
  for (let at = 24; at < file.length; at += 16 + file.readUInt32LE(at + 8)) {
    const frame = file.subarray(at + 16, at + 16 + file.readUInt32LE(at + 8));
    if (frame.toString('hex', 6, 12) !== mac || frame.readUInt16BE(12) !== 0x0800) continue;
    packets.push(frame.subarray(14, 14 + frame.readUInt16BE(16)));
  }
  return packets;
}
