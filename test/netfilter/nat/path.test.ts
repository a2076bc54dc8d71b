/** Who walks the nat chains, what is left of a dropped packet, what becomes of INVALID ones, ICMP errors (KERNEL.md A and C). */
import { describe, expect, it } from 'vitest';
import { DOCKER, HOME, homeWith, type Outcome, TestGateway, table } from '../../support/gateway.js';
import { icmp, icmpError, TcpConnection, tcp, udp, withHeader } from '../../support/packets.js';

const CLIENT = '198.51.100.7:40000';

describe('a connection to a published port, from SYN to the last ACK', () => {
  it('is translated there and back, and counted once', () => {
    const gateway = new TestGateway(DOCKER);
    const connection = new TcpConnection(CLIENT, '192.0.2.1:8799', { server: '172.17.0.3:1337' });
    const there = (flags: string, data = ''): Outcome => gateway.send('eth0', connection.fromClient(flags, data));
    const back = (flags: string, data = ''): Outcome => gateway.send('docker0', connection.fromServer(flags, data));
    const toContainer = {
      verdict: 'forward',
      out: 'docker0',
      nat: 'dnat',
      rule: 'nat:DOCKER:2',
      text: expect.stringContaining(`${CLIENT} > 172.17.0.3:1337`),
    };
    const toClient = {
      verdict: 'forward',
      out: 'eth0',
      state: 'established',
      nat: 'dnat',
      text: expect.stringContaining(`192.0.2.1:8799 > ${CLIENT}`),
    };
    expect(there('S')).toMatchObject({ ...toContainer, state: 'new' });
    expect(back('SA')).toMatchObject(toClient);
    expect(there('A')).toMatchObject({ ...toContainer, state: 'established' });
    expect(there('PA', 'GET / HTTP/1.1')).toMatchObject(toContainer);
    expect(back('PA', 'HTTP/1.1 200 OK')).toMatchObject(toClient);
    expect(back('FA')).toMatchObject(toClient);
    expect(there('FA')).toMatchObject(toContainer);
    expect(back('A')).toMatchObject(toClient);
    expect(gateway.counter('nat:PREROUTING:1')).toBe('1:40');
    expect(gateway.counter('nat:DOCKER:2')).toBe('1:40');
    expect(gateway.counter('nat:POSTROUTING:policy')).toBe('1:40');
  });

  it('loses one hop, and nothing else of the header', () => {
    const sent = tcp({ src: CLIENT, dst: '192.0.2.1:80', flags: 'S', ttl: 64, id: 7, tos: 0xb8, df: true });
    const expected = tcp({ src: CLIENT, dst: '172.17.0.4:80', flags: 'S', ttl: 63, id: 7, tos: 0xb8, df: true });
    expect(Buffer.from(new TestGateway(DOCKER).send('eth0', sent).packet)).toEqual(Buffer.from(expected));
  });

  it.each([
    ['from a container: RETURN, so the host itself is asked', 'docker0', '172.17.0.3:43000', '192.0.2.1:8799', 'local'],
    ['to a port that is not published', 'eth0', CLIENT, '192.0.2.1:8080', 'local'],
    ['UDP to a TCP port', 'eth0', 'udp', '192.0.2.1:80', 'local'],
  ])('but not %s', (_, iface, src, dst, verdict) => {
    const packet = src === 'udp' ? udp({ src: CLIENT, dst }) : tcp({ src, dst, flags: 'S' });
    expect(new TestGateway(DOCKER).send(iface, packet)).toMatchObject({ verdict, nat: '', rule: '' });
  });

  it('from the host itself takes OUTPUT, with its TTL unchanged', () => {
    const outcome = new TestGateway(DOCKER).send(
      '@local',
      tcp({ src: '192.0.2.1:41000', dst: '192.0.2.1:80', flags: 'S' }),
    );
    expect(outcome).toMatchObject({ verdict: 'forward', out: 'docker0', nat: 'dnat', rule: 'nat:DOCKER:3' });
    expect(outcome.text).toContain('192.0.2.1:41000 > 172.17.0.4:80 S');
    expect(outcome.text).toContain('ttl 64');
  });
});

