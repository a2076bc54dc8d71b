/**
 * The harness itself, held against facts about Linux that are written down here by hand: whatever is compared with the
 * kernel later can only be as true as this.
 */
import { readdirSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { ipPacket } from '../../src/verify/compare.js';
import { differingFields } from '../../src/verify/fields.js';
import { type Backend, neededCommands } from '../../src/verify/gateway.js';
import { type KernelRun, runKernel } from '../../src/verify/run-kernel.js';
import { needs } from '../support/requirements.js';
import { DOCKER_HOST, DOCKER_RULES, HOME_HOST, HOME_RULES } from './hosts.js';
import { ether, icmp, ip, say, tcp, udp } from './packets.js';

const requirement = needs({ root: true, commands: [...neededCommands('legacy'), ...neededCommands('nft')] });
const title = (name: string): string => (requirement.skip ? `${name} (${requirement.reason})` : name);

interface Step {
  readonly name: string;
  readonly in: string;
  readonly packet: Uint8Array;
  /** Egress interface and the very packet that leaves there; `dropped`; or the packet that the host itself gets. */
  readonly becomes: readonly [iface: string, packet: Uint8Array] | 'dropped' | { readonly host: Uint8Array };
}

const dockerSteps: readonly Step[] = [
  {
    name: 'a SYN to a published port goes to the container',
    in: 'eth0',
    packet: tcp({ src: '192.0.2.7:40000', dst: '192.0.2.1:8799', flags: 'S' }),
    becomes: ['docker0', tcp({ src: '192.0.2.7:40000', dst: '172.17.0.3:1337', flags: 'S', ttl: 63 })],
  },
  {
    name: 'its reply comes from the published port',
    in: 'docker0',
    packet: tcp({ src: '172.17.0.3:1337', dst: '192.0.2.7:40000', flags: 'SA', seq: 5000, ack: 1001 }),
    becomes: [
      'eth0',
      tcp({ src: '192.0.2.1:8799', dst: '192.0.2.7:40000', flags: 'SA', seq: 5000, ack: 1001, ttl: 63 }),
    ],
  },
  {
    name: 'a container is masqueraded',
    in: 'docker0',
    packet: udp({ src: '172.17.0.3:5353', dst: '198.51.100.53:53', payload: 'query' }),
    becomes: ['eth0', udp({ src: '192.0.2.1:5353', dst: '198.51.100.53:53', payload: 'query', ttl: 63 })],
  },
  {
    name: 'and gets its answer',
    in: 'eth0',
    packet: udp({ src: '198.51.100.53:53', dst: '192.0.2.1:5353', payload: 'answer' }),
    becomes: ['docker0', udp({ src: '198.51.100.53:53', dst: '172.17.0.3:5353', payload: 'answer', ttl: 63 })],
  },
  {
    name: 'UDP without a checksum stays without (E2)',
    in: 'docker0',
    packet: udp({ src: '172.17.0.3:5354', dst: '198.51.100.53:53', payload: 'q', noChecksum: true }),
    becomes: ['eth0', udp({ src: '192.0.2.1:5354', dst: '198.51.100.53:53', payload: 'q', noChecksum: true, ttl: 63 })],
  },
  {
    name: 'a ping from a container',
    in: 'docker0',
    packet: icmp({ src: '172.17.0.4', dst: '198.51.100.9', type: 8, icmpId: 77, seq: 1, payload: 'ping' }),
    becomes: [
      'eth0',
      icmp({ src: '192.0.2.1', dst: '198.51.100.9', type: 8, icmpId: 77, seq: 1, payload: 'ping', ttl: 63 }),
    ],
  },
  {
    name: 'TTL 1 is dropped (E1)',
    in: 'eth0',
    packet: tcp({ src: '192.0.2.7:40001', dst: '192.0.2.1:8799', flags: 'S', ttl: 1 }),
    becomes: 'dropped',
  },
  {
    name: 'a wrong IP checksum is dropped (E6)',
    in: 'eth0',
    packet: tcp({ src: '192.0.2.7:40002', dst: '192.0.2.1:8799', flags: 'S', badIpChecksum: true }),
    becomes: 'dropped',
  },
  {
    name: 'an invalid SYN+ACK leaks out unchanged (A4, E4)',
    in: 'docker0',
    packet: tcp({ src: '172.17.0.3:1337', dst: '192.0.2.7:41000', flags: 'SA' }),
    becomes: ['eth0', tcp({ src: '172.17.0.3:1337', dst: '192.0.2.7:41000', flags: 'SA', ttl: 63 })],
  },
  {
    name: 'a SYN to a port that nobody published reaches the host, whose RST is not taken for an output',
    in: 'eth0',
    packet: tcp({ src: '192.0.2.7:40003', dst: '192.0.2.1:22', flags: 'S' }),
    becomes: { host: tcp({ src: '192.0.2.7:40003', dst: '192.0.2.1:22', flags: 'S' }) },
  },
  {
    name: 'a wrong TCP checksum is invalid: not translated, delivered to the host (A4)',
    in: 'eth0',
    packet: tcp({ src: '192.0.2.7:40004', dst: '192.0.2.1:8799', flags: 'S', badChecksum: true }),
    becomes: { host: tcp({ src: '192.0.2.7:40004', dst: '192.0.2.1:8799', flags: 'S', badChecksum: true }) },
  },
];

function check(run: KernelRun, steps: readonly Step[]): void {
  steps.forEach((step, input) => {
    const outputs = run.outputs.filter((output) => output.input === input);
    const delivered = run.delivered.filter((delivery) => delivery.input === input);
    const seen = [
      ...outputs.map((o) => `${o.iface}: ${say(ipPacket(o.frame))}`),
      ...delivered.map((d) => `host: ${say(d.packet)}`),
    ];
    const [where, packet] = expected(step);
    expect(seen, step.name).toEqual(packet === undefined ? [] : [`${where}: ${say(packet)}`]);
    if (packet === undefined) return;
    const actual = delivered[0]?.packet ?? ipPacket(outputs[0]?.frame ?? new Uint8Array(14));
    expect(differingFields(actual, packet), step.name).toEqual([]);
  });
}

function expected(step: Step): readonly [where: string, packet: Uint8Array | undefined] {
  if (step.becomes === 'dropped') return ['', undefined];
  return 'host' in step.becomes ? ['host', step.becomes.host] : step.becomes;
}

describe.skipIf(requirement.skip)(title('the running kernel'), () => {
  const backends: readonly Backend[] = ['legacy', 'nft'];

  it.each(backends)('translates for Docker as it is known to (%s)', async (backend) => {
    const packets = dockerSteps.map((step) => ({ iface: step.in, frame: ether(step.packet) }));
    const run = await runKernel({ host: DOCKER_HOST, rules: DOCKER_RULES, backend, packets });
    check(run, dockerSteps);

    // NEW packets only; the one with TTL 1 counts too, before routing drops it (A3), and 40 bytes is a TCP SYN.
    expect(run.counters).toContain(
      '[2:80] -A DOCKER ! -i docker0 -p tcp -m tcp --dport 8799 -j DNAT --to-destination 172.17.0.3:1337',
    );
    // Two queries (33 and 29 bytes) and a ping (32 bytes).
    expect(run.counters).toContain('[3:94] -A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE');
    expect(run.counters).toContain(':INPUT ACCEPT [1:40]');

    const entries = run.conntrack.split('\n').map((line) => line.replace(/ +\d+ /, ' ').replace(/ \d+ /, ' '));
    expect(entries).toContainEqual(
      expect.stringMatching(
        /^tcp .*SYN_RECV src=192\.0\.2\.7 dst=192\.0\.2\.1 sport=40000 dport=8799 src=172\.17\.0\.3 dst=192\.0\.2\.7 sport=1337 dport=40000 /,
      ),
    );
    expect(entries).toContainEqual(
      expect.stringMatching(
        /^icmp .*src=172\.17\.0\.4 dst=198\.51\.100\.9 type=8 code=0 id=77 \[UNREPLIED\] src=198\.51\.100\.9 dst=192\.0\.2\.1 type=0 code=0 id=77 /,
      ),
    );
    expect(run.conntrack).not.toContain('sport=40001');
  });

  it('draws a port when two machines collide behind one address (B2)', async () => {
    const from = (host: string) => udp({ src: `${host}:4000`, dst: '198.51.100.1:53' });
    const packets = ['192.168.1.10', '192.168.1.11'].map((host) => ({ iface: 'lan', frame: ether(from(host)) }));
    const run = await runKernel({ host: HOME_HOST, rules: HOME_RULES, backend: 'legacy', packets });
    const ports = run.outputs.map((output) => Buffer.from(ipPacket(output.frame)).readUInt16BE(20));
    expect(ports[0]).toBe(4000);
    expect(ports[1]).not.toBe(4000);
    expect(ports[1]).toBeGreaterThanOrEqual(1024);
  });

  it.each(backends)('gives each of 2,000 packets its own outputs (%s)', async (backend) => {
    const count = 2000;
    const number = (n: number): Uint8Array => Uint8Array.of(n >> 8, n & 255);
    // Every third is dropped, every seventh goes to the host: gaps are where guessing would go wrong.
    const kind = (n: number): string => (n % 7 === 0 ? 'host' : n % 3 === 0 ? 'dropped' : 'wan');
    const destination = (n: number): string => (kind(n) === 'host' ? '192.168.1.1:9' : '198.51.100.1:53');
    const packets = Array.from({ length: count }, (_, n) => {
      const fields = { src: `192.168.1.${2 + (n % 200)}:${2000 + n}`, dst: destination(n), payload: number(n) };
      return { iface: 'lan', frame: ether(udp({ ...fields, ttl: kind(n) === 'dropped' ? 1 : 64 })) };
    });
    const run = await runKernel({ host: HOME_HOST, rules: HOME_RULES, backend, packets });
    const read = (packet: Uint8Array): number => ((packet[28] ?? 0) << 8) | (packet[29] ?? 0);
    const inputs = [...packets.keys()];
    expect(run.outputs.map((o) => o.input)).toEqual(inputs.filter((n) => kind(n) === 'wan'));
    expect(run.outputs.map((o) => read(ipPacket(o.frame)))).toEqual(run.outputs.map((o) => o.input));
    expect(run.delivered.map((d) => d.input)).toEqual(inputs.filter((n) => kind(n) === 'host'));
    expect(run.delivered.map((d) => read(d.packet))).toEqual(run.delivered.map((d) => d.input));
  });

  it.each(backends)('tracks nothing for a nat table in which no rule translates (%s)', async (backend) => {
    const chains = [':PREROUTING', ':INPUT', ':OUTPUT', ':POSTROUTING']
      .map((chain) => `${chain} ACCEPT [0:0]\n`)
      .join('');
    const packets = [{ iface: 'lan', frame: ether(udp({ src: '192.168.1.9:9', dst: '198.51.100.1:53' })) }];
    const withRule = async (rule: string): Promise<KernelRun> =>
      runKernel({ host: HOME_HOST, rules: `*nat\n${chains}${rule}COMMIT\n`, backend, packets });
    for (const rule of ['', '-A PREROUTING -j ACCEPT\n']) {
      const idle = await withRule(rule);
      expect([idle.outputs.length, idle.conntrack]).toEqual([1, '']);
      expect(idle.counters).toContain(':PREROUTING ACCEPT [0:0]');
    }
    const busy = await withRule('-A POSTROUTING -d 203.0.113.77/32 -j MASQUERADE\n');
    expect(busy.counters).toContain(':PREROUTING ACCEPT [1:28]');
    expect(busy.conntrack).toContain('src=192.168.1.9');
  });

  it('drops GRE of an unknown version where its destination is to be translated, and only there', async () => {
    const gre = (version: number) => Uint8Array.of(0, version, 8, 0, 0, 4, 0x11, 0x11);
    const out = (version: number) => ip({ src: '192.168.1.9', dst: `198.51.100.${version}` }, 47, gre(version));
    const back = (version: number) => ip({ src: `198.51.100.${version}`, dst: '203.0.113.5' }, 47, gre(version));
    const packets = [0, 2, 7].flatMap((version) => [
      { iface: 'lan', frame: ether(out(version)) },
      { iface: 'wan', frame: ether(back(version)) },
    ]);
    const run = await runKernel({ host: HOME_HOST, rules: HOME_RULES, backend: 'legacy', packets });
    expect(run.outputs.map((o) => `${o.input} ${o.iface}`)).toEqual(['0 wan', '1 lan', '2 wan', '4 wan']);
    expect(run.delivered).toEqual([]);
  });

  it('carries frames that offloading had merged', async () => {
    const large = udp({ src: '192.168.1.9:5000', dst: '198.51.100.1:5000', payload: new Uint8Array(20_000) });
    const packets = [{ iface: 'lan', frame: ether(large) }];
    const run = await runKernel({ host: HOME_HOST, rules: HOME_RULES, backend: 'legacy', packets });
    expect(run.outputs.map((output) => ipPacket(output.frame).length)).toEqual([20_028]);
  });

  it('says why rules are refused, and leaves no namespace behind', async () => {
    const rules = '*nat\n-A POSTROUTING -j DROP\nCOMMIT\n';
    const refused = runKernel({ host: HOME_HOST, rules, backend: 'legacy', packets: [] });
    await expect(refused).rejects.toMatchObject({ code: 'VERIFY_RULES_REFUSED', exitCode: 2 });
    const unknown = [{ iface: 'nowhere', frame: ether(udp({ src: '192.0.2.9:1', dst: '192.0.2.8:2' })) }];
    const failed = runKernel({ host: HOME_HOST, rules: HOME_RULES, backend: 'legacy', packets: unknown });
    await expect(failed).rejects.toMatchObject({ code: 'VERIFY_NO_INTERFACE' });
    const mine = readdirSync('/run/netns').filter((name) => name.startsWith(`natreplay-${process.pid}-`));
    expect(mine).toEqual([]);
  });
});
