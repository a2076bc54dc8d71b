/** `-j TTL` and `-j HL`: set, raise or lower the time to live, the hop limit (kernel: net/netfilter/xt_HL.c). */
import { IPV4_TTL } from '../../packet/ipv4.js';
import { IPV6_HOP_LIMIT } from '../../packet/ipv6.js';
import type { TargetExtension } from '../extension.js';
import { parseNumber } from '../values/ranges.js';
import { changeHeaderWord } from './dsfield.js';
import { argument, exclusive, option, requireOne } from './support.js';

export interface HopChange {
  readonly how: 'set' | 'inc' | 'dec';
  readonly value: number;
}

const WORDS = { set: 'set to', inc: 'increment by', dec: 'decrement by' } as const;

function changed(hops: number, { how, value }: HopChange): number {
  if (how === 'set') return value;
  return how === 'inc' ? Math.min(255, hops + value) : Math.max(0, hops - value);
}

function hopTarget(name: 'TTL' | 'HL', family: 4 | 6, thing: string): TargetExtension<HopChange> {
  const lower = name.toLowerCase();
  const names = (['set', 'inc', 'dec'] as const).map((how) => `--${lower}-${how}`);
  return {
    kind: 'target',
    name,
    summary: `sets, raises or lowers the ${thing}`,
    families: [family],
    tables: ['mangle'],
    options: names.map((found) => option(false, found)),
    parse(options, context) {
      requireOne(options, name, context, ...names);
      exclusive(options, context, ...names);
      const [found] = options;
      if (found === undefined) throw new RangeError(name);
      const how = found.name.slice(-3) as HopChange['how'];
      return { how, value: parseNumber(argument(found), how === 'set' ? 0 : 1, 255, context) };
    },
    print: ({ how, value }) => ` --${lower}-${how} ${value}`,
    list: ({ how, value }) => `${name} ${WORDS[how]} ${value}`,
    compile: (change) => ({
      kind: 'effect',
      apply({ view, l3 }) {
        if (family === 6) {
          view.setUint8(l3 + IPV6_HOP_LIMIT, changed(view.getUint8(l3 + IPV6_HOP_LIMIT), change));
          return;
        }
        const word = view.getUint16(l3 + IPV4_TTL);
        const hops = changed(word >> 8, change);
        if (hops !== word >> 8) changeHeaderWord(view, l3, IPV4_TTL, (hops << 8) | (word & 0xff));
      },
    }),
  };
}

export const ttlTarget = hopTarget('TTL', 4, 'time to live');
export const hlTarget = hopTarget('HL', 6, 'hop limit');
