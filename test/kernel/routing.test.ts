/**
 * Where packets go, and whose are taken: every source to every destination by every interface, under the sysctls that
 * decide, natreplay against the running kernel (KERNEL.md E1, E7).
 */
import { describe, expect, it } from 'vitest';
import type { HostFile, LinkJson } from '../../src/host/hostschema.js';
import { describeMismatch, ipPacket } from '../../src/verify/compare.js';
import { neededCommands } from '../../src/verify/gateway.js';
import { runKernel } from '../../src/verify/run-kernel.js';
import { needs } from '../support/requirements.js';
import { link } from './hosts.js';
import { ether, say, udp } from './packets.js';
import { comparePrediction, Prediction } from './prediction.js';
import type { SentPacket } from './traffic.js';

const requirement = needs({ root: true, commands: neededCommands('legacy') });
const title = requirement.skip
  ? `routing as the kernel routes (${requirement.reason})`
  : 'routing as the kernel routes';

/** `ip -j addr` says which broadcast address it has. */
function subnet(name: string, address: string, broadcast: string): LinkJson {
  const made = link(name, address);
  return { ...made, addr_info: made.addr_info?.map((info) => ({ ...info, broadcast })) };
}

/** lan and wan, and dmz, which has no address. */
const HOST: HostFile = {
  addr: [
    subnet('lan', '192.168.1.1/24', '192.168.1.255'),
    subnet('wan', '203.0.113.5/24', '203.0.113.255'),
    link('dmz'),
  ],
  route: [
    { dst: 'default', gateway: '203.0.113.1', dev: 'wan' },
    { dst: '192.168.1.0/24', dev: 'lan', protocol: 'kernel', scope: 'link', prefsrc: '192.168.1.1' },
    { dst: '203.0.113.0/24', dev: 'wan', protocol: 'kernel', scope: 'link', prefsrc: '203.0.113.5' },
    { dst: '10.0.0.0/8', gateway: '192.168.1.254', dev: 'lan' },
    { dst: '9.9.0.0/16', dev: 'dmz', scope: 'link' },
    { type: 'blackhole', dst: '198.18.0.0/16' },
    { type: 'unreachable', dst: '198.19.0.0/16' },
    { type: 'prohibit', dst: '198.20.0.0/16' },
    { type: 'throw', dst: '198.21.0.0/16' },
  ],
};
const WITHOUT_DEFAULT: HostFile = { ...HOST, route: HOST.route?.filter(({ dst }) => dst !== 'default') ?? [] };

const SOURCES = [
  ...['192.168.1.10', '192.168.1.1', '203.0.113.5', '203.0.113.9', '10.1.1.1', '9.9.1.1', '8.8.8.8', '198.18.0.1'],
  ...['127.0.0.1', '127.5.5.5', '224.1.2.3', '255.255.255.255', '0.0.0.0', '0.1.2.3', '250.1.2.3'],
  ...['192.168.1.255', '203.0.113.255', '192.168.1.0', '198.21.0.1'],
];
const DESTINATIONS = [
  ...['192.168.1.1', '203.0.113.5', '192.168.1.77', '203.0.113.77', '198.51.100.9', '10.2.3.4', '9.9.8.7'],
  ...['198.18.0.1', '198.19.0.1', '198.20.0.1', '198.21.0.1', '127.0.0.1', '127.5.5.5', '0.0.0.0', '0.1.2.3'],
  ...[
    '192.168.1.255',
    '203.0.113.255',
    '192.168.1.0',
    '255.255.255.255',
    '224.0.0.1',
    '224.0.0.5',
    '239.1.2.3',
    '250.1.1.1',
  ],
];

const EMPTY = '*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\nCOMMIT\n';

function everyPacket(): SentPacket[] {
  let time = 1_700_000_000_000;
  const of = (iface: string, src: string, dst: string, ttl: number): SentPacket => ({
    iface,
    frame: ether(udp({ src: `${src}:4000`, dst: `${dst}:4001`, ttl, payload: `${iface} ${src} ${dst}` })),
    time: time++,
  });
  const all = ['lan', 'wan', 'dmz'].flatMap((iface) =>
    SOURCES.flatMap((src) => DESTINATIONS.map((dst) => of(iface, src, dst, 64))),
  );
  const timeToLive = [0, 1, 2, 255].flatMap((ttl) =>
    ['198.51.100.9', '192.168.1.1', '192.168.1.255'].map((dst) => of('lan', '192.168.1.10', dst, ttl)),
  );
  return [...all, ...timeToLive];
}