describe('UDP checksums (E2)', () => {
  const out = (packet: Uint8Array): Buffer => Buffer.from(new TestGateway(HOME).send('lan', packet).packet);

  it('none stays none', () => {
    expect(out(udp({ src: '192.168.1.10:5000', dst: '198.51.100.1:53', noChecksum: true })).readUInt16BE(26)).toBe(0);
  });

  it('a reckoned 0 is written as ffff', () => {
    // Bytes that bring the sum of the translated datagram to ffff.
    const translated = udp({ src: '203.0.113.5:5000', dst: '198.51.100.1:53', payload: Uint8Array.of(0, 0), ttl: 63 });
    const payload = Buffer.from(translated).subarray(26, 28);
    expect(out(udp({ src: '192.168.1.10:5000', dst: '198.51.100.1:53', payload })).readUInt16BE(26)).toBe(0xffff);
  });
});

describe('A2: counters', () => {
  it('count IP total lengths, nat chains only first packets, filter chains all', () => {
    const gateway = new TestGateway({ ...HOME, rules: `${HOME.rules}${table('filter', 'FORWARD -o wan -j ACCEPT')}` });
    const query = udp({ src: '192.168.1.10:5000', dst: '198.51.100.1:53', payload: 'x'.repeat(72) });
    for (let i = 0; i < 3; i++) gateway.send('lan', query);
    gateway.send('wan', udp({ src: '198.51.100.1:53', dst: '203.0.113.5:5000' }));
    expect(gateway.counters()).toEqual({
      'nat:PREROUTING:policy': '1:100',
      'nat:INPUT:policy': '0:0',
      'nat:OUTPUT:policy': '0:0',
      'nat:POSTROUTING:policy': '0:0',
      'nat:POSTROUTING:1': '1:100',
      'filter:INPUT:policy': '0:0',
      'filter:FORWARD:policy': '1:28',
      'filter:OUTPUT:policy': '0:0',
      'filter:FORWARD:1': '3:300',
    });
  });
});

describe('A3: a packet that is dropped leaves no entry', () => {
  const published = 'PREROUTING -i wan -p tcp --dport 80 -j DNAT --to-destination 192.168.1.20:80';
  it.each([
    ['by a rule', table('filter', 'FORWARD -i wan -j DROP'), {}, 'filter:FORWARD:1'],
    ['by a policy', table('filter', ':FORWARD DROP'), {}, 'filter:FORWARD:policy'],
    ['because its TTL ends', '', { ttl: 1 }, 'ttl-expired'],
    ['because its TTL had ended', '', { ttl: 0 }, 'ttl-expired'],
  ])('%s', (_, filter, fields, why) => {
    const gateway = new TestGateway({ ...HOME, rules: `${table('nat', published)}${filter}` });
    const syn = tcp({ src: CLIENT, dst: '203.0.113.5:80', flags: 'S', ...fields });
    for (let i = 1; i <= 2; i++) {
      expect(gateway.send('wan', syn)).toMatchObject({ verdict: 'drop', why, state: 'new' });
      expect(gateway.counter('nat:PREROUTING:1')).toBe(`${i}:${40 * i}`);
    }
    expect(gateway.connections()).toEqual([]);
  });
});

