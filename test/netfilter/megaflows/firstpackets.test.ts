/**
 * First packets that take a remembered way, against the same packets walking the chains one by one: random nat rules, many
 * connections of few kinds, addresses and ports on both sides of every bound that rules, routes and addresses draw.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type GatewayOptions, HOME, type Sent, TestGateway, table } from '../../support/gateway.js';
import { tcp, udp } from '../../support/packets.js';

const NET: Pick<GatewayOptions, 'iface' | 'route'> = {
  iface: ['lan=192.168.1.1/24', 'wan=203.0.113.5/24,203.0.113.6/24', 'dmz=10.9.0.1/16'],
  route: ['default=203.0.113.254@wan', '10.10.0.0/16=10.9.0.2@dmz'],
};

const matches = fc.constantFrom(
  '',
  '-s 192.168.1.0/24',
  '-s 192.168.1.10',
  '! -s 192.168.1.0/28',
  '-d 198.51.100.0/24',
  '! -d 198.51.100.1',
  '-d 203.0.113.5',
  '-d 10.9.0.0/30',
  '-m iprange --src-range 192.168.1.8-192.168.1.11',
  '-m addrtype --dst-type LOCAL',
  '-m addrtype ! --src-type LOCAL',
  '-m conntrack --ctstate NEW',
  '-m conntrack --ctstate DNAT',
  '-m state --state ESTABLISHED',
  '-m mark --mark 0',
  '-m length --length 0:40',
  '-m statistic --mode nth --every 3 --packet 0',
  '-m comment --comment some',
);
const ports = fc.constantFrom(
  '',
  '-p tcp',
  '-p udp',
  '! -p udp',
  '-p tcp --dport 80',
  '-p tcp --dport 80:82',
  '-p tcp ! --dport 81',
  '-p tcp --sport 1024:40000',
  '-p udp --dport 53',
  '-p tcp --syn',
  '-p tcp --tcp-flags SYN,URG SYN',
  '-p tcp -m multiport --dports 22,80,8000:8010',
);
const inward = fc.constantFrom('', '-i wan', '-i lan', '! -i wan', '-i d+');
const outward = fc.constantFrom('', '-o wan', '-o dmz', '! -o wan');
const inTarget = fc.constantFrom(
  '-p tcp -j DNAT --to-destination 192.168.1.20:8080',
  '-j DNAT --to-destination 192.168.1.21',
  '-p tcp -j DNAT --to-destination 10.9.0.7:80-83',
  '-j DNAT --to-destination 10.9.0.2-10.9.0.5',
  '-p tcp -j REDIRECT --to-ports 3128',
  '-j NETMAP --to 10.9.4.0/24',
  '-j ACCEPT',
  '-j RETURN',
  '-j MORE',
  '',
);
const outTarget = fc.constantFrom(
  '-j MASQUERADE',
  '-p tcp -j MASQUERADE --to-ports 5000-5003',
  '-j SNAT --to-source 203.0.113.6',
  '-j SNAT --to-source 203.0.113.5-203.0.113.6',
  '-p udp -j SNAT --to-source 203.0.113.9:7000-7002 --random',
  '-j NETMAP --to 203.0.113.128/25',
  '-j ACCEPT',
  '-j RETURN',
);
/** A protocol is stated once: by the target if it needs one. */
const rule = (chain: string, iface: fc.Arbitrary<string>, target: fc.Arbitrary<string>): fc.Arbitrary<string> =>
  fc.tuple(iface, matches, ports, target).map(([face, match, port, to]) => {
    const own = to.startsWith('-p ') ? to : `${port} ${to}`;
    return `${chain} ${face} ${match} ${own}`.replace(/ +/g, ' ').trim();
  });
const rules = fc
  .tuple(
    fc.array(rule('PREROUTING', inward, inTarget), { maxLength: 5 }),
    fc.array(
      rule(
        'MORE',
        inward,
        inTarget.filter((to) => to !== '-j MORE'),
      ),
      { maxLength: 3 },
    ),
    fc.array(rule('POSTROUTING', outward, outTarget), { maxLength: 4 }),
    fc.array(rule('INPUT', fc.constant(''), fc.constantFrom('-j SNAT --to-source 192.168.1.99', '-j ACCEPT')), {
      maxLength: 1,
    }),
  )
  .map((chains) => table('nat', ':MORE -', ...chains.flat(), 'POSTROUTING -o nowhere -j MASQUERADE'));

const first = fc.record({
  way: fc.constantFrom('lan', 'lan', 'wan', 'dmz', '?'),
  host: fc.constantFrom(7, 8, 10, 11, 12, 15, 16, 254, 255),
  to: fc.constantFrom(
    '198.51.100.1',
    '198.51.100.255',
    '198.51.101.0',
    '203.0.113.5',
    '203.0.113.6',
    '10.9.0.3',
    '10.9.0.4',
    '10.10.3.3',
    '127.0.0.1',
    '224.0.0.5',
    '192.168.1.20',
  ),
  service: fc.constantFrom(22, 53, 79, 80, 81, 82, 83, 8005, 3128),
  kind: fc.constantFrom('S', 'S', 'S', 'SEC', 'udp', 'udp', 'A', 'SA'),
  ttl: fc.constantFrom(64, 64, 64, 64, 1),
  bad: fc.constantFrom(false, false, false, false, true),
});
type First = typeof first extends fc.Arbitrary<infer T> ? T : never;

