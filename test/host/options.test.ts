import { describe, expect, it, test } from 'vitest';
import { formatAddress, formatPrefix } from '../../src/host/address.js';
import { hostFromOptions, statedHost } from '../../src/host/hostoptions.js';
import { routeText, typeText } from './support.js';

const DOCKER = hostFromOptions({
  iface: ['eth0=192.0.2.1/24,2001:db8::1/64', 'docker0=172.17.0.1/16', 'veth1=', 'tun0=10.8.0.1/31', 'wg0=10.9.0.1/32'],
  route: [
    'default=192.0.2.254@eth0',
    'default=2001:db8::fe@eth0',
    '10.0.0.0/8=@docker0',
    '10.1.0.0/16=172.17.0.9',
    '10.9.0.0/24=@wg0',
    '198.18.0.0/15=blackhole',
    '2001:db8:5::/48=@veth1',
  ],
});

describe('a host stated by hand', () => {
  it('has the interfaces in order, after the loopback every Linux has', () => {
    const text = DOCKER.interfaces.map(
      ({ name, addresses }) =>
        `${name} ${addresses.map((a) => formatPrefix(a.family, a.words, a.prefixLength)).join()}`,
    );
    expect(text).toEqual([
      'lo 127.0.0.1/8,::1/128',
      'eth0 192.0.2.1/24,2001:db8::1/64',
      'docker0 172.17.0.1/16',
      'veth1 ',
      'tun0 10.8.0.1/31',
      'wg0 10.9.0.1/32',
    ]);
  });

  test.each([
    ['172.17.0.3', 'unicast docker0'],
    ['192.0.2.77', 'unicast eth0'],
    ['192.0.2.1', 'local eth0'],
    ['192.0.2.255', 'broadcast eth0'],
    ['192.0.2.0', 'unicast eth0'],
    ['127.0.0.53', 'local lo'],
    ['127.255.255.255', 'broadcast lo'],
    ['8.8.8.8', 'unicast eth0 via 192.0.2.254'],
    ['10.200.0.1', 'unicast docker0'],
    ['10.1.2.3', 'unicast docker0 via 172.17.0.9'],
    ['10.8.0.0', 'unicast tun0'],
    ['10.8.0.1', 'local tun0'],
    ['10.9.0.1', 'local wg0'],
    ['10.9.0.2', 'unicast wg0'],
    ['198.18.0.1', 'blackhole'],
    ['224.0.0.251', 'multicast eth0'],
    ['255.255.255.255', 'broadcast eth0'],
    ['0.0.0.0', 'none'],
    ['2001:db8::2', 'unicast eth0'],
    ['2001:db8::1', 'local eth0'],
    ['2001:db8:5::9', 'unicast veth1'],
    ['2001:db8:9::9', 'unicast eth0 via 2001:db8::fe'],
    ['fe80::1', 'unicast eth0'],
    ['ff02::fb', 'multicast eth0'],
    ['::1', 'local lo'],
  ])('routes %s: %s', (destination, route) => expect(routeText(DOCKER, destination)).toBe(route));

  test.each([
    ['192.0.2.1', 'local'],
    ['192.0.2.9', 'unicast'],
    ['8.8.8.8', 'unicast'],
    ['198.18.0.1', 'unicast'],
    ['192.0.2.255', 'broadcast'],
    ['255.255.255.255', 'broadcast'],
    ['0.0.0.0', 'broadcast'],
    ['239.1.2.3', 'multicast'],
    ['127.1.2.3', 'local'],
    ['2001:db8::1', 'local'],
    ['2001:db8::2', 'unicast'],
    ['ff02::1', 'multicast'],
    ['::', 'unicast'],
  ])('takes %s for %s, as -m addrtype does', (text, type) => expect(typeText(DOCKER, text)).toBe(type));

  it('limits the type to an interface (--limit-iface-in)', () => {
    expect(typeText(DOCKER, '192.0.2.1', 'eth0')).toBe('local');
    expect(typeText(DOCKER, '192.0.2.1', 'docker0')).toBe('unicast');
    expect(typeText(DOCKER, '2001:db8::1', 'eth0')).toBe('local');
    expect(typeText(DOCKER, '2001:db8::1', 'docker0')).toBe('unreachable');
  });

  it('interns routes', () => {
    const to = (word: number): unknown => DOCKER.route(4, Uint32Array.of(word, 0, 0, 0));
    expect(to(0x08080808)).toBe(to(0x09090909));
    expect(to(0xe0000001)).toBe(to(0xe0000002));
  });

  it('knows secondaries as the kernel does', () => {
    const host = hostFromOptions({ iface: ['eth0=192.0.2.1/24,192.0.2.2/24,192.0.2.3/25,198.51.100.1/24'] });
    const text = host
      .interfaceByName('eth0')
      ?.addresses.map((a) => formatAddress(4, a.words) + (a.secondary ? ' secondary' : ''));
    expect(text).toEqual(['192.0.2.1', '192.0.2.3', '198.51.100.1', '192.0.2.2 secondary']);
  });

  it('takes a MAC address and the interface in several parts', () => {
    const host = hostFromOptions({ iface: ['eth0@02:42:ac:11:00:01=192.0.2.1/24', 'eth0=10.0.0.1/8'] });
    expect(host.interfaceByName('eth0')?.mac).toEqual(Uint8Array.of(2, 0x42, 0xac, 0x11, 0, 1));
    expect(host.interfaceByName('eth0')?.addresses).toHaveLength(2);
  });

  it('has IPv6 default routes three ways', () => {
    for (const route of ['default6=@ppp0', '::/0=@ppp0', 'default=fe80::1@ppp0']) {
      const host = hostFromOptions({ iface: ['ppp0='], route: [route] });
      expect(routeText(host, '2001:db8::1')).toContain('unicast ppp0');
      expect(routeText(host, '192.0.2.1')).toBe('none');
    }
  });

  it('is not there when nothing is stated', () => expect(statedHost({ iface: [], route: [] })).toBeUndefined());
});