describe('A4: INVALID packets go past NAT', () => {
  it('the address behind leaks out', () => {
    const outcome = new TestGateway(DOCKER).send('docker0', tcp({ src: '172.17.0.3:1337', dst: CLIENT, flags: 'RA' }));
    expect(outcome).toMatchObject({ verdict: 'forward', out: 'eth0', state: 'invalid', nat: '', why: 'invalid-tcp' });
    expect(outcome.text).toContain('172.17.0.3:1337 >');
  });

  it('a packet to a published port is delivered to the host', () => {
    const bad = tcp({ src: CLIENT, dst: '192.0.2.1:80', flags: 'S', badChecksum: true });
    expect(new TestGateway(DOCKER).send('eth0', bad)).toMatchObject({
      verdict: 'local',
      state: 'invalid',
      why: 'invalid-checksum',
    });
  });

  it('a connection that was fine says why, too, when one of its packets is not', () => {
    const gateway = new TestGateway(DOCKER);
    const connection = new TcpConnection(CLIENT, '192.0.2.1:80', { server: '172.17.0.4:80' });
    gateway.send('eth0', connection.fromClient('S'));
    gateway.send('docker0', connection.fromServer('SA'));
    gateway.send('eth0', connection.fromClient('A'));
    const far = tcp({ src: CLIENT, dst: '192.0.2.1:80', flags: 'A', seq: 50_000_000, ack: 5001 });
    expect(gateway.send('eth0', far)).toMatchObject({ state: 'invalid', why: 'invalid-tcp', verdict: 'local' });
  });
});

describe('A6: without a rule that needs it there is no tracking', () => {
  it('no state, no INVALID, nothing remembered', () => {
    const gateway = new TestGateway({ ...HOME, rules: table('filter', 'FORWARD -p tcp -j ACCEPT') });
    expect(gateway.send('lan', tcp({ src: '192.168.1.10:1', dst: '198.51.100.1:2', flags: 'SF' }))).toMatchObject({
      verdict: 'forward',
      state: '',
      why: '',
    });
    expect(gateway.connections()).toEqual([]);
  });
});

describe('A7: a DROP policy on a nat chain', () => {
  it('drops new connections only', () => {
    const gateway = new TestGateway({
      ...HOME,
      rules: table('nat', ':PREROUTING DROP', 'PREROUTING -p tcp -j ACCEPT', 'POSTROUTING -o wan -j MASQUERADE'),
    });
    expect(gateway.send('lan', udp({ src: '192.168.1.10:1', dst: '198.51.100.1:53' }))).toMatchObject({
      verdict: 'drop',
      why: 'nat:PREROUTING:policy',
    });
    expect(gateway.send('lan', tcp({ src: '192.168.1.10:1', dst: '198.51.100.1:53', flags: 'S' })).verdict).toBe(
      'forward',
    );
  });
});