/** A few kinds of connections, and many of each from neighbouring ports. */
const traffic = fc
  .tuple(
    fc.array(first, { minLength: 3, maxLength: 8 }),
    fc.array(
      fc.record({
        kind: fc.nat(7),
        port: fc.oneof(fc.integer({ min: 4000, max: 4015 }), fc.constantFrom(1023, 1024, 39999, 40000, 40001)),
        wait: fc.constantFrom(0, 0, 0, 1, 40, 200),
      }),
      { minLength: 60, maxLength: 150 },
    ),
  )
  .map(([kinds, packets]) => {
    let at = 1_700_000_000;
    return packets.map(({ kind, port, wait }) => {
      at += wait;
      const one = kinds[kind % kinds.length];
      if (one === undefined) throw new Error('no kind of connection');
      return { ...sent(one, port), at };
    });
  });

const NETWORKS: Readonly<Record<string, string>> = {
  lan: '192.168.1',
  wan: '198.51.100',
  dmz: '10.9.0',
  '?': '192.168.1',
};

function sent({ way, host, to, service, kind, ttl, bad }: First, port: number): Sent {
  const ends = { src: `${NETWORKS[way]}.${host}:${port}`, dst: `${to}:${service}`, ttl, badChecksum: bad };
  return { iface: way, packet: kind === 'udp' ? udp(ends) : tcp({ ...ends, flags: kind, seq: 7, ack: 0 }) };
}

describe('first packets', () => {
  it('come out on a remembered way as they do from the chains', () => {
    let remembered = 0;
    fc.assert(
      fc.property(rules, traffic, (text, packets) => {
        const fast = new TestGateway({ ...NET, rules: text });
        const slow = new TestGateway({ ...NET, rules: text, fastPath: false });
        expect(fast.run(packets)).toEqual(slow.run(packets));
        expect(fast.counters()).toEqual(slow.counters());
        expect(fast.connections()).toEqual(slow.connections());
        expect(fast.engine.path.walker.evaluated).toBe(slow.engine.path.walker.evaluated);
        expect(fast.engine.conntrack?.created).toBe(slow.engine.conntrack?.created);
        remembered += fast.engine.begunByMemory;
      }),
      { numRuns: 150 },
    );
    expect(remembered).toBeGreaterThan(1000);
  }, 60_000);

  it.each([
    ['after one that is translated', ['10.9.0.8', '10.9.0.9', '10.9.0.7', '10.9.0.9']],
    ['before one that is translated', ['10.9.0.7', '10.9.0.7', '10.9.0.8', '10.9.0.7']],
  ])('sent to what DNAT makes of their destination are no connections with DNAT, %s', (_, destinations) => {
    const rules =
      table('nat', 'PREROUTING -i wan -d 10.9.0.0/16 -p tcp -j DNAT --to-destination 10.9.0.7:80') +
      table('filter', 'FORWARD -m conntrack --ctstate DNAT -j ACCEPT', 'FORWARD -j DROP');
    const packets = destinations.map((to, k) => ({
      iface: 'wan',
      packet: tcp({ src: `198.51.100.1:${4000 + k}`, dst: `${to}:80`, flags: 'S', seq: 1 }),
    }));
    const fast = new TestGateway({ ...NET, rules });
    expect(fast.run(packets).map(({ verdict }) => verdict)).toEqual(
      destinations.map((to) => (to === '10.9.0.7' ? 'drop' : 'forward')),
    );
    const slow = new TestGateway({ ...NET, rules, fastPath: false });
    slow.run(packets);
    expect(fast.counters()).toEqual(slow.counters());
  });

  it('are all said to have been queued, where a program of the host is asked', () => {
    const rules =
      table('filter', 'FORWARD -p udp -j NFQUEUE --queue-num 1') + table('nat', 'POSTROUTING -o wan -j MASQUERADE');
    const gateway = new TestGateway({ ...NET, rules });
    const packets = [4000, 4001, 4002].map((port) => ({
      iface: 'lan',
      packet: udp({ src: `192.168.1.10:${port}`, dst: '198.51.100.1:53' }),
    }));
    expect(gateway.run(packets).map(({ why }) => why)).toEqual(['queued', 'queued', 'queued']);
  });

  it('cost the same rules looked at, whoever comes second', () => {
    const many = Array.from(
      { length: 50 },
      (_, k) => `PREROUTING -p tcp --dport ${1000 + k} -j DNAT --to-destination 192.168.1.2`,
    );
    const gateway = new TestGateway({ ...HOME, rules: table('nat', ...many) });
    const evaluated = (): number => gateway.engine.path.walker.evaluated;
    const knock = (source: string): number => {
      const before = evaluated();
      gateway.send('wan', tcp({ src: `${source}:4000`, dst: '203.0.113.5:1049', flags: 'S', seq: 1 }));
      return evaluated() - before;
    };
    expect(knock('198.51.100.1')).toBe(50);
    expect(knock('198.51.100.2')).toBe(50);
    expect(gateway.engine.begunByMemory).toBe(1);
  });
});
