/**
 * A language for the segments of one TCP connection, sequence numbers and all, and its way through kernel and engine:
 * what connection tracking made of every single segment, and the entry after it.
 *
 *   `> S 1000 win 500 scale 7 sack`   the client's SYN
 *   `< SA 9000 ack 1001`              the server's answer; `len 20`: bytes of data; `blocks 5-9`: what is acknowledged selectively
 *
 * Numbers are decimal and wrap at 2^32. `win` is 29200 unless stated; `ack` 0.
 */
import type { HostFile } from '../../src/host/hostschema.js';
import { Gateway, type KernelPacket } from '../../src/verify/gateway.js';
import { tcpWith } from '../support/packets.js';
import { HOME_HOST } from './hosts.js';
import { ether } from './packets.js';
import { connectionsText, Prediction } from './prediction.js';

export interface Segment {
  readonly fromClient: boolean;
  readonly flags: string;
  readonly seq: number;
  readonly ack: number;
  readonly length: number;
  readonly window: number;
  readonly options: Uint8Array;
}

export function parseSegment(text: string): Segment {
  const [side, flags = '', seq = '', ...rest] = text.split(/\s+/);
  if ((side !== '>' && side !== '<') || !/^\d+$/.test(seq)) throw new Error(`no segment: ${text}`);
  const options: number[] = [];
  const numbers = { ack: 0, len: 0, win: 29200 };
  for (let i = 0; i < rest.length; i++) {
    const word = rest[i] ?? '';
    if (word === 'sack') options.push(4, 2);
    else if (word === 'scale') options.push(3, 3, Number(rest[++i]));
    else if (word === 'blocks') options.push(...selective(rest[++i] ?? ''));
    else if (word === 'ack' || word === 'len' || word === 'win') numbers[word] = Number(rest[++i]);
    else throw new Error(`no word of a segment: '${word}' in ${text}`);
  }
  while (options.length % 4 !== 0) options.push(1);
  return {
    fromClient: side === '>',
    flags: flags === '-' ? '' : flags,
    seq: Number(seq),
    ack: numbers.ack,
    length: numbers.len,
    window: numbers.win,
    options: Uint8Array.from(options),
  };
}

/** RFC 2018: `5-9,20-30`. */
function selective(text: string): number[] {
  const edges = text.split(/[-,]/).map(Number);
  const bytes = Buffer.alloc(2 + edges.length * 4);
  bytes.set([5, bytes.length]);
  for (const [i, edge] of edges.entries()) bytes.writeUInt32BE(edge >>> 0, 2 + i * 4);
  return [...bytes];
}

const SERVER = '198.51.100.1';
const CLIENT = '192.168.1.10';
const FIRST_PORT = 20_000;
/** No NAT: ports drawn at random could only confuse. What is INVALID does not come out. */
const RULES = `*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
-A FORWARD -m conntrack --ctstate INVALID -j DROP
COMMIT
`;

/** The segment as a frame; connections are told apart by the client's port. */
function frameOf(segment: Segment, port: number): KernelPacket {
  const [client, server] = [`${CLIENT}:${port}`, `${SERVER}:80`];
  const [src, dst] = segment.fromClient ? [client, server] : [server, client];
  const packet = tcpWith(segment.options, {
    src,
    dst,
    flags: segment.flags,
    seq: segment.seq,
    ack: segment.ack,
    window: segment.window,
    payload: 'x'.repeat(segment.length),
  });
  return { iface: segment.fromClient ? 'lan' : 'wan', frame: ether(packet) };
}

/** What became of a segment, and the entry afterwards. */
export interface Tracked {
  readonly verdict: 'passed' | 'invalid';
  /** `ESTABLISHED`, `-` without an entry. */
  readonly state: string;
  /** `[UNREPLIED]`, `[ASSURED]` or nothing; `reversed` when the server is taken for the client. */
  readonly flags: string;
  /** Seconds that the entry has left. */
  readonly left: number;
}

/** Each script is a connection of its own; all are played side by side, a segment of each at a time. */
export interface Played {
  readonly kernel: readonly (readonly Tracked[])[];
  readonly engine: readonly (readonly Tracked[])[];
}

