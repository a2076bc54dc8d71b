/**
 * `-m limit`: a token bucket (kernel: net/netfilter/xt_limit.c). Credits are counted as the kernel counts them, in steps of
 * a jiffy of capture time; the bucket is full when the first packet comes. Where rate and burst overflow the 32 bits of
 * iptables-legacy (1/day with a burst of 4) the true product counts, as with iptables-nft.
 */
import type { MatchExtension, ParseContext, Token } from '../extension.js';
import { parseUnsigned } from '../values/numbers.js';
import { argument, find, option } from './support.js';

export interface LimitOptions {
  /** Time between packets in units of 1/10000 s. */
  readonly period: number;
  readonly burst: number;
}

const SCALE = 10000;
/** Slowest first. */
const UNITS: readonly (readonly [name: string, word: string, seconds: number])[] = [
  ['day', 'day', 86400],
  ['hour', 'hour', 3600],
  ['min', 'minute', 60],
  ['sec', 'second', 1],
];
const DEFAULT_PERIOD = (SCALE * 3600) / 3;
const DEFAULT_BURST = 5;
const MAX_BURST = 10000;

/** Ticks a second, as Debian builds its kernels. */
const HZ = 250;
/** CREDITS_PER_JIFFY: the power of two below 2^32 / (HZ * 86400). */
const CREDITS = 2 ** Math.floor(Math.log2(Math.floor(0xffffffff / (HZ * 86400))));

/** Credits that a time of 1/10000 s units costs (user2credits). */
function credits(units: number): number {
  if (units > Math.floor(0xffffffff / (HZ * CREDITS))) return Math.floor(units / SCALE) * HZ * CREDITS;
  return Math.floor((units * HZ * CREDITS) / SCALE);
}

function parseRate(token: Token, context: ParseContext): number {
  const bad = (): never =>
    context.fail(
      'RULES_BAD_RATE',
      `"${token.text}" is not a rate`,
      token,
      'write it like 5/second, 3/min, 10/hour or 1/day',
    );
  const match = /^([0-9]{1,10})(?:\/([a-z]+))?$/i.exec(token.text);
  if (match === null) return bad();
  const unit = match[2]?.toLowerCase() ?? 'second';
  const seconds = UNITS.find(([, word]) => word.startsWith(unit))?.[2];
  const count = Number(match[1]);
  if (seconds === undefined || count === 0) return bad();
  const period = Math.floor((SCALE * seconds) / count);
  if (period > 0) return period;
  return context.fail('RULES_BAD_RATE', `rate ${token.text} is too fast`, token, `${SCALE}/second is the most`);
}

/** `5/min`, in the unit that loses least (the kernel keeps the period only). */
function formatRate(period: number): string {
  let i = 1;
  for (; i < UNITS.length; i++) {
    const whole = SCALE * (UNITS[i]?.[2] ?? 1);
    if (period > whole || Math.floor(whole / period) < whole % period) break;
  }
  const [name, , seconds] = UNITS[i - 1] ?? ['sec', 'second', 1];
  return `${Math.floor((SCALE * seconds) / period)}/${name}`;
}

export const limit: MatchExtension<LimitOptions> = {
  kind: 'match',
  name: 'limit',
  summary: 'so many packets in a time',
  families: [4, 6],
  options: [option(false, '--limit'), option(false, '--limit-burst')],
  parse(options, context) {
    const rate = find(options, '--limit');
    const period = rate === undefined ? DEFAULT_PERIOD : parseRate(argument(rate), context);
    const found = find(options, '--limit-burst');
    const burst = found === undefined ? DEFAULT_BURST : parseUnsigned(argument(found).text, MAX_BURST);
    if (burst === undefined || burst === 0) {
      const what = `a burst is between 1 and ${MAX_BURST}`;
      return context.fail('RULES_BAD_NUMBER', what, found?.args[0], `5 is iptables' own`);
    }
    return { period, burst };
  },
  print({ period, burst }) {
    return ` --limit ${formatRate(period)}${burst === DEFAULT_BURST ? '' : ` --limit-burst ${burst}`}`;
  },
  list({ period, burst }) {
    return `limit: avg ${formatRate(period)} burst ${burst}`;
  },
  compile({ period, burst }, { savers }) {
    const cost = credits(period);
    const cap = credits(period * burst);
    let credit = cap;
    let last = -1;
    savers?.push(() => {
      const saved = { credit, last };
      return () => {
        ({ credit, last } = saved);
      };
    });
    return ({ seconds, nanoseconds }) => {
      const now = seconds * HZ + Math.floor((nanoseconds * HZ) / 1e9);
      if (last >= 0 && now > last) credit = Math.min(cap, credit + (now - last) * CREDITS);
      if (now > last) last = now;
      if (credit < cost) return false;
      credit -= cost;
      return true;
    };
  },
};
