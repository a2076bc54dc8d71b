/** How long entries live (KERNEL.md F4), by capture time alone. */
import { describe, expect, it } from 'vitest';
import { type GatewayOptions, HOME, TestGateway } from '../../support/gateway.js';
import { gre, icmp, ip, TcpConnection, tcp, udp } from '../../support/packets.js';

const PC = '192.168.1.10';
const SERVER = '198.51.100.1';

/** Plays `> S`, `< SA`, ... and returns the gateway. */
function tcpUntil(script: string, options: GatewayOptions = HOME): TestGateway {
  const gateway = new TestGateway(options);
  const connection = new TcpConnection(`${PC}:40000`, `${SERVER}:80`, { client: '203.0.113.5:40000' });
  for (const step of script === '' ? [] : script.split(', ')) {
    const [side, flags = '', data = ''] = step.split(' ');
    if (side === '>') gateway.send('lan', connection.fromClient(flags, data));
    else gateway.send('wan', connection.fromServer(flags, data));
  }
  return gateway;
}

/** Seconds left to the only entry. */
const left = (gateway: TestGateway): number => {
  const [line = '', ...others] = gateway.connections();
  expect(others).toEqual([]);
  return Number(/^\S+ +\d+ (\d+)/.exec(line)?.[1]);
};

describe('TCP', () => {
  it.each([
    ['SYN_SENT', '> S', 120],
    ['SYN_RECV', '> S, < SA', 60],
    ['ESTABLISHED', '> S, < SA, > A', 432_000],
    ['ESTABLISHED with data nobody has acknowledged', '> S, < SA, > A, > PA data', 300],
    ['ESTABLISHED, acknowledged again', '> S, < SA, > A, > PA data, < A', 432_000],
    ['FIN_WAIT', '> S, < SA, > A, > FA', 120],
    ['CLOSE_WAIT', '> S, < SA, > A, > FA, < A', 60],
    ['LAST_ACK', '> S, < SA, > A, > FA, < FA', 30],
    ['TIME_WAIT', '> S, < SA, > A, > FA, < FA, > A', 120],
    ['CLOSE', '> S, < SA, > A, > RA', 10],
    ['picked up in the middle, unanswered', '> PA data', 300],
  ])('%s', (_, script, seconds) => {
    expect(left(tcpUntil(script))).toBe(seconds);
  });

  it('three retransmissions: 300 seconds', () => {
    const gateway = tcpUntil('> S, < SA, > A');
    const again = tcp({ src: `${PC}:40000`, dst: `${SERVER}:80`, flags: 'A', seq: 1001, ack: 5001 });
    for (let i = 0; i < 5; i++) gateway.send('lan', again);
    expect(left(gateway)).toBe(300);
  });
});

describe('without ports or states', () => {
  const query = udp({ src: `${PC}:5353`, dst: `${SERVER}:53`, payload: '?' });
  const answer = udp({ src: `${SERVER}:53`, dst: '203.0.113.5:5353', payload: '!' });

  it('UDP: 30, answered at once still 30, busy for longer than 2 seconds 120', () => {
    const gateway = new TestGateway(HOME);
    gateway.send('lan', query);
    expect(left(gateway)).toBe(30);
    gateway.send('wan', answer, 0.01);
    expect(left(gateway)).toBe(30);
    gateway.send('lan', query, 1.9);
    expect(left(gateway)).toBe(30);
    gateway.send('lan', query, 0.2);
    expect(left(gateway)).toBe(120);
    expect(gateway.connections()[0]).toContain('[ASSURED]');
  });

  it('UDP: unanswered stays 30 however long it goes on', () => {
    const gateway = new TestGateway(HOME);
    for (let i = 0; i < 4; i++) gateway.send('lan', query, 20);
    expect(left(gateway)).toBe(30);
    expect(gateway.connections()[0]).toContain('[UNREPLIED]');
  });

  it.each([
    [
      'ICMP',
      icmp({ src: PC, dst: SERVER, type: 8, icmpId: 7 }),
      icmp({ src: SERVER, dst: '203.0.113.5', type: 0, icmpId: 7 }),
      30,
      30,
    ],
    ['GRE', gre({ src: PC, dst: SERVER }), gre({ src: SERVER, dst: '203.0.113.5' }), 30, 180],
    [
      'ESP',
      ip({ src: PC, dst: SERVER }, 50, Buffer.alloc(12)),
      ip({ src: SERVER, dst: '203.0.113.5' }, 50, Buffer.alloc(12)),
      600,
      600,
    ],
  ])('%s', (_, request, reply, fresh, replied) => {
    const gateway = new TestGateway(HOME);
    gateway.send('lan', request);
    expect(left(gateway)).toBe(fresh);
    expect(gateway.send('wan', reply)).toMatchObject({ state: 'established', out: 'lan' });
    gateway.send('lan', request);
    expect(left(gateway)).toBe(replied);
  });
});

