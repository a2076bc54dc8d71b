/** `-m string`: a pattern of bytes anywhere in the packet, IP header included (kernel: net/netfilter/xt_string.c). */
import type { MatchExtension, ParsedOption } from '../extension.js';
import { parseNumber } from '../values/ranges.js';
import { formatPattern, needsHex, parseHexString, parseString } from './string-pattern.js';
import { argument, bang, exclusive, find, flag, has, option, requireOne } from './support.js';

export interface StringOptions {
  readonly negated: boolean;
  readonly pattern: Uint8Array;
  readonly algorithm: string;
  /** Where the pattern may begin and must end, in bytes from the IP header. */
  readonly from: number;
  readonly to: number;
  readonly ignoreCase: boolean;
}

const ALGORITHMS = ['bm', 'kmp'];
const FARTHEST = 65535;

/** The kernel's toupper, which goes by Latin-1. */
function upper(byte: number): number {
  const small = (byte >= 0x61 && byte <= 0x7a) || (byte >= 0xdf && byte !== 0xf7);
  return small ? byte - 0x20 : byte;
}

const UPPER = Uint8Array.from({ length: 256 }, (_, byte) => upper(byte));

function contains(bytes: Uint8Array, start: number, end: number, pattern: Uint8Array): boolean {
  const last = end - pattern.length;
  for (let at = start; at <= last; at++) {
    let k = 0;
    while (k < pattern.length && UPPER[bytes[at + k] as number] === pattern[k]) k++;
    if (k === pattern.length) return true;
  }
  return false;
}

export const string: MatchExtension<StringOptions> = {
  kind: 'match',
  name: 'string',
  summary: 'a pattern of bytes in the packet',
  families: [4, 6],
  options: [
    option(false, '--algo'),
    option(false, '--from'),
    option(false, '--to'),
    option(true, '--string'),
    option(true, '--hex-string'),
    flag(false, '--icase'),
  ],
  parse(options, context) {
    requireOne(options, 'match string', context, '--algo');
    requireOne(options, 'match string', context, '--string', '--hex-string');
    exclusive(options, context, '--string', '--hex-string');
    const text = find(options, '--string');
    const found = text ?? find(options, '--hex-string');
    const algorithm = find(options, '--algo')?.args[0];
    if (found === undefined || algorithm === undefined) throw new RangeError('--string');
    if (!ALGORITHMS.includes(algorithm.text))
      context.fail('RULES_BAD_ALGORITHM', `"${algorithm.text}" is not a way to search`, algorithm, 'bm or kmp');
    const bound = (option: ParsedOption | undefined, missing: number): number =>
      option === undefined ? missing : parseNumber(argument(option), 0, FARTHEST, context);
    const from = bound(find(options, '--from'), 0);
    const to = bound(find(options, '--to'), FARTHEST);
    if (from > to)
      context.fail(
        'RULES_BAD_NUMBER',
        `--from ${from} lies behind --to ${to}`,
        find(options, '--to')?.token,
        'swap them',
      );
    const token = argument(found);
    return {
      negated: found.negated,
      pattern: text === undefined ? parseHexString(token, context) : parseString(token, context),
      algorithm: algorithm.text,
      from,
      to,
      ignoreCase: has(options, '--icase'),
    };
  },
  print({ negated, pattern, algorithm, from, to, ignoreCase }) {
    let text = ` ${bang(negated)}--${needsHex(pattern) ? 'hex-' : ''}string ${formatPattern(pattern)} --algo ${algorithm}`;
    if (from !== 0) text += ` --from ${from}`;
    if (to !== FARTHEST) text += ` --to ${to}`;
    return ignoreCase ? `${text} --icase` : text;
  },
  list({ negated, pattern, algorithm, from, to, ignoreCase }) {
    let text = `STRING match ${negated ? '!' : ''} ${formatPattern(pattern)} ALGO name ${algorithm}`;
    if (from !== 0) text += ` FROM ${from}`;
    if (to !== FARTHEST) text += ` TO ${to}`;
    return ignoreCase ? `${text} ICASE` : text;
  },
  compile({ negated, pattern, from, to, ignoreCase }) {
    const wanted = Buffer.from(pattern);
    const wantedUpper = pattern.map(upper);
    return ({ bytes, l3, end }) => {
      const stop = Math.min(end, l3 + to);
      if (ignoreCase) return contains(bytes, l3 + from, stop, wantedUpper) !== negated;
      // Views of the same bytes: nothing is copied.
      const text = Buffer.from(bytes.buffer as ArrayBuffer, bytes.byteOffset + l3, Math.max(0, stop - l3));
      return text.indexOf(wanted, from) >= 0 !== negated;
    };
  },
};
