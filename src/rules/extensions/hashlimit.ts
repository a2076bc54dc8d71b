/** `-m hashlimit`: so many packets or bytes in a time for each group of packets (kernel: net/netfilter/xt_hashlimit.c). */

import { NatreplayError } from '../../errors.js';
import { prefixMask } from '../../host/address.js';
import type { Family } from '../../host/types.js';
import type { PacketContext } from '../context.js';
import type { MatchExtension, ParseContext, ParsedOption, Token } from '../extension.js';
import { byteCredits, bytesOfCost, credits, HashBuckets, SCALE } from '../state/hashbuckets.js';
import { parseUnsigned } from '../values/numbers.js';
import { checkProcName } from './recent.js';
import { argument, exclusive, find, flag, has, option, requireOne } from './support.js';

type Field = 'srcip' | 'srcport' | 'dstip' | 'dstport';

export interface HashlimitOptions {
  readonly above: boolean;
  readonly bytes: boolean;
  /** As in BucketSettings. */
  readonly average: number;
  readonly burst: number;
  readonly fields: readonly Field[];
  readonly name: string;
  /** 0: the kernel's choice. */
  readonly size: number;
  readonly max: number;
  readonly collectEvery: number;
  readonly expire: number;
  readonly sourceLength: number;
  readonly destinationLength: number;
  readonly rateMatch: boolean;
  /** Seconds, 0 where not asked for. */
  readonly interval: number;
}

/** In the order iptables prints them. */
const FIELDS: readonly Field[] = ['srcip', 'srcport', 'dstip', 'dstport'];
const DEFAULT_BURST = 5;
const MAX_BURST = 1_000_000;
const COLLECT_EVERY = 1000;
const BYTE_EXPIRE = 15;
const BYTE_EXPIRE_BURST = 60;
/** Buckets of a machine with more than a GiB, and how many entries each stands for. */
const SIZE = 8192;
const PER_BUCKET = 8;
const MAX_NAME = 254;
const UNITS: readonly (readonly [name: string, word: string, seconds: number])[] = [
  ['day', 'day', 86400],
  ['hour', 'hour', 3600],
  ['min', 'minute', 60],
  ['sec', 'second', 1],
];
const BYTE_UNITS: readonly (readonly [name: string, bytes: number])[] = [
  ['m', 2 ** 20],
  ['k', 2 ** 10],
  ['', 1],
];

const factorOf = (letter: string | undefined): number => BYTE_UNITS.find(([name]) => name === letter)?.[1] ?? 1;

/** What 16 bytes of a rate cost (bytes_to_cost). */
const costOfBytes = (bytes: number): number => Math.floor(0xffffffff / ((Math.floor(bytes / 16) % 2 ** 32) + 1));

interface Rate {
  readonly bytes: boolean;
  readonly average: number;
  /** Seconds of its unit. */
  readonly unit: number;
}

function parseRate(token: Token, context: ParseContext): Rate {
  const { text } = token;
  const count = /^\s*([0-9]{1,15})/.exec(text)?.[1];
  const bad = (): never =>
    context.fail('RULES_BAD_RATE', `"${text}" is not a rate`, token, 'write it like 5/second, 3/min, 512kb/s');
  if (count === undefined || Number(count) === 0) return bad();
  const inBytes = text.indexOf('b/s');
  if (inBytes > 0) {
    const average = costOfBytes(Number(count) * factorOf(text[inBytes - 1]));
    if (average === 0 || byteCredits(average) === 0n)
      context.fail('RULES_BAD_RATE', `rate ${text} is too high`, token, 'lower it');
    return { bytes: true, average, unit: BYTE_EXPIRE };
  }
  const slash = text.indexOf('/');
  const word = slash < 0 ? 'second' : text.slice(slash + 1).toLowerCase();
  const unit = word === '' ? undefined : [...UNITS].reverse().find(([, full]) => full.startsWith(word))?.[2];
  if (unit === undefined) return bad();
  const average = Math.floor((SCALE * unit) / Number(count));
  if (average === 0) context.fail('RULES_BAD_RATE', `rate ${text} is too fast`, token, `${SCALE}/second is the most`);
  return { bytes: false, average, unit };
}

