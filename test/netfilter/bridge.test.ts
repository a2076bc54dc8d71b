/**
 * Ports of a bridge: what is bridged and what is routed, and what iptables sees of it. test/kernel/chapters/bridges.test.ts
 * asks the running kernel the same.
 */
import { describe, expect, it } from 'vitest';
import { describeHostText } from '../../src/host/hostfile.js';
import { makeHost } from '../../src/host/machine.js';
import { Replayer } from '../../src/pipeline/replayer.js';
import { parseRules } from '../../src/rules/index.js';
import { say, tcp, udp } from '../kernel/packets.js';
import { table } from '../support/gateway.js';

const BRIDGE = '02:00:00:00:00:01';
const A = '02:aa:00:00:00:02';
const B = '02:bb:00:00:00:03';
const NOBODY = '02:cc:00:00:00:05';
const EVERYBODY = 'ff:ff:ff:ff:ff:ff';
const GROUP = '01:00:5e:00:00:05';

const inet = (local: string, prefixlen: number) => ({ family: 'inet', local, prefixlen, scope: 'global' });

function host(callIptables: boolean, hairpin = false): ReturnType<typeof makeHost> {
  const port = (ifname: string, address: string) => ({
    ifname,
    address,
    master: 'br0',
    linkinfo: { info_slave_kind: 'bridge', info_slave_data: { hairpin } },
  });
  const addr = [
    { ifname: 'br0', address: BRIDGE, addr_info: [inet('172.17.0.1', 16)], linkinfo: { info_kind: 'bridge' } },
    port('pa', '02:00:00:00:0a:01'),
    port('pb', '02:00:00:00:0b:01'),
    { ifname: 'eth0', address: '02:00:00:00:0e:01', addr_info: [inet('192.0.2.1', 24)] },
  ];
  const sysctl = { 'net.ipv4.ip_forward': '1', 'net.bridge.bridge-nf-call-iptables': callIptables ? '1' : '0' };
  return makeHost(describeHostText(JSON.stringify({ addr, sysctl }), 'host.json'));
}

const RULES = [
  table(
    'nat',
    'PREROUTING -d 192.0.2.1/32 -p tcp -m tcp --dport 8799 -j DNAT --to-destination 172.17.0.3:1337',
    'PREROUTING -d 172.17.0.9/32 -j DNAT --to-destination 192.0.2.7',
    'POSTROUTING -s 172.17.0.0/16 ! -o br0 -j MASQUERADE',
    'POSTROUTING -s 172.17.0.2/32 -d 172.17.0.3/32 -p tcp -m tcp --dport 1337 -j MASQUERADE',
  ),
  table(
    'filter',
    'FORWARD -i br0 -o br0 -m physdev --physdev-in pa --physdev-out pb',
    'FORWARD -m physdev --physdev-in pa --physdev-is-bridged',
    'FORWARD -m physdev --physdev-in pa ! --physdev-is-bridged',
    'FORWARD -p udp -m udp --dport 6666 -j DROP',
  ),
].join('');

const mac = (text: string): number[] => text.split(':').map((part) => Number.parseInt(part, 16));
const frame = (to: string, from: string, packet: Uint8Array): Uint8Array =>
  Uint8Array.from([...mac(to), ...mac(from), 8, 0, ...packet]);

