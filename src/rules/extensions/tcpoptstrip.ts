/** `-j TCPOPTSTRIP`: overwrites TCP options with no-operations (kernel: net/netfilter/xt_TCPOPTSTRIP.c). */
import { TCP_CHECKSUM, TCP_DATA_OFFSET, TCP_MIN_HEADER } from '../../packet/transport.js';
import type { PacketContext } from '../context.js';
import type { ParseContext, TargetExtension, Token } from '../extension.js';
import { didYouMean } from '../nearest.js';
import { parseUnsigned } from '../values/numbers.js';
import { mend } from './dsfield.js';
import { argument, find, option } from './support.js';

const NAMES: ReadonlyMap<string, number> = new Map([
  ['wscale', 3],
  ['mss', 2],
  ['sack-permitted', 4],
  ['sack', 5],
  ['timestamp', 8],
  ['md5', 19],
]);
const NOP = 1;

function parseKinds(token: Token, context: ParseContext): number[] {
  const kinds = new Set<number>();
  for (const word of token.text.split(',')) {
    const kind = NAMES.get(word) ?? parseUnsigned(word, 255);
    const bad = (what: string): never =>
      context.fail(
        'RULES_BAD_NUMBER',
        what,
        token,
        didYouMean(word, NAMES.keys(), 'write kinds from 2 to 255, or mss, wscale, sack and the like'),
      );
    if (kind === undefined) return bad(`"${word}" is not a TCP option`);
    if (kind < 2) bad('options 0 and 1 (end, no operation) cannot be stripped');
    if (kinds.has(kind)) bad(`option ${word} is named twice`);
    kinds.add(kind);
  }
  return [...kinds].sort((a, b) => a - b);
}

/** Overwrites what lies from `at` on, and mends the checksum: words begin at even offsets of the header. */
function strip(view: DataView, tcp: number, at: number, length: number): void {
  for (let k = at; k < at + length; k++) {
    const word = tcp + ((k - tcp) & ~1);
    const before = view.getUint16(word, true);
    view.setUint8(k, NOP);
    mend(view, tcp + TCP_CHECKSUM, before, view.getUint16(word, true));
  }
}

function stripOptions(packet: PacketContext, kinds: ReadonlySet<number>): void {
  if (packet.fragmentOffset !== 0) return;
  const { view, l4, end } = packet;
  const length = end - l4 < TCP_MIN_HEADER ? Number.POSITIVE_INFINITY : (view.getUint8(l4 + TCP_DATA_OFFSET) >> 4) * 4;
  if (end - l4 < length) {
    packet.hotDrop();
    return;
  }
  const stop = l4 + length;
  for (let at = l4 + TCP_MIN_HEADER; at < stop - 1; ) {
    const kind = view.getUint8(at);
    const size = kind <= NOP ? 1 : view.getUint8(at + 1) || 1;
    if (at + size > stop) return;
    if (kinds.has(kind)) strip(view, l4, at, size);
    at += size;
  }
}

export const tcpoptstrip: TargetExtension<readonly number[]> = {
  kind: 'target',
  name: 'TCPOPTSTRIP',
  summary: 'overwrites TCP options with no-operations',
  families: [4, 6],
  tables: ['mangle'],
  protocols: [6],
  options: [option(false, '--strip-options')],
  parse(options, context) {
    const found = find(options, '--strip-options');
    return found === undefined ? [] : parseKinds(argument(found), context);
  },
  print: (kinds) => (kinds.length === 0 ? '' : ` --strip-options ${kinds.join(',')}`),
  list: (kinds) => (kinds.length === 0 ? '' : `TCPOPTSTRIP options ${kinds.join(',')}`),
  compile(kinds) {
    const wanted = new Set(kinds);
    return { kind: 'effect', apply: (packet) => stripOptions(packet, wanted) };
  },
};