/** Bytes with `bytes`, else packets. */
function parseBurst(found: ParsedOption | undefined, rate: Rate, context: ParseContext): number {
  if (found === undefined) return rate.bytes ? 0 : DEFAULT_BURST;
  const token = argument(found);
  const [, digits, letter] = /^([0-9]{1,15})(.?)/.exec(token.text) ?? [];
  const number = Number(digits ?? 0);
  const burst = number * factorOf(letter);
  if (number === 0 || ((letter === '' || !rate.bytes) && burst > MAX_BURST))
    context.fail('RULES_BAD_NUMBER', `a burst is between 1 and ${MAX_BURST}`, token, 'bytes may be written like 2mb');
  if (!rate.bytes) return burst;
  const least = bytesOfCost(rate.average);
  if (least === 0) context.fail('RULES_BAD_NUMBER', 'such a low rate has no burst', token, 'raise the rate to 16b/s');
  if (burst < least)
    context.fail('RULES_BAD_NUMBER', `a burst cannot be smaller than the rate, ${least}b`, token, 'raise it');
  return Math.ceil(burst / least);
}

function parseFields(found: ParsedOption | undefined, context: ParseContext): Field[] {
  if (found === undefined) return [];
  const token = argument(found);
  const words = token.text.split(/[,|]/).filter((word) => word !== '');
  const wrong = words.find((word) => !(FIELDS as readonly string[]).includes(word));
  if (wrong !== undefined)
    context.fail('RULES_BAD_MODE', `"${wrong}" is not a mode`, token, `there are ${FIELDS.join(', ')}`);
  return FIELDS.filter((field) => words.includes(field));
}

function parseNumber(options: readonly ParsedOption[], name: string, otherwise: number, context: ParseContext): number {
  const found = find(options, name);
  if (found === undefined) return otherwise;
  const token = argument(found);
  const value = parseUnsigned(token.text, 0xffffffff);
  return value ?? context.fail('RULES_BAD_NUMBER', `"${token.text}" is not a number`, token, 'write a whole number');
}

function parseLength(options: readonly ParsedOption[], name: string, context: ParseContext): number {
  const bits = context.family === 4 ? 32 : 128;
  const found = find(options, name);
  if (found === undefined) return bits;
  const token = argument(found);
  const value = parseUnsigned(token.text, bits);
  const advice = `write one from 0 to ${bits}`;
  return value ?? context.fail('RULES_BAD_MASK', `"${token.text}" is not a prefix length`, token, advice);
}

/** Refuses what the kernel refuses (hashlimit_mt_check_common). */
function checkLimits(options: HashlimitOptions, rate: Token | undefined, context: ParseContext): void {
  const { average, burst, bytes, rateMatch, collectEvery, expire } = options;
  if (collectEvery === 0 || expire === 0)
    context.fail('RULES_BAD_NUMBER', 'neither interval nor expiry can be 0', rate, 'leave the option out');
  if (rateMatch && (average === 0 || average > 0xffffffff))
    context.fail('RULES_BAD_RATE', 'the rate cannot be matched', rate, 'choose another unit');
  if (bytes || rateMatch) return;
  if (credits(BigInt(average) * BigInt(burst)) < credits(BigInt(average)))
    context.fail('RULES_BAD_RATE', 'rate and burst are more than the kernel can count', rate, 'lower the burst');
}

/** `5/min`, in the unit that loses least, with the unit in milliseconds. */
function rateWords(period: number): [text: string, milliseconds: number] {
  if (period === 0) return ['inf', 0];
  let i = 1;
  for (; i < UNITS.length; i++) {
    const whole = SCALE * (UNITS[i]?.[2] ?? 1);
    if (period > whole || Math.floor(whole / period) < whole % period) break;
  }
  const [name, , seconds] = UNITS[i - 1] ?? ['sec', 'second', 1];
  return [`${Math.floor((SCALE * seconds) / period)}/${name}`, seconds * 1000];
}

function byteRateWords({ average, burst }: HashlimitOptions, lead: string): [text: string, milliseconds: number] {
  const rate = bytesOfCost(average);
  const exact = BYTE_UNITS.find(
    ([name, unit]) => name === '' || (rate >= unit && costOfBytes(rate - (rate % unit)) === average),
  );
  const [letter, unit] = exact ?? ['', 1];
  const text = `${Math.floor(rate / unit)}${letter}b/s`;
  if (burst === 0) return [text, BYTE_EXPIRE * 1000];
  const bytes = rate * burst;
  const [burstLetter, burstUnit] = BYTE_UNITS.find(([, size]) => bytes >= size) ?? ['', 1];
  return [`${text} ${lead}burst ${Math.floor(bytes / burstUnit)}${burstLetter}b`, BYTE_EXPIRE_BURST * 1000];
}

