/** Where an incoming packet goes (KERNEL.md E1, E7). */
import { describe, expect, it } from 'vitest';
import { type GatewayOptions, TestGateway } from '../support/gateway.js';
import { udp } from '../support/packets.js';

const ROUTER: GatewayOptions = {
  iface: ['lan=192.168.1.1/24', 'wan=203.0.113.5/24'],
  route: [
    '10.0.0.0/8=192.168.1.254',
    '198.18.0.0/15=blackhole',
    '198.51.100.0/24=203.0.113.1@wan',
    '240.0.0.0/4=203.0.113.1@wan',
    '0.1.0.0/16=203.0.113.1@wan',
  ],
};

/** What becomes of a packet: `wan`, `local` or why it is dropped. */
function way(
  src: string,
  dst: string,
  options: Partial<GatewayOptions> & { ttl?: number; from?: string } = {},
): string {
  const { ttl = 64, from = 'lan', ...over } = options;
  const { verdict, out, why } = new TestGateway({ ...ROUTER, ...over }).send(
    from,
    udp({ src: `${src}:1`, dst: `${dst}:2`, ttl }),
  );
  return verdict === 'forward' ? out : verdict === 'local' ? 'local' : why;
}

const PC = '192.168.1.10';

describe('destinations', () => {
  it.each([
    ['a routed network', '198.51.100.9', 'wan'],
    ['a network behind another router of the lan: back out where it came in', '10.1.2.3', 'lan'],
    ['a neighbour on the link', '203.0.113.77', 'wan'],
    ['the address of this interface', '192.168.1.1', 'local'],
    ['the address of another interface', '203.0.113.5', 'local'],
    ['the broadcast address of the subnet', '192.168.1.255', 'local'],
    ['the broadcast address of another subnet', '203.0.113.255', 'local'],
    ['the limited broadcast', '255.255.255.255', 'local'],
    ['all hosts', '224.0.0.1', 'local'],
    ['a multicast group nobody joined', '239.1.2.3', 'multicast'],
    ['nowhere', '9.9.9.9', 'no-route'],
    ['a blackhole', '198.18.0.1', 'blackhole'],
    ['loopback', '127.0.0.1', 'martian-destination'],
    ['0.0.0.0', '0.0.0.0', 'martian-destination'],
    ['the rest of 0/8, ordinary since Linux 5.3', '0.1.2.3', 'wan'],
    ['class E', '250.1.2.3', 'wan'],
  ])('%s', (_, dst, expected) => {
    expect(way(PC, dst)).toBe(expected);
  });
});

describe('sources', () => {
  it.each([
    ['of the host itself', '203.0.113.5', 'martian-source'],
    ['loopback', '127.0.0.1', 'martian-source'],
    ['multicast', '224.1.2.3', 'martian-source'],
    ['the limited broadcast', '255.255.255.255', 'martian-source'],
    ['0.0.0.0', '0.0.0.0', 'martian-source'],
    ['class E', '250.1.2.3', 'wan'],
    ['a subnet broadcast', '192.168.1.255', 'wan'],
    ['no route leads back to', '9.9.9.9', 'wan'],
  ])('%s', (_, src, expected) => {
    expect(way(src, '198.51.100.9')).toBe(expected);
  });

  it.each([
    ['DHCP discover: 0.0.0.0 may broadcast', '0.0.0.0', '255.255.255.255', {}, 'local'],
    [
      'accept_local lets the own address in',
      '203.0.113.5',
      '198.51.100.9',
      { sysctl: { 'net.ipv4.conf.lan.accept_local': '1' } },
      'wan',
    ],
    [
      'route_localnet lets loopback in',
      PC,
      '127.0.0.1',
      { sysctl: { 'net.ipv4.conf.all.route_localnet': '1' } },
      'local',
    ],
    [
      'ip_forward=0 keeps the door shut',
      PC,
      '198.51.100.9',
      { sysctl: { 'net.ipv4.ip_forward': '0' } },
      'not-forwarding',
    ],
    [
      'ip_forward=0 is no matter to the host itself',
      PC,
      '192.168.1.1',
      { sysctl: { 'net.ipv4.ip_forward': '0' } },
      'local',
    ],
  ])('%s', (_, src, dst, options, expected) => {
    expect(way(src, dst, options)).toBe(expected);
  });
});

describe('to everybody', () => {
  // Each asked of Linux 6.18, by a packet of its own.
  it.each([
    ['203.0.113.5', '192.168.1.255', 'martian-source'],
    ['127.0.0.1', '192.168.1.255', 'martian-source'],
    ['192.168.1.10', '192.168.1.255', 'local'],
    ['203.0.113.5', '255.255.255.255', 'martian-source'],
    ['127.0.0.1', '255.255.255.255', 'martian-source'],
    ['192.168.1.10', '255.255.255.255', 'local'],
    ['0.0.0.0', '255.255.255.255', 'local'],
    ['0.0.0.0', '0.0.0.0', 'local'],
    ['203.0.113.5', '224.0.0.1', 'martian-source'],
    ['127.0.0.1', '224.0.0.1', 'martian-source'],
    ['192.168.1.10', '224.0.0.1', 'local'],
    ['0.0.0.0', '224.0.0.1', 'local'],
  ])('%s > %s: %s', (src, dst, expected) => {
    expect(way(src, dst)).toBe(expected);
  });
});

describe('TTL (E1)', () => {
  it.each([
    [0, 'ttl-expired'],
    [1, 'ttl-expired'],
    [2, 'wan'],
    [255, 'wan'],
  ])('%i', (ttl, expected) => {
    expect(way(PC, '198.51.100.9', { ttl })).toBe(expected);
  });

  it('is no matter for what is delivered here', () => {
    expect(way(PC, '192.168.1.1', { ttl: 1 })).toBe('local');
    expect(way(PC, '192.168.1.1', { ttl: 0 })).toBe('local');
  });
});

describe('an ingress that nobody states', () => {
  it.each([
    ['is the interface towards the source', PC, '198.51.100.9', 'wan'],
    ['is the host itself for its own address', '192.168.1.1', '198.51.100.9', 'wan'],
  ])('%s', (_, src, dst, expected) => {
    expect(way(src, dst, { from: '?' })).toBe(expected);
  });
});
