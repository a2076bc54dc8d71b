/** TCP as connection tracking sees it (KERNEL.md E4, F1-F3): the state after each packet, and which packets are INVALID. */
import { describe, expect, it } from 'vitest';
import { HOME, TestGateway } from '../../support/gateway.js';
import { TcpConnection, type TcpFields, tcp, tcpOptions, tcpWith } from '../../support/packets.js';

const PC = '192.168.1.10:40000';
const SERVER = '198.51.100.1:80';
const PUBLIC = '203.0.113.5:40000';

/** `<` from the server, `>` from the client: `> S`, `< SA`, `> PA 5` (five bytes of data). */
function play(script: readonly string[], gateway = new TestGateway(HOME)): string[] {
  const connection = new TcpConnection(PC, SERVER, { client: PUBLIC });
  return script.map((step) => {
    const [side, flags = '', length = '0'] = step.split(' ');
    const data = 'x'.repeat(Number(length));
    const outcome =
      side === '>'
        ? gateway.send('lan', connection.fromClient(flags, data))
        : gateway.send('wan', connection.fromServer(flags, data));
    return `${step}: ${outcome.state} ${tcpState(gateway)}`;
  });
}

function tcpState(gateway: TestGateway): string {
  const words = gateway.connections().map((line) => /^tcp +6 \d+ (\S+)/.exec(line)?.[1]);
  return words.length === 0 ? '-' : words.join(',');
}

const HANDSHAKE = ['> S', '< SA', '> A'];

describe('the way of a connection', () => {
  it.each<[string, readonly string[]]>([
    ['handshake', ['> S: new SYN_SENT', '< SA: established SYN_RECV', '> A: established ESTABLISHED']],
    ['a SYN sent again stays new', ['> S: new SYN_SENT', '< SA: established SYN_RECV']],
    [
      'the client closes first',
      [
        ...['> S: new SYN_SENT', '< SA: established SYN_RECV', '> A: established ESTABLISHED'],
        ...[
          '> FA: established FIN_WAIT',
          '< A: established CLOSE_WAIT',
          '< FA: established LAST_ACK',
          '> A: established TIME_WAIT',
        ],
      ],
    ],
    [
      'the server closes first',
      [
        ...['> S: new SYN_SENT', '< SA: established SYN_RECV', '> A: established ESTABLISHED'],
        ...['< FA: established FIN_WAIT', '> FA: established LAST_ACK', '< A: established TIME_WAIT'],
      ],
    ],
    [
      'data both ways',
      [
        ...['> S: new SYN_SENT', '< SA: established SYN_RECV', '> A: established ESTABLISHED'],
        ...['> PA 100: established ESTABLISHED', '< A: established ESTABLISHED', '< PA 900: established ESTABLISHED'],
      ],
    ],
    [
      'the client resets',
      ['> S: new SYN_SENT', '< SA: established SYN_RECV', '> A: established ESTABLISHED', '> RA: established CLOSE'],
    ],
    [
      'the server resets',
      ['> S: new SYN_SENT', '< SA: established SYN_RECV', '> A: established ESTABLISHED', '< RA: established CLOSE'],
    ],
    ['the port is closed: the answer deletes the entry at once (F1)', ['> S: new SYN_SENT', '< RA: established -']],
  ])('%s', (_, expected) => {
    expect(play(expected.map((line) => line.split(':')[0] ?? ''))).toEqual(expected);
  });

  it('a retransmitted SYN stays NEW and prolongs nothing (F1)', () => {
    const gateway = new TestGateway(HOME);
    const syn = tcp({ src: PC, dst: SERVER, flags: 'S' });
    const timeout = (): number => Number(/^tcp +6 (\d+)/.exec(gateway.connections()[0] ?? '')?.[1]);
    expect([gateway.send('lan', syn).state, timeout()]).toEqual(['new', 120]);
    expect([gateway.send('lan', syn, 7).state, timeout()]).toEqual(['new', 113]);
    expect(gateway.counter('nat:POSTROUTING:1')).toBe('1:40');
  });
});

