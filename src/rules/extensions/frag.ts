/** `-m frag`: the IPv6 fragment header (kernel: net/ipv6/netfilter/ip6t_frag.c). */
import { NEXTHDR_FRAGMENT } from '../../packet/ipv6.js';
import type { MatchExtension } from '../extension.js';
import {
  formatRange,
  inRange,
  isWhole,
  listRange,
  MAX_32,
  type NumberRange,
  parseNumber,
  parseNumberRange,
} from '../values/ranges.js';
import { findHeader } from './ipv6-headers.js';
import { argument, bang, exclusive, find, flag, has, option } from './support.js';

export interface FragOptions {
  readonly ids: NumberRange & { readonly negated: boolean };
  /** `--fraglen`, which the kernel does not look at. */
  readonly length: { readonly negated: boolean; readonly value: number };
  readonly flags: readonly string[];
}

const FLAGS = ['--fragres', '--fragfirst', '--fragmore', '--fraglast'] as const;
const WORDS: ReadonlyMap<string, string> = new Map([
  ['--fragres', ' reserved'],
  ['--fragfirst', ' first'],
  ['--fragmore', ' more'],
  ['--fraglast', ' last'],
]);
const HEADER = 8;
/** Bits of the word that holds the offset. */
const OFFSET = 0xfff8;
const RESERVED = 0x0006;
const MORE = 0x0001;

export const frag: MatchExtension<FragOptions> = {
  kind: 'match',
  name: 'frag',
  summary: 'the fragment header',
  families: [6],
  options: [option(true, '--fragid'), option(true, '--fraglen'), ...FLAGS.map((name) => flag(false, name))],
  parse(options, context) {
    exclusive(options, context, '--fragmore', '--fraglast');
    const ids = find(options, '--fragid');
    const length = find(options, '--fraglen');
    return {
      ids: {
        negated: ids?.negated ?? false,
        ...(ids === undefined ? { min: 0, max: MAX_32 } : parseNumberRange(argument(ids), MAX_32, context)),
      },
      length: {
        negated: length?.negated ?? false,
        value: length === undefined ? 0 : parseNumber(argument(length), 0, MAX_32, context),
      },
      flags: FLAGS.filter((name) => has(options, name)),
    };
  },
  print({ ids, length, flags }) {
    let text = isWhole(ids, MAX_32) ? '' : ` ${bang(ids.negated)}--fragid ${formatRange(ids)}`;
    if (length.value !== 0 || length.negated) text += ` ${bang(length.negated)}--fraglen ${length.value}`;
    for (const name of flags) text += ` ${name}`;
    return text;
  },
  list({ ids, length, flags }) {
    let text = `frag ${listRange('id', ids, ids.negated, MAX_32)}`;
    if (length.value !== 0 || length.negated) text += ` length:${length.negated ? '!' : ''}${length.value}`;
    for (const name of flags) text += WORDS.get(name) ?? '';
    return text;
  },
  compile({ ids, flags }) {
    const [reserved, first, more, last] = FLAGS.map((name) => flags.includes(name));
    return (packet) => {
      const at = findHeader(packet, NEXTHDR_FRAGMENT, HEADER);
      if (at < 0) return false;
      const { view } = packet;
      const word = view.getUint16(at + 2);
      if (inRange(view.getUint32(at + 4), ids) === ids.negated) return false;
      if (reserved && (view.getUint8(at + 1) !== 0 || (word & RESERVED) !== 0)) return false;
      if (first && (word & OFFSET) !== 0) return false;
      if (more && (word & MORE) === 0) return false;
      return !last || (word & MORE) === 0;
    };
  },
};