describe('sysctls of the host', () => {
  it.each([
    ['tcp_timeout_established', '60', '> S, < SA, > A', 60],
    ['tcp_timeout_syn_sent', '5', '> S', 5],
    ['tcp_timeout_time_wait', '1', '> S, < SA, > A, > FA, < FA, > A', 1],
    ['tcp_timeout_unacknowledged', '9', '> S, < SA, > A, > PA data', 9],
  ])('%s', (name, value, script, seconds) => {
    expect(left(tcpUntil(script, { ...HOME, sysctl: { [`net.netfilter.nf_conntrack_${name}`]: value } }))).toBe(
      seconds,
    );
  });

  it('a full table (nf_conntrack_max) drops what would need a new entry', () => {
    const gateway = new TestGateway({ ...HOME, sysctl: { 'net.netfilter.nf_conntrack_max': '2' } });
    const syn = (port: number): Uint8Array => tcp({ src: `${PC}:${port}`, dst: `${SERVER}:80`, flags: 'S' });
    expect([1, 2, 3].map((port) => gateway.send('lan', syn(port)).verdict)).toEqual(['forward', 'forward', 'drop']);
    expect(gateway.send('lan', syn(1)).verdict).toBe('forward');
  });
});

describe('capture time', () => {
  const query = (port: number): Uint8Array => udp({ src: `${PC}:${port}`, dst: `${SERVER}:53` });
  const answer = (port: number): Uint8Array => udp({ src: `${SERVER}:53`, dst: `203.0.113.5:${port}` });

  it.each([
    ['just before the end', 29.999, 'established'],
    ['at the very end', 30, 'new'],
    ['a leap of a month', 86_400 * 31, 'new'],
    ['a leap over the wrap of a 32-bit millisecond clock, exactly', 4_294_967.296, 'new'],
    ['a leap of years', 86_400 * 3650, 'new'],
  ])('an answer %s', (_, after, state) => {
    const gateway = new TestGateway({ ...HOME, iface: ['lan=192.168.1.1/24', 'wan=203.0.113.5/24'] });
    gateway.send('lan', query(40000));
    expect(gateway.send('wan', answer(40000), after).state).toBe(state);
  });

  it('never runs backwards: a record from the past is taken to be now', () => {
    const gateway = new TestGateway(HOME);
    gateway.send('lan', query(40000));
    gateway.send('lan', query(40001), 25);
    gateway.send('lan', query(40002), -20);
    expect(
      gateway
        .connections()
        .map((line) => Number(/ (\d+) src/.exec(line)?.[1]))
        .sort(),
    ).toEqual([30, 30, 5]);
  });

  it('keeps a connection that is used for weeks', () => {
    const gateway = new TestGateway(HOME);
    gateway.send('lan', query(40000));
    for (let i = 0; i < 400; i++) {
      expect(gateway.send('wan', answer(40000), 29).state).toBe('established');
    }
    const old = tcpUntil('> S, < SA, > A');
    for (let days = 0; days < 100; days += 4) {
      // Another window each time: the very same segment again and again would be a retransmission.
      const ack = tcp({
        src: `${PC}:40000`,
        dst: `${SERVER}:80`,
        flags: 'A',
        seq: 1001,
        ack: 5001,
        window: 29_000 + days,
      });
      expect(old.send('lan', ack, 86_400 * 4).state).toBe('established');
    }
  });

  it('lets what nobody uses go, so that the table does not grow', () => {
    const gateway = new TestGateway(HOME);
    for (let i = 0; i < 5000; i++) gateway.send('lan', query(1024 + i), 0.1);
    expect(gateway.engine.table.count).toBeLessThan(1000);
    expect(gateway.engine.liveConnections()).toBe(300);
  });
});
