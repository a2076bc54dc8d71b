/**
 * Random TCP conversations: several at a time, from handshake to close and over again, mostly as TCP has it, with what
 * goes wrong on the way (lost, repeated, misplaced and forged segments) in between.
 */
import fc from 'fast-check';
import type { Sent } from './gateway.js';
import type { Net } from './nets.js';
import { tcp, tcpOptions } from './packets.js';

/** One segment: of which conversation, and how it differs from what comes next there. */
export const turn = fc.record({
  flow: fc.nat(5),
  what: fc.oneof(
    { weight: 30, arbitrary: fc.constant('next') },
    { weight: 3, arbitrary: fc.constantFrom('again', 'again', 'lost', 'misplaced') },
    {
      weight: 3,
      arbitrary: fc.constantFrom(
        'S',
        'SA',
        'A',
        'A',
        'FA',
        'F',
        'R',
        'RA',
        'PA',
        'SU',
        'SAU',
        'AU',
        'FAU',
        'SF',
        '',
        'P',
      ),
    },
  ),
  /** Of what is no next step: who sends it. */
  fromClient: fc.boolean(),
  size: fc.oneof({ weight: 4, arbitrary: fc.nat(40) }, { weight: 1, arbitrary: fc.nat(1400) }),
  /** As the header states it. */
  window: fc.oneof(
    { weight: 6, arbitrary: fc.integer({ min: 20_000, max: 65_535 }) },
    { weight: 1, arbitrary: fc.constantFrom(0, 1, 100) },
  ),
  /** How far a misplaced segment's numbers are off. */
  off: fc.oneof(fc.integer({ min: -3, max: 3 }), fc.integer({ min: -140_000, max: 140_000 }), fc.integer()),
  offAck: fc.oneof(fc.constant(0), fc.integer({ min: -3, max: 3 }), fc.integer({ min: -140_000, max: 140_000 })),
  /** Of every segment; of a SYN they are the peer's. `edges`: right edges of a SACK option, from the acknowledgement. */
  options: fc.record({
    scale: fc.option(fc.nat(16), { nil: undefined }),
    sack: fc.boolean(),
    edges: fc.oneof(
      { weight: 6, arbitrary: fc.constant([]) },
      { weight: 2, arbitrary: fc.array(fc.integer({ min: -50, max: 3000 }), { minLength: 1, maxLength: 3 }) },
      { weight: 1, arbitrary: fc.array(fc.integer(), { minLength: 1, maxLength: 3 }) },
    ),
    kind: fc.constantFrom('none', 'none', 'usual', 'usual', 'timestamp', 'malformed', 'cut', 'ended'),
  }),
  /** Milliseconds before it. */
  wait: fc.oneof(
    { weight: 30, arbitrary: fc.nat(300) },
    { weight: 1, arbitrary: fc.integer({ min: 5_000, max: 130_000 }) },
    { weight: 1, arbitrary: fc.integer({ min: 130_000, max: 500_000 }) },
  ),
});

export type Turn = typeof turn extends fc.Arbitrary<infer T> ? T : never;

/** `>` from the client; the sides change by conversation for a close from the other one. */
const STEPS: readonly string[] = [
  ...['> S', '< SA', '> A', '> PA', '< A', '< PA', '> A', '< PA', '> PA', '> A'],
  ...['> FA', '< A', '< PA', '> A', '< FA', '> A', '> A'],
];
/** Both close at once. */
const CROSSING: readonly string[] = [...['> S', '< SA', '> A', '> PA', '< PA', '< FA', '> FA', '< A', '> A']];
const CLOSED_BY_SERVER = STEPS.map((step, k) =>
  k < 10 ? step : step.startsWith('>') ? `<${step.slice(1)}` : `>${step.slice(1)}`,
);
const SCRIPTS = [STEPS, CLOSED_BY_SERVER, CROSSING];

interface Segment {
  readonly fromClient: boolean;
  readonly packet: Uint8Array;
}

class Conversation {
  private step = 0;
  private next = { client: 0, server: 0 };
  private last: Segment | undefined;