describe('a packet without an entry (E4)', () => {
  const cases: [string, string][] = [
    ...['S', 'SE', 'SC', 'SEC', 'SP', 'SU', 'A', 'PA', 'UA', 'PUA', 'AE'].map((flags): [string, string] => [
      flags,
      'new',
    ]),
    ...['SA', 'F', 'FA', 'R', 'RA', '', 'P', 'U', 'PU', 'FPU', 'SF', 'SR', 'FR', 'SFA', 'SFRPAU'].map(
      (flags): [string, string] => [flags, 'invalid'],
    ),
  ];
  it.each(cases)('with flags "%s" is %s', (flags, state) => {
    const gateway = new TestGateway(HOME);
    const outcome = gateway.send('lan', tcp({ src: PC, dst: SERVER, flags }));
    expect(outcome.state).toBe(state);
    expect(gateway.connections()).toHaveLength(state === 'new' ? 1 : 0);
    // INVALID leaks out as it is, but for its TTL (A4).
    expect(outcome.text.includes('203.0.113.5')).toBe(state === 'new');
    expect(outcome.why).toBe(state === 'new' ? '' : 'invalid-tcp');
  });

  it('picked up in the middle is ESTABLISHED on its answer, whatever its windows', () => {
    expect(play(['> PA 10', '< PA 10', '> A'])).toEqual([
      '> PA 10: new ESTABLISHED',
      '< PA 10: established ESTABLISHED',
      '> A: established ESTABLISHED',
    ]);
  });

  it('is INVALID in the middle of a stream with nf_conntrack_tcp_loose=0', () => {
    const gateway = new TestGateway({ ...HOME, sysctl: { 'net.netfilter.nf_conntrack_tcp_loose': '0' } });
    expect(gateway.send('lan', tcp({ src: PC, dst: SERVER, flags: 'A' })).state).toBe('invalid');
    expect(gateway.send('lan', tcp({ src: PC, dst: SERVER, flags: 'S' })).state).toBe('new');
  });

  it('from the server decides the direction: the reply is masqueraded as if it were the client (F2)', () => {
    const gateway = new TestGateway({ ...HOME });
    const outcome = gateway.send(
      'lan',
      tcp({ src: '192.168.1.10:80', dst: '198.51.100.1:40000', flags: 'PA', payload: 'late' }),
    );
    expect(outcome).toMatchObject({ state: 'new', nat: 'snat', text: expect.stringContaining('203.0.113.5:80') });
  });

  it.each([
    ['header cut to 12 bytes', (packet: Buffer) => packet.subarray(0, 32)],
    ['data offset of 16 bytes', (packet: Buffer) => Buffer.from(packet.fill(0x40, 32, 33))],
    ['data offset beyond the packet', (packet: Buffer) => Buffer.from(packet.fill(0xf0, 32, 33))],
  ])('with a %s is INVALID', (_, spoil) => {
    const packet = spoil(Buffer.from(tcp({ src: PC, dst: SERVER, flags: 'S' })));
    const fields = packet.length < 40 ? rewritten(packet) : packet;
    expect(new TestGateway({ ...HOME, checksums: 'ignore' }).send('lan', fields)).toMatchObject({
      state: 'invalid',
      why: 'invalid-header',
    });
  });
});

/** Total length and header checksum of a shortened packet. */
function rewritten(packet: Buffer): Buffer {
  packet.writeUInt16BE(packet.length, 2);
  packet.writeUInt16BE(0, 10);
  let sum = 0;
  for (let i = 0; i < 20; i += 2) sum += packet.readUInt16BE(i);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  packet.writeUInt16BE(~sum & 0xffff, 10);
  return packet;
}

