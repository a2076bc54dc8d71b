import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Answer, type Machine, snapshotCommand, takeSnapshot } from '../../src/cli/snapshot.js';
import { formatPrefix } from '../../src/host/address.js';
import { hostFromFile } from '../../src/host/hostfile.js';
import type { Host } from '../../src/host/types.js';
import { Namespace } from '../host/namespace.js';
import { routeText, typeText } from '../host/support.js';
import { needs } from '../support/requirements.js';

const MISSING: Answer = { stdout: undefined, problem: 'not installed', missing: true };

/** A machine that knows the answers given, by command line. */
function machine(answers: Record<string, string | Answer>): Machine {
  return {
    run(command, args) {
      const answer = answers[[command, ...args].join(' ')] ?? MISSING;
      return typeof answer === 'string' ? { stdout: answer, problem: '', missing: false } : answer;
    },
    sysctls: () => ({ 'net.ipv4.ip_forward': '1' }),
  };
}

const IP = { 'ip -d -j addr': '[{"ifname":"lo"}]', 'ip -j route show table all': '[]' };

describe('what a snapshot holds', () => {
  it('is what the tools say, tools that are missing left out with a warning', () => {
    const warnings: string[] = [];
    const answers = { ...IP, 'ip -j rule': '', 'iptables-save -c': '*nat\nCOMMIT\n' };
    expect(takeSnapshot(machine(answers), (text) => warnings.push(text))).toEqual({
      addr: [{ ifname: 'lo' }],
      route: [],
      rule: [],
      sysctl: { 'net.ipv4.ip_forward': '1' },
      iptables: '*nat\nCOMMIT\n',
    });
    expect(warnings).toContain('\'ip6tables-save -c\' gave nothing (not installed); "ip6tables" is left out');
    expect(warnings).toHaveLength(4);
  });

  it.each([
    ['no ip at all', {}, "'ip' is not installed here; install iproute2", 2],
    ['an ip without JSON', { ...IP, 'ip -d -j addr': '1: lo: <LOOPBACK>' }, 'what it printed is not JSON', 3],
    [
      'an ip that fails',
      { ...IP, 'ip -d -j addr': { stdout: undefined, problem: 'Option "-j" is unknown', missing: false } },
      'Option "-j" is unknown',
      3,
    ],
  ])('cannot be taken with %s', (_, answers, message, exitCode) => {
    const take = (): unknown => takeSnapshot(machine(answers), () => {});
    expect(take).toThrow(message);
    expect(take).toThrow(expect.objectContaining({ exitCode }));
  });
});

const { skip, reason } = needs({ root: true, commands: ['ip', 'unshare', 'nsenter', 'iptables', 'ip6tables'] });

