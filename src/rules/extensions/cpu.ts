/** `-m cpu`: the processor that handles the packet (kernel: net/netfilter/xt_cpu.c): number 0, the only one here. */
import type { MatchExtension } from '../extension.js';
import { MAX_32, parseNumber } from '../values/ranges.js';
import { argument, bang, option, requireOne } from './support.js';

export interface CpuOptions {
  readonly negated: boolean;
  readonly cpu: number;
}

export const cpu: MatchExtension<CpuOptions> = {
  kind: 'match',
  name: 'cpu',
  summary: 'the processor at work, taken to be number 0',
  families: [4, 6],
  options: [option(true, '--cpu')],
  parse(options, context) {
    requireOne(options, 'match cpu', context, '--cpu');
    const [found] = options;
    if (found === undefined) throw new RangeError('--cpu');
    return { negated: found.negated, cpu: parseNumber(argument(found), 0, MAX_32, context) };
  },
  print: ({ negated, cpu: number }) => ` ${bang(negated)}--cpu ${number}`,
  list: ({ negated, cpu: number }) => `cpu ${bang(negated)}${number}`,
  compile({ negated, cpu: number }) {
    const holds = (number === 0) !== negated;
    return () => holds;
  },
};
