/** Which port and address a new connection gets (KERNEL.md chapter B). */
import { describe, expect, it } from 'vitest';
import { HOME, homeWith, type Outcome, TestGateway } from '../../support/gateway.js';
import { esp, gre, icmp, ip, TcpConnection, tcp, udp } from '../../support/packets.js';

const syn = (src: string, dst = '198.51.100.1:80', seq = 1000): Uint8Array => tcp({ src, dst, flags: 'S', seq });
const pc = (n: number, port: number): string => `192.168.1.${n}:${port}`;
/** Source of a packet in words: `203.0.113.5:4000`. */
const source = ({ text }: Outcome): string => text.split(' ')[1] ?? '';
const target = ({ text }: Outcome): string => text.split(' ')[3] ?? '';
const port = (outcome: Outcome): number => Number(source(outcome).split(':')[1]);

describe('B1: a port is kept if the tuple is free', () => {
  it('which it is per remote address and port', () => {
    const gateway = new TestGateway(HOME);
    expect(source(gateway.send('lan', syn(pc(10, 4000))))).toBe('203.0.113.5:4000');
    expect(source(gateway.send('lan', syn(pc(11, 4000), '198.51.100.1:81')))).toBe('203.0.113.5:4000');
    expect(source(gateway.send('lan', syn(pc(12, 4000), '198.51.100.2:80')))).toBe('203.0.113.5:4000');
    expect(source(gateway.send('lan', udp({ src: pc(13, 4000), dst: '198.51.100.1:80' })))).toBe('203.0.113.5:4000');
    expect(port(gateway.send('lan', syn(pc(14, 4000))))).not.toBe(4000);
  });
});

describe('B2: on collision another of the same class', () => {
  it.each([
    ['below 512', 53, 1, 511],
    ['below 512, the lowest', 1, 1, 511],
    ['512 to 1023', 800, 600, 1023],
    ['the lowest of those', 512, 600, 1023],
    ['from 1024', 1024, 1024, 65535],
    ['the highest', 65535, 1024, 65535],
  ])('%s', (_, own, low, high) => {
    for (const seed of [1, 2, 3]) {
      const gateway = new TestGateway({ ...HOME, seed });
      const got = [10, 11, 12, 13, 14].map((n) => port(gateway.send('lan', syn(pc(n, own)))));
      expect(got[0]).toBe(own);
      expect(new Set(got).size).toBe(5);
      for (const other of got.slice(1)) expect(other >= low && other <= high, `${other}`).toBe(true);
    }
  });

  it('ICMP: another id', () => {
    const gateway = new TestGateway(HOME);
    const ids = [10, 11, 12].map((n) => {
      const { text } = gateway.send('lan', icmp({ src: `192.168.1.${n}`, dst: '198.51.100.1', type: 8, icmpId: 77 }));
      return Number(/ id (\d+)/.exec(text)?.[1]);
    });
    expect(ids[0]).toBe(77);
    expect(new Set(ids).size).toBe(3);
  });

  it('the same seed draws the same ports, another one others', () => {
    const draw = (seed: number): number[] => {
      const gateway = new TestGateway({ ...HOME, seed });
      return [10, 11, 12].map((n) => port(gateway.send('lan', syn(pc(n, 4000)))));
    };
    expect(draw(7)).toEqual(draw(7));
    expect(draw(7)).not.toEqual(draw(8));
  });
});

describe('B3: mapping reuse', () => {
  it('a source keeps its public port towards other remotes, though its own would be free there', () => {
    const gateway = new TestGateway(HOME);
    gateway.send('lan', syn(pc(10, 4000)));
    const drawn = port(gateway.send('lan', syn(pc(11, 4000))));
    expect(drawn).not.toBe(4000);
    expect(port(gateway.send('lan', syn(pc(11, 4000), '198.51.100.2:80')))).toBe(drawn);
  });

  it('not if another has it there already', () => {
    const gateway = new TestGateway(HOME);
    gateway.send('lan', syn(pc(10, 4000)));
    const drawn = port(gateway.send('lan', syn(pc(11, 4000))));
    gateway.send('lan', syn(pc(12, drawn), '198.51.100.2:80'));
    expect(port(gateway.send('lan', syn(pc(11, 4000), '198.51.100.2:80')))).not.toBe(drawn);
  });

  it('not once the connection it comes from is gone', () => {
    const gateway = new TestGateway(HOME);
    gateway.send('lan', syn(pc(10, 4000)));
    gateway.send('lan', syn(pc(11, 4000)));
    expect(port(gateway.send('lan', syn(pc(11, 4000), '198.51.100.2:80'), 200))).toBe(4000);
  });
});