/** Everything behind the rate. `expiry`: milliseconds that go without saying. */
function tailWords(options: HashlimitOptions, family: Family, lead: string, expiry: number): string {
  const bits = family === 4 ? 32 : 128;
  const { size, max, collectEvery, expire, sourceLength, destinationLength, rateMatch, interval } = options;
  let text = '';
  if (size !== 0) text += ` ${lead}htable-size ${size}`;
  if (max !== 0) text += ` ${lead}htable-max ${max}`;
  if (collectEvery !== COLLECT_EVERY) text += ` ${lead}htable-gcinterval ${collectEvery}`;
  if (expire !== expiry) text += ` ${lead}htable-expire ${expire}`;
  if (sourceLength !== bits) text += ` ${lead}srcmask ${sourceLength}`;
  if (destinationLength !== bits) text += ` ${lead}dstmask ${destinationLength}`;
  if (rateMatch) text += ` ${lead}rate-match`;
  if (rateMatch && interval !== 1) text += ` ${lead}rate-interval ${interval}`;
  return text;
}

/** Protocols whose header begins with two ports; that of AH has its SPI in their place (proto_ports_offset). */
const PORTS_AT: ReadonlyMap<number, number> = new Map([
  [6, 0],
  [17, 0],
  [33, 0],
  [50, 0],
  [132, 0],
  [136, 0],
  [51, 4],
]);

/** What tells the groups apart, as text; undefined where the packet has no such thing, and is dropped. */
function grouping(options: HashlimitOptions, family: Family): (packet: PacketContext) => string | undefined {
  const words = family === 4 ? 1 : 4;
  const sourceMask = prefixMask(family, options.sourceLength);
  const destinationMask = prefixMask(family, options.destinationLength);
  const bySource = options.fields.includes('srcip');
  const byDestination = options.fields.includes('dstip');
  const bySourcePort = options.fields.includes('srcport');
  const byDestinationPort = options.fields.includes('dstport');
  const masked = (address: Uint32Array, mask: Uint32Array): string => {
    let text = '';
    for (let k = 0; k < words; k++) text += `${((address[k] as number) & (mask[k] as number)) >>> 0},`;
    return text;
  };
  return (packet) => {
    let key = '';
    if (bySource) key += masked(packet.source, sourceMask);
    key += ';';
    if (byDestination) key += masked(packet.destination, destinationMask);
    if (!bySourcePort && !byDestinationPort) return key;
    const { view, l4, end, protocol } = packet;
    if (protocol < 0) return undefined;
    const offset = PORTS_AT.get(protocol);
    if (offset === undefined) return `${key};0;0`;
    if (l4 + offset + 4 > end) return undefined;
    const source = bySourcePort ? view.getUint16(l4 + offset) : 0;
    return `${key};${source};${byDestinationPort ? view.getUint16(l4 + offset + 2) : 0}`;
  };
}

