/** `-m connbytes`: how much a connection has carried so far (kernel: net/netfilter/xt_connbytes.c). */
import type { ConnectionCounters } from '../context.js';
import type { MatchExtension, ParseContext, ParsedOption } from '../extension.js';
import { MAX_UNSIGNED64, parseUnsigned64 } from '../values/longs.js';
import { argument, find, option, requireOne } from './support.js';

type Mode = 'packets' | 'bytes' | 'avgpkt';
type Direction = 'original' | 'reply' | 'both';

export interface ConnbytesOptions {
  /** From above to: what lies between does not match. */
  readonly from: bigint;
  readonly to: bigint;
  readonly mode: Mode;
  readonly direction: Direction;
}

const MODES: readonly Mode[] = ['packets', 'bytes', 'avgpkt'];
const DIRECTIONS: readonly Direction[] = ['original', 'reply', 'both'];

function parseRange(found: ParsedOption, context: ParseContext): { from: bigint; to: bigint } {
  const token = argument(found);
  const [first = '', second] = token.text.split(':');
  const from = first === '' ? 0n : parseUnsigned64(first);
  const to = second === undefined || second === '' ? MAX_UNSIGNED64 : parseUnsigned64(second);
  if (from === undefined || to === undefined || token.text.split(':').length > 2)
    return context.fail('RULES_BAD_NUMBER', `"${token.text}" is not a range`, token, 'write it like 1000:2000');
  if (to < from) context.fail('RULES_BAD_NUMBER', `${from} is more than ${to}`, token, 'the lower number comes first');
  return found.negated ? { from: to, to: from } : { from, to };
}

function oneOf<T extends string>(found: ParsedOption | undefined, among: readonly T[], context: ParseContext): T {
  const token = found && argument(found);
  const value = among.find((candidate) => candidate === token?.text);
  return value ?? context.fail('RULES_BAD_MODE', `"${token?.text}" is not known here`, token, among.join(', '));
}

function words({ from, to, mode, direction }: ConnbytesOptions, lead: string): string {
  const [low, high, not] = from > to ? [to, from, '! '] : [from, to, ''];
  const end = high === 0n || high === MAX_UNSIGNED64 ? '' : `:${high}`;
  return `${not}${lead}connbytes ${low}${end}`.concat(
    lead === ''
      ? ` connbytes mode ${mode} connbytes direction ${direction}`
      : ` --connbytes-mode ${mode} --connbytes-dir ${direction}`,
  );
}

function sum(counters: ConnectionCounters, kind: 'packets' | 'bytes', direction: Direction): number {
  const original = direction === 'reply' ? 0 : counters[kind](0);
  return original + (direction === 'original' ? 0 : counters[kind](1));
}

function amount(counters: ConnectionCounters, { mode, direction }: ConnbytesOptions): number {
  if (mode !== 'avgpkt') return sum(counters, mode, direction);
  const packets = sum(counters, 'packets', direction);
  return packets === 0 ? 0 : Math.floor(sum(counters, 'bytes', direction) / packets);
}

export const connbytes: MatchExtension<ConnbytesOptions> = {
  kind: 'match',
  name: 'connbytes',
  summary: 'how much the connection has carried so far',
  families: [4, 6],
  options: [option(true, '--connbytes'), option(false, '--connbytes-dir'), option(false, '--connbytes-mode')],
  parse(options, context) {
    for (const name of ['--connbytes', '--connbytes-dir', '--connbytes-mode'])
      requireOne(options, 'match connbytes', context, name);
    const range = find(options, '--connbytes');
    if (range === undefined) throw new RangeError('--connbytes');
    return {
      ...parseRange(range, context),
      mode: oneOf(find(options, '--connbytes-mode'), MODES, context),
      direction: oneOf(find(options, '--connbytes-dir'), DIRECTIONS, context),
    };
  },
  print: (options) => ` ${words(options, '--')}`,
  list: (options) => words(options, ''),
  compile(options) {
    const from = Number(options.from);
    const to = Number(options.to);
    return ({ connection }) => {
      if (connection?.counters === undefined) return false;
      const seen = amount(connection.counters, options);
      return to >= from ? seen <= to && seen >= from : seen < to || seen > from;
    };
  },
};