/** A line for each packet about which natreplay and the kernel are of different opinion. */
async function differences(
  host: HostFile,
  rules = EMPTY,
  packets = everyPacket(),
): Promise<{ agreed: number; differing: string[] }> {
  const run = await runKernel({ host, rules, backend: 'legacy', packets });
  expect(run.unset).toEqual([]);
  const { agreed, mismatches } = comparePrediction({ packets, ...run }, new Prediction(host, rules));
  const differing = mismatches.map((m) => {
    const packet = packets[m.input];
    return `${describeMismatch(m)} [${packet?.iface} ${say(ipPacket(packet?.frame ?? new Uint8Array(14)))}] ${m.why}`;
  });
  return { agreed, differing };
}

const conf = (name: string, settings: Record<string, number>): Record<string, string> =>
  Object.fromEntries(Object.entries(settings).map(([key, value]) => [`net.ipv4.conf.${name}.${key}`, String(value)]));

const SYSCTLS: Readonly<Record<string, Record<string, string>>> = {
  'as they are by default': {},
  'ip_forward off': { 'net.ipv4.ip_forward': '0' },
  'forwarding off for one interface': conf('lan', { forwarding: 0 }),
  'forwarding on for one interface': { 'net.ipv4.ip_forward': '0', ...conf('lan', { forwarding: 1 }) },
  'rp_filter strict everywhere': conf('all', { rp_filter: 1 }),
  'rp_filter loose everywhere': conf('all', { rp_filter: 2 }),
  'rp_filter: the higher of all and the interface': {
    ...conf('all', { rp_filter: 1 }),
    ...conf('lan', { rp_filter: 2 }),
  },
  'rp_filter strict on one interface': conf('wan', { rp_filter: 1 }),
  'accept_local on one interface': conf('lan', { accept_local: 1 }),
  'accept_local everywhere, with rp_filter': { ...conf('all', { accept_local: 1, rp_filter: 1 }) },
  'accept_local with a loose rp_filter': { ...conf('all', { accept_local: 1, rp_filter: 2 }) },
  'route_localnet on one interface': conf('lan', { route_localnet: 1 }),
  'route_localnet everywhere, with rp_filter': conf('all', { route_localnet: 1, rp_filter: 1 }),
  'send_redirects off': { ...conf('all', { send_redirects: 0 }), ...conf('lan', { send_redirects: 0 }) },
  'bc_forwarding needs all and the interface': conf('all', { bc_forwarding: 1 }),
  'bc_forwarding on': { ...conf('all', { bc_forwarding: 1 }), ...conf('lan', { bc_forwarding: 1 }) },
};

describe.skipIf(requirement.skip)(title, () => {
  it.each(Object.entries(SYSCTLS))('%s', async (_name, sysctl) => {
    const { agreed, differing } = await differences({ ...HOST, sysctl });
    expect(differing).toEqual([]);
    expect(agreed).toBeGreaterThan(100);
  });

  it('without a default route, strict and loose', async () => {
    for (const rp_filter of [0, 1, 2]) {
      const { differing } = await differences({ ...WITHOUT_DEFAULT, sysctl: conf('all', { rp_filter }) });
      expect(differing).toEqual([]);
    }
  });

  it('with local routes of the administrator: every source is looked up', async () => {
    const local = { type: 'local', dst: '7.0.0.0/8', dev: 'lo', table: 'main', protocol: 'static', scope: 'host' };
    const { differing } = await differences({ ...HOST, route: [...(HOST.route ?? []), local] });
    expect(differing).toEqual([]);
  });
});

/** Beside HOST's own: 100 leads to dmz, 200 nowhere. */
const TABLES: HostFile = {
  ...HOST,
  route: [
    ...(HOST.route ?? []),
    { dst: 'default', dev: 'dmz', scope: 'link', table: 100 },
    { dst: '198.51.100.0/24', gateway: '192.168.1.253', dev: 'lan', table: 100 },
    { type: 'throw', dst: '10.0.0.0/8', table: 100 },
    { type: 'unreachable', dst: 'default', table: 200 },
    { dst: '9.9.0.0/16', tos: '0x10', dev: 'wan', scope: 'link' },
  ],
};
const LOCAL = { priority: 0, src: 'all', table: 'local' };
const MAIN = [
  { priority: 32766, src: 'all', table: 'main' },
  { priority: 32767, src: 'all', table: 'default' },
];

