/**
 * Packets in frames to everybody or to a group, whatever their IP destination says: taken in, never forwarded
 * (kernel: ip_forward and ip6_forward, skb->pkt_type). What is expected holds for natreplay and for the running kernel.
 */
import { describe, expect, it } from 'vitest';
import { describeHostText } from '../../src/host/hostfile.js';
import type { HostFile } from '../../src/host/hostschema.js';
import { makeHost } from '../../src/host/machine.js';
import { parseRules } from '../../src/rules/index.js';
import { ipPacket } from '../../src/verify/compare.js';
import { neededCommands } from '../../src/verify/gateway.js';
import { compareConntrack, compareCounters } from '../../src/verify/listings.js';
import { Prediction } from '../../src/verify/prediction.js';
import { runKernel } from '../../src/verify/run-kernel.js';
import { needs } from '../support/requirements.js';
import { link } from './hosts.js';
import { TO_HOST } from './language.js';
import { ether, ip, say, tcp, udp } from './packets.js';

const HOST: HostFile = {
  addr: [link('lan', '192.168.1.1/24', '2001:db8:1::1/64'), link('wan', '203.0.113.5/24', '2001:db8:2::5/64')],
  route: [
    { dst: 'default', gateway: '203.0.113.1', dev: 'wan' },
    { dst: '203.0.113.0/24', dev: 'wan', protocol: 'kernel', scope: 'link', prefsrc: '203.0.113.5' },
    { dst: '192.168.1.0/24', dev: 'lan', protocol: 'kernel', scope: 'link', prefsrc: '192.168.1.1' },
    { dst: '2001:db8:1::/64', dev: 'lan', protocol: 'kernel' },
    { dst: '2001:db8:2::/64', dev: 'wan', protocol: 'kernel' },
    { dst: 'default', gateway: '2001:db8:2::1', dev: 'wan' },
  ],
};
/** Everything counts; whoever knocks at 8080 is sent to a host of the lan. */
const rules = (inside: string, own: string): string => `*nat
:PREROUTING ACCEPT [0:0]
:INPUT ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
-A PREROUTING -i wan -p tcp -m tcp --dport 8080 -j DNAT --to-destination ${inside}
-A POSTROUTING -o wan -j SNAT --to-source ${own}
COMMIT
*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
-A INPUT -p udp
-A FORWARD -p udp
COMMIT
`;
const RULES = rules('192.168.1.20:80', '203.0.113.5');
const RULES6 = rules('[2001:db8:1::20]:80', '2001:db8:2::5');

const HOST_MAC = '02:00:00:00:00:01';
const ALL = 'ff:ff:ff:ff:ff:ff';
const GROUP = '01:00:5e:01:02:03';
const GROUP6 = '33:33:00:00:00:09';

interface Row {
  readonly iface: string;
  readonly mac: string;
  readonly packet: Uint8Array;
  /** Where it comes out, or why nowhere. */
  readonly fate: string;
}

const row = (iface: string, mac: string, packet: Uint8Array, fate: string): Row => ({ iface, mac, packet, fate });
const outward = (port: number, ttl = 64): Uint8Array =>
  udp({ src: `192.168.1.9:${port}`, dst: '198.51.100.7:137', ttl, payload: 'who' });
const outward6 = (port: number): Uint8Array =>
  udp({ src: `[2001:db8:1::9]:${port}`, dst: '[2001:db8:9::7]:137', payload: 'who' });
const MF = 0x2000;
const piece = (id: number, at: number): Uint8Array =>
  ip(
    { src: '192.168.1.9', dst: '198.51.100.7', id, fragment: at === 0 ? MF : at >> 3 },
    17,
    Uint8Array.from([
      ...(at === 0 ? [0x0f, 0xa0, 0x00, 0x89, 0x00, 0x20, 0, 0] : [1, 2, 3, 4, 5, 6, 7, 8]),
      ...new Uint8Array(8),
    ]),
  );