describe('a port used again (F1)', () => {
  const closed = [...HANDSHAKE, '> FA', '< FA', '> A'];

  it.each([
    ['higher', 900_000],
    ['lower', 1],
    ['the same', 1000],
  ])('in TIME_WAIT, by a SYN with a sequence number that is %s', (_, seq) => {
    const gateway = new TestGateway(HOME);
    expect(play(closed, gateway).at(-1)).toBe('> A: established TIME_WAIT');
    const outcome = gateway.send('lan', tcp({ src: PC, dst: SERVER, flags: 'S', seq }));
    expect([outcome.state, tcpState(gateway)]).toEqual(['new', 'SYN_SENT']);
    expect(gateway.counter('nat:POSTROUTING:1')).toBe('2:80');
  });

  it("after the client's RST: a new connection", () => {
    const gateway = new TestGateway(HOME);
    play([...HANDSHAKE, '> R'], gateway);
    expect(gateway.send('lan', tcp({ src: PC, dst: SERVER, flags: 'S', seq: 77_777 })).state).toBe('new');
  });

  it("after the server's RST and the client's ACK: the same entry goes on", () => {
    const gateway = new TestGateway(HOME);
    play([...HANDSHAKE, '< RA', '> A'], gateway);
    expect(gateway.send('lan', tcp({ src: PC, dst: SERVER, flags: 'S', seq: 77_777 })).state).toBe('established');
  });

  it('on a live connection passes as established, and so does the challenge ACK that answers', () => {
    const gateway = new TestGateway(HOME);
    play(HANDSHAKE, gateway);
    expect(gateway.send('lan', tcp({ src: PC, dst: SERVER, flags: 'S', seq: 500_000 })).state).toBe('established');
    expect(gateway.send('wan', tcp({ src: SERVER, dst: PUBLIC, flags: 'A', seq: 5001, ack: 1001 })).state).toBe(
      'established',
    );
    expect(tcpState(gateway)).toBe('ESTABLISHED');
  });
});

describe('retransmissions', () => {
  /** Seconds that the entry has left after the same acknowledgement so many times. */
  function leftAfter(times: number, fastPath: boolean): number {
    const gateway = new TestGateway({ ...HOME, fastPath });
    play([...HANDSHAKE, '> PA 100', '< A'], gateway);
    const again = tcp({ src: SERVER, dst: PUBLIC, flags: 'A', seq: 5001, ack: 1101 });
    for (let i = 1; i < times; i++) gateway.send('wan', again);
    return Number(/^tcp +6 (\d+)/.exec(gateway.connections()[0] ?? '')?.[1]);
  }

  it.each([
    ['three', 3, 432_000],
    ['four', 4, 300],
    ['256', 256, 300],
    ['257: the kernel counts them in a byte, which is 0 again', 257, 432_000],
    ['260', 260, 300],
  ])('%s', (_, times, left) => {
    expect([leftAfter(times, true), leftAfter(times, false)]).toEqual([left, left]);
  });
});

describe('an RST outside the window that acknowledges what was last let pass', () => {
  const client = (flags: string, seq: number, ack = 0): [string, Uint8Array] => [
    'lan',
    tcp({ src: PC, dst: SERVER, flags, seq, ack }),
  ];
  const server = (flags: string, seq: number, ack = 0): [string, Uint8Array] => [
    'wan',
    tcp({ src: SERVER, dst: PUBLIC, flags, seq, ack }),
  ];
  const live = [client('S', 1000), server('SA', 5000, 1001), client('A', 1001, 5001), client('S', 500_000)];
  /** The server answered the SYN with a challenge ACK, and the client tries anew. */
  const challenged = [client('S', 1000), server('A', 9001, 1001), client('S', 100_000)];

  it.each<[string, readonly [string, Uint8Array][], [string, Uint8Array], string, string]>([
    ['a SYN, by the other side', live, server('RA', 77, 500_001), 'established', 'CLOSE'],
    ['a SYN, by its own sender', live, client('RA', 1001, 500_001), 'invalid', 'ESTABLISHED'],
    [
      'a challenge ACK before a new SYN, by the sender of both SYNs',
      challenged,
      client('RA', 1, 9001),
      'invalid',
      'SYN_SENT',
    ],
    ['a challenge ACK, by the other side', challenged.slice(0, 2), client('RA', 77_777, 9001), 'established', 'CLOSE'],
  ])('%s', (_, before, reset, state, entry) => {
    const gateway = new TestGateway(HOME);
    for (const [iface, packet] of before) gateway.send(iface, packet);
    expect([gateway.send(...reset).state, tcpState(gateway)]).toEqual([state, entry]);
  });
});

