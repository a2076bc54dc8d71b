/** NAT66, connection tracking and rules of IPv6, packet by packet. The kernel's word on the same is test/kernel/ipv6.test.ts. */
import { describe, expect, it } from 'vitest';
import { type GatewayOptions, TestGateway, table } from '../support/gateway.js';
import { icmp, ip, tcp, udp } from '../support/packets.js';

const HOME: GatewayOptions = {
  iface: ['lan=fd00:1::1/64,192.168.1.1/24', 'wan=2001:db8:5::5/64,203.0.113.5/24'],
  route: ['default6=2001:db8:5::fe@wan', 'default=203.0.113.1@wan'],
};
const homeWith = (...rules: readonly string[]): GatewayOptions => ({ ...HOME, rules6: table('nat', ...rules) });
const PC = '[fd00:1::10]:4000';
const SERVER = '[2001:db8:9::9]:80';
const PUBLIC = '[2001:db8:5::5]:4000';
const OPTIONS: readonly (readonly [number, Uint8Array])[] = [[60, Buffer.from('0000010400000000', 'hex')]];

const expectSame = (actual: Uint8Array, expected: Uint8Array): void =>
  expect(Buffer.from(actual).toString('hex')).toBe(Buffer.from(expected).toString('hex'));

describe('masquerading', () => {
  it('is there and back the same packet with another end, a hop less, and a right checksum', () => {
    const gateway = new TestGateway(homeWith('POSTROUTING -o wan -j MASQUERADE'));
    const out = gateway.send('lan', tcp({ src: PC, dst: SERVER, flags: 'S', ttl: 64 }));
    expect(out).toMatchObject({ verdict: 'forward', out: 'wan', state: 'new', nat: 'snat', rule: 'nat:POSTROUTING:1' });
    expectSame(out.packet, tcp({ src: PUBLIC, dst: SERVER, flags: 'S', ttl: 63 }));
    const back = gateway.send('wan', tcp({ src: SERVER, dst: PUBLIC, flags: 'SA', ack: 1001, ttl: 50 }));
    expect(back).toMatchObject({ verdict: 'forward', out: 'lan', state: 'established' });
    expectSame(back.packet, tcp({ src: SERVER, dst: PC, flags: 'SA', ack: 1001, ttl: 49 }));
    expect(gateway.counter6('nat:POSTROUTING:1')).toBe('1:60');
    expect(gateway.connections()).toEqual(
      [
        'tcp      6 59 SYN_RECV src=fd00:1::10 dst=2001:db8:9::9 sport=4000 dport=80 ' +
          'src=2001:db8:9::9 dst=2001:db8:5::5 sport=80 dport=4000 mark=0 use=1',
      ].map((line) => line.replace(' 59 ', ' 60 ')),
    );
  });

  it.each<[string, Uint8Array, Uint8Array]>([
    ['UDP', udp({ src: PC, dst: SERVER }), udp({ src: PUBLIC, dst: SERVER, ttl: 63 })],
    [
      'UDP without a checksum, which stays without',
      udp({ src: PC, dst: SERVER, noChecksum: true }),
      udp({ src: PUBLIC, dst: SERVER, noChecksum: true, ttl: 63 }),
    ],
    [
      'TCP behind extension headers',
      tcp({ src: PC, dst: SERVER, flags: 'S', extensions: OPTIONS }),
      tcp({ src: PUBLIC, dst: SERVER, flags: 'S', extensions: OPTIONS, ttl: 63 }),
    ],
    [
      'echo, whose checksum covers the addresses',
      icmp({ src: 'fd00:1::10', dst: '2001:db8:9::9', type: 128, icmpId: 7, seq: 1, payload: 'ping' }),
      icmp({ src: '2001:db8:5::5', dst: '2001:db8:9::9', type: 128, icmpId: 7, seq: 1, payload: 'ping', ttl: 63 }),
    ],
    [
      'ESP: the address alone',
      ip({ src: 'fd00:1::10', dst: '2001:db8:9::9' }, 50, Buffer.alloc(16, 1)),
      ip({ src: '2001:db8:5::5', dst: '2001:db8:9::9', ttl: 63 }, 50, Buffer.alloc(16, 1)),
    ],
  ])('of %s', (_, packet, expected) => {
    const gateway = new TestGateway(homeWith('POSTROUTING -o wan -j MASQUERADE'));
    expectSame(gateway.send('lan', packet).packet, expected);
  });
});

