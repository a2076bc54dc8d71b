/**
 * Seeded random fragments: datagrams of every protocol cut at random places, their pieces sent in any order among each
 * other, some twice, some overlapping, some never; tiny first pieces, options, DF, congestion marks, odd lengths.
 */
import type { HostFile } from '../../src/host/hostschema.js';
import { DOCKER_HOST, DOCKER_RULES, HOME_HOST, link } from './hosts.js';
import { ether, icmp, ip, tcp, udp } from './packets.js';
import { SeededRandom } from './random.js';
import type { SentPacket } from './traffic.js';

export interface FragmentScenario {
  readonly name: string;
  readonly host: HostFile;
  readonly rules: string;
  /** Then the traffic is IPv6. */
  readonly rules6?: string;
  readonly flows: readonly Flow[];
}

/** Where datagrams come in, and between whom. */
interface Flow {
  readonly iface: string;
  readonly src: string;
  readonly dst: string;
  readonly dport: number;
}

const NAT_CHAINS = ['PREROUTING', 'INPUT', 'OUTPUT', 'POSTROUTING'].map((chain) => `:${chain} ACCEPT [0:0]\n`).join('');
const FILTER_CHAINS = ['INPUT', 'FORWARD', 'OUTPUT'].map((chain) => `:${chain} ACCEPT [0:0]\n`).join('');
const COUNTING = ['INPUT', 'FORWARD']
  .map((chain) => `-A ${chain} -f\n-A ${chain} -p udp -m udp --dport 53\n-A ${chain} -p tcp -m tcp --dport 80\n`)
  .join('');

const HOME_FLOWS: readonly Flow[] = [
  { iface: 'lan', src: '192.168.1.10', dst: '198.51.100.1', dport: 53 },
  { iface: 'lan', src: '192.168.1.11', dst: '198.51.100.2', dport: 80 },
  { iface: 'lan', src: '192.168.1.12', dst: '192.168.1.1', dport: 53 },
  { iface: 'wan', src: '198.51.100.7', dst: '203.0.113.5', dport: 53 },
  { iface: 'wan', src: '198.51.100.8', dst: '192.168.1.20', dport: 80 },
];

/** An interface below 1280 would have no IPv6 (RFC 8200 section 5), which the gateway's setting-up relies upon. */
const NARROW_HOME: HostFile = {
  ...HOME_HOST,
  addr: [link('lan', '192.168.1.1/24'), { ...link('wan', '203.0.113.5/24'), mtu: 1300 }],
};

const MASQUERADE = `*mangle
:PREROUTING ACCEPT [0:0]
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
COMMIT
*nat
${NAT_CHAINS}-A PREROUTING -i wan -p udp -m udp --dport 53 -j DNAT --to-destination 192.168.1.20:5300
-A PREROUTING -i lan -d 192.168.1.1/32 -p udp -m udp --dport 53 -j REDIRECT --to-ports 5353
-A POSTROUTING -o wan -j MASQUERADE
COMMIT
*filter
${FILTER_CHAINS}${COUNTING}-A FORWARD -m conntrack --ctstate INVALID
COMMIT
`;

const NO_TRACKING = `*raw
:PREROUTING ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
COMMIT
*filter
${FILTER_CHAINS}${COUNTING}COMMIT
`;

export const FRAGMENT_SCENARIOS: readonly FragmentScenario[] = [
  { name: 'masquerading and DNAT', host: HOME_HOST, rules: MASQUERADE, flows: HOME_FLOWS },
  { name: 'a narrower link outside', host: NARROW_HOME, rules: MASQUERADE, flows: HOME_FLOWS },
  { name: 'no connection tracking', host: HOME_HOST, rules: NO_TRACKING, flows: HOME_FLOWS },
  { name: 'no connection tracking, a narrower link', host: NARROW_HOME, rules: NO_TRACKING, flows: HOME_FLOWS },
  {
    name: 'docker',
    host: DOCKER_HOST,
    rules: DOCKER_RULES,
    flows: [
      { iface: 'eth0', src: '198.51.100.10', dst: '192.0.2.1', dport: 8799 },
      { iface: 'docker0', src: '172.17.0.3', dst: '198.51.100.10', dport: 80 },
      { iface: 'docker0', src: '172.17.0.4', dst: '198.51.100.11', dport: 53 },
    ],
  },
];

interface Piece {
  readonly iface: string;
  readonly packet: Uint8Array;
}

/** `count` packets, the same for the same seed. */
export function fragmentTraffic(scenario: FragmentScenario, seed: number, count: number): Omit<SentPacket, 'time'>[] {
  const random = new SeededRandom(seed);
  const source = new Datagrams(scenario, random);
  const sent: Piece[] = [];
  // Pieces of a few datagrams wait to be sent; most go in order, now and then any of them is next.
  const waiting: Piece[][] = [];
  const together = 1 + random.below(6);
  while (sent.length < count) {
    while (waiting.length < together) waiting.push(source.next());
    const at = random.below(waiting.length);
    const pieces = waiting[at] ?? [];
    const piece = pieces.shift();
    if (pieces.length === 0) waiting.splice(at, 1);
    if (piece === undefined || random.chance(0.02)) continue;
    sent.push(piece);
    if (random.chance(0.03)) sent.push(piece);
  }
  return sent.slice(0, count).map(({ iface, packet }) => ({ iface, frame: ether(packet) }));
}

