/** Bridges and IPv6: what ip6tables sees of what is bridged, and where it goes, to the byte as the running kernel has it. */
import { afterAll, describe, expect, it } from 'vitest';
import type { HostFile, LinkJson } from '../../src/host/hostschema.js';
import { parseRules } from '../../src/rules/index.js';
import { describeMismatch } from '../../src/verify/compare.js';
import { neededCommands } from '../../src/verify/gateway.js';
import { compareConntrack, compareCounters } from '../../src/verify/listings.js';
import { needs } from '../support/requirements.js';
import { Gateways } from './gateways.js';
import { link } from './hosts.js';
import { ether, tcp, udp } from './packets.js';
import { comparePrediction, connectionsText, counters6Text, Prediction } from './prediction.js';

const EMPTY = '*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\nCOMMIT\n';
const RULES = `*nat
:PREROUTING ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
-A PREROUTING -d 2001:db8:2::1/128 -p tcp -m tcp --dport 8799 -j DNAT --to-destination [2001:db8:17::3]:1337
-A PREROUTING -d 2001:db8:17::8/128 -j DNAT --to-destination 2001:db8:17::77
-A PREROUTING -d 2001:db8:17::9/128 -j DNAT --to-destination 2001:db8:2::7
-A POSTROUTING -s 2001:db8:17::/64 -d 2001:db8:17::3/128 -p tcp -m tcp --dport 1337 -j MASQUERADE
COMMIT
*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
-A INPUT -m physdev --physdev-in pa
-A FORWARD -m physdev --physdev-is-bridged
-A FORWARD -p udp -m udp --dport 6666 -j DROP
COMMIT
`;

const BRIDGE = '02:00:00:00:00:01';
const A = '02:aa:00:00:00:02';
const B = '02:bb:00:00:00:03';
const NOBODY = '02:dd:00:00:00:05';
const GROUP = '33:33:00:00:00:01';

function host(call: string, ports: readonly string[]): HostFile {
  const port = (ifname: string, k: number): LinkJson => ({
    ...link(ifname),
    address: `02:00:00:00:0a:0${k}`,
    master: 'br0',
  });
  return {
    addr: [
      { ...link('eth0', '2001:db8:2::1/64'), address: '02:00:00:00:0e:01' },
      { ...link('br0', '2001:db8:17::1/64'), address: BRIDGE },
      ...ports.map(port),
    ],
    sysctl: { 'net.bridge.bridge-nf-call-ip6tables': call },
  };
}

const at = (iface: string, to: string, from: string, packet: Uint8Array) => {
  const frame = ether(packet);
  frame.set(Buffer.from((to + from).replaceAll(':', ''), 'hex'));
  return { iface, frame };
};
const toPort = (port: number, dst: string) => udp({ src: `[2001:db8:17::2]:${port}`, dst });
const ONE = '[2001:db8:17::1]:1005';
const PUBLISHED = '[2001:db8:2::1]:8799';

const SENT = [
  at('pb', BRIDGE, B, udp({ src: '[2001:db8:17::3]:1', dst: '[2001:db8:17::1]:1' })),
  at('pa', BRIDGE, A, tcp({ src: '[2001:db8:17::2]:1005', dst: PUBLISHED, flags: 'S', seq: 1 })),
  at('pb', BRIDGE, B, tcp({ src: '[2001:db8:17::3]:1337', dst: ONE, flags: 'SA', seq: 5, ack: 2 })),
  at('pb', BRIDGE, B, tcp({ src: '[2001:db8:17::3]:1006', dst: PUBLISHED, flags: 'S' })),
  at('pa', B, A, toPort(1, '[2001:db8:17::3]:7')),
  at('pa', B, A, toPort(1, '[2001:db8:17::3]:6666')),
  at('pa', NOBODY, A, toPort(1, '[2001:db8:17::5]:7')),
  at('pa', NOBODY, A, toPort(1, '[2001:db8:17::8]:7')),
  at('pa', NOBODY, A, toPort(1, '[2001:db8:17::9]:7')),
  at('pa', GROUP, A, toPort(1, '[ff02::1]:7')),
  at('pa', GROUP, A, toPort(1, '[ff02::fb]:7')),
  at('pa', BRIDGE, A, toPort(1, '[2001:db8:2::7]:7')),
  at('pa', B, A, udp({ src: '[::1]:2', dst: '[2001:db8:17::3]:7' })),
  at('pa', BRIDGE, A, udp({ src: '[::1]:2', dst: '[2001:db8:17::1]:7' })),
];

const requirement = needs({
  root: true,
  commands: neededCommands('legacy'),
  files: ['/proc/sys/net/bridge/bridge-nf-call-ip6tables'],
});
const reason = requirement.skip ? ` (${requirement.reason})` : '';

describe.skipIf(requirement.skip)(`bridges and IPv6, against the running kernel${reason}`, () => {
  const gateways = new Gateways();
  afterAll(() => gateways.close());

  it.each([
    ['ip6tables sees what is bridged', '1', ['pa', 'pb']],
    ['ip6tables sees what is bridged, to three ports', '1', ['pa', 'pb', 'pc']],
    ['ip6tables does not see it', '0', ['pa', 'pb', 'pc']],
  ] as const)('%s', async (_name, call, ports) => {
    const file = host(call, ports);
    const gateway = await gateways.get({
      host: file,
      rules: EMPTY,
      rules6: RULES,
      backend: 'legacy',
      senders: ports.flatMap((iface) => [A, B].map((mac) => ({ iface, mac }))),
      stations: [
        { iface: 'br0', address: '2001:db8:17::2', mac: A },
        { iface: 'br0', address: '2001:db8:17::3', mac: B },
      ],
    });
    const packets = SENT.map((packet) => ({ ...packet, time: Date.now() }));
    const { outputs, delivered } = await gateway.send(packets);
    const rules6 = parseRules(RULES, { file: 'rules6', family: 6, unsupported: 'stop' });
    const prediction = new Prediction(file, EMPTY, { rules6 });
    const { agreed, mismatches } = comparePrediction({ packets, outputs, delivered }, prediction);
    expect(mismatches.map((m) => `${describeMismatch(m)} ${m.why}`)).toEqual([]);
    expect(agreed).toBeGreaterThan(10);
    expect(compareCounters(await gateway.counters6(), counters6Text(prediction))).toEqual([]);
    expect(compareConntrack(await gateway.conntrack(), connectionsText(prediction))).toEqual([]);
  });
});
