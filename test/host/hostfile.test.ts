import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it, test } from 'vitest';
import { describeHostText, hostFromFile } from '../../src/host/hostfile.js';
import { statedHost } from '../../src/host/hostoptions.js';
import { makeHost } from '../../src/host/machine.js';
import type { Host } from '../../src/host/types.js';
import { routeText, typeText } from './support.js';

const folder = mkdtempSync(join(tmpdir(), 'natreplay-host-'));
afterAll(() => rmSync(folder, { recursive: true }));

const ETH0 = {
  ifindex: 2,
  ifname: 'eth0',
  flags: ['BROADCAST', 'MULTICAST', 'UP', 'LOWER_UP'],
  mtu: 1500,
  link_type: 'ether',
  address: '02:42:c0:00:02:01',
  addr_info: [
    { family: 'inet', local: '192.0.2.1', prefixlen: 24, broadcast: '192.0.2.255', scope: 'global', label: 'eth0' },
    { family: 'inet', local: '192.0.2.9', prefixlen: 24, scope: 'global', secondary: true },
    { family: 'inet6', local: '2001:db8::1', prefixlen: 64, scope: 'global' },
  ],
};
const PPP0 = {
  ifindex: 7,
  ifname: 'ppp0',
  flags: ['POINTOPOINT', 'UP'],
  addr_info: [{ family: 'inet', local: '203.0.113.5', address: '203.0.113.1', prefixlen: 32, scope: 'global' }],
};
const ETH9 = { ifname: 'eth9', flags: [], addr_info: [{ family: 'inet', local: '198.51.100.1', prefixlen: 24 }] };

const host = (json: unknown): Host => makeHost(describeHostText(JSON.stringify(json), 'host.json'));
const withRoutes = (...route: unknown[]): Host => host({ addr: [ETH0, PPP0], route });

describe('a host file with addresses only', () => {
  const plain = host({ addr: [ETH0, PPP0, ETH9, {}] });

  test.each([
    ['192.0.2.1', 'local eth0'],
    ['192.0.2.9', 'local eth0'],
    ['192.0.2.40', 'unicast eth0'],
    ['192.0.2.255', 'broadcast eth0'],
    ['203.0.113.5', 'local ppp0'],
    ['203.0.113.1', 'unicast ppp0'],
    ['203.0.113.2', 'none'],
    ['198.51.100.1', 'local eth9'],
    ['198.51.100.2', 'none'],
    ['127.0.0.1', 'local lo'],
    ['2001:db8::7', 'unicast eth0'],
  ])('has the routes the kernel makes of them: %s is %s', (destination, route) =>
    expect(routeText(plain, destination)).toBe(route),
  );

  it('knows names, indexes, MAC addresses and state', () => {
    expect(plain.interfaceByIfindex(7)?.name).toBe('ppp0');
    expect(plain.interfaceByName('eth0')).toMatchObject({ index: 1, mtu: 1500, up: true, loopback: false, ifindex: 2 });
    expect(plain.interfaceByName('eth0')?.mac).toEqual(Uint8Array.of(2, 0x42, 0xc0, 0, 2, 1));
    expect(plain.interfaceByName('eth9')?.up).toBe(false);
    expect(plain.interfaceByName('eth1')).toBeUndefined();
  });
});

