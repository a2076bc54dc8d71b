/** `natreplay verify`, as documented in docs/verify.md. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { parseRules } from '../../src/rules/index.js';
import { HOST_COMMAND, neededCommands } from '../../src/verify/gateway.js';
import { statedHostFile } from '../../src/verify/host.js';
import { verifyJsonText, verifySchema } from '../../src/verify/json.js';
import { verifyReport } from '../../src/verify/report.js';
import { verify } from '../../src/verify/verify.js';
import { pcap } from '../capture/build.js';
import { blocksOf } from '../docs/blocks.js';
import { DOCKER_HOST, DOCKER_RULES } from '../kernel/hosts.js';
import { ether, tcp, udp } from '../kernel/packets.js';
import { inProcess, ROOT, scratch } from '../support/cli.js';
import { needs } from '../support/requirements.js';

const requirement = needs({
  root: true,
  commands: [...neededCommands('legacy'), ...neededCommands('nft'), HOST_COMMAND],
});
const title = (name: string): string => (requirement.skip ? `${name} (${requirement.reason})` : name);

const folder = scratch();
afterAll(() => folder.remove());

/** What differs from machine to machine and run to run. */
const steady = (text: string): string =>
  text.replace(/Linux [0-9][^ ]*/, 'Linux 6.18').replace(/[0-9,]+ packets\/s/, '4,000 packets/s');

const [example, agreeing, differing] = blocksOf('docs/verify.md').map(({ text }) => text);
const CAPTURES = join(ROOT, 'captures');
const CASES = {
  docker: ['docker-bridge/any.pcap', '--host', 'docker-bridge/host.json'],
  errors: [
    'eth0=docker-bridge/errors/eth0.pcap',
    'docker0=docker-bridge/errors/docker0.pcap',
    '--host',
    'docker-bridge/errors/host.json',
  ],
  home: ['lan0=home-gateway/lan0.pcap', 'wan0=home-gateway/wan0.pcap', '--host', 'home-gateway/host.json'],
} as const;

function argumentsOf(name: keyof typeof CASES): string[] {
  return CASES[name].map((word) => (word.startsWith('--') ? word : word.replace(/^([a-z0-9]+=)?/, `$1${CAPTURES}/`)));
}

/** A pcap file of Ethernet frames. */
const captureOf = (frames: readonly Uint8Array[]): Buffer =>
  pcap(frames.map((frame) => ({ seconds: 1_700_000_000, fraction: 0, frame })));

const namespaces = (pid: number | undefined): string[] => {
  try {
    return readdirSync('/run/netns').filter((name) => name.startsWith(`natreplay-${pid}-`));
  } catch {
    return [];
  }
};

