/** Where an incoming IPv6 packet goes, and which ones the kernel drops for their addresses or hop limit. */
import { describe, expect, it } from 'vitest';
import { type GatewayOptions, TestGateway } from '../support/gateway.js';
import { udp } from '../support/packets.js';

const ROUTER: GatewayOptions = {
  iface: ['lan=fd00:1::1/64,fe80::1/64', 'wan=2001:db8:5::5/64,fe80::5/64'],
  route: ['default6=2001:db8:5::fe@wan', 'fd00:2::/64=fd00:1::fe@lan', '2001:db8:bad::/48=blackhole'],
};

interface Way extends Partial<GatewayOptions> {
  readonly hops?: number;
  readonly from?: string;
}

/** What becomes of a packet: `wan`, `local` or why it is dropped. */
function way(src: string, dst: string, { hops = 64, from = 'lan', ...over }: Way = {}): string {
  const gateway = new TestGateway({ ...ROUTER, ...over });
  const { verdict, out, why } = gateway.send(from, udp({ src: `[${src}]:1`, dst: `[${dst}]:2`, ttl: hops }));
  return verdict === 'forward' ? out : verdict === 'local' ? 'local' : why;
}

const PC = 'fd00:1::10';

describe('destinations', () => {
  it.each([
    ['behind the default route', '2001:db8:9::9', 'wan'],
    ['behind another router of the lan: back out where it came in', 'fd00:2::3', 'lan'],
    ['a neighbour on the link', '2001:db8:5::77', 'wan'],
    ['the address of this interface', 'fd00:1::1', 'local'],
    ['the address of another interface', '2001:db8:5::5', 'local'],
    ["a subnet's router anycast address", '2001:db8:5::', 'local'],
    ['the link-local address of this interface', 'fe80::1', 'local'],
    ['the link-local address of another interface: somebody on this link', 'fe80::5', 'lan'],
    ['all nodes of the link', 'ff02::1', 'local'],
    ['all routers of the link', 'ff02::2', 'local'],
    ['the solicited-node group of an own address', 'ff02::1:ff00:1', 'local'],
    ['the solicited-node group of somebody else', 'ff02::1:ff00:99', 'multicast'],
    ['a multicast group nobody joined', 'ff0e::99', 'multicast'],
    ['a multicast group of this interface only', 'ff01::1', 'martian-destination'],
    ['a multicast group without a scope', 'ff00::1', 'martian-destination'],
    ['a blackhole', '2001:db8:bad::1', 'blackhole'],
    ['loopback', '::1', 'martian-destination'],
  ])('%s', (_, dst, expected) => {
    expect(way(PC, dst)).toBe(expected);
  });

  it('nowhere', () => {
    expect(way(PC, '2001:db8:9::9', { route: [] })).toBe('no-route');
  });
});

describe('sources', () => {
  it.each([
    ['loopback', '::1', '2001:db8:9::9', 'martian-source'],
    ['multicast', 'ff02::9', '2001:db8:9::9', 'martian-source'],
    ['none, to somebody else', '::', '2001:db8:9::9', 'martian-source'],
    ['none, to the host', '::', 'fd00:1::1', 'local'],
    ['link-local, to another link', 'fe80::7', '2001:db8:9::9', 'link-local-source'],
    ['link-local, back to its own link', 'fe80::7', 'fd00:2::3', 'lan'],
    ['link-local, to the host', 'fe80::7', '2001:db8:5::5', 'local'],
    ["the host's own address: IPv6 does not mind", '2001:db8:5::5', '2001:db8:9::9', 'wan'],
    ['IPv4-mapped', '::ffff:c000:207', '2001:db8:9::9', 'wan'],
  ])('%s', (_, src, dst, expected) => {
    expect(way(src, dst)).toBe(expected);
  });
});

describe('hop limits', () => {
  it.each([
    [0, 'hop-limit-expired'],
    [1, 'hop-limit-expired'],
    [2, 'wan'],
  ])('%i', (hops, expected) => {
    expect(way(PC, '2001:db8:9::9', { hops })).toBe(expected);
  });

  it('do not matter to the host itself', () => {
    expect(way(PC, 'fd00:1::1', { hops: 0 })).toBe('local');
  });
});

describe('settings', () => {
  it.each([
    ['a host that does not forward', { 'net.ipv6.conf.all.forwarding': '0' }, '2001:db8:9::9', 'not-forwarding'],
    ['a host that does not forward has its addresses', { 'net.ipv6.conf.all.forwarding': '0' }, 'fd00:1::1', 'local'],
    ['an interface without IPv6', { 'net.ipv6.conf.lan.disable_ipv6': '1' }, 'fd00:1::1', 'ipv6-disabled'],
    ['another interface without IPv6', { 'net.ipv6.conf.wan.disable_ipv6': '1' }, 'fd00:1::1', 'local'],
  ])('%s', (_, sysctl, dst, expected) => {
    expect(way(PC, dst, { sysctl })).toBe(expected);
  });
});

it('packets of a host of which nothing is said for IPv6 pass by', () => {
  const gateway = new TestGateway({ iface: ['eth0=192.0.2.1/24'] });
  expect(gateway.send('eth0', udp({ src: '[2001:db8::1]:1', dst: '[2001:db8::2]:2' }))).toMatchObject({
    verdict: 'ignored',
    why: 'ipv6-not-stated',
  });
});
