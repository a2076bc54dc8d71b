/** Where IPv6 packets go, and whose are taken: as routing.test.ts for IPv4, natreplay against the running kernel. */
import { describe, expect, it } from 'vitest';
import type { HostFile } from '../../src/host/hostschema.js';
import { describeMismatch, ipPacket } from '../../src/verify/compare.js';
import { neededCommands } from '../../src/verify/gateway.js';
import { runKernel } from '../../src/verify/run-kernel.js';
import { needs } from '../support/requirements.js';
import { link } from './hosts.js';
import { ether, icmp, say, udp } from './packets.js';
import { comparePrediction, Prediction } from './prediction.js';
import { HOME_HOST6 } from './scenarios6.js';
import type { SentPacket } from './traffic.js';

const requirement = needs({ root: true, commands: neededCommands('legacy') });
const title = requirement.skip
  ? `routing IPv6 as the kernel routes (${requirement.reason})`
  : 'routing IPv6 as the kernel routes';

/** Beside lan and wan: dmz, whose only address is link-local, and a narrow link. */
const HOST: HostFile = {
  addr: [
    ...HOME_HOST6.addr,
    { ...link('dmz'), addr_info: [{ family: 'inet6', local: 'fe80::d', prefixlen: 64, scope: 'link' }] },
    { ...link('thin', 'fd00:7::1/64'), mtu: 1300 },
  ],
  route6: [
    ...(HOME_HOST6.route6 ?? []),
    { dst: 'fe80::/64', dev: 'dmz', protocol: 'kernel', metric: 256 },
    { dst: 'fd00:7::/64', dev: 'thin', protocol: 'kernel', metric: 256 },
    { dst: 'fd00:9::/64', dev: 'dmz', metric: 1024 },
    { dst: 'fd00:2::/64', gateway: 'fd00:1::fe', dev: 'lan', metric: 1024 },
  ],
};
const WITHOUT_DEFAULT: HostFile = { ...HOST, route6: HOST.route6?.filter(({ dst }) => dst !== 'default') ?? [] };
const WITHOUT_DMZ: HostFile = { ...HOST, route6: HOST.route6?.filter(({ dev }) => dev !== 'dmz') ?? [] };

const SOURCES = [
  ...['fd00:1::10', 'fd00:1::1', '2001:db8:5::5', '2001:db8:9::9', 'fd00:2::2', 'fe80::7', 'fe80::1', 'fd00:1::'],
  ...['::', '::1', '::2', '::ffff:c000:207', '::c000:207', 'ff02::1', 'fec0::1', '2001:db8:dead::1', '64:ff9b::1'],
];
const DESTINATIONS = [
  ...[
    'fd00:1::1',
    'fd00:1::77',
    'fd00:1::',
    '2001:db8:5::5',
    '2001:db8:5::',
    '2001:db8:9::9',
    'fd00:2::3',
    'fd00:9::9',
  ],
  ...['2001:db8:dead::1', '2001:db8:bad::1', '2001:db8:f00d::1', 'fe80::1', 'fe80::5', 'fe80::99', 'fe80::', 'fec0::9'],
  ...[
    '::',
    '::1',
    '::2',
    '::ffff:c000:207',
    'ff02::1',
    'ff02::2',
    'ff02::16',
    'ff01::1',
    'ff00::1',
    'ff05::1',
    'ff0e::1',
  ],
  ...['ff12::1', 'ff02::1:2', 'fd00:7::1', 'fd00:7::', 'fd00:7::9'],
];
const EMPTY = '*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\nCOMMIT\n';

function everyPacket(): SentPacket[] {
  let time = 1_700_000_000_000;
  const of = (iface: string, packet: Uint8Array): SentPacket => ({ iface, frame: ether(packet), time: time++ });
  const all = ['lan', 'wan', 'dmz', 'thin'].flatMap((iface) =>
    SOURCES.flatMap((src) =>
      DESTINATIONS.map((dst) =>
        of(iface, udp({ src: `[${src}]:4000`, dst: `[${dst}]:4001`, payload: `${iface} ${dst}` })),
      ),
    ),
  );
  const hops = [0, 1, 2, 255].flatMap((ttl) =>
    ['2001:db8:9::9', 'fd00:1::1', 'ff02::1'].map((dst) => of('lan', icmp({ src: 'fd00:1::10', dst, type: 128, ttl }))),
  );
  const long = [1240, 1260, 1300, 1452].map((length) =>
    of('lan', udp({ src: '[fd00:1::10]:1', dst: '[fd00:7::9]:2', payload: Buffer.alloc(length) })),
  );
  return [...all, ...hops, ...long];
}

/** A line for each packet about which natreplay and the kernel are of different opinion. */
async function differences(host: HostFile): Promise<{ agreed: number; differing: string[] }> {
  const packets = everyPacket();
  const run = await runKernel({ host, rules: EMPTY, backend: 'legacy', packets });
  expect(run.unset).toEqual([]);
  const { agreed, mismatches } = comparePrediction({ packets, ...run }, new Prediction(host, EMPTY));
  const differing = mismatches.map((m) => {
    const packet = packets[m.input];
    return `${describeMismatch(m)} [${packet?.iface} ${say(ipPacket(packet?.frame ?? new Uint8Array(14)))}] ${m.why}`;
  });
  return { agreed, differing };
}

const conf = (name: string, settings: Record<string, number>): Record<string, string> =>
  Object.fromEntries(Object.entries(settings).map(([key, value]) => [`net.ipv6.conf.${name}.${key}`, String(value)]));

describe.skipIf(requirement.skip)(title, () => {
  it.each<[string, HostFile]>([
    ['as it is by default', HOST],
    ['without a default route', WITHOUT_DEFAULT],
    ['a host that does not forward', { ...HOST, sysctl: conf('all', { forwarding: 0 }) }],
    ['an interface without IPv6', { ...WITHOUT_DMZ, sysctl: conf('dmz', { disable_ipv6: 1 }) }],
  ])('%s', async (_name, host) => {
    const { agreed, differing } = await differences(host);
    expect(differing).toEqual([]);
    expect(agreed).toBeGreaterThan(100);
  });
});