describe.skipIf(skip)(`a snapshot of a live machine ${reason}`, () => {
  const folder = mkdtempSync(join(tmpdir(), 'natreplay-snapshot-'));
  const file = join(folder, 'host.json');
  let namespace: Namespace;

  /** The command as a process of its own, inside the namespace. */
  const main =
    "import { snapshotCommand } from './src/cli/snapshot.ts'; await snapshotCommand().parseAsync(process.argv.slice(1), { from: 'user' });";
  const snapshot = (...args: string[]): string =>
    execFileSync(
      'nsenter',
      [
        '--net',
        '--target',
        String(namespace.pid),
        process.execPath,
        '--import',
        'tsx',
        '--input-type=module',
        '-e',
        main,
        '--',
        ...args,
      ],
      { encoding: 'utf8' },
    );

  beforeAll(async () => {
    namespace = await Namespace.create();
    namespace.run(`
      ip link set lo up
      echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad
      echo 1 > /proc/sys/net/ipv4/ip_forward; echo 1 > /proc/sys/net/ipv6/conf/all/forwarding
      ip link add eth0 type veth peer name far0; ip link set far0 up; ip link set eth0 up
      ip link add docker0 type bridge; ip link set docker0 up
      ip link add vlan.100 link eth0 type vlan id 100 2> /dev/null || ip link add vlan.100 type veth peer name far1
      ip addr add 192.0.2.1/24 brd + dev eth0; ip addr add 192.0.2.9/24 dev eth0; ip addr add 2001:db8::1/64 dev eth0
      ip addr add 172.17.0.1/16 dev docker0
      ip route add default via 192.0.2.254; ip -6 route add default via 2001:db8::fe
      ip route add blackhole 198.18.0.0/15; ip route add 10.0.0.0/8 via 192.0.2.7
      iptables -t nat -A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
      ip6tables -t nat -A POSTROUTING -j MASQUERADE
    `);
  });
  afterAll(() => {
    namespace?.remove();
    rmSync(folder, { recursive: true });
  });

  /** Addresses of an interface as `ip -o addr` lists them. */
  const listed = (name: string): string[] =>
    [...namespace.run(`ip -o addr show dev ${name}`).matchAll(/ inet6? (\S+)/g)].map((match) => match[1] ?? '');
  const ours = (host: Host, name: string): string[] =>
    (host.interfaceByName(name)?.addresses ?? []).map((a) => formatPrefix(a.family, a.words, a.prefixLength));

  it('gives a host with the same addresses, routes, types and rules', () => {
    snapshot('-o', file);
    expect(readdirSync(folder)).toEqual(['host.json']);
    const host = hostFromFile(file);
    for (const name of ['lo', 'eth0', 'docker0']) expect(ours(host, name)).toEqual(listed(name));
    expect(host.iptables).toContain('-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE');
    expect(host.ip6tables).toContain('-A POSTROUTING -j MASQUERADE');
    expect(host.sysctl('net.ipv4.ip_forward')).toBe('1');
    expect(host.sysctl('net.ipv4.conf.vlan/100.rp_filter')).toMatch(/^[012]$/);
    expect(host.assumptions).toEqual([]);
    const answers = ['192.0.2.9', '192.0.2.255', '172.17.0.3', '10.1.2.3', '1.1.1.1', '198.18.0.1', '2001:db8:7::1'];
    expect(answers.map((destination) => `${destination}: ${routeText(host, destination)}`)).toEqual([
      '192.0.2.9: local eth0',
      '192.0.2.255: broadcast eth0',
      '172.17.0.3: unicast docker0',
      '10.1.2.3: unicast eth0 via 192.0.2.7',
      '1.1.1.1: unicast eth0 via 192.0.2.254',
      '198.18.0.1: blackhole',
      '2001:db8:7::1: unicast eth0 via 2001:db8::fe',
    ]);
    expect(typeText(host, '2001:db8::')).toBe('anycast');
  });

  it('goes to standard output by default', () => {
    expect(Object.keys(JSON.parse(snapshot()))).toEqual(
      expect.arrayContaining(['addr', 'route', 'route6', 'rule', 'sysctl', 'iptables']),
    );
  });
});

describe('a snapshot that cannot be written', () => {
  it.skipIf(spawnSync('ip', ['-V']).status !== 0)('says so, and leaves nothing behind', async () => {
    const path = join(tmpdir(), 'no', 'such', 'folder', 'host.json');
    await expect(snapshotCommand().parseAsync(['-o', path], { from: 'user' })).rejects.toThrow(
      /host\.json: the folder \/.*\/no\/such\/folder does not exist; create it first/,
    );
    expect(existsSync(path)).toBe(false);
  });

  it.skipIf(spawnSync('ip', ['-V']).status !== 0)('goes to a device as it is', async () => {
    await snapshotCommand().parseAsync(['-o', '/dev/null'], { from: 'user' });
    expect(existsSync('/dev/null.partial')).toBe(false);
    await expect(snapshotCommand().parseAsync(['-o', '/dev/full'], { from: 'user' })).rejects.toThrow(
      '/dev/full: the disk is full; make room and run again',
    );
  });
});