describe('routes as ip -j route prints them', () => {
  test.each([
    [
      'a default route',
      [{ dst: 'default', gateway: '192.0.2.254', dev: 'eth0' }],
      '8.8.8.8',
      'unicast eth0 via 192.0.2.254',
    ],
    ['a destination without length', [{ dst: '10.0.0.1', dev: 'ppp0' }], '10.0.0.1', 'unicast ppp0'],
    [
      'the lowest metric',
      [
        { dst: '10.0.0.0/8', dev: 'ppp0', metric: 200 },
        { dst: '10.0.0.0/8', dev: 'eth0', metric: 100 },
      ],
      '10.1.1.1',
      'unicast eth0',
    ],
    [
      'the first of equal metrics',
      [
        { dst: '10.0.0.0/8', dev: 'ppp0' },
        { dst: '10.0.0.0/8', dev: 'eth0' },
      ],
      '10.1.1.1',
      'unicast ppp0',
    ],
    [
      'not a dead route',
      [
        { dst: '10.0.0.0/8', dev: 'ppp0', flags: ['dead', 'linkdown'] },
        { dst: 'default', dev: 'eth0' },
      ],
      '10.1.1.1',
      'unicast eth0',
    ],
    [
      'a route over a link that is down',
      [{ dst: '10.0.0.0/8', dev: 'ppp0', flags: ['linkdown'] }],
      '10.1.1.1',
      'unicast ppp0',
    ],
    ['an unreachable', [{ type: 'unreachable', dst: '10.0.0.0/8', dev: 'lo' }], '10.1.1.1', 'unreachable'],
    [
      'throw: on to the default table',
      [
        { type: 'throw', dst: '10.0.0.0/8' },
        { dst: 'default', dev: 'eth0' },
        { dst: 'default', dev: 'ppp0', table: 'default' },
      ],
      '10.1.1.1',
      'unicast ppp0',
    ],
    ['tables by number', [{ type: 'local', dst: '10.0.0.0/8', dev: 'lo', table: 255 }], '10.1.1.1', 'local lo'],
    ['no other table', [{ dst: '10.0.0.0/8', dev: 'eth0', table: '100' }], '10.1.1.1', 'none'],
    [
      'an IPv6 route listed among the others',
      [{ dst: 'default', gateway: 'fe80::1', dev: 'eth0', pref: 'medium' }],
      '2001:db8:7::1',
      'unicast eth0 via fe80::1',
    ],
    [
      'an IPv4 route with an IPv6 next hop',
      [{ dst: 'default', via: { family: 'inet6', host: 'fe80::1' }, dev: 'eth0' }],
      '8.8.8.8',
      'unicast eth0',
    ],
  ])('uses %s', (_, routes, destination, expected) =>
    expect(routeText(withRoutes(...routes), destination)).toBe(expected),
  );

  it('leaves out links without carrier if ignore_routes_with_linkdown says so', () => {
    const route = [{ dst: '10.0.0.0/8', dev: 'ppp0', flags: ['linkdown'] }];
    const sysctl = { 'net.ipv4.conf.ppp0.ignore_routes_with_linkdown': '1' };
    expect(routeText(host({ addr: [ETH0, PPP0], route, sysctl }), '10.1.1.1')).toBe('none');
  });

  it('takes the first next hop of several and says so', () => {
    const multipath = withRoutes({
      dst: 'default',
      nexthops: [
        { gateway: '192.0.2.7', dev: 'eth0', weight: 1, flags: ['dead'] },
        { gateway: '192.0.2.8', dev: 'eth0', weight: 1, flags: [] },
        { dev: 'ppp0', weight: 1, flags: [] },
      ],
    });
    expect(routeText(multipath, '8.8.8.8')).toBe('unicast eth0 via 192.0.2.8');
    expect(multipath.assumptions).toEqual([expect.stringMatching(/default has 2 next hops.*192\.0\.2\.8 \(eth0\)/)]);
  });

  it('says that routes of other tables are not used when it does not know what leads there', () => {
    const route = [{ dst: 'default', dev: 'eth0', table: '100' }];
    const said = (rule?: unknown): readonly string[] => host({ addr: [ETH0], route, rule }).assumptions;
    expect(said()[0]).toContain('table 100 are not used');
    expect(said([{ priority: 0, src: 'all', table: 'local' }])).toEqual([]);
  });

  it('has IPv6 types: anycast of a forwarding host, unreachable without a route', () => {
    const forwarding = host({ addr: [ETH0], sysctl: { 'net.ipv6.conf.all.forwarding': 1 } });
    expect(typeText(forwarding, '2001:db8::')).toBe('anycast');
    expect(typeText(forwarding, '2001:db8:99::1')).toBe('unreachable');
    expect(forwarding.sysctl('net.ipv6.conf.all.forwarding')).toBe('1');
    const still = host({ addr: [ETH0], sysctl: { 'net.ipv6.conf.all.forwarding': 0 } });
    expect(typeText(still, '2001:db8::')).toBe('unicast');
  });
});

describe('a host file and options over it', () => {
  const file = join(folder, 'host.json');
  writeFileSync(
    file,
    JSON.stringify({ addr: [ETH0, PPP0], route: [{ dst: 'default', dev: 'ppp0' }], iptables: '*nat\nCOMMIT\n' }),
  );

  it('replaces the interface and the route named', () => {
    const stated = statedHost({ file, iface: ['eth0=10.0.0.1/24', 'br0=10.7.0.1/16'], route: ['default=10.0.0.2'] });
    if (stated === undefined) throw new Error('nothing stated');
    expect(routeText(stated, '8.8.8.8')).toBe('unicast eth0 via 10.0.0.2');
    expect(routeText(stated, '10.7.1.1')).toBe('unicast br0');
    expect(typeText(stated, '192.0.2.1')).toBe('unicast');
    expect(stated.interfaceByName('eth0')?.ifindex).toBe(2);
    expect(stated.iptables).toBe('*nat\nCOMMIT\n');
  });

  it('reads the file alone', () => expect(routeText(hostFromFile(file), '8.8.8.8')).toBe('unicast ppp0'));
});

describe('what is wrong with a host file', () => {
  test.each([
    ['{"addr": [1,]}', "h.json:1:13: not JSON: did not expect ']}'"],
    ['{"addr": [\n  {"a": 1}\n', 'h.json:3:1: not JSON: did not expect the end of the file'],
    ['{"addr": [\n  {"a" 1}]}', "h.json:2:8: not JSON: did not expect '1}]}'"],
    ['{"addr": []} x', "h.json:1:14: not JSON: did not expect 'x'"],
    ['', 'h.json:1:1: not JSON: did not expect the end of the file'],
    ['{}', 'h.json: not a host file: at addr:'],
    ['[]', 'h.json: not a host file:'],
    [
      '{"addr": [{"ifname": "eth0", "addr_info": [{"local": "192.0.2.300"}]}]}',
      "at addr[0].addr_info[0].local: '192.0.2.300' is not an address",
    ],
    ['{"addr": [], "route": [{"dst": "10.0.0.0/40"}]}', "at route[0].dst: '10.0.0.0/40' is neither"],
    ['{"addr": [], "route": [{"dev": "eth0"}]}', 'at route[0].dst:'],
    ['{"addr": [], "sysctl": ["x"]}', 'at sysctl:'],
  ])('%j: %s', (text, message) => expect(() => describeHostText(text, 'h.json')).toThrow(message));

  it('is named when it cannot be read', () => {
    expect(() => hostFromFile(join(folder, 'missing.json'))).toThrow(
      /missing\.json: there is no such host file; make one/,
    );
    expect(() => hostFromFile(folder)).toThrow(/this is a directory/);
  });
});