describe('destinations', () => {
  it.each([
    ['DNAT to an address', '-j DNAT --to-destination fd00:1::20', '[fd00:1::20]:80', 'forward'],
    ['DNAT to a port', '-p tcp -j DNAT --to-destination [fd00:1::20]:8080', '[fd00:1::20]:8080', 'forward'],
    [
      'REDIRECT: the first address of the interface',
      '-p tcp -j REDIRECT --to-ports 8080',
      '[2001:db8:5::5]:8080',
      'local',
    ],
    ['NETMAP', '-j NETMAP --to fd00:1:0:0:1::/80', '[fd00:1::1:0:0:5]:80', 'forward'],
  ])('%s', (_, rule, dst, verdict) => {
    const gateway = new TestGateway(homeWith(`PREROUTING -i wan ${rule}`));
    const sent = gateway.send('wan', tcp({ src: SERVER, dst: '[2001:db8:5::5]:80', flags: 'S', ttl: 9 }));
    expect(sent).toMatchObject({ verdict, nat: 'dnat', rule: 'nat:PREROUTING:1' });
    expectSame(sent.packet, tcp({ src: SERVER, dst, flags: 'S', ttl: verdict === 'forward' ? 8 : 9 }));
  });
});

describe('ICMPv6', () => {
  const gateway = (): TestGateway => new TestGateway(homeWith('POSTROUTING -o wan -j MASQUERADE'));
  const router = 'fd00:1::10';

  it.each([
    ['router solicitation', 133],
    ['router advertisement', 134],
    ['neighbour solicitation', 135],
    ['neighbour advertisement', 136],
    ['listener report', 143],
  ])('%s is never tracked', (_, type) => {
    const sent = gateway().send('lan', icmp({ src: router, dst: 'fd00:1::1', type, ttl: 255 }));
    expect(sent).toMatchObject({ verdict: 'local', state: 'untracked' });
  });

  it.each([
    ['an echo reply to nothing', 129, 'invalid-icmp'],
    ['an unknown message', 200, 'invalid-icmp'],
    ['an error about nothing', 1, 'invalid-icmp-error'],
  ])('%s is INVALID, and passes as it is', (_, type, why) => {
    const sent = gateway().send('lan', icmp({ src: router, dst: '2001:db8:9::9', type }));
    expect(sent).toMatchObject({ verdict: 'forward', state: 'invalid', why, nat: '' });
  });

  it('errors from outside come to whom they concern, about the packet that was sent', () => {
    const home = gateway();
    home.send('lan', udp({ src: PC, dst: SERVER, payload: 'question' }));
    const about = udp({ src: PUBLIC, dst: SERVER, payload: 'question', ttl: 63 });
    const inside = udp({ src: PC, dst: SERVER, payload: 'question', ttl: 63 });
    const error = { src: '2001:db8:77::1', type: 1, code: 4 };
    const sent = home.send('wan', icmp({ ...error, dst: '2001:db8:5::5', payload: about }));
    expect(sent).toMatchObject({ verdict: 'forward', out: 'lan', state: 'related' });
    expectSame(sent.packet, icmp({ ...error, dst: 'fd00:1::10', payload: inside, ttl: 63 }));
  });

  it('errors from inside come from the public address', () => {
    const home = new TestGateway(homeWith('PREROUTING -i wan -p udp -j DNAT --to-destination [fd00:1::20]:53'));
    home.send('wan', udp({ src: SERVER, dst: '[2001:db8:5::5]:5300', payload: 'question' }));
    const about = udp({ src: SERVER, dst: '[fd00:1::20]:53', payload: 'question', ttl: 63 });
    const outside = udp({ src: SERVER, dst: '[2001:db8:5::5]:5300', payload: 'question', ttl: 63 });
    const error = { dst: '2001:db8:9::9', type: 1, code: 4 };
    const sent = home.send('lan', icmp({ ...error, src: 'fd00:1::20', payload: about }));
    expectSame(sent.packet, icmp({ ...error, src: '2001:db8:5::5', payload: outside, ttl: 63 }));
  });

  it('errors to somebody else than the connection are INVALID', () => {
    const home = gateway();
    home.send('lan', udp({ src: PC, dst: SERVER }));
    const about = udp({ src: PUBLIC, dst: SERVER, ttl: 63 });
    const sent = home.send('wan', icmp({ src: '2001:db8:77::1', dst: 'fd00:1::11', type: 1, payload: about }));
    expect(sent).toMatchObject({ state: 'invalid', why: 'invalid-icmp-error' });
  });
});

describe('INVALID', () => {
  it.each<[string, Uint8Array, string]>([
    ['no next header', ip({ src: 'fd00:1::10', dst: '2001:db8:9::9' }, 59, Buffer.alloc(0)), 'invalid-header'],
    ['cut TCP', ip({ src: 'fd00:1::10', dst: '2001:db8:9::9' }, 6, Buffer.alloc(12)), 'invalid-header'],
    ['cut extension headers', ip({ src: 'fd00:1::10', dst: '2001:db8:9::9' }, 60, Buffer.alloc(1)), 'invalid-header'],
    ['a wrong checksum', udp({ src: PC, dst: SERVER, badChecksum: true }), 'invalid-checksum'],
    ["IPv4's ICMP", ip({ src: 'fd00:1::10', dst: '2001:db8:9::9' }, 1, Buffer.alloc(8)), 'invalid-icmp'],
  ])('%s: leaves with the address it came with', (_, packet, why) => {
    const sent = new TestGateway(homeWith('POSTROUTING -o wan -j MASQUERADE')).send('lan', packet);
    expect(sent).toMatchObject({ verdict: 'forward', state: 'invalid', why, nat: '' });
  });
});

