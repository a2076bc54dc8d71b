/** `-m statistic`: every nth packet, or a random share (kernel: net/netfilter/xt_statistic.c). */
import type { MatchExtension, ParseContext, ParsedOption } from '../extension.js';
import { parseUnsigned } from '../values/numbers.js';
import { argument, bang, find, option } from './support.js';

export type StatisticOptions =
  | { readonly mode: 'nth'; readonly negated: boolean; readonly every: number; readonly packet: number }
  /** Of 2^31. */
  | { readonly mode: 'random'; readonly negated: boolean; readonly probability: number };

const WHOLE = 0x80000000;

function parseNumber(found: ParsedOption, min: number, context: ParseContext): number {
  const token = argument(found);
  const value = parseUnsigned(token.text, 0xffffffff);
  if (value !== undefined && value >= min) return value;
  return context.fail(
    'RULES_BAD_NUMBER',
    `"${token.text}" is not a number from ${min} on`,
    token,
    'write a whole number',
  );
}

function parseProbability(found: ParsedOption, context: ParseContext): number {
  const token = argument(found);
  const value = /^[0-9]*\.?[0-9]+(e-?[0-9]+)?$/i.test(token.text) ? Number(token.text) : Number.NaN;
  if (value >= 0 && value <= 1) return Math.round(value * WHOLE);
  return context.fail(
    'RULES_BAD_NUMBER',
    `"${token.text}" is not a probability between 0 and 1`,
    token,
    'write it like 0.25',
  );
}

function parseNth(options: readonly ParsedOption[], context: ParseContext): StatisticOptions {
  const every = find(options, '--every');
  const packet = find(options, '--packet');
  if (every === undefined || packet === undefined) {
    return context.fail('RULES_MISSING_OPTION', 'mode nth needs --every and --packet', undefined, 'add --packet 0');
  }
  const n = parseNumber(every, 1, context);
  const p = parseNumber(packet, 0, context);
  if (p >= n)
    context.fail(
      'RULES_BAD_NUMBER',
      `--packet ${p} is not below --every ${n}`,
      argument(packet),
      'counting begins at 0',
    );
  return { mode: 'nth', negated: every.negated, every: n, packet: p };
}

function formatProbability(probability: number): string {
  return (probability / WHOLE).toFixed(11);
}

export const statistic: MatchExtension<StatisticOptions> = {
  kind: 'match',
  name: 'statistic',
  summary: 'every nth packet, or a random share of them',
  families: [4, 6],
  options: [option(false, '--mode'), option(true, '--probability'), option(true, '--every'), option(false, '--packet')],
  parse(options, context) {
    const found = find(options, '--mode');
    const mode = found === undefined ? 'random' : argument(found).text.toLowerCase();
    if (mode === 'nth') return parseNth(options, context);
    if (mode !== 'random') context.fail('RULES_BAD_MODE', `"${mode}" is not a mode`, found?.args[0], 'random or nth');
    const probability = find(options, '--probability');
    if (probability === undefined) {
      return context.fail(
        'RULES_MISSING_OPTION',
        'mode random needs --probability',
        undefined,
        'add --probability 0.5',
      );
    }
    return { mode: 'random', negated: probability.negated, probability: parseProbability(probability, context) };
  },
  print(options) {
    if (options.mode === 'random') {
      return ` --mode random ${bang(options.negated)}--probability ${formatProbability(options.probability)}`;
    }
    return ` --mode nth ${bang(options.negated)}--every ${options.every} --packet ${options.packet}`;
  },
  list(options) {
    if (options.mode === 'random') {
      return `statistic mode random ${bang(options.negated)}probability ${formatProbability(options.probability)}`;
    }
    const packet = options.packet === 0 ? '' : ` packet ${options.packet}`;
    return `statistic mode nth ${bang(options.negated)}every ${options.every}${packet}`;
  },
  compile(options, context) {
    const { negated } = options;
    if (options.mode === 'random') {
      const { probability } = options;
      return () => (context.random32() & 0x7fffffff) < probability !== negated;
    }
    const last = options.every - 1;
    let count = last - options.packet;
    context.savers?.push(() => {
      const saved = count;
      return () => {
        count = saved;
      };
    });
    return () => {
      count = count === last ? 0 : count + 1;
      return (count === 0) !== negated;
    };
  },
};