const CASES: Readonly<Record<string, readonly Row[]>> = {
  'a packet for another machine is forwarded from a frame to the host alone': [
    row('lan', HOST_MAC, outward(4000), 'wan'),
    row('lan', ALL, outward(4001), 'link-broadcast'),
    row('lan', GROUP, outward(4002), 'link-broadcast'),
    row('lan', GROUP6, outward(4003), 'link-broadcast'),
  ],
  'it leaves no connection behind': [
    row('lan', ALL, outward(4000), 'link-broadcast'),
    row('lan', ALL, outward(4000), 'link-broadcast'),
    row('lan', HOST_MAC, outward(4000), 'wan'),
    row('wan', HOST_MAC, udp({ src: '198.51.100.7:137', dst: '203.0.113.5:4000' }), 'lan'),
  ],
  'nor does a packet of a connection that is known go on': [
    row('lan', HOST_MAC, outward(4000), 'wan'),
    row('lan', ALL, outward(4000), 'link-broadcast'),
    row('wan', ALL, udp({ src: '198.51.100.7:137', dst: '203.0.113.5:4000' }), 'link-broadcast'),
    row('lan', HOST_MAC, outward(4000), 'wan'),
  ],
  'before its TTL is looked at': [row('lan', ALL, outward(4000, 1), 'link-broadcast')],
  'the broadcast of a subnet that is not the host’s': [
    row('lan', ALL, udp({ src: '192.168.1.9:137', dst: '10.0.0.255:137' }), 'link-broadcast'),
  ],
  'the host takes in what is for itself': [
    row('lan', ALL, udp({ src: '192.168.1.9:137', dst: '192.168.1.1:137' }), TO_HOST),
    row('lan', GROUP, udp({ src: '192.168.1.9:137', dst: '203.0.113.5:137' }), TO_HOST),
    row('lan', ALL, udp({ src: '192.168.1.9:137', dst: '192.168.1.255:137' }), TO_HOST),
    row('lan', ALL, udp({ src: '192.168.1.9:137', dst: '255.255.255.255:137' }), TO_HOST),
  ],
  'and not what DNAT sends elsewhere': [
    row('wan', HOST_MAC, tcp({ src: '198.51.100.7:4000', dst: '203.0.113.5:8080', flags: 'S' }), 'lan'),
    row('wan', ALL, tcp({ src: '198.51.100.7:4001', dst: '203.0.113.5:8080', flags: 'S' }), 'link-broadcast'),
  ],
  'of fragments the first one’s frame counts': [
    row('lan', HOST_MAC, piece(1, 0), ''),
    row('lan', ALL, piece(1, 16), 'wan wan'),
    row('lan', ALL, piece(2, 0), ''),
    row('lan', HOST_MAC, piece(2, 16), 'link-broadcast'),
    row('lan', ALL, piece(3, 16), ''),
    row('lan', HOST_MAC, piece(3, 0), 'wan wan'),
  ],
  'IPv6 likewise': [
    row('lan', HOST_MAC, outward6(4000), 'wan'),
    row('lan', ALL, outward6(4001), 'link-broadcast'),
    row('lan', GROUP6, outward6(4002), 'link-broadcast'),
    row('lan', GROUP, outward6(4003), 'link-broadcast'),
    row('lan', GROUP6, outward6(4000), 'link-broadcast'),
    row('lan', GROUP6, udp({ src: '[2001:db8:1::9]:4000', dst: '[2001:db8:1::1]:53' }), TO_HOST),
    row('lan', GROUP6, udp({ src: '[2001:db8:1::9]:4000', dst: '[ff02::1]:53' }), TO_HOST),
    row('wan', GROUP6, tcp({ src: '[2001:db8:9::7]:4000', dst: '[2001:db8:2::5]:8080', flags: 'S' }), 'link-broadcast'),
  ],
};

function frames(rows: readonly Row[]): { readonly iface: string; readonly frame: Uint8Array }[] {
  return rows.map(({ iface, mac, packet }) => {
    const frame = ether(packet);
    frame.set(mac.split(':').map((byte) => Number.parseInt(byte, 16)));
    return { iface, frame };
  });
}

function predicted(rows: readonly Row[]) {
  const prediction = new Prediction({
    host: makeHost(describeHostText(JSON.stringify(HOST), 'host.json')),
    rules: parseRules(RULES, { file: 'rules', family: 4, unsupported: 'stop' }),
    rules6: parseRules(RULES6, { file: 'rules6', family: 6, unsupported: 'stop' }),
    backend: 'legacy',
  });
  const fates = frames(rows).map(({ iface, frame }, k) => {
    const { why, sent, delivered } = prediction.judge(iface, frame, 1_700_000_000_000 + k, undefined);
    const went = [...sent.map((out) => out.iface), ...delivered.map(() => TO_HOST)];
    return { fate: went.join(' ') || why, bytes: [...sent, ...delivered].map((out) => say(ipPacket(out.frame))) };
  });
  return { prediction, fates };
}

describe('packets in frames to everybody or to a group', () => {
  it.each(Object.entries(CASES))('%s', (_name, rows) => {
    expect(predicted(rows).fates.map(({ fate }) => fate)).toEqual(rows.map(({ fate }) => fate));
  });
});

const requirement = needs({ root: true, commands: neededCommands('legacy') });
const reason = requirement.skip ? ` (${requirement.reason})` : '';

describe.skipIf(requirement.skip)(`the running kernel about such packets${reason}`, () => {
  it.each(Object.entries(CASES))('%s', async (_name, rows) => {
    const packets = frames(rows);
    const run = await runKernel({ host: HOST, rules: RULES, rules6: RULES6, backend: 'legacy', packets });
    const { prediction, fates } = predicted(rows);
    const asked = rows.map((_, k) => {
      const sent = run.outputs.filter(({ input }) => input === k);
      const delivered = run.delivered.filter(({ input }) => input === k);
      return {
        went: [...sent.map(({ iface }) => iface), ...delivered.map(() => TO_HOST)].join(' '),
        bytes: [...sent.map(({ frame }) => say(ipPacket(frame))), ...delivered.map(({ packet }) => say(packet))],
      };
    });
    const wanted = rows.map(({ fate }) => (fate === 'link-broadcast' ? '' : fate));
    expect(asked.map(({ went }) => went)).toEqual(wanted);
    expect(fates.map(({ bytes }) => bytes)).toEqual(asked.map(({ bytes }) => bytes));
    expect(compareCounters(run.counters, prediction.counters())).toEqual([]);
    expect(compareCounters(run.counters6, prediction.counters6())).toEqual([]);
    expect(compareConntrack(run.conntrack, prediction.connectionsText())).toEqual([]);
  });
});