const MARKS = `*mangle
:PREROUTING ACCEPT [0:0]
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
-A PREROUTING -p udp -m udp --dport 4002 -j MARK --set-xmark 0x1/0xffffffff
-A PREROUTING -p udp -m udp --dport 4003 -j MARK --set-xmark 0x12/0xffffffff
COMMIT
*nat
:PREROUTING ACCEPT [0:0]
:INPUT ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
-A PREROUTING -p udp -m udp --dport 4004 -j DNAT --to-destination 198.51.100.7:4002
-A PREROUTING -p udp -m udp --dport 4005 -j MARK --set-xmark 0x1/0xffffffff
-A POSTROUTING -o dmz -j SNAT --to-source 203.0.113.77
COMMIT
`;
/** No mangle: the way of a connection is remembered, but for that of its first packet, which the nat rule marks. */
const MARKS_FIRST = MARKS.slice(MARKS.indexOf('*nat'));

const POLICIES: Readonly<Record<string, readonly object[]>> = {
  'by mark': [{ priority: 10, src: 'all', fwmark: '0x1', table: '100' }],
  'by masked mark': [{ priority: 10, src: 'all', fwmark: '0x10', fwmask: '0xf0', table: '100' }],
  'by ingress': [{ priority: 10, src: 'all', iif: 'lan', table: '100' }],
  'by source': [{ priority: 10, src: '192.168.1.0', srclen: 24, table: '100' }],
  'by TOS': [{ priority: 10, src: 'all', tos: '0x10', table: '100' }],
  'by port': [{ priority: 10, src: 'all', ipproto: 'udp', dport: 4002, table: '100' }],
  'by source port, inverted': [
    { priority: 10, not: null, src: 'all', sport_start: 4000, sport_end: 4002, table: '100' },
  ],
  'main without its default route': [
    { priority: 10, src: 'all', table: 'main', suppress_prefixlen: 0 },
    { priority: 11, not: null, src: 'all', fwmark: '0x1', table: '100' },
  ],
  'goto over a blackhole': [
    { priority: 10, src: 'all', fwmark: '0x1', goto: 30 },
    { priority: 20, src: 'all', dst: '198.51.100.0', dstlen: 24, action: 'blackhole' },
    { priority: 30, src: 'all', nop: null },
  ],
  unreachable: [{ priority: 10, src: 'all', fwmark: '0x1', table: '200' }],
};

function markedPackets(): SentPacket[] {
  let time = 1_700_000_000_000;
  const sources = ['192.168.1.10', '203.0.113.9', '9.9.1.1'];
  const destinations = ['198.51.100.9', '10.2.3.4', '9.9.8.7', '192.168.1.1', '192.168.1.77', '8.8.8.8'];
  // Twice: the second of a connection may take a remembered way.
  return [0, 1].flatMap((turn) =>
    ['lan', 'wan', 'dmz'].flatMap((iface) =>
      sources.flatMap((src) =>
        destinations.flatMap((dst) =>
          [4001, 4002, 4003, 4004, 4005].map((port) => {
            const fields = {
              src: `${src}:${4000 + (port % 3)}`,
              dst: `${dst}:${port}`,
              tos: (port + turn) % 2 === 0 ? 0x10 : 0,
            };
            return { iface, frame: ether(udp({ ...fields, payload: `${turn} ${iface}` })), time: time++ };
          }),
        ),
      ),
    ),
  );
}

describe.skipIf(requirement.skip)(title.replace('routing', 'policy routing'), () => {
  it.each(Object.entries(POLICIES))('%s', async (_name, policy) => {
    const rule = [LOCAL, ...policy, ...MAIN] as NonNullable<HostFile['rule']>;
    for (const [rules, sysctl] of [
      [MARKS, {}],
      [MARKS_FIRST, conf('all', { rp_filter: 1 })],
    ] as const) {
      const { agreed, differing } = await differences({ ...TABLES, rule, sysctl }, rules, markedPackets());
      expect(differing).toEqual([]);
      expect(agreed).toBeGreaterThan(20);
    }
  });

  it('checks sources with the mark if src_valid_mark says so', async () => {
    const rule = [LOCAL, { priority: 10, src: 'all', fwmark: '0x1', table: '100' }, ...MAIN] as NonNullable<
      HostFile['rule']
    >;
    const sysctl = conf('all', { rp_filter: 1, src_valid_mark: 1 });
    const { differing } = await differences({ ...TABLES, rule, sysctl }, MARKS, markedPackets());
    expect(differing).toEqual([]);
  });
});