describe('rules', () => {
  const filtered = (...rules: readonly string[]): TestGateway =>
    new TestGateway({ ...HOME, rules6: table('filter', ...rules) });
  const behindOptions = tcp({ src: PC, dst: SERVER, flags: 'S', extensions: OPTIONS });

  it.each<[string, string, Uint8Array]>([
    ['addresses', 'FORWARD -s fd00:1::/64 -d 2001:db8:9::/48 -j DROP', behindOptions],
    ['ports behind extension headers', 'FORWARD -p tcp -m tcp --dport 80 -j DROP', behindOptions],
    ['lists of ports', 'FORWARD -p tcp -m multiport --dports 22,80 -j DROP', behindOptions],
    [
      'ICMPv6 types',
      'FORWARD -p ipv6-icmp -m icmp6 --icmpv6-type 128 -j DROP',
      icmp({ src: 'fd00:1::10', dst: '2001:db8:9::9', type: 128 }),
    ],
    ['ranges of addresses', 'FORWARD -m iprange --src-range fd00:1::f-fd00:1::11 -j DROP', behindOptions],
    ['lengths', 'FORWARD -m length --length 68 -j DROP', behindOptions],
    ['hop limits', 'FORWARD -m hl --hl-eq 63 -j DROP', behindOptions],
    ['types of addresses', 'FORWARD -m addrtype ! --dst-type LOCAL --src-type UNICAST -j DROP', behindOptions],
    [
      'no next header as a protocol',
      'FORWARD -p 59 -j DROP',
      ip({ src: 'fd00:1::10', dst: '2001:db8:9::9' }, 59, Buffer.alloc(0)),
    ],
  ])('go by %s', (_, rule, packet) => {
    const gateway = filtered(rule);
    expect(gateway.send('lan', packet)).toMatchObject({ verdict: 'drop', why: 'filter:FORWARD:1' });
    expect(gateway.counter6('filter:FORWARD:1')).toBe(`1:${packet.length}`);
  });

  it('drop what hides its protocol behind cut extension headers, when they ask for one', () => {
    const packet = ip({ src: 'fd00:1::10', dst: '2001:db8:9::9' }, 60, Buffer.alloc(1));
    const gateway = filtered('FORWARD -p tcp -j ACCEPT');
    expect(gateway.send('lan', packet)).toMatchObject({ verdict: 'drop', why: 'filter:FORWARD:1' });
    expect(gateway.counter6('filter:FORWARD:1')).toBe('0:0');
  });

  it('take an IPv4-mapped address for no unicast address, as the kernel does', () => {
    const gateway = filtered('FORWARD -m addrtype --src-type UNICAST -j DROP');
    expect(gateway.send('lan', udp({ src: '[::ffff:c000:207]:1', dst: SERVER })).verdict).toBe('forward');
  });

  it('of one family are nothing to the other', () => {
    const gateway = new TestGateway({
      ...homeWith('POSTROUTING -o wan -j MASQUERADE'),
      rules: table('filter', ':FORWARD DROP'),
    });
    expect(gateway.send('lan', udp({ src: PC, dst: SERVER }))).toMatchObject({ verdict: 'forward', nat: 'snat' });
    expect(gateway.send('lan', udp({ src: '192.168.1.10:1', dst: '198.51.100.1:2' }))).toMatchObject({
      verdict: 'drop',
      state: '',
    });
  });

  it('without any about connections, there are none', () => {
    expect(filtered().send('lan', udp({ src: PC, dst: SERVER })).state).toBe('');
  });
});

describe('packets of the host itself', () => {
  it('go out with the hop limit they have', () => {
    const gateway = new TestGateway(homeWith('OUTPUT -p tcp -j DNAT --to-destination fd00:1::20'));
    const sent = gateway.send('@local', tcp({ src: '[2001:db8:5::5]:40000', dst: SERVER, flags: 'S', ttl: 64 }));
    expect(sent).toMatchObject({ verdict: 'forward', out: 'lan', nat: 'dnat' });
    expectSame(sent.packet, tcp({ src: '[2001:db8:5::5]:40000', dst: '[fd00:1::20]:80', flags: 'S', ttl: 64 }));
  });

  it('are known by their source where the ingress is not stated', () => {
    const gateway = new TestGateway(HOME);
    expect(gateway.send('?', udp({ src: '[2001:db8:5::5]:1', dst: SERVER, ttl: 64 }))).toMatchObject({ out: 'wan' });
    expect(gateway.send('?', udp({ src: PC, dst: SERVER, ttl: 1 }))).toMatchObject({ why: 'hop-limit-expired' });
  });
});
