/** `-j RATEEST`: estimates a rate for `-m rateest` (kernel: net/netfilter/xt_RATEEST.c). Changes no packet. */
import type { ParseContext, ParsedOption, TargetExtension } from '../extension.js';
import { argument, find, option, requireOne } from './support.js';

export interface RateestOptions {
  readonly name: string;
  /** A quarter of a second times 2 to this, -2 to 3. */
  readonly interval: number;
  readonly ewma: number;
}

const UNITS: ReadonlyMap<string, number> = new Map([
  ['s', 1e6],
  ['sec', 1e6],
  ['secs', 1e6],
  ['ms', 1e3],
  ['msec', 1e3],
  ['msecs', 1e3],
  ['us', 1],
  ['usec', 1],
  ['usecs', 1],
]);
const QUARTER = 250_000;
const MAX_NAME = 15;

/** Microseconds. */
function parseTime(found: ParsedOption | undefined, context: ParseContext): number {
  const token = found && argument(found);
  const match = /^([0-9]+(?:\.[0-9]*)?)([a-z]*)$/i.exec(token?.text ?? '');
  const unit = match?.[2] === '' ? 1 : UNITS.get(match?.[2]?.toLowerCase() ?? '');
  if (match !== null && unit !== undefined) return Number(match[1]) * unit;
  return context.fail('RULES_BAD_TIME', `"${token?.text}" is not a time`, token, 'write it like 250ms or 1s');
}

/** The next step of the kernel's scale that is long enough. */
function intervalOf(time: number): number {
  for (let k = 0; k <= 5; k++) if (time <= QUARTER * 2 ** k) return k - 2;
  return 4;
}

/** By how much older samples weigh less: found as tc finds it, from the time constant. */
function ewmaOf(interval: number, time: number): number {
  for (let k = 1; k < 32; k++) {
    const weight = 1 - 2 ** -k;
    if (interval / -Math.log(weight) > time) return k - 1;
  }
  return 31;
}

function formatTime(time: number): string {
  if (time >= 1e6) return `${(time / 1e6).toFixed(1)}s`;
  return time >= 1e3 ? `${(time / 1e3).toFixed(1)}ms` : `${time}us`;
}

const lengthOf = (interval: number): number => QUARTER * 2 ** (interval + 2);
const constantOf = ({ interval, ewma }: RateestOptions): number => lengthOf(interval) * 2 ** ewma;

export const rateestTarget: TargetExtension<RateestOptions> = {
  kind: 'target',
  name: 'RATEEST',
  summary: 'estimates a rate; no packet changes',
  families: [4, 6],
  options: [option(false, '--rateest-name'), option(false, '--rateest-interval'), option(false, '--rateest-ewmalog')],
  parse(options, context) {
    for (const name of ['--rateest-name', '--rateest-interval', '--rateest-ewmalog'])
      requireOne(options, 'RATEEST', context, name);
    const name = find(options, '--rateest-name');
    const time = parseTime(find(options, '--rateest-interval'), context);
    const interval = intervalOf(time);
    if (interval > 3)
      context.fail(
        'RULES_BAD_TIME',
        'an interval is 8 s at most',
        find(options, '--rateest-interval')?.token,
        'shorten it',
      );
    const ewma = ewmaOf(time, parseTime(find(options, '--rateest-ewmalog'), context));
    if (ewma === 0 || ewma >= 31)
      context.fail(
        'RULES_BAD_TIME',
        'the time constant does not go with the interval',
        find(options, '--rateest-ewmalog')?.token,
        'make it longer than the interval',
      );
    return { name: (name?.args[0]?.text ?? '').slice(0, MAX_NAME), interval, ewma };
  },
  print: (options) =>
    ` --rateest-name ${options.name} --rateest-interval ${formatTime(lengthOf(options.interval))} --rateest-ewmalog ${formatTime(constantOf(options))}`,
  list: (options) =>
    `name ${options.name} interval ${formatTime(lengthOf(options.interval))} ewmalog ${formatTime(constantOf(options))}`,
  compile: () => ({ kind: 'effect', apply() {} }),
};