describe('B4: port ranges of SNAT', () => {
  const range = (text: string): TestGateway =>
    new TestGateway(homeWith(`POSTROUTING -o wan -p tcp -j SNAT --to-source 203.0.113.5:${text}`));

  it('keep the own port if they contain it', () => {
    expect(port(range('4000-4010').send('lan', syn(pc(10, 4005))))).toBe(4005);
  });

  it('give one of theirs otherwise', () => {
    const got = port(range('5000-5010').send('lan', syn(pc(10, 4005))));
    expect(got >= 5000 && got <= 5010).toBe(true);
  });

  it('exhausted: the packet is dropped, without an entry, and the rule counts every retry', () => {
    const gateway = range('5000-5001');
    for (const n of [10, 11]) expect(gateway.send('lan', syn(pc(n, 4000))).verdict).toBe('forward');
    for (let retry = 0; retry < 3; retry++) {
      expect(gateway.send('lan', syn(pc(12, 4000)))).toMatchObject({
        verdict: 'drop',
        why: 'no-free-tuple',
        state: 'new',
      });
    }
    expect(gateway.counter('nat:POSTROUTING:1')).toBe('5:200');
    expect(gateway.connections()).toHaveLength(2);
    expect(gateway.send('lan', syn(pc(12, 4000), '198.51.100.2:80')).verdict).toBe('forward');
  });
});

describe('B5: the last port of a full range', () => {
  const full = (close: readonly string[], seq = 900_000): Outcome => {
    const gateway = new TestGateway(homeWith('POSTROUTING -o wan -p tcp -j SNAT --to-source 203.0.113.5:5000-5000'));
    const connection = new TcpConnection(pc(10, 4000), '198.51.100.1:80', { client: '203.0.113.5:5000' });
    for (const step of ['> S', '< SA', '> A', ...close]) {
      const flags = step.slice(2);
      if (step.startsWith('>')) gateway.send('lan', connection.fromClient(flags));
      else gateway.send('wan', connection.fromServer(flags));
    }
    return gateway.send('lan', syn(pc(11, 4000), '198.51.100.1:80', seq));
  };

  it.each([
    ['TIME_WAIT, higher sequence number', ['> FA', '< FA', '> A'], 900_000, 'forward'],
    ['TIME_WAIT, lower sequence number', ['> FA', '< FA', '> A'], 10, 'drop'],
    ['reset by the client', ['> RA'], 900_000, 'forward'],
    ['ESTABLISHED', [], 900_000, 'drop'],
    ['FIN_WAIT', ['> FA'], 900_000, 'drop'],
  ])('%s: %s', (_, close, seq, verdict) => {
    expect(full(close, seq).verdict).toBe(verdict);
  });
});

