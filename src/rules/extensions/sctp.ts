/** `-m sctp`: ports and chunk types (kernel: net/netfilter/xt_sctp.c). */
import type { PacketContext } from '../context.js';
import type { MatchExtension, ParseContext, ParsedOption, Token } from '../extension.js';
import { didYouMean } from '../nearest.js';
import { parsePortRange } from '../values/ports.js';
import { formatRange, inRange, isWhole, type NumberRange } from '../values/ranges.js';
import { type Negatable, PORT_OPTIONS, parseNegatable } from './portmatch.js';
import { CHUNK_FLAGS, CHUNK_TYPES } from './sctp-chunks.js';
import { argument, bang, find } from './support.js';

export interface ChunkTest {
  readonly type: number;
  readonly mask: number;
  readonly flags: number;
}

export interface Chunks {
  readonly how: 'any' | 'all' | 'only';
  readonly which: 'ALL' | 'NONE' | 'these';
  /** By type. */
  readonly tests: readonly ChunkTest[];
}

export interface SctpOptions {
  readonly source: Negatable<NumberRange> | undefined;
  readonly destination: Negatable<NumberRange> | undefined;
  readonly chunks: Negatable<Chunks> | undefined;
}

const HEADER = 12;
const CHUNK_HEADER = 4;
const HOW = ['any', 'all', 'only'] as const;

function parseChunks(found: ParsedOption, context: ParseContext): Chunks {
  const [first, list] = [argument(found), argument(found, 1)];
  const how = HOW.find((word) => word === first.text.toLowerCase());
  if (how === undefined) {
    return context.fail('RULES_BAD_CHUNK', `"${first.text}" is not a way to match chunks`, first, 'any, all or only');
  }
  const word = list.text.toUpperCase();
  if (word === 'ALL' || word === 'NONE') return { how, which: word, tests: [] };
  const tests = new Map<number, ChunkTest>();
  for (const part of list.text.split(',')) {
    const [name = '', letters = ''] = part.split(':', 2);
    const type = CHUNK_TYPES.get(name.toUpperCase());
    if (type === undefined) {
      const advice = didYouMean(
        name,
        CHUNK_TYPES.keys(),
        'see RFC 9260 section 3.2 for their names, as in DATA,INIT_ACK',
      );
      return context.fail('RULES_BAD_CHUNK', `"${name}" is not an SCTP chunk`, list, advice);
    }
    tests.set(type, withFlags(tests.get(type) ?? { type, mask: 0, flags: 0 }, letters, list, context));
  }
  return { how, which: 'these', tests: [...tests.values()].sort((a, b) => a.type - b.type) };
}

function withFlags(test: ChunkTest, letters: string, token: Token, context: ParseContext): ChunkTest {
  let { mask, flags } = test;
  const known = CHUNK_FLAGS.get(test.type) ?? '';
  for (const letter of letters) {
    const place = letter === '-' ? -1 : known.indexOf(letter.toUpperCase());
    if (place < 0) {
      const names = known.replaceAll('-', '');
      const advice = names === '' ? 'this chunk has no flags to match' : `flags of this chunk are ${names}`;
      context.fail('RULES_BAD_CHUNK', `"${letter}" is not a flag of this chunk`, token, advice);
    }
    const bit = 1 << (7 - place);
    mask |= bit;
    flags = letter === letter.toUpperCase() ? flags | bit : flags & ~bit;
  }
  return { type: test.type, mask, flags };
}

function formatFlags({ type, mask, flags }: ChunkTest): string {
  if (mask === 0) return '';
  const letters = [...(CHUNK_FLAGS.get(type) ?? '')].map((letter, k) => {
    const bit = 1 << (7 - k);
    if ((mask & bit) === 0) return '';
    return (flags & bit) !== 0 ? letter : letter.toLowerCase();
  });
  return `:${letters.join('')}`;
}

function formatChunks({ how, which, tests }: Chunks, name: (type: number) => string): string {
  const list = which === 'these' ? tests.map((test) => name(test.type) + formatFlags(test)).join(',') : which;
  return `${how} ${list}`;
}