describe.skipIf(requirement.skip)(title('natreplay verify'), () => {
  it('agrees with the kernel as the documentation shows', async () => {
    expect(example).toBe('natreplay verify captures/docker-bridge/any.pcap --host captures/docker-bridge/host.json\n');
    const { code, stdout } = await inProcess(['verify', ...argumentsOf('docker')]);
    expect(steady(stdout)).toBe(agreeing);
    expect(code).toBe(0);
  });

  it.each([
    ['errors', 'nft'],
    ['home', 'legacy'],
    ['home', 'nft'],
  ] as const)('agrees about the recordings: %s, iptables %s', async (name, backend) => {
    const { code, stdout } = await inProcess(['verify', ...argumentsOf(name), '--backend', backend]);
    expect(stdout).toMatch(/^natreplay and the kernel agree/);
    expect(code).toBe(0);
  });

  it('goes without tables on both sides', async () => {
    const { code, stdout } = await inProcess(['verify', ...argumentsOf('docker'), '--tables', 'filter']);
    expect(stdout).toMatch(/^natreplay and the kernel agree/);
    expect(stdout).toContain('counters     16 of 16 agree');
    expect(code).toBe(0);
  });

  it('sends frames with the MAC addresses they were captured with, where rules ask for them', async () => {
    const rules = folder.at('mac.v4');
    const pc12 = '-A FORWARD -m mac --mac-source 02:00:c0:a8:01:12 -j ACCEPT';
    writeFileSync(rules, `*filter\n:FORWARD DROP [0:0]\n${pc12}\nCOMMIT\n`);
    const { code, stdout } = await inProcess(['verify', ...argumentsOf('home'), '--rules', rules]);
    expect(stdout).toMatch(/^natreplay and the kernel agree/);
    expect(stdout).toMatch(/forwarded {4}[1-9]/);
    expect(code).toBe(0);
  });

  it('sends what the host itself sent, in its place among what came in', async () => {
    const local = folder.at('local.pcap');
    const eth0 = folder.at('eth0.pcap');
    const rules = folder.at('output.v4');
    const packet = (seconds: number, bytes: Uint8Array) => ({ seconds, fraction: 0, frame: ether(bytes) });
    const published = { src: '192.0.2.1:40000', dst: '192.0.2.1:8799' };
    const query = { src: '172.17.0.1:4000', dst: '198.51.100.1:53' };
    writeFileSync(local, pcap([packet(1, tcp({ ...published, flags: 'S' })), packet(2, udp(query))]));
    const answer = udp({ src: query.dst, dst: '192.0.2.1:4000' });
    writeFileSync(eth0, pcap([packet(3, answer)]));
    const extra = '-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE';
    writeFileSync(rules, DOCKER_RULES.replace(extra, `-A OUTPUT -p udp --dport 53\n${extra}`));
    const host = folder.at('docker.json');
    writeFileSync(host, JSON.stringify(DOCKER_HOST));
    const args = [`@local=${local}`, `eth0=${eth0}`, '--rules', rules, '--host', host];
    const { code, stdout } = await inProcess(['verify', ...args]);
    expect(stdout).toMatch(/^natreplay and the kernel agree: 3 packets/);
    expect(stdout).toMatch(/forwarded {4}2, to the host 1, dropped 0/);
    expect(stdout).not.toContain('left out');
    expect(code).toBe(0);
  });

  it('shows what differs field by field, with the rules that natreplay applied', async () => {
    const host = folder.at('host.json');
    writeFileSync(host, JSON.stringify(DOCKER_HOST));
    const capture = folder.at('two.pcap');
    writeFileSync(
      capture,
      captureOf([
        ether(tcp({ src: '198.51.100.7:40000', dst: '192.0.2.1:8799', flags: 'S' })),
        ether(udp({ src: '198.51.100.7:40000', dst: '192.0.2.1:53' })),
      ]),
    );
    const described = statedHostFile({ file: host, iface: [], route: [] });
    if (described === undefined) throw new Error('no host');
    const result = await verify({
      ...described,
      captures: [{ path: capture, iface: 'eth0' }],
      rules: parseRules(DOCKER_RULES, { file: 'rules', family: 4, unsupported: 'stop' }),
      rulesText: DOCKER_RULES.replace('172.17.0.3:1337', '172.17.0.9:1337'),
      backend: 'legacy',
    });
    const report = verifyReport(result, { kernel: 'Linux 6.18', backend: 'legacy', most: 10 });
    expect(report).toMatch(/^natreplay and the kernel DIFFER/);
    expect(result).toMatchObject({ agreed: 1, differing: 1 });
    expect(report).toContain(`\n${differing}`);
    expect(report).toContain('connections that differ:');
    const facts = { kernel: 'Linux 6.18', backend: 'legacy' } as const;
    const json: unknown = JSON.parse(verifyJsonText(result, facts));
    expect(verifySchema.parse(json)).toEqual(json);
    expect(json).toMatchObject({
      agree: false,
      mismatches: [{ kind: 'differs', in: 'eth0', kernel: { iface: 'docker0' } }],
    });
  });

  it('keeps everything for study, and says the same as JSON', async () => {
    const kept = folder.at('kept');
    const json = folder.at('result.json');
    const { code, stdout } = await inProcess(['verify', ...argumentsOf('home'), '--keep', kept, '--json', json, '-q']);
    expect([code, stdout]).toEqual([0, '']);
    expect(readdirSync(kept).sort()).toEqual([
      'conntrack.kernel.txt',
      'conntrack.natreplay.txt',
      'counters.kernel.v4',
      'counters.natreplay.v4',
      'host.json',
      'kernel.pcapng',
      'natreplay.pcapng',
      'rules.v4',
      'sent.pcapng',
    ]);
    const kept4 = (side: string): string => readFileSync(join(kept, `counters.${side}.v4`), 'utf8');
    expect(kept4('natreplay')).toBe(kept4('kernel'));
    expect(JSON.parse(readFileSync(json, 'utf8'))).toMatchObject({
      schema: 1,
      agree: true,
      packets: { compared: 399, agreed: 399, differing: 0 },
      mismatches: [],
    });
  });

  it('infers a host where none is stated, and leaves rules out that natreplay does not know', async () => {
    const rules = folder.at('skip.v4');
    writeFileSync(
      rules,
      `${DOCKER_RULES}*filter\n:FORWARD ACCEPT [0:0]\n-A FORWARD -m rateest --set -j DROP\nCOMMIT\n`,
    );
    const capture = join(CAPTURES, 'docker-bridge/eth0.pcap');
    const { code, stdout, stderr } = await inProcess(['verify', capture, '--rules', rules, '--unsupported', 'skip']);
    expect(stderr).toContain('1 rules are unknown and left out on both sides');
    expect(stdout).toMatch(/^natreplay and the kernel agree/);
    expect(stdout).toContain('  assumed ');
    expect(code).toBe(0);
  });

  it.each([
    ['Ctrl-C', 'SIGINT', 130],
    ['SIGTERM', 'SIGTERM', 143],
    ['SIGKILL', 'SIGKILL', 137],
  ] as const)('leaves no namespace behind after %s', async (_, signal, code) => {
    const child = spawn(process.execPath, ['--import', 'tsx', 'src/cli/main.ts', 'verify', ...argumentsOf('home')], {
      cwd: ROOT,
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let said = '';
    child.stderr?.on('data', (text: Buffer) => {
      said += text.toString();
    });
    await expect.poll(() => namespaces(child.pid).length, { timeout: 20_000, interval: 20 }).toBeGreaterThan(0);
    const ended = once(child, 'close');
    child.kill(signal);
    // While namespaces are being made it waits for that, and dies of the signal if it takes long: the same to a shell.
    const [own, by] = (await ended) as [number | null, NodeJS.Signals | null];
    expect(own ?? 128 + (by === null ? 0 : constants.signals[by])).toBe(code);
    expect(said).toBe(signal === 'SIGKILL' ? '' : `natreplay: stopped by ${signal}\n`);
    await expect.poll(() => namespaces(child.pid), { timeout: 10_000 }).toEqual([]);
  });

  it('passes on what iptables-restore says about rules', async () => {
    const rules = folder.at('bad.v4');
    writeFileSync(
      rules,
      '*filter\n:FORWARD ACCEPT [0:0]\n-A FORWARD -m set --match-set nosuchset src -j DROP\nCOMMIT\n',
    );
    const capture = join(CAPTURES, 'docker-bridge/eth0.pcap');
    const { code, stderr } = await inProcess(['verify', capture, '--rules', rules]);
    expect(code).toBe(2);
    expect(stderr.trim().split('\n')).toHaveLength(1);
  });
});

describe('natreplay verify, told something that cannot be', () => {
  it.each([
    ['no capture', [], /no capture is named/],
    ['standard input', ['-'], /reads captures twice/],
  ])('%s', async (_, args, message) => {
    const { code, stderr } = await inProcess(['verify', ...args]);
    expect(stderr).toMatch(message);
    expect(code).toBe(2);
  });

  it.skipIf(requirement.skip)('captures of which nothing can be compared', async () => {
    const capture = folder.at('arp.pcap');
    writeFileSync(
      capture,
      captureOf([Buffer.concat([Buffer.alloc(12, 2), Buffer.from('0806', 'hex'), Buffer.alloc(28)])]),
    );
    const stray = folder.at('loopback.pcap');
    writeFileSync(stray, captureOf([ether(udp({ src: '127.0.0.1:4000', dst: '127.0.0.1:53' }))]));
    const { code, stderr } = await inProcess(['verify', capture, '--iface', 'eth0=192.0.2.1/24']);
    expect(stderr).toContain(
      'no packet of the captures can be put to the kernel: 1 not IP; capture IPv4 or IPv6 packets\n',
    );
    expect(code).toBe(2);
    const whole = await inProcess(['verify', `lo=${stray}`, '--iface', 'eth0=192.0.2.1/24']);
    expect(whole.stderr).toMatch(/1 on loopback; capture on the interfaces that packets from others come in by\n$/);
  });

  it.skipIf(requirement.skip)('a gateway that no route leads to is taken as a replay takes it', async () => {
    const capture = folder.at('default.pcap');
    writeFileSync(capture, captureOf([ether(udp({ src: '10.0.0.5:4000', dst: '203.0.113.9:53' }))]));
    const link = (ifname: string, local: string) => ({
      ifname,
      flags: ['UP'],
      addr_info: [{ family: 'inet', local, prefixlen: 24 }],
    });
    const verified = async (gateway: string) => {
      const host = folder.at('default.json');
      const addr = [link('lan0', '10.0.0.1'), link('wan0', '192.0.2.1')];
      writeFileSync(host, JSON.stringify({ addr, route: [{ dst: 'default', gateway, dev: 'wan0' }] }));
      return inProcess(['verify', `lan0=${capture}`, '--host', host]);
    };
    const { code, stdout, stderr } = await verified('192.0.2.254');
    expect([code, stderr]).toEqual([0, '']);
    expect(stdout).toMatch(/forwarded +1/);
    const refused = await verified('192.0.2.1');
    expect(refused.stderr).toMatch(/^[^\n]*the kernel refuses the host's route 'default via 192\.0\.2\.1 [^\n]*\n$/);
    expect(refused.code).toBe(2);
  });
});