describe('B6: port ranges of DNAT and REDIRECT', () => {
  const inbound = (rule: string, sport = 40000, dport = 8003, gateway = new TestGateway(homeWith(rule))): Outcome =>
    gateway.send('wan', syn(`198.51.100.7:${sport}`, `203.0.113.5:${dport}`));

  it.each([
    ['a port that is in the range stays', '192.168.1.20:8000-8010', 8003, '192.168.1.20:8003'],
    ['else the first free one from the bottom', '192.168.1.20:9000-9010', 8003, '192.168.1.20:9000'],
    ['a shifted range', '192.168.1.20:9000-9010/8000', 8003, '192.168.1.20:9003'],
    ['without a port it never changes', '192.168.1.20', 8003, '192.168.1.20:8003'],
  ])('%s', (_, to, dport, expected) => {
    const rule = `PREROUTING -i wan -p tcp --dport 8000:8010 -j DNAT --to-destination ${to}`;
    expect(target(inbound(rule, 40000, dport))).toBe(expected);
  });

  it('two published ports that lead to the same backend port, used from one client port: null binding (A5)', () => {
    const gateway = new TestGateway(
      homeWith('PREROUTING -i wan -p tcp -m multiport --dports 8080,8081 -j DNAT --to-destination 192.168.1.20:80'),
    );
    const first = gateway.send('wan', syn('198.51.100.7:40000', '203.0.113.5:8080'));
    const second = gateway.send('wan', syn('198.51.100.7:40000', '203.0.113.5:8081'));
    expect(first).toMatchObject({ nat: 'dnat', rule: 'nat:PREROUTING:1' });
    expect(source(first)).toBe('198.51.100.7:40000');
    expect(second).toMatchObject({ nat: 'dnat+snat', rule: 'nat:PREROUTING:1' });
    expect(port(second)).not.toBe(40000);
    // Each answer finds its own way back.
    const answer = (to: string): string =>
      gateway.send('lan', tcp({ src: '192.168.1.20:80', dst: to, flags: 'SA', seq: 1, ack: 1001 })).text;
    expect(answer('198.51.100.7:40000')).toContain('203.0.113.5:8080 > 198.51.100.7:40000');
    expect(answer(source(second))).toContain('203.0.113.5:8081 > 198.51.100.7:40000');
  });

  it('direct access to a container beside a DNATed flow from the same port', () => {
    const gateway = new TestGateway(
      homeWith('PREROUTING -i wan -p tcp --dport 8080 -j DNAT --to-destination 192.168.1.20:80'),
    );
    gateway.send('wan', syn('198.51.100.7:40000', '203.0.113.5:8080'));
    const direct = gateway.send('wan', syn('198.51.100.7:40000', '192.168.1.20:80'));
    expect(direct).toMatchObject({ verdict: 'forward', state: 'new', nat: 'snat', rule: '' });
    expect(port(direct)).not.toBe(40000);
  });

  it('REDIRECT goes to the first address of the ingress interface (B9)', () => {
    const gateway = new TestGateway(homeWith('PREROUTING -i lan -p tcp --dport 80 -j REDIRECT --to-ports 3128'));
    expect(gateway.send('lan', syn(pc(10, 4000)))).toMatchObject({
      verdict: 'local',
      nat: 'dnat',
      text: expect.stringContaining('> 192.168.1.1:3128'),
    });
  });
});

describe('B8: the address of MASQUERADE', () => {
  it.each([
    [
      'the primary, never a secondary',
      ['lan=192.168.1.1/24', 'wan=203.0.113.5/24,203.0.113.6/24'],
      'default=203.0.113.1@wan',
      '203.0.113.5',
    ],
    [
      'the one whose subnet holds the next hop',
      ['lan=192.168.1.1/24', 'wan=10.9.9.9/24,203.0.113.5/24'],
      'default=203.0.113.1@wan',
      '203.0.113.5',
    ],
  ])('is %s', (_, iface, route, address) => {
    const gateway = new TestGateway({ ...HOME, iface, route: [route] });
    expect(source(gateway.send('lan', syn(pc(10, 4000))))).toBe(`${address}:4000`);
  });
});

describe('B11: protocols without ports', () => {
  it.each([
    ['GRE', gre({ src: '192.168.1.10', dst: '198.51.100.1' }), gre({ src: '192.168.1.11', dst: '198.51.100.1' })],
    ['ESP', esp({ src: '192.168.1.10', dst: '198.51.100.1' }), esp({ src: '192.168.1.11', dst: '198.51.100.1' })],
    [
      'IPIP',
      ip({ src: '192.168.1.10', dst: '198.51.100.1' }, 4, Buffer.alloc(20)),
      ip({ src: '192.168.1.11', dst: '198.51.100.1' }, 4, Buffer.alloc(20)),
    ],
  ])('%s: the address is translated; a second user of the same remote is dropped', (_, first, second) => {
    const gateway = new TestGateway(HOME);
    expect(gateway.send('lan', first)).toMatchObject({
      verdict: 'forward',
      nat: 'snat',
      text: expect.stringContaining('203.0.113.5 > 198.51.100.1'),
    });
    expect(gateway.send('lan', second)).toMatchObject({ verdict: 'drop', why: 'no-free-tuple' });
  });

  it('GRE shorter than 8 bytes is dropped', () => {
    const short = ip({ src: '192.168.1.10', dst: '198.51.100.1' }, 47, Buffer.from([0, 0, 8, 0]));
    expect(new TestGateway(HOME).send('lan', short)).toMatchObject({ verdict: 'drop', why: 'too-short-to-translate' });
  });
});