export async function playSegments(
  scripts: readonly (readonly Segment[])[],
  sysctl: Readonly<Record<string, string>> = {},
): Promise<Played> {
  const host: HostFile = { ...HOME_HOST, sysctl };
  const gateway = await Gateway.open({ host, rules: RULES, backend: 'legacy' });
  const prediction = new Prediction(host, RULES);
  const kernel: Tracked[][] = scripts.map(() => []);
  const engine: Tracked[][] = scripts.map(() => []);
  try {
    const steps = Math.max(...scripts.map((script) => script.length));
    for (let step = 0; step < steps; step++) {
      const taking = scripts.flatMap((script, i) => (step < script.length ? [i] : []));
      const packets = taking.map((i) => frameOf(scripts[i]?.[step] as Segment, FIRST_PORT + i));
      const time = Date.now();
      const first = numberOfSent(kernel);
      const { outputs } = await gateway.send(packets);
      const entries = entriesOf(await gateway.conntrack());
      const judged = packets.map((packet) => prediction.judge({ ...packet, time }));
      const predicted = entriesOf([...connectionsText(prediction)].join(''));
      taking.forEach((i, k) => {
        const port = FIRST_PORT + i;
        kernel[i]?.push(
          tracked(
            outputs.some((o) => o.input === first + k),
            entries.get(port),
          ),
        );
        engine[i]?.push(tracked(judged[k]?.verdict === 'forward', predicted.get(port)));
      });
    }
  } finally {
    await gateway.close();
  }
  return { kernel, engine };
}

const numberOfSent = (played: readonly (readonly Tracked[])[]): number =>
  played.reduce((sum, steps) => sum + steps.length, 0);

type Entry = Omit<Tracked, 'verdict'>;

/** Entries of a listing by the client's port. */
function entriesOf(listing: string): Map<number, Entry> {
  const entries = new Map<number, Entry>();
  for (const line of listing.split('\n')) {
    const found = /^tcp +6 (\d+) (\S+) src=(\S+) .*?sport=(\d+) dport=(\d+)/.exec(line);
    if (found === null) continue;
    const [, left = '', state = '', source = '', sport = '', dport = ''] = found;
    const reversed = source === SERVER;
    const flags = [...(reversed ? ['reversed'] : []), ...(/\[[A-Z]+\]/.exec(line) ?? [])].join(' ');
    entries.set(Number(reversed ? dport : sport), { state, left: Number(left), flags });
  }
  return entries;
}

const tracked = (came: boolean, entry: Entry = { state: '-', flags: '', left: 0 }): Tracked => ({
  verdict: came ? 'passed' : 'invalid',
  ...entry,
});

/** `passed ESTABLISHED [ASSURED] 432000` */
export const sayTracked = ({ verdict, state, flags, left }: Tracked): string =>
  [verdict, state, flags, state === '-' ? '' : left].filter((word) => word !== '').join(' ');

/** Alike, but for a second that may have passed since. */
export const sameTracked = (a: Tracked, b: Tracked): boolean =>
  a.verdict === b.verdict && a.state === b.state && a.flags === b.flags && Math.abs(a.left - b.left) <= 2;

export const saySegment = (segment: Segment): string => {
  const { fromClient, flags, seq, ack, length, window, options } = segment;
  const words = [fromClient ? '>' : '<', flags === '' ? '-' : flags, seq];
  if (ack !== 0) words.push('ack', ack);
  if (length !== 0) words.push('len', length);
  words.push('win', window);
  for (let at = 0; at < options.length; ) {
    const kind = options[at];
    const size = kind === 1 ? 1 : (options[at + 1] ?? 1);
    if (kind === 4) words.push('sack');
    if (kind === 3) words.push('scale', options[at + 2] ?? 0);
    if (kind === 5) {
      const view = new DataView(options.buffer, options.byteOffset + at + 2, size - 2);
      const edges = Array.from(
        { length: (size - 2) / 8 },
        (_, k) => `${view.getUint32(k * 8)}-${view.getUint32(k * 8 + 4)}`,
      );
      words.push('blocks', edges.join(','));
    }
    at += size;
  }
  return words.join(' ');
};