describe('what is wrong with an option', () => {
  test.each([
    [{ iface: ['eth0'] }, "--iface eth0: there is no '='; write --iface NAME="],
    [{ iface: ['eth0=192.0.2.300/24'] }, "'192.0.2.300/24' is no address"],
    [{ iface: ['eth0=192.0.2.1/33'] }, "'192.0.2.1/33' is no address"],
    [{ iface: ['a/b=192.0.2.1/24'] }, "'a/b' is no interface name"],
    [{ iface: ['sixteencharslong=192.0.2.1/24'] }, 'is no interface name'],
    [{ iface: ['eth0@02:42=192.0.2.1/24'] }, "'02:42' is no MAC address"],
    [{ route: ['default'] }, "there is no '='"],
    [{ route: ['default=192.0.2.254@eth0'] }, "there is no interface 'eth0'; state it too: --iface eth0="],
    [{ iface: ['eth0=10.0.0.1/8'], route: ['default=192.0.2.254'] }, 'no interface has the gateway on its link; add'],
    [{ iface: ['eth0=10.0.0.1/8'], route: ['default='] }, 'neither a gateway nor an interface'],
    [
      { iface: ['eth0=10.0.0.1/8'], route: ['10.1.2.3/16=@eth0'] },
      'bits set behind its prefix; write 10.1.0.0/16 or 10.1.2.3/32',
    ],
    [{ iface: ['eth0=10.0.0.1/8'], route: ['default6=10.0.0.2'] }, 'different families'],
    [{ iface: ['eth0=10.0.0.1/8'], route: ['x=10.0.0.2'] }, "'x' is no prefix"],
    [{ iface: ['eth0=10.0.0.1/8'], route: ['default=nonsense'] }, "'nonsense' is no address"],
  ])('%j: %s', (options, message) => expect(() => hostFromOptions(options)).toThrow(message));
});
