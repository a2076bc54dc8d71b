/** The same as fragmenttraffic.ts for IPv6: extension headers before and behind the fragment header, atomic fragments. */
import type { FragmentScenario } from './fragmenttraffic.js';
import { ether, type IpFields, icmp, ip, tcp, udp } from './packets.js';
import { SeededRandom } from './random.js';
import { HOME_HOST6 } from './scenarios6.js';
import type { SentPacket } from './traffic.js';

const CHAINS = ['INPUT', 'FORWARD', 'OUTPUT'].map((chain) => `:${chain} ACCEPT [0:0]\n`).join('');
const NAT_CHAINS = ['PREROUTING', 'INPUT', 'OUTPUT', 'POSTROUTING'].map((chain) => `:${chain} ACCEPT [0:0]\n`).join('');
const FILTER = `*filter\n${CHAINS}-A FORWARD -p udp -m udp --dport 53\n-A INPUT -p udp -m udp --dport 53\nCOMMIT\n`;
const NO_RULES = `*filter\n${CHAINS}COMMIT\n`;

const FLOWS = [
  { iface: 'lan', src: 'fd00:1::10', dst: '2001:db8:100::1', dport: 53 },
  { iface: 'lan', src: 'fd00:1::11', dst: '2001:db8:100::2', dport: 80 },
  { iface: 'lan', src: 'fd00:1::12', dst: 'fd00:1::1', dport: 53 },
  { iface: 'wan', src: '2001:db8:100::7', dst: '2001:db8:5::5', dport: 53 },
  { iface: 'wan', src: '2001:db8:100::8', dst: 'fd00:1::20', dport: 80 },
];

export const FRAGMENT_SCENARIOS6: readonly FragmentScenario[] = [
  {
    name: 'NAT66',
    host: HOME_HOST6,
    rules: NO_RULES,
    rules6: `*nat
${NAT_CHAINS}-A PREROUTING -i wan -p udp -m udp --dport 53 -j DNAT --to-destination [fd00:1::20]:5300
-A POSTROUTING -o wan -j MASQUERADE
COMMIT
${FILTER}`,
    flows: FLOWS,
  },
  { name: 'IPv6, no connection tracking', host: HOME_HOST6, rules: NO_RULES, rules6: FILTER, flows: FLOWS },
];

/** Options and routing headers behind the fragment header. */
const INSIDE: readonly NonNullable<IpFields['extensions']>[] = [
  [[60, Buffer.from('0000010400000000', 'hex')]],
  [[0, Buffer.from('0000050200000100', 'hex')]],
  [[43, Buffer.from(`00020000${'00'.repeat(20)}`, 'hex')]],
  [
    [60, Buffer.from('0000010400000000', 'hex')],
    [43, Buffer.from(`00040000${'00'.repeat(36)}`, 'hex')],
    [60, Buffer.from('0000010400000000', 'hex')],
  ],
];

/** `count` packets, the same for the same seed. */
export function fragmentTraffic6(scenario: FragmentScenario, seed: number, count: number): Omit<SentPacket, 'time'>[] {
  const random = new SeededRandom(seed);
  const sent: Omit<SentPacket, 'time'>[] = [];
  const waiting: Omit<SentPacket, 'time'>[][] = [];
  const together = 1 + random.below(6);
  let port = 20000;
  while (sent.length < count) {
    while (waiting.length < together) {
      const flow = random.pick(scenario.flows);
      const pieces = cut(random, datagram(random, flow, port++));
      if (random.chance(0.3)) pieces.reverse();
      waiting.push(pieces.map((packet) => ({ iface: flow.iface, frame: ether(packet) })));
    }
    const at = random.below(waiting.length);
    const pieces = waiting[at] ?? [];
    const piece = pieces.shift();
    if (pieces.length === 0) waiting.splice(at, 1);
    if (piece === undefined || random.chance(0.02)) continue;
    sent.push(piece);
    if (random.chance(0.03)) sent.push(piece);
  }
  return sent.slice(0, count);
}

function datagram(random: SeededRandom, flow: FragmentScenario['flows'][number], port: number): Uint8Array {
  const payload = Buffer.alloc(random.pick([4, 40, 200, 1000, 1300, 2000, 4000, random.below(6000)]), `${port}`);
  const { src, dst } = flow;
  const ends = { src: `[${src}]:${port}`, dst: `[${dst}]:${flow.dport}` };
  const common = {
    extensions: random.chance(0.15) ? random.pick(INSIDE) : [],
    ttl: random.chance(0.02) ? 1 : 60 + random.below(4),
    tos: random.pick([0, 0, 0, 2, 3]),
    payload,
    badChecksum: random.chance(0.05),
  };
  switch (random.below(6)) {
    case 0:
      return tcp({ ...common, ...ends, flags: 'S' });
    case 1:
      return icmp({ ...common, src, dst, type: 128, icmpId: port & 0xffff, seq: 1 });
    case 2:
      return ip({ ...common, src, dst }, random.pick([50, 99]), payload);
    default:
      return udp({ ...common, ...ends });
  }
}

/** Destination options with padding, announcing `next`. */
const optionsHeader = (next: number): Buffer => Buffer.from([next, 0, 1, 4, 0, 0, 0, 0]);

function cut(random: SeededRandom, packet: Uint8Array): Uint8Array[] {
  const header = Buffer.from(packet.subarray(0, 40));
  const payload = Buffer.from(packet.subarray(40));
  const next = header[6] ?? 0;
  // Extension headers in front of what is cut; those of the datagram itself are in it, and will be moved.
  const front = random.chance(0.1) ? optionsHeader(44) : Buffer.alloc(0);
  const type = front.length > 0 ? random.pick([0, 60]) : 44;
  if (random.chance(0.05) && packet.length <= 1500) return [packet];
  const id = random.below(0x10000);
  const step = random.pick([8, 24, 48, 200, 552, 1000, 1232, 1400]);
  const room = 1400;
  const pieces: Uint8Array[] = [];
  const mixed = random.chance(0.05);
  for (let from = 0; from < payload.length || from === 0; ) {
    const size = Math.min(room, random.chance(0.2) ? 8 * (1 + random.below(100)) : step);
    const to = Math.min(payload.length, from + (random.chance(0.05) ? room : size));
    const odd = random.chance(0.02);
    const start = odd && from >= 8 ? from - 8 : from;
    const end = odd && random.chance(0.3) ? Math.max(start + 1, to - 3) : to;
    const fragment = Buffer.alloc(8);
    fragment[0] = next;
    fragment.writeUInt16BE(start | (to < payload.length && !random.chance(0.005) ? 1 : 0), 2);
    fragment.writeUInt32BE(id, 4);
    const own = Buffer.from(header);
    own[6] = type;
    own.writeUInt16BE(front.length + 8 + end - start, 4);
    if (mixed) {
      own[7] = 50 + random.below(10);
      own[1] = ((own[1] ?? 0) & 0xcf) | (random.below(4) << 4);
    }
    pieces.push(Buffer.concat([own, front, fragment, payload.subarray(start, end)]));
    if (to >= payload.length) break;
    from = to;
  }
  return pieces;
}
