/** `-m recent`: addresses that were seen before, and how often of late (kernel: net/netfilter/xt_recent.c). */
import { formatAddress, parseAddress, prefixMask } from '../../host/address.js';
import type { PacketContext } from '../context.js';
import type { MatchExtension, ParseContext, ParsedOption } from '../extension.js';
import { HZ } from '../state/clock.js';
import { RecentTable } from '../state/recenttable.js';
import { parseUnsigned } from '../values/numbers.js';
import { argument, bang, exclusive, find, flag, has, option, requireOne } from './support.js';

type Mode = 'set' | 'rcheck' | 'update' | 'remove';

export interface RecentOptions {
  readonly mode: Mode;
  readonly negated: boolean;
  /** 0: not asked for. */
  readonly seconds: number;
  readonly reap: boolean;
  readonly hitCount: number;
  readonly ttl: boolean;
  readonly name: string;
  readonly mask: Uint32Array;
  readonly side: 'source' | 'destination';
}

const MODES: readonly Mode[] = ['set', 'rcheck', 'update', 'remove'];
const MAX_HITS = 65535;
const MAX_NAME = 199;
const MODE_NAMES: Readonly<Record<Mode, string>> = { set: 'SET', rcheck: 'CHECK', update: 'UPDATE', remove: 'REMOVE' };

function parseNumber(found: ParsedOption | undefined, min: number, max: number, context: ParseContext): number {
  if (found === undefined) return 0;
  const token = argument(found);
  const value = parseUnsigned(token.text, max);
  if (value !== undefined && value >= min) return value;
  return context.fail('RULES_BAD_NUMBER', `"${token.text}" is not between ${min} and ${max}`, token, 'correct it');
}

/** The name becomes that of a file in /proc/net/xt_recent. */
export function checkProcName(found: ParsedOption, max: number, context: ParseContext): string {
  const token = argument(found);
  const { text } = token;
  if (text !== '' && text !== '.' && text !== '..' && !text.includes('/') && text.length <= max) return text;
  return context.fail('RULES_BAD_NAME', `"${text}" cannot be a name`, token, `1 to ${max} characters, none a slash`);
}

/** A number alone is an address too (inet_aton). */
function parseMask(found: ParsedOption | undefined, context: ParseContext): Uint32Array {
  const { family } = context;
  if (found === undefined) return prefixMask(family, family === 4 ? 32 : 128);
  const token = argument(found);
  const number = family === 4 ? parseUnsigned(token.text, 0xffffffff) : undefined;
  if (number !== undefined) return Uint32Array.of(number, 0, 0, 0);
  const mask = parseAddress(token.text, family)?.words;
  return (
    mask ?? context.fail('RULES_BAD_ADDRESS', `"${token.text}" is not a mask`, token, 'write it like 255.255.255.0')
  );
}

function words({ mode, seconds, reap, hitCount, ttl }: RecentOptions): string {
  const text = [`--${mode}`];
  if (seconds !== 0) text.push(`--seconds ${seconds | 0}`);
  if (reap) text.push('--reap');
  if (hitCount !== 0) text.push(`--hitcount ${hitCount}`);
  if (ttl) text.push('--rttl');
  return text.join(' ');
}

function listWords({ mode, seconds, reap, hitCount, ttl }: RecentOptions): string {
  const text = [MODE_NAMES[mode]];
  if (seconds !== 0) text.push(`seconds: ${seconds | 0}`);
  if (reap) text.push('reap');
  if (hitCount !== 0) text.push(`hit_count: ${hitCount}`);
  if (ttl) text.push('TTL-Match');
  return text.join(' ');
}

/** TTL or hop limit as the packet came in: forwarding has taken one already. */
function ttlOf({ family, bytes, l3, inInterface, outInterface }: PacketContext): number {
  const now = bytes[l3 + (family === 4 ? 8 : 7)] ?? 0;
  return outInterface >= 0 && inInterface >= 0 ? now + 1 : now;
}

