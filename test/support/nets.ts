/** Random traffic over hosts of several kinds, for tests that hold one way of judging packets against another. */
import fc from 'fast-check';
import { DOCKER, type GatewayOptions, HOME, type Sent, table } from './gateway.js';
import { icmp, icmpError, tcp, udp } from './packets.js';

/** One packet: of which flow, from which end, what. */
export const step = fc.record({
  flow: fc.nat(7),
  fromClient: fc.boolean(),
  kind: fc.constantFrom('S', 'SA', 'A', 'A', 'PA', 'PA', 'FA', 'R', 'RA', 'SF', 'udp', 'udp', 'nosum', 'ping', 'error'),
  /** Where in the stream; mostly near the start, now and then far out. */
  advance: fc.oneof(
    { weight: 9, arbitrary: fc.nat(50) },
    { weight: 1, arbitrary: fc.integer({ min: 100_000, max: 4_000_000 }) },
  ),
  ttl: fc.oneof({ weight: 12, arbitrary: fc.constant(64) }, { weight: 1, arbitrary: fc.constantFrom(0, 1, 2) }),
  bad: fc.oneof({ weight: 14, arbitrary: fc.constant(false) }, { weight: 1, arbitrary: fc.constant(true) }),
  wait: fc.oneof(
    { weight: 8, arbitrary: fc.nat(1500) },
    { weight: 1, arbitrary: fc.integer({ min: 9_000, max: 130_000 }) },
  ),
  stated: fc.boolean(),
  cut: fc.oneof(
    { weight: 12, arbitrary: fc.constant(undefined) },
    { weight: 1, arbitrary: fc.integer({ min: 28, max: 44 }) },
  ),
});

export interface Side {
  readonly iface: string;
  readonly source: string;
  readonly destination: string;
}

export interface Net {
  readonly options: GatewayOptions;
  readonly client: (flow: number) => Side;
  readonly server: (flow: number) => Side;
}

export const NETS: readonly (readonly [string, Net])[] = [
  [
    'a published port of Docker',
    {
      options: DOCKER,
      client: (n) => ({
        iface: 'eth0',
        source: `198.51.100.${7 + (n & 1)}:${40000 + (n >> 1)}`,
        destination: n < 6 ? '192.0.2.1:80' : '192.0.2.1:22',
      }),
      server: (n) => ({
        iface: 'docker0',
        source: '172.17.0.4:80',
        destination: `198.51.100.${7 + (n & 1)}:${40000 + (n >> 1)}`,
      }),
    },
  ],
  [
    'a home gateway with colliding ports',
    {
      options: HOME,
      client: (n) => ({
        iface: 'lan',
        source: `192.168.1.${10 + n}:${n < 4 ? 4000 : 4000 + n}`,
        destination: '198.51.100.1:80',
      }),
      server: (n) => ({
        iface: 'wan',
        source: '198.51.100.1:80',
        destination: `203.0.113.5:${n < 4 ? 4000 : 4000 + n}`,
      }),
    },
  ],
  [
    'a router that only tracks',
    {
      options: {
        ...HOME,
        rules: table('nat', 'POSTROUTING -o nowhere -j MASQUERADE') + table('mangle') + table('filter'),
      },
      client: (n) => ({ iface: 'lan', source: `192.168.1.${10 + n}:4000`, destination: '198.51.100.1:80' }),
      server: (n) => ({ iface: 'wan', source: '198.51.100.1:80', destination: `192.168.1.${10 + n}:4000` }),
    },
  ],
  [
    'a service of the host itself',
    {
      options: { ...HOME, rules: table('nat', 'PREROUTING -i wan -p tcp --dport 80 -j REDIRECT --to-ports 8080') },
      client: (n) => ({ iface: 'wan', source: `198.51.100.${n + 1}:4000`, destination: '203.0.113.5:80' }),
      server: (n) => ({ iface: '@local', source: '203.0.113.5:8080', destination: `198.51.100.${n + 1}:4000` }),
    },
  ],
  [
    'a firewall, where no packet may pass unseen',
    {
      options: {
        ...HOME,
        rules:
          table('nat', 'POSTROUTING -o wan -j MASQUERADE') +
          table(
            'filter',
            ':FORWARD DROP',
            'FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT',
            'FORWARD -i lan -m conntrack --ctstate NEW -j ACCEPT',
          ),
      },
      client: (n) => ({ iface: 'lan', source: `192.168.1.${10 + n}:4000`, destination: '198.51.100.1:80' }),
      server: (n) => ({
        iface: 'wan',
        source: '198.51.100.1:80',
        destination: `203.0.113.5:${n === 0 ? 4000 : 1024 + n}`,
      }),
    },
  ],
];

export type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

function packetOf({ flow, fromClient, kind, advance, ttl, bad }: Step, side: Side): Uint8Array {
  const { source: src, destination: dst } = side;
  const ends = { src: src.split(':')[0] ?? '', dst: dst.split(':')[0] ?? '' };
  const [seq, ack] = fromClient ? [1000 + advance, 5001] : [5000 + advance, 1001];
  const common = { ttl, badChecksum: bad };
  switch (kind) {
    case 'udp':
      return udp({ src, dst, payload: 'x'.repeat(advance % 30), ...common });
    case 'nosum':
      return udp({ src, dst, payload: 'x', noChecksum: true, ttl });
    case 'ping':
      return icmp({ ...ends, type: fromClient ? 8 : 0, icmpId: flow, ...common });
    case 'error':
      return icmpError({ ...ends, type: 3, code: 1, about: udp({ src: dst, dst: src }), ttl });
    default:
      return tcp({
        src,
        dst,
        flags: kind,
        seq,
        ack,
        window: 29200 + (advance % 3),
        payload: kind === 'PA' ? 'data' : '',
        ...common,
      });
  }
}

/** The packets of some steps, in order, each where and when it comes in. */
export function trafficOf(steps: readonly Step[], { client, server }: Net): Sent[] {
  let at = 1_700_000_000;
  return steps.map((each): Sent => {
    const side = each.fromClient ? client(each.flow) : server(each.flow);
    const packet = packetOf(each, side);
    at += each.wait / 1000;
    const iface = each.stated || side.iface === '@local' ? side.iface : '?';
    return { iface, packet, at, captured: Math.min(each.cut ?? packet.length, packet.length) };
  });
}
