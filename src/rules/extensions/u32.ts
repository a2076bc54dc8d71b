/** `-m u32`: arithmetic on 32-bit words of the packet (kernel: net/netfilter/xt_u32.c, u32_match_it). */
import type { PacketContext } from '../context.js';
import type { MatchExtension } from '../extension.js';
import { argument, bang, option, requireOne } from './support.js';
import { formatU32, parseU32, type U32Test } from './u32-language.js';

export interface U32Options {
  readonly negated: boolean;
  readonly tests: readonly U32Test[];
}

/** False also where a location lies behind the packet's end. */
function holds({ start, steps, values }: U32Test, { view, l3, end }: PacketContext): boolean {
  const length = end - l3;
  if (length < 4 || start > length - 4) return false;
  let value = view.getUint32(l3 + start);
  /** What later locations count from; moved by every `@`. */
  let from = 0;
  for (const { operator, number } of steps) {
    if (operator === '&') value = (value & number) >>> 0;
    else if (operator === '<<') value = (value << number) >>> 0;
    else if (operator === '>>') value >>>= number;
    else {
      from += value;
      if (from > 0xffffffff || from + number + 4 > length) return false;
      value = view.getUint32(l3 + from + number);
    }
  }
  return values.some(({ min, max }) => value >= min && value <= max);
}

export const u32: MatchExtension<U32Options> = {
  kind: 'match',
  name: 'u32',
  summary: 'arithmetic on words of the packet',
  families: [4, 6],
  options: [option(true, '--u32')],
  parse(options, context) {
    requireOne(options, 'match u32', context, '--u32');
    const [found] = options;
    if (found === undefined) throw new RangeError('--u32');
    return { negated: found.negated, tests: parseU32(argument(found), context) };
  },
  print: ({ negated, tests }) => ` ${bang(negated)}--u32 ${formatU32(tests)}`,
  list: ({ negated, tests }) => `u32 ${bang(negated)}${formatU32(tests)}`,
  compile({ negated, tests }) {
    return (packet) => tests.every((test) => holds(test, packet)) !== negated;
  },
};
