/** Random scripts of segments (segments.ts), drawn to where TCP tracking decides: edges of windows, ends of states. */
import type { SeededRandom } from './random.js';
import { type Played, type Segment, sameTracked } from './segments.js';

const FLAGS_BY_WEIGHT = [
  ...['S', 'S', 'S', 'SA', 'SA', 'SA', 'A', 'A', 'A', 'A', 'A', 'PA', 'PA', 'PA', 'FA', 'FA', 'FA', 'R', 'RA', 'RA'],
  ...['SE', 'SU', 'FPU', '-', 'UA', 'SF', 'P', 'FR'],
];
const WINDOWS = [0, 1, 10, 100, 500, 1000, 29200, 65535];
const NEAR = [-2, -1, 0, 0, 0, 0, 1, 2];

interface End {
  /** Next sequence number, and the last window that it offered. */
  next: number;
  window: number;
  scale: number;
}

/** Mostly a sensible conversation, so that it gets anywhere; the rest is off by a little, by a window, or by anything. */
export function randomScript(random: SeededRandom, length: number): Segment[] {
  const wrap = random.chance(0.2);
  const end = (): End => ({
    next: wrap ? 0xffff_ff00 + random.below(300) : 1000 + random.below(100_000),
    window: 0,
    scale: 0,
  });
  const client = end();
  const server = end();
  const script: Segment[] = [];
  const opening = random.below(10);
  if (opening < 7) {
    script.push(sensible(random, client, server, true, 'S'));
    if (opening < 6) script.push(sensible(random, server, client, false, 'SA'));
    if (opening < 5) script.push(sensible(random, client, server, true, 'A'));
  } else if (opening === 7) {
    script.push(sensible(random, client, server, true, random.chance(0.5) ? 'PA' : 'A'));
  }
  while (script.length < length) {
    const fromClient = script.length === 0 || random.chance(0.55);
    const [sender, receiver] = fromClient ? [client, server] : [server, client];
    const segment = sensible(random, sender, receiver, fromClient, random.pick(FLAGS_BY_WEIGHT));
    script.push(random.chance(0.35) ? astray(random, segment, receiver) : segment);
    const last = script.at(-1);
    if (last !== undefined && random.chance(0.1)) for (let k = random.below(5); k > 0; k--) script.push(last);
  }
  return script.slice(0, length);
}

function sensible(random: SeededRandom, sender: End, receiver: End, fromClient: boolean, letters: string): Segment {
  const flags = letters === '-' ? '' : letters;
  const syn = flags.includes('S');
  const fin = flags.includes('F');
  if (syn && !flags.includes('A') && random.chance(0.3)) sender.next = (sender.next + random.below(200_000)) >>> 0;
  const length = flags.includes('P') ? random.below(60) : 0;
  const window = random.chance(0.6) ? 29200 : random.pick(WINDOWS);
  const options = syn ? synOptions(random, sender) : [];
  if (!syn && random.chance(0.1)) options.push(...block(random, receiver.next));
  const seq = sender.next;
  sender.next = (seq + length + (syn ? 1 : 0) + (fin ? 1 : 0)) >>> 0;
  sender.window = window;
  const ack = flags.includes('A') ? receiver.next : random.chance(0.1) ? receiver.next : 0;
  return { fromClient, flags, seq, ack, length, window, options: Uint8Array.from(options) };
}

/** Sequence, acknowledgement or window not as they should be. */
function astray(random: SeededRandom, segment: Segment, receiver: End): Segment {
  const window = random.pick([receiver.window, receiver.window << receiver.scale, 29200, 66_000, 65_535 << 7]);
  const distance = random.pick([0, 1, -1, window, -window, 2 * window]) + random.pick(NEAR);
  const by = random.chance(0.1) ? random.below(0x7fff_ffff) : distance;
  const which = random.below(5);
  if (which < 2) return { ...segment, seq: (segment.seq + by) >>> 0 };
  if (which < 4) return { ...segment, ack: random.chance(0.2) ? 0 : (segment.ack + by) >>> 0 };
  return { ...segment, seq: random.chance(0.5) ? 0 : segment.seq, window: random.pick(WINDOWS) };
}

function synOptions(random: SeededRandom, sender: End): number[] {
  const options: number[] = [];
  if (random.chance(0.5)) {
    sender.scale = random.pick([0, 2, 7, 14, 200]);
    options.push(3, 3, sender.scale);
    sender.scale = Math.min(sender.scale, 14);
  }
  if (random.chance(0.5)) options.push(4, 2);
  while (options.length % 4 !== 0) options.push(1);
  return options;
}

function block(random: SeededRandom, from: number): number[] {
  const bytes = Buffer.alloc(12, 1);
  bytes.set([1, 1, 5, 10]);
  const left = (from + random.below(100)) >>> 0;
  bytes.writeUInt32BE(left, 4);
  bytes.writeUInt32BE((left + random.pick([1, 50, 5000])) >>> 0, 8);
  return [...bytes];
}

/** Scripts that kernel and engine do not agree on, and the first step where they differ. */
export function differingScripts({ kernel, engine }: Played): { readonly script: number; readonly step: number }[] {
  return kernel.flatMap((steps, script) => {
    const step = steps.findIndex((tracked, k) => {
      const other = engine[script]?.[k];
      return other === undefined || !sameTracked(tracked, other);
    });
    return step === -1 ? [] : [{ script, step }];
  });
}
