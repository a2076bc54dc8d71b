/** `-m ttl` and `-m hl`: time to live, hop limit (kernel: net/netfilter/xt_hl.c). */
import type { MatchExtension } from '../extension.js';
import { parseUnsigned } from '../values/numbers.js';
import { argument, bang, exclusive, option, requireOne } from './support.js';

export interface HopOptions {
  readonly compare: 'eq' | 'ne' | 'lt' | 'gt';
  readonly value: number;
}

const SIGNS = { eq: '==', ne: '!=', lt: '<', gt: '>' } as const;

function hopMatch(name: 'ttl' | 'hl', family: 4 | 6, offset: number): MatchExtension<HopOptions> {
  const title = name.toUpperCase();
  const names = [`--${name}-eq`, `--${name}-lt`, `--${name}-gt`];
  return {
    kind: 'match',
    name,
    summary: name === 'ttl' ? 'time to live' : 'hop limit',
    families: [family],
    options: [option(true, `--${name}-eq`, `--${name}`), option(false, `--${name}-lt`), option(false, `--${name}-gt`)],
    parse(options, context) {
      requireOne(options, `match ${name}`, context, ...names);
      exclusive(options, context, ...names);
      const found = options[0];
      if (found === undefined) throw new RangeError(name);
      const token = argument(found);
      const value = parseUnsigned(token.text, 255);
      if (value === undefined)
        return context.fail(
          'RULES_BAD_NUMBER',
          `"${token.text}" is not between 0 and 255`,
          token,
          'correct the number',
        );
      if (found.name.endsWith('-eq')) return { compare: found.negated ? 'ne' : 'eq', value };
      return { compare: found.name.endsWith('-lt') ? 'lt' : 'gt', value };
    },
    print({ compare, value }) {
      const negated = compare === 'ne';
      return ` ${bang(negated)}--${name}-${negated ? 'eq' : compare} ${value}`;
    },
    list({ compare, value }) {
      return `${title} match ${title} ${SIGNS[compare]} ${value}`;
    },
    compile({ compare, value }) {
      return ({ bytes, l3 }) => {
        const hops = bytes[l3 + offset] as number;
        if (compare === 'eq') return hops === value;
        if (compare === 'ne') return hops !== value;
        return compare === 'lt' ? hops < value : hops > value;
      };
    },
  };
}

export const ttl = hopMatch('ttl', 4, 8);
export const hl = hopMatch('hl', 6, 7);