describe('C: ICMP errors', () => {
  /** A masqueraded query and what the world sees of it. */
  function query(): { gateway: TestGateway; seen: Uint8Array } {
    const gateway = new TestGateway(HOME);
    const { packet } = gateway.send(
      'lan',
      udp({ src: '192.168.1.10:5000', dst: '198.51.100.1:53', payload: 'question' }),
    );
    return { gateway, seen: withHeader(packet, (header) => header.writeUInt8(60, 8)) };
  }
  const original = udp({ src: '192.168.1.10:5000', dst: '198.51.100.1:53', payload: 'question', ttl: 60 });

  it('from outside keeps the sender; what it quotes is translated back, checksums right', () => {
    const { gateway, seen } = query();
    const router = { src: '203.0.113.1', type: 11 };
    const outcome = gateway.send('wan', icmpError({ ...router, dst: '203.0.113.5', about: seen }));
    const expected = icmpError({ ...router, dst: '192.168.1.10', about: original, ttl: 63 });
    expect(outcome).toMatchObject({ verdict: 'forward', out: 'lan', state: 'related', nat: 'snat' });
    expect(Buffer.from(outcome.packet)).toEqual(Buffer.from(expected));
  });

  it('from inside gets the public address, even when an inside router sent it', () => {
    const gateway = new TestGateway(
      homeWith('PREROUTING -i wan -p udp --dport 53 -j DNAT --to-destination 192.168.1.20:5300'),
    );
    const { packet } = gateway.send('wan', udp({ src: CLIENT, dst: '203.0.113.5:53' }));
    for (const src of ['192.168.1.20', '192.168.1.254']) {
      const outcome = gateway.send('lan', icmpError({ src, dst: '198.51.100.7', type: 3, code: 3, about: packet }));
      const about = udp({ src: CLIENT, dst: '203.0.113.5:53', ttl: 63 });
      const expected = icmpError({ src: '203.0.113.5', dst: '198.51.100.7', type: 3, code: 3, about, ttl: 63 });
      expect(outcome).toMatchObject({ verdict: 'forward', out: 'wan', state: 'related' });
      expect(Buffer.from(outcome.packet)).toEqual(Buffer.from(expected));
    }
  });

  it.each([
    ['quoting 28 bytes: ports only', 28, 'forward', 'related'],
    ['quoting 4 bytes behind the IP header', 24, 'drop', 'related'],
    ['quoting only the IP header', 20, 'local', 'invalid'],
  ])('%s (C3)', (_, quote, verdict, state) => {
    const { gateway, seen } = query();
    expect(
      gateway.send('wan', icmpError({ src: '203.0.113.1', dst: '203.0.113.5', type: 11, about: seen, quote })),
    ).toMatchObject({ verdict, state });
  });

  it.each<[string, (seen: Uint8Array) => Uint8Array]>([
    [
      'about an unknown flow',
      () =>
        icmpError({
          src: '203.0.113.1',
          dst: '203.0.113.5',
          type: 11,
          about: udp({ src: '203.0.113.5:9', dst: '9.9.9.9:9' }),
        }),
    ],
    [
      'with a bad checksum',
      (seen) =>
        Buffer.from(icmpError({ src: '203.0.113.1', dst: '203.0.113.5', type: 11, about: seen })).fill(0x77, 22, 24),
    ],
    [
      'about a later fragment',
      (seen) =>
        icmpError({
          src: '203.0.113.1',
          dst: '203.0.113.5',
          type: 11,
          about: withHeader(seen, (header) => header.writeUInt16BE(0x0010, 6)),
        }),
    ],
    [
      'about an error',
      (seen) =>
        icmpError({
          src: '203.0.113.1',
          dst: '203.0.113.5',
          type: 11,
          about: icmpError({ src: '203.0.113.5', dst: '203.0.113.1', type: 3, about: seen }),
        }),
    ],
    [
      'an answer that nobody asked for (C5)',
      () => icmp({ src: '203.0.113.1', dst: '203.0.113.5', type: 0, icmpId: 1 }),
    ],
    ['a router advertisement (C5)', () => icmp({ src: '203.0.113.1', dst: '203.0.113.5', type: 9 })],
    ['an extended echo request (C5)', () => icmp({ src: '203.0.113.1', dst: '203.0.113.5', type: 42 })],
  ])('%s is INVALID', (_, make) => {
    const { gateway, seen } = query();
    expect(gateway.send('wan', make(seen)).state).toBe('invalid');
  });

  it('a redirect about a translated flow is dropped', () => {
    const { gateway, seen } = query();
    expect(
      gateway.send('wan', icmpError({ src: '203.0.113.1', dst: '203.0.113.5', type: 5, about: seen })).verdict,
    ).toBe('drop');
  });

  it.each([8, 13, 15, 17])('request type %i starts a connection', (type) => {
    expect(
      new TestGateway(HOME).send('lan', icmp({ src: '192.168.1.10', dst: '198.51.100.1', type, icmpId: 3 })),
    ).toMatchObject({ state: 'new', nat: 'snat' });
  });
});

describe('an RST that answers a SYN', () => {
  it('is translated back like any answer, and logged so, though it deletes the entry', () => {
    const gateway = new TestGateway(DOCKER);
    gateway.send('eth0', tcp({ src: CLIENT, dst: '192.0.2.1:80', flags: 'S' }));
    const reset = gateway.send('docker0', tcp({ src: '172.17.0.4:80', dst: CLIENT, flags: 'RA', seq: 0, ack: 1001 }));
    expect(reset).toMatchObject({
      verdict: 'forward',
      out: 'eth0',
      nat: 'dnat',
      text: expect.stringContaining('192.0.2.1:80 >'),
    });
    expect(gateway.connections()).toEqual([]);
  });
});