export const hashlimit: MatchExtension<HashlimitOptions> = {
  kind: 'match',
  name: 'hashlimit',
  summary: 'so many packets or bytes in a time, by address and port',
  families: [4, 6],
  options: [
    option(true, '--hashlimit-upto', '--hashlimit'),
    option(true, '--hashlimit-above'),
    option(false, '--hashlimit-srcmask'),
    option(false, '--hashlimit-dstmask'),
    option(false, '--hashlimit-burst'),
    option(false, '--hashlimit-htable-size'),
    option(false, '--hashlimit-htable-max'),
    option(false, '--hashlimit-htable-gcinterval'),
    option(false, '--hashlimit-htable-expire'),
    option(false, '--hashlimit-mode'),
    option(false, '--hashlimit-name'),
    flag(false, '--hashlimit-rate-match'),
    option(false, '--hashlimit-rate-interval'),
  ],
  parse(options, context) {
    requireOne(options, 'match hashlimit', context, '--hashlimit-upto', '--hashlimit-above');
    requireOne(options, 'match hashlimit', context, '--hashlimit-name');
    exclusive(options, context, '--hashlimit-upto', '--hashlimit-above');
    const limit = find(options, '--hashlimit-upto') ?? find(options, '--hashlimit-above');
    const name = find(options, '--hashlimit-name');
    if (limit === undefined || name === undefined) throw new RangeError('--hashlimit-upto');
    const rate = parseRate(argument(limit), context);
    const burst = find(options, '--hashlimit-burst');
    const rateMatch = has(options, '--hashlimit-rate-match');
    const interval = parseNumber(options, '--hashlimit-rate-interval', 0, context);
    if (has(options, '--hashlimit-rate-interval') && (interval === 0 || interval > 0x7fffffff))
      context.fail('RULES_BAD_NUMBER', 'an interval is a number of seconds from 1 on', limit.token, 'correct it');
    const expiry = rate.bytes && burst !== undefined ? BYTE_EXPIRE_BURST : rate.unit;
    const parsed: HashlimitOptions = {
      above: (limit.name === '--hashlimit-above') !== limit.negated,
      bytes: rate.bytes,
      average: rateMatch && !rate.bytes ? Math.floor(rate.average / rate.unit) : rate.average,
      burst: parseBurst(burst, rate, context),
      fields: parseFields(find(options, '--hashlimit-mode'), context),
      name: checkProcName(name, MAX_NAME, context),
      size: parseNumber(options, '--hashlimit-htable-size', 0, context),
      max: parseNumber(options, '--hashlimit-htable-max', 0, context),
      collectEvery: parseNumber(options, '--hashlimit-htable-gcinterval', COLLECT_EVERY, context),
      expire: parseNumber(options, '--hashlimit-htable-expire', expiry * 1000, context),
      sourceLength: parseLength(options, '--hashlimit-srcmask', context),
      destinationLength: parseLength(options, '--hashlimit-dstmask', context),
      rateMatch,
      interval: rateMatch && interval === 0 ? (rate.bytes ? 1 : rate.unit) : interval,
    };
    checkLimits(parsed, argument(limit), context);
    return parsed;
  },
  print(options, family) {
    const [rate, expiry] = options.bytes ? byteRateWords(options, '--hashlimit-') : rateWords(options.average);
    const burst = options.bytes ? '' : ` --hashlimit-burst ${options.burst}`;
    const mode = options.fields.length === 0 ? '' : ` --hashlimit-mode ${options.fields.join(',')}`;
    const head = ` --hashlimit-${options.above ? 'above' : 'upto'} ${rate}${burst}${mode} --hashlimit-name ${options.name}`;
    return head + tailWords(options, family, '--hashlimit-', expiry);
  },
  list(options, family) {
    const period = options.average * (options.interval === 0 ? 1 : options.interval);
    const [rate, expiry] = options.bytes ? byteRateWords(options, '') : rateWords(period);
    const burst = options.bytes ? '' : ` burst ${options.burst}`;
    const mode = options.fields.length === 0 ? '' : ` mode ${options.fields.join('-')}`;
    return `limit: ${options.above ? 'above' : 'up to'} ${rate}${burst}${mode}${tailWords(options, family, '', expiry)}`;
  },
  compile(options, { shared, family }) {
    const { above, bytes, rateMatch, size, max, average, burst, interval, expire, collectEvery } = options;
    const buckets = size === 0 ? SIZE : size;
    const maxBuckets = max === 0 ? PER_BUCKET * buckets : Math.max(max, buckets);
    const settings = { bytes, rateMatch, average, burst, interval, maxBuckets, expire, collectEvery };
    // Grouping and rate are those of the first rule that names the table.
    const table = shared.named(`hashlimit${family}`, options.name, () => ({
      buckets: new HashBuckets(settings),
      group: grouping(options, family),
    }));
    if (table.buckets.settings.rateMatch !== rateMatch) {
      const what = `table "${options.name}" of hashlimit is shared by rules with and without --hashlimit-rate-match`;
      throw new NatreplayError('RULES_SHARED_TABLE', what, { advice: 'give one of them another --hashlimit-name' });
    }
    const { clock, journal } = shared;
    return (packet) => {
      const key = table.group(packet);
      const bucket = key === undefined ? undefined : table.buckets.bucket(key, clock.now(packet));
      if (bucket === undefined) {
        packet.hotDrop();
        return false;
      }
      if (journal.active) {
        const saved = { ...bucket };
        journal.note(packet, () => Object.assign(bucket, saved));
      }
      return table.buckets.takes(bucket, packet.totalLength, bytes, rateMatch) !== above;
    };
  },
};