describe('windows (F3)', () => {
  const open = (options?: { client: Buffer; server: Buffer }): TestGateway => {
    const gateway = new TestGateway(HOME);
    const make = (with_: Buffer | undefined, fields: TcpFields): Uint8Array =>
      with_ === undefined ? tcp(fields) : tcpWith(with_, fields);
    gateway.send('lan', make(options?.client, { src: PC, dst: SERVER, flags: 'S', seq: 1000, window: 1000 }));
    gateway.send(
      'wan',
      make(options?.server, { src: SERVER, dst: PUBLIC, flags: 'SA', seq: 5000, ack: 1001, window: 1000 }),
    );
    gateway.send('lan', tcp({ src: PC, dst: SERVER, flags: 'A', seq: 1001, ack: 5001, window: 1000 }));
    return gateway;
  };
  const data = (gateway: TestGateway, seq: number, ack = 5001): string =>
    gateway.send('lan', tcp({ src: PC, dst: SERVER, flags: 'PA', seq, ack, window: 1000, payload: 'x' })).state;

  it.each([
    ['the next byte', 1001, 5001, 'established'],
    ['the last byte of the window', 2000, 5001, 'established'],
    ['a retransmission', 1001 - 900, 5001, 'established'],
    ['far beyond the window', 1001 + 500_000, 5001, 'invalid'],
    ['an acknowledgement of what was never sent', 1001, 5001 + 100_000, 'invalid'],
  ])('%s', (_, seq, ack, state) => {
    expect(data(open(), seq, ack)).toBe(state);
  });

  it('scaled by what both SYNs offered', () => {
    const scaled = { client: tcpOptions({ scale: 7 }), server: tcpOptions({ scale: 7 }) };
    const gateway = open(scaled);
    // The server's window after the handshake is scaled: 1000 << 7.
    gateway.send('wan', tcp({ src: SERVER, dst: PUBLIC, flags: 'A', seq: 5001, ack: 1001, window: 1000 }));
    expect(data(gateway, 1001 + 100_000)).toBe('established');
    expect(data(gateway, 1001 + 600_000)).toBe('invalid');
  });

  it('not scaled when only one offered it', () => {
    const gateway = open({ client: tcpOptions({ scale: 7 }), server: tcpOptions({ mss: 1460 }) });
    gateway.send('wan', tcp({ src: SERVER, dst: PUBLIC, flags: 'A', seq: 5001, ack: 1001, window: 1000 }));
    expect(data(gateway, 1001 + 100_000)).toBe('invalid');
  });

  it('not looked at with nf_conntrack_tcp_be_liberal=1', () => {
    const gateway = new TestGateway({ ...HOME, sysctl: { 'net.netfilter.nf_conntrack_tcp_be_liberal': '1' } });
    play(HANDSHAKE, gateway);
    expect(data(gateway, 3_000_000)).toBe('established');
  });

  it('an RST far out of the window is INVALID and closes nothing', () => {
    const gateway = open();
    expect(gateway.send('wan', tcp({ src: SERVER, dst: PUBLIC, flags: 'R', seq: 5001 + 500_000 })).state).toBe(
      'invalid',
    );
    expect(tcpState(gateway)).toBe('ESTABLISHED');
  });
});