const chunkName = (type: number): string => [...CHUNK_TYPES].find(([, number]) => number === type)?.[0] ?? String(type);
const chunkNumber = (type: number): string => `0x${type.toString(16).toUpperCase().padStart(4, '0')}`;

/** Whether the packet's chunks fit; a chunk that is cut, or has no length, drops the packet. */
function compileChunks({ how, which, tests }: Chunks): (packet: PacketContext) => boolean {
  const byType = new Map(tests.map((test) => [test.type, test]));
  const wanted = (type: number): boolean => (which === 'these' ? byType.has(type) : which === 'ALL');
  return (packet) => {
    const { view, end } = packet;
    const missing = new Set(how === 'all' ? byType.keys() : []);
    let at = packet.l4 + HEADER;
    do {
      const length = at + CHUNK_HEADER <= end ? view.getUint16(at + 2) : 0;
      if (length === 0) {
        packet.hotDrop();
        return false;
      }
      const type = view.getUint8(at);
      const test = byType.get(type);
      const fits = wanted(type) && (test === undefined || (view.getUint8(at + 1) & test.mask) === test.flags);
      if (how === 'any' && fits) return true;
      if (how === 'only' && !fits) return false;
      if (fits) missing.delete(type);
      at += (length + 3) & ~3;
    } while (at < end);
    if (how === 'any') return false;
    // ALL of all chunk types there are: no packet has them.
    return how === 'only' || (which === 'ALL' ? false : missing.size === 0);
  };
}

export const sctp: MatchExtension<SctpOptions> = {
  kind: 'match',
  name: 'sctp',
  summary: 'SCTP source and destination ports, chunk types and their flags',
  families: [4, 6],
  protocols: [132],
  options: [...PORT_OPTIONS, { names: ['--chunk-types'], args: 2, negatable: true }],
  parse(options, context) {
    const ports = (name: string): SctpOptions['source'] =>
      parseNegatable(find(options, name), (found) => {
        const token = argument(found);
        // No service is registered with SCTP where iptables looks names up.
        if (/[g-wyz_]/i.test(token.text))
          context.fail('RULES_BAD_PORT', `"${token.text}" is not a port number`, token, 'write ports as numbers');
        return parsePortRange(token, context);
      });
    return {
      source: ports('--sport'),
      destination: ports('--dport'),
      chunks: parseNegatable(find(options, '--chunk-types'), (found) => parseChunks(found, context)),
    };
  },
  print({ source, destination, chunks }) {
    const print = (name: string, ports: SctpOptions['source']): string =>
      ports === undefined ? '' : ` ${bang(ports.negated)}--${name} ${formatRange(ports.value)}`;
    const text = print('sport', source) + print('dport', destination);
    if (chunks === undefined) return text;
    return `${text} ${bang(chunks.negated)}--chunk-types ${formatChunks(chunks.value, chunkName)}`;
  },
  list({ source, destination, chunks }, _family, names) {
    const text = `sctp${listSctpPorts('spt', source)}${listSctpPorts('dpt', destination)}`;
    return chunks === undefined
      ? text
      : `${text} ${bang(chunks.negated)}${formatChunks(chunks.value, names === undefined ? chunkNumber : chunkName)}`;
  },
  compile({ source, destination, chunks }) {
    const chunksFit = chunks === undefined ? undefined : compileChunks(chunks.value);
    return (packet) => {
      if (packet.fragmentOffset !== 0) return false;
      const { view, l4, end } = packet;
      if (end - l4 < HEADER) {
        packet.hotDrop();
        return false;
      }
      if (source !== undefined && inRange(view.getUint16(l4), source.value) === source.negated) return false;
      if (destination !== undefined && inRange(view.getUint16(l4 + 2), destination.value) === destination.negated)
        return false;
      return chunks === undefined || chunksFit?.(packet) !== chunks.negated;
    };
  },
};

/** `spt:5`, `dpts:!5:6`; all ports only where they are negated. DCCP words them alike. */
export function listSctpPorts(name: string, ports: Negatable<NumberRange> | undefined): string {
  if (ports === undefined || (isWhole(ports.value, 65535) && !ports.negated)) return '';
  const { min, max } = ports.value;
  return ` ${name}${min === max ? '' : 's'}:${ports.negated ? '!' : ''}${formatRange(ports.value)}`;
}