class Wire {
  readonly replayer: Replayer;
  constructor(on: boolean, hairpin = false) {
    const rules = parseRules(RULES, { file: 'rules', family: 4, unsupported: 'stop' });
    this.replayer = new Replayer({ host: host(on, hairpin), rules });
  }
  /** `pb udp ... ttl 64`, `local`, or why it is dropped. */
  send(iface: string, to: string, from: string, packet: Uint8Array): string {
    const { verdict, egress, frame: out, why } = this.replayer.feed({ iface, frame: frame(to, from, packet) });
    if (verdict === 'forward') return `${egress} ${say((out ?? new Uint8Array(14)).subarray(14))}`;
    return verdict === 'drop' ? (why ?? '') : verdict;
  }
  /** Packets of each rule of FORWARD. */
  forward(): number[] {
    const lines = this.replayer
      .counters()
      .split('\n')
      .filter((line) => line.includes('-A FORWARD'));
    return lines.map((line) => Number(/\[(\d+):/.exec(line)?.[1]));
  }
}

const PC = '172.17.0.2';
const SERVER = '172.17.0.3';
const toServer = udp({ src: `${PC}:1001`, dst: `${SERVER}:1001` });
const toPort6666 = udp({ src: `${PC}:1003`, dst: `${SERVER}:6666` });
const outside = udp({ src: `${PC}:1004`, dst: '192.0.2.7:1004' });
const published = tcp({ src: `${PC}:1005`, dst: '192.0.2.1:8799', flags: 'S', seq: 1 });
const answer = tcp({ src: `${SERVER}:1337`, dst: '172.17.0.1:1005', flags: 'SA', seq: 5, ack: 2 });
const ownPublished = tcp({ src: `${SERVER}:1006`, dst: '192.0.2.1:8799', flags: 'S' });
const away = udp({ src: `${PC}:1007`, dst: '172.17.0.9:1007' });

function conversation(wire: Wire): string[] {
  return [
    wire.send('pb', BRIDGE, B, udp({ src: `${SERVER}:1`, dst: '172.17.0.1:1' })),
    wire.send('pa', B, A, toServer),
    wire.send('pa', NOBODY, A, udp({ src: `${PC}:1002`, dst: '172.17.0.5:1002' })),
    wire.send('pa', B, A, toPort6666),
    wire.send('pa', BRIDGE, A, outside),
    wire.send('pa', BRIDGE, A, published),
    wire.send('pb', BRIDGE, B, answer),
    wire.send('pb', BRIDGE, B, ownPublished),
    wire.send('pa', NOBODY, A, away),
  ];
}

describe('a bridge', () => {
  it('bridges without iptables, and routes what is sent to it', () => {
    const wire = new Wire(false);
    expect(conversation(wire)).toEqual([
      'local',
      'pb udp 172.17.0.2:1001 > 172.17.0.3:1001 ttl 64',
      'pb udp 172.17.0.2:1002 > 172.17.0.5:1002 ttl 64',
      'pb udp 172.17.0.2:1003 > 172.17.0.3:6666 ttl 64',
      'eth0 udp 192.0.2.1:1004 > 192.0.2.7:1004 ttl 63',
      expect.stringMatching(/^br0 tcp 172\.17\.0\.1:1005 > 172\.17\.0\.3:1337 S .* ttl 63$/),
      expect.stringMatching(/^br0 tcp 192\.0\.2\.1:8799 > 172\.17\.0\.2:1005 SA .* ttl 63$/),
      expect.stringMatching(/^br0 tcp 172\.17\.0\.3:1006 > 172\.17\.0\.3:1337 S .* ttl 63$/),
      'pb udp 172.17.0.2:1007 > 172.17.0.9:1007 ttl 64',
    ]);
    expect(wire.forward()).toEqual([0, 0, 0, 0]);
  });

  it('with bridge-nf-call-iptables bridges through iptables, and keeps the TTL of what DNAT leads back (E10)', () => {
    const wire = new Wire(true);
    expect(conversation(wire)).toEqual([
      'local',
      'pb udp 172.17.0.2:1001 > 172.17.0.3:1001 ttl 64',
      'pb udp 172.17.0.2:1002 > 172.17.0.5:1002 ttl 64',
      'filter:FORWARD:4',
      'eth0 udp 192.0.2.1:1004 > 192.0.2.7:1004 ttl 63',
      expect.stringMatching(/^pb tcp 172\.17\.0\.1:1005 > 172\.17\.0\.3:1337 S .* ttl 64$/),
      expect.stringMatching(/^pa tcp 192\.0\.2\.1:8799 > 172\.17\.0\.2:1005 SA .* ttl 64$/),
      'bridge-same-port',
      'eth0 udp 192.0.2.1:1007 > 192.0.2.7:1007 ttl 63',
    ]);
    expect(wire.forward()).toEqual([4, 4, 2, 1]);
  });

  it('bridges what came in a frame to everybody, and does not route it, unless iptables readdressed it to somewhere else', () => {
    const fates = (wire: Wire): string[] => [
      wire.send('pa', EVERYBODY, A, outside),
      wire.send('pa', EVERYBODY, A, away),
      wire.send('pa', GROUP, A, udp({ src: `${PC}:1008`, dst: '172.17.0.9:1008' })),
    ];
    expect(fates(new Wire(false))).toEqual([
      'pb udp 172.17.0.2:1004 > 192.0.2.7:1004 ttl 64',
      'pb udp 172.17.0.2:1007 > 172.17.0.9:1007 ttl 64',
      'pb udp 172.17.0.2:1008 > 172.17.0.9:1008 ttl 64',
    ]);
    expect(fates(new Wire(true))).toEqual([
      'pb udp 172.17.0.2:1004 > 192.0.2.7:1004 ttl 64',
      'eth0 udp 192.0.2.1:1007 > 192.0.2.7:1007 ttl 63',
      'eth0 udp 192.0.2.1:1008 > 192.0.2.7:1008 ttl 63',
    ]);
  });

  it('sends back to the same port in hairpin mode', () => {
    const wire = new Wire(true, true);
    expect(conversation(wire)[7]).toMatch(/^pb tcp 172\.17\.0\.3:1006 > 172\.17\.0\.3:1337 S .* ttl 64$/);
  });
});