function matches(options: RecentOptions, table: RecentTable, packet: PacketContext, now: number): boolean {
  const { mode, negated, seconds, hitCount } = options;
  const key = table.key(packet.family, options.side === 'source' ? packet.source : packet.destination);
  const ttl = ttlOf(packet);
  const entry = table.find(key, options.ttl ? ttl : 0);
  if (entry === undefined) {
    if (mode !== 'set') return negated;
    table.add(key, ttl, now);
    return !negated;
  }
  let result = negated;
  if (mode === 'set') result = !result;
  else if (mode === 'remove') {
    table.remove(entry);
    result = !result;
  } else {
    const time = now - seconds * HZ;
    let hits = 0;
    for (const stamp of entry.stamps) {
      if (seconds !== 0 && time > stamp) continue;
      if (hitCount === 0 || ++hits >= hitCount) {
        result = !result;
        break;
      }
    }
    if (options.reap) table.reap(time, mode === 'update' && result ? entry : undefined);
  }
  if (mode === 'set' || (mode === 'update' && result)) {
    table.update(entry, now);
    entry.ttl = ttl;
  }
  return result;
}

export const recent: MatchExtension<RecentOptions> = {
  kind: 'match',
  name: 'recent',
  summary: 'addresses that were seen before, and how often of late',
  families: [4, 6],
  options: [
    ...MODES.map((mode) => flag(true, `--${mode}`)),
    option(false, '--seconds'),
    flag(false, '--reap'),
    option(false, '--hitcount'),
    flag(false, '--rttl'),
    option(false, '--name'),
    option(false, '--mask'),
    flag(false, '--rsource'),
    flag(false, '--rdest'),
  ],
  parse(options, context) {
    const modes = MODES.map((mode) => `--${mode}`);
    requireOne(options, 'match recent', context, ...modes);
    exclusive(options, context, ...modes);
    const found = options.find(({ name }) => modes.includes(name));
    const mode = (found?.name.slice(2) ?? 'set') as Mode;
    if (mode === 'set' || mode === 'remove') {
      const stray = options.find(({ name }) => ['--seconds', '--reap', '--hitcount', '--rttl'].includes(name));
      if (stray !== undefined) {
        const what = `${stray.name} cannot be used together with --${mode}`;
        context.fail('RULES_OPTIONS_EXCLUDE', what, stray.token, 'it is for --rcheck and --update');
      }
    }
    const reap = find(options, '--reap');
    if (reap !== undefined && !has(options, '--seconds'))
      context.fail('RULES_MISSING_OPTION', '--reap needs --seconds', reap.token, 'add --seconds 60');
    const name = find(options, '--name');
    return {
      mode,
      negated: found?.negated ?? false,
      seconds: parseNumber(find(options, '--seconds'), 1, 0xffffffff, context),
      reap: reap !== undefined,
      hitCount: parseNumber(find(options, '--hitcount'), 0, MAX_HITS, context),
      ttl: has(options, '--rttl'),
      name: name === undefined ? 'DEFAULT' : checkProcName(name, MAX_NAME, context),
      mask: parseMask(find(options, '--mask'), context),
      side:
        options.findLast(({ name }) => name === '--rsource' || name === '--rdest')?.name === '--rdest'
          ? 'destination'
          : 'source',
    };
  },
  print(options, family) {
    const { negated, name, mask, side } = options;
    const tail = `--name ${name} --mask ${formatAddress(family, mask)} --r${side === 'source' ? 'source' : 'dest'}`;
    return ` ${bang(negated)}${words(options)} ${tail}`;
  },
  list(options, family) {
    const { negated, name, mask, side } = options;
    const tail = `name: ${name} side: ${side === 'source' ? 'source' : 'dest'} mask: ${formatAddress(family, mask)}`;
    return `${bang(negated)}recent: ${listWords(options)} ${tail}`;
  },
  compile(options, { shared }) {
    const table = shared.named('recent', options.name, () => new RecentTable(options.mask));
    table.provideFor(options.hitCount);
    const { clock, journal } = shared;
    return (packet) => {
      if (journal.active) journal.note(packet, table.save());
      return matches(options, table, packet, clock.now(packet));
    };
  },
};
