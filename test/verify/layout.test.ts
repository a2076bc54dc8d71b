import { describe, expect, it } from 'vitest';
import type { HostFile } from '../../src/host/hostschema.js';
import { addressBatch, hostSysctls, planLayout, routeBatch, wiresBatch } from '../../src/verify/layout.js';

const host: HostFile = {
  addr: [
    { ifname: 'lo', flags: ['LOOPBACK', 'UP'], addr_info: [{ family: 'inet', local: '127.0.0.1', prefixlen: 8 }] },
    {
      ifname: 'eth0',
      address: '02:42:c0:00:02:01',
      mtu: 1400,
      flags: ['UP'],
      addr_info: [
        { family: 'inet', local: '192.0.2.1', prefixlen: 24, broadcast: '192.0.2.255', scope: 'global' },
        { family: 'inet6', local: '2001:db8::1', prefixlen: 64, scope: 'global' },
      ],
    },
    { ifname: 'docker0', flags: ['UP'], addr_info: [] },
    { ifname: 'veth1a2b3c', master: 'docker0', addr_info: [] },
    { ifname: 'eth0.100', address: '02:42:c0:00:02:01', flags: [], addr_info: [] },
    {
      ifname: 'ppp0',
      flags: ['UP'],
      addr_info: [{ family: 'inet', local: '10.0.0.1', address: '10.0.0.2', prefixlen: 32 }],
    },
  ],
};

describe('how a gateway is furnished', () => {
  const layout = planLayout(host, undefined);

  it('makes a veth of every interface but loopback and ports whose bridge has no MAC address', () => {
    expect(layout.interfaces.map((i) => i.name)).toEqual(['eth0', 'docker0', 'eth0.100', 'ppp0']);
    expect(wiresBatch(layout, 'gw')).toContain('peer name eth0 address 02:42:c0:00:02:01 mtu 1400 netns gw');
  });

  it('makes a bridge of a bridge with ports, and gives it a port that nobody states', () => {
    const links = host.addr.map((link) =>
      link.ifname === 'docker0' ? { ...link, address: '02:42:ac:11:00:01' } : link,
    );
    const bridged = planLayout({ ...host, addr: links }, undefined);
    expect(bridged.interfaces.map((i) => i.device)).toEqual(['eth0', 'nrport0', 'veth1a2b3c', 'eth0.100', 'ppp0']);
    expect(addressBatch(bridged, false).split('\n')).toEqual(
      expect.arrayContaining([
        expect.stringMatching(/^link add name docker0 address 02:42:ac:11:00:01 type bridge stp_state 0 /),
        'link set dev veth1a2b3c master docker0',
        'link set dev nrport0 master docker0',
      ]),
    );
  });

  it('gives interfaces that share a MAC address different ones, so that they stay apart', () => {
    expect(new Set(layout.interfaces.map((i) => i.mac)).size).toBe(4);
  });

  it('adds addresses in order, with their peers, and IPv6 ones only when IPv6 is used', () => {
    expect(addressBatch(layout, true).split('\n')).toEqual(
      expect.arrayContaining([
        'address add 192.0.2.1/24 broadcast 192.0.2.255 scope global dev eth0',
        'address add 2001:db8::1/64 scope global nodad dev eth0',
        'address add 10.0.0.1 peer 10.0.0.2/32 dev ppp0',
      ]),
    );
    expect(addressBatch(layout, false)).not.toContain('2001:db8::1');
  });

  it('leaves interfaces down that are down', () => {
    expect(addressBatch(layout, false)).toContain('link set dev docker0 up');
    expect(addressBatch(layout, false)).not.toContain('link set dev eth0.100 up');
  });

  it('replaces the main table, on-link routes first, and adds to the others only what the kernel did not make', () => {
    const routes = [
      { dst: 'default', gateway: '192.0.2.254', dev: 'eth0', metric: 100 },
      { dst: '192.0.2.0/24', dev: 'eth0', protocol: 'kernel', scope: 'link', prefsrc: '192.0.2.1' },
      { type: 'local', dst: '192.0.2.1', dev: 'eth0', table: 'local', protocol: 'kernel', scope: 'host' },
      { type: 'local', dst: '198.51.100.0/24', dev: 'lo', table: 'local' },
      { dst: '203.0.113.0/24', dev: 'veth1a2b3c' },
    ];
    expect(routeBatch(routes, layout).trim().split('\n')).toEqual([
      'route flush table main',
      'route append 192.0.2.0/24 dev eth0 proto kernel scope link src 192.0.2.1',
      'route append local 198.51.100.0/24 dev lo table local',
      'route append default via 192.0.2.254 dev eth0 metric 100',
    ]);
  });

  it('says of a gateway that no route leads to that it is on the link, or the kernel would refuse it', () => {
    const connected = { dst: '192.0.2.0/24', dev: 'eth0' };
    const routes = [
      { dst: 'default', gateway: '192.0.2.254', dev: 'eth0' },
      { dst: '10.9.0.0/16', nexthops: [{ gateway: '172.17.0.9', dev: 'docker0', weight: 1, flags: [] }] },
      { dst: '2001:db8:5::/48', gateway: 'fe80::1', dev: 'eth0' },
    ];
    expect(routeBatch(routes, layout).trim().split('\n').slice(1)).toEqual([
      'route append default via 192.0.2.254 dev eth0 onlink',
      'route append 10.9.0.0/16 nexthop via 172.17.0.9 dev docker0 weight 1 onlink',
      'route append 2001:db8:5::/48 via fe80::1 dev eth0',
    ]);
    expect(routeBatch([...routes, connected], layout)).toContain('default via 192.0.2.254 dev eth0\n');
  });

  it('adds a route once that two addresses of an interface imply', () => {
    const connected = { dst: 'fe80::/64', dev: 'eth0', protocol: 'kernel', metric: 256 };
    expect(routeBatch([connected, { ...connected }], layout)).toBe(
      'route flush table main\nroute append fe80::/64 dev eth0 proto kernel metric 256\n',
    );
  });

  it('writes settings of interfaces whose names hold dots, `all` first', () => {
    const sysctls = { 'net.ipv4.conf.eth0/100.rp_filter': '1', 'net.ipv4.conf.all.rp_filter': '2' };
    expect(hostSysctls(sysctls, false).match(/\/proc\/sys\/[^']+/g)).toEqual([
      '/proc/sys/net/ipv4/conf/all/rp_filter',
      '/proc/sys/net/ipv4/conf/eth0.100/rp_filter',
    ]);
  });

  it.each(['kernel.panic', 'net.core.rmem_max', 'net.ipv4.//.//.//kernel.panic', 'net.ipv4...conf'])(
    'does not touch %s, which is not the namespace\u2019s own',
    (name) => {
      expect(hostSysctls({ [name]: '1' }, true)).toBe(`echo '${name}'\n`);
    },
  );

  it('refuses interface names that would mean something to the tools', () => {
    for (const ifname of ['eth0; reboot', '', '..', 'a/b', 'x'.repeat(16)]) {
      expect(() => planLayout({ addr: [{ ifname }] }, undefined)).toThrow(/interface name/);
    }
  });

  it('refuses addresses that are not one word', () => {
    const bad = { ifname: 'eth0', addr_info: [{ family: 'inet', local: '192.0.2.1\nlink del eth0', prefixlen: 24 }] };
    expect(() => addressBatch(planLayout({ addr: [bad] }, undefined), false)).toThrow(/host file/);
  });
});
