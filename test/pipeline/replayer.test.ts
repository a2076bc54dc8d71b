/** The library's way in: packets one by one. */
import { describe, expect, it } from 'vitest';
import { hostFromOptions, NatreplayError, parseRules, Replayer, type ReplayerOptions } from '../../src/index.js';
import { ether, icmp, say, tcp, udp } from '../kernel/packets.js';

const RAW = 101;

function dockerHost(): Replayer {
  const host = hostFromOptions({
    iface: ['eth0=192.0.2.1/24', 'docker0=172.17.0.1/16'],
    route: ['default=192.0.2.254@eth0'],
  });
  const text = [
    '*nat',
    ':DOCKER - [0:0]',
    '-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER',
    '-A DOCKER ! -i docker0 -p tcp --dport 8799 -j DNAT --to-destination 172.17.0.3:1337',
    '-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE',
    'COMMIT',
    '',
  ].join('\n');
  return new Replayer({ host, rules: parseRules(text, { file: 'docker.v4', family: 4, unsupported: 'stop' }) });
}

const SYN = tcp({ src: '198.51.100.7:40000', dst: '192.0.2.1:8799', flags: 'S' });

describe('a packet fed to a host', () => {
  it('is translated, and its answer back', () => {
    const replayer = dockerHost();
    const there = replayer.feed({ iface: 'eth0', linkType: RAW, frame: SYN, seconds: 1 });
    expect(there).toMatchObject({
      verdict: 'forward',
      egress: 'docker0',
      in: 'eth0',
      state: 'new',
      nat: 'dnat',
      rule: 'nat:DOCKER:1',
      before: 'tcp 198.51.100.7:40000 > 192.0.2.1:8799',
      after: 'tcp 198.51.100.7:40000 > 172.17.0.3:1337',
    });
    expect(say(there.frame ?? SYN)).toContain('172.17.0.3');
    const answer = tcp({ src: '172.17.0.3:1337', dst: '198.51.100.7:40000', flags: 'SA', ack: 1 });
    const back = replayer.feed({ iface: 'docker0', linkType: RAW, frame: answer, seconds: 1, nanoseconds: 5e8 });
    expect(back).toMatchObject({ egress: 'eth0', after: 'tcp 192.0.2.1:8799 > 198.51.100.7:40000' });
  });

  it('keeps its own bytes: the result is a copy', () => {
    const before = Buffer.from(SYN);
    dockerHost().feed({ iface: 'eth0', linkType: RAW, frame: SYN });
    expect(before.equals(SYN)).toBe(true);
  });

  it('that it refuses is answered, on demand, and only the tables asked for are evaluated', () => {
    const host = hostFromOptions({ iface: ['eth0=192.0.2.1/24,2001:db8::1/64', 'lan=10.0.0.1/24'], route: [] });
    const text = '*filter\n-A INPUT -j REJECT\nCOMMIT\n';
    const rules = parseRules(text, { file: 'rules.v4', family: 4, unsupported: 'stop' });
    const rules6 = parseRules(text, { file: 'rules.v6', family: 6, unsupported: 'stop' });
    const question = udp({ src: '192.0.2.7:4000', dst: '192.0.2.1:53' });
    const question6 = udp({ src: '[2001:db8::7]:4000', dst: '[2001:db8::1]:53' });
    const said = (options: Partial<ReplayerOptions>): string[] => {
      const replayer = new Replayer({ host, rules, rules6, ...options });
      return [question, question6].map((packet) => {
        const { verdict, answers } = replayer.feed({ iface: 'eth0', frame: ether(packet), seconds: 1 });
        return [verdict, ...answers.map(({ egress, frame }) => `${egress}: ${say(frame.subarray(14))}`)].join(' ');
      });
    };
    expect(said({})).toEqual(['drop', 'drop']);
    expect(said({ tables: ['nat'], hostPackets: true })).toEqual(['local', 'local']);
    expect(said({ hostPackets: true })).toEqual([
      'drop eth0: icmp 192.0.2.1 > 192.0.2.7 type 3 code 3 id 0 ttl 64',
      'drop eth0: icmp 2001:db8::1 > 2001:db8::7 type 1 code 4 id 0 hl 64',
    ]);
  });

  it('may be delivered, dropped, or none of IP', () => {
    const replayer = dockerHost();
    const ping = icmp({ src: '198.51.100.7', dst: '192.0.2.1', type: 8, icmpId: 7 });
    expect(replayer.feed({ iface: 'eth0', linkType: RAW, frame: ping })).toMatchObject({
      verdict: 'local',
      egress: undefined,
    });
    const spent = udp({ src: '172.17.0.3:5000', dst: '203.0.113.9:53', ttl: 1 });
    expect(replayer.feed({ linkType: RAW, frame: spent })).toMatchObject({
      verdict: 'drop',
      why: 'ttl-expired',
      in: 'docker0',
      frame: undefined,
    });
    const arp = new Uint8Array(42).fill(8);
    expect(replayer.feed({ iface: 'eth0', frame: arp })).toMatchObject({ verdict: 'ignored', frame: arp });
  });

  it('may be in an Ethernet frame, whose padding does not go on', () => {
    const padded = new Uint8Array(60);
    padded.set(ether(SYN).subarray(0, 54));
    expect(dockerHost().feed({ iface: 'eth0', frame: padded }).frame).toHaveLength(54);
  });

  it('may be larger than any before it', () => {
    const replayer = dockerHost();
    const large = new Uint8Array(300_000).fill(1);
    expect(replayer.feed({ iface: 'eth0', frame: large })).toMatchObject({ verdict: 'ignored', frame: large });
    expect(replayer.feed({ iface: 'eth0', linkType: RAW, frame: SYN }).verdict).toBe('forward');
  });
});

describe('what is left afterwards', () => {
  it('are counters and connections, in the words of iptables-save and conntrack', () => {
    const replayer = dockerHost();
    replayer.feed({ iface: 'eth0', linkType: RAW, frame: SYN, seconds: 1 });
    expect(replayer.counters()).toContain('[1:40] -A DOCKER ! -i docker0 -p tcp -m tcp --dport 8799');
    expect(replayer.connections()).toMatchObject([
      { tcpState: 'SYN_SENT', timeout: 120, reply: { source: '172.17.0.3', sourcePort: 1337 } },
    ]);
  });

  it("connections expire by the packets' own time", () => {
    const replayer = dockerHost();
    replayer.feed({ iface: 'eth0', linkType: RAW, frame: SYN, seconds: 1 });
    replayer.feed({ iface: 'eth0', linkType: RAW, frame: SYN, seconds: 122 });
    expect(replayer.counters()).toContain('[2:80] -A DOCKER');
  });
});

it('an interface that the host does not have is an error with its code', () => {
  const feed = (): unknown => dockerHost().feed({ iface: 'eth9', linkType: RAW, frame: SYN });
  expect(feed).toThrow(NatreplayError);
  expect(feed).toThrow(/no interface eth9; it has lo, eth0, docker0|no interface eth9; it has/);
});