class Datagrams {
  #port = 20000;

  constructor(
    readonly scenario: FragmentScenario,
    readonly random: SeededRandom,
  ) {}

  /** The pieces of one datagram, in the order in which they are to be sent. */
  next(): Piece[] {
    const { random } = this;
    const flow = random.pick(this.scenario.flows);
    const datagram = this.#datagram(flow);
    const { iface } = flow;
    if (random.chance(0.1) && datagram.length <= this.#room(iface)) return [{ iface, packet: datagram }];
    const pieces = this.#cut(datagram, this.#room(iface)).map((packet) => ({ iface, packet }));
    const order = random.below(4);
    if (order === 1) pieces.reverse();
    if (order === 2) pieces.sort(() => random.below(3) - 1);
    return pieces;
  }

  /** MTU of the interface that packets come in by. */
  #room(iface: string): number {
    return this.scenario.host.addr.find(({ ifname }) => ifname === iface)?.mtu ?? 1500;
  }

  #datagram(flow: Flow): Uint8Array {
    const { random } = this;
    const payload = Buffer.alloc(random.pick([4, 40, 200, 1000, 1480, 2000, 4000, random.below(6000)]));
    for (let i = 0; i < payload.length; i++) payload[i] = random.below(256);
    const { src, dst } = flow;
    const ports = { src: `${src}:${this.#port++}`, dst: `${dst}:${flow.dport}` };
    const common = {
      id: random.below(2000),
      tos: random.pick([0, 0, 0, 2, 3, 0x10]),
      ttl: random.chance(0.02) ? 1 : 60 + random.below(4),
      df: random.chance(0.2),
      payload,
      badChecksum: random.chance(0.05),
      ...(random.chance(0.1) ? { options: random.pick(OPTIONS) } : {}),
    };
    switch (random.below(8)) {
      case 0:
      case 1:
        return tcp({ ...common, ...ports, flags: 'S' });
      case 2:
        return icmp({ ...common, src, dst, type: 8, icmpId: this.#port, seq: 1 });
      case 3:
        return ip({ ...common, src, dst }, random.pick([50, 47, 99]), payload);
      default:
        return udp({ ...common, ...ports, noChecksum: random.chance(0.1) });
    }
  }

  /** Cuts a datagram at random, mostly cleanly. */
  #cut(datagram: Uint8Array, mtu: number): Uint8Array[] {
    const { random } = this;
    const headerLength = ((datagram[0] ?? 0) & 15) * 4;
    const length = datagram.length - headerLength;
    // Broken pieces get up to eleven bytes longer.
    const room = (mtu - headerLength - 11) & ~7;
    const step = random.pick([8, 16, 24, 48, 200, 552, 1000, 1400]);
    const cuts = [0];
    if (random.chance(0.3)) cuts.push(8 * (1 + random.below(5)));
    for (let at = (cuts.at(-1) ?? 0) + step; at < length && cuts.length < 12; ) {
      cuts.push(at);
      at += random.chance(0.3) ? 8 * (1 + random.below(100)) : step;
    }
    const mixed = random.chance(0.1);
    return cuts
      .filter((at) => at < length || at === 0)
      .flatMap((from, k, all) => {
        const to = Math.min(all[k + 1] ?? length, from + room);
        const pieces = [this.#piece(datagram, headerLength, from, to, to < length, mixed)];
        // Whatever does not fit into one frame goes in further ones.
        for (let at = to; at < Math.min(all[k + 1] ?? length, length); at += room) {
          const end = Math.min(at + room, all[k + 1] ?? length);
          pieces.push(this.#piece(datagram, headerLength, at, end, end < length, mixed));
        }
        return pieces;
      });
  }

  #piece(
    datagram: Uint8Array,
    headerLength: number,
    from: number,
    to: number,
    more: boolean,
    mixed: boolean,
  ): Uint8Array {
    const { random } = this;
    const odd = random.chance(0.02);
    const start = odd && from >= 8 ? from - 8 : from;
    const end = odd && random.chance(0.5) ? Math.min(to + 3, datagram.length - headerLength) : to;
    const field = (at: number): number => datagram[at] ?? 0;
    const df = mixed ? random.chance(0.5) : (field(6) & 0x40) !== 0;
    // Shorter headers than the first one's need room in front of the packet (skb_headroom), which veths lack.
    const options = datagram.subarray(20, headerLength);
    return ip(
      {
        src: datagram.subarray(12, 16).join('.'),
        dst: datagram.subarray(16, 20).join('.'),
        id: field(4) * 256 + field(5),
        tos: mixed && random.chance(0.3) ? (field(1) & ~3) | random.below(4) : field(1),
        ttl: mixed ? 50 + random.below(20) : field(8),
        fragment: (df ? 0x4000 : 0) | (more && !random.chance(0.005) ? 0x2000 : 0) | (start >> 3),
        options,
      },
      field(9),
      datagram.subarray(headerLength + start, headerLength + end),
    );
  }
}

/** Router alert and a security label, which are copied; record route, which is not; both; one that is unknown. */
const OPTIONS = [
  '94040000',
  '820b00000000000000000001',
  '07070400000000 00'.replace(' ', ''),
  '070b04000000000000000000',
  '9404000007070400000000 00'.replace(' ', ''),
  '1e0400aa',
  '00ffffff',
  '01010100',
].map((hex) => Buffer.from(hex, 'hex'));