  constructor(
    private readonly flow: number,
    private readonly net: Net,
  ) {
    // Two of the conversations run over the end of the numbers.
    this.next = flow < 2 ? { client: -20 - flow, server: 0x7fffffff - 30 } : { client: 1000, server: 5000 };
  }

  take(each: Turn): Segment | undefined {
    const script = SCRIPTS[this.flow % SCRIPTS.length] ?? STEPS;
    if (each.what === 'again') return this.last;
    if (each.what !== 'next' && each.what !== 'lost' && each.what !== 'misplaced')
      return this.segment(each, each.what, each.fromClient, each.off, each.offAck);
    const [side = '', flags = ''] = (script[this.step] ?? '').split(' ');
    const fromClient = side === '>';
    if (each.what === 'misplaced') return this.segment(each, flags, fromClient, each.off, each.offAck);
    const segment = this.segment(each, flags, fromClient, 0, 0);
    this.advance(fromClient, flags, each.size);
    if (++this.step === script.length) this.restart();
    if (each.what === 'lost') return undefined;
    this.last = segment;
    return segment;
  }

  private advance(fromClient: boolean, flags: string, size: number): void {
    const length = (flags === 'PA' ? size : 0) + (/[SF]/.test(flags) ? 1 : 0);
    if (fromClient) this.next.client += length;
    else this.next.server += length;
  }

  /** The same ports are used again. */
  private restart(): void {
    this.step = 0;
    this.next = { client: this.next.client + 100_000, server: this.next.server + 300_000 };
  }

  private segment(each: Turn, flags: string, fromClient: boolean, off: number, offAck: number): Segment {
    const { client, server } = this.next;
    const [own, other] = fromClient ? [client, server] : [server, client];
    const side = fromClient ? this.net.client(this.flow) : this.net.server(this.flow);
    // What a segment without ACK says there must not matter.
    const ack = flags.includes('A') ? (other + offAck) | 0 : each.offAck;
    const packet = tcp({
      src: side.source,
      dst: side.destination,
      flags,
      seq: (own + off) | 0,
      ack,
      window: each.window,
      payload: flags === 'PA' ? 'x'.repeat(each.size) : '',
      tcpOptions: optionsOf(each, flags, ack),
    });
    return { fromClient, packet };
  }
}

const TIMESTAMP = Buffer.from('0101080a0000000100000002', 'hex');

function optionsOf({ options }: Turn, flags: string, ack: number): Uint8Array {
  const { scale, sack, edges, kind } = options;
  if (kind === 'none') return new Uint8Array(0);
  if (kind === 'timestamp') return TIMESTAMP;
  // A window scale whose value would lie behind the header.
  if (kind === 'cut') return Buffer.from([1, 1, 3, 3]);
  if (kind === 'malformed') return Buffer.from([1, 3, 9, 7]);
  const own = flags.includes('S')
    ? tcpOptions({ mss: 1460, sack, ...(scale === undefined ? {} : { scale }) })
    : sackOf(edges, ack);
  return kind === 'ended' ? Buffer.concat([Buffer.from([1, 1, 0, 0]), own]) : own;
}

/** A SACK option with these blocks, behind two NOPs. */
function sackOf(edges: readonly number[], ack: number): Buffer {
  if (edges.length === 0) return Buffer.alloc(0);
  const option = Buffer.alloc(4 + 8 * edges.length, 1);
  option[2] = 5;
  option[3] = 2 + 8 * edges.length;
  edges.forEach((edge, k) => {
    option.writeInt32BE((ack + edge - 10) | 0, 4 + 8 * k);
    option.writeInt32BE((ack + edge) | 0, 8 + 8 * k);
  });
  return option;
}

/** The packets of some turns, in order, each where and when it comes in. */
export function conversationsOf(turns: readonly Turn[], net: Net): Sent[] {
  const conversations = Array.from({ length: 6 }, (_, flow) => new Conversation(flow, net));
  let at = 1_700_000_000;
  const sent: Sent[] = [];
  for (const each of turns) {
    const segment = conversations[each.flow]?.take(each);
    at += each.wait / 1000;
    if (segment === undefined) continue;
    const side = segment.fromClient ? net.client(each.flow) : net.server(each.flow);
    sent.push({ iface: side.iface, packet: segment.packet, at });
  }
  return sent;
}
