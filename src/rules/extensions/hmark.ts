/** `-j HMARK`: a mark from a hash of the packet (kernel: net/netfilter/xt_HMARK.c). Parsed only. */
import type { ParseContext, ParsedOption, TargetExtension } from '../extension.js';
import { hex } from '../values/numbers.js';
import { MAX_32, parseNumber } from '../values/ranges.js';
import { find, option } from './support.js';

export interface HmarkOptions {
  /** Options with a number, in the order printed. */
  readonly numbers: ReadonlyMap<string, number>;
  /** By the original tuple of the connection. */
  readonly byConnection: boolean;
}

const MAX_16 = 0xffff;
/** Name, greatest value (a prefix length has its own), digits in hexadecimal when printed (0: decimal). */
const NUMBERS: readonly (readonly [name: string, max: number, digits: number])[] = [
  ['src-prefix', 0, 0],
  ['dst-prefix', 0, 0],
  ['sport-mask', MAX_16, 4],
  ['dport-mask', MAX_16, 4],
  ['spi-mask', MAX_32, 8],
  ['sport', MAX_16, 4],
  ['dport', MAX_16, 4],
  ['spi', MAX_32, 8],
  ['proto-mask', MAX_16, 1],
  ['rnd', MAX_32, 8],
  ['mod', MAX_32, 0],
  ['offset', MAX_32, 0],
];
const TUPLE: ReadonlyMap<string, string> = new Map([
  ['src', 'src-prefix'],
  ['dst', 'dst-prefix'],
  ['sport', 'sport-mask'],
  ['dport', 'dport-mask'],
  ['spi', 'spi-mask'],
  ['proto', 'proto-mask'],
]);

/** `src,dst,sport`: whole fields, as if their masks were given; `ct` by itself. */
function addTuple(found: ParsedOption, numbers: Map<string, number>, bits: number, context: ParseContext): boolean {
  let byConnection = false;
  const [token] = found.args;
  for (const word of (token?.text ?? '').split(',')) {
    const name = TUPLE.get(word);
    if (word === 'ct') byConnection = true;
    else if (name === undefined) {
      const advice = `fields are ${[...TUPLE.keys(), 'ct'].join(', ')}`;
      return context.fail('RULES_BAD_FIELD', `"${word}" is not a field to hash`, token, advice);
    } else numbers.set(name, name.endsWith('prefix') ? bits : name === 'spi-mask' ? MAX_32 : MAX_16);
  }
  return byConnection;
}

function checkSpi(numbers: ReadonlyMap<string, number>, context: ParseContext): void {
  const has = (...names: string[]): boolean => names.some((name) => numbers.has(name));
  if (has('spi', 'spi-mask') && has('sport', 'dport', 'sport-mask', 'dport-mask'))
    context.fail(
      'RULES_OPTIONS_EXCLUDE',
      'HMARK hashes either ports or an index of IPsec',
      undefined,
      'leave one of them out',
    );
}

export const hmark: TargetExtension<HmarkOptions> = {
  kind: 'target',
  name: 'HMARK',
  summary: 'a mark from a hash of the packet',
  support: 'parsed',
  families: [4, 6],
  options: [option(false, '--hmark-tuple'), ...NUMBERS.map(([name]) => option(false, `--hmark-${name}`))],
  parse(options, context) {
    const bits = context.family === 4 ? 32 : 128;
    const numbers = new Map<string, number>();
    const tuple = find(options, '--hmark-tuple');
    const byConnection = tuple !== undefined && addTuple(tuple, numbers, bits, context);
    for (const [name, max] of NUMBERS) {
      const found = find(options, `--hmark-${name}`);
      const token = found?.args[0];
      if (found === undefined || token === undefined) continue;
      if (numbers.has(name))
        context.fail(
          'RULES_DUPLICATE_OPTION',
          `${found.name} says what --hmark-tuple said`,
          found.token,
          'leave one out',
        );
      numbers.set(name, parseNumber(token, name === 'mod' ? 1 : 0, max === 0 ? bits : max, context));
    }
    for (const name of ['mod', 'rnd'])
      if (!numbers.has(name))
        context.fail('RULES_MISSING_OPTION', `HMARK needs --hmark-${name}`, undefined, `add --hmark-${name}`);
    if (numbers.size - (numbers.has('offset') ? 3 : 2) === 0 && !byConnection)
      context.fail('RULES_MISSING_OPTION', 'HMARK needs --hmark-tuple', undefined, 'add --hmark-tuple src,dst');
    checkSpi(numbers, context);
    return { numbers, byConnection };
  },
  print({ numbers, byConnection }) {
    let text = '';
    for (const [name, , digits] of NUMBERS) {
      const value = numbers.get(name);
      if (value === undefined) continue;
      text += ` --hmark-${name} ${digits === 0 ? value : `0x${value.toString(16).padStart(digits, '0')}`}`;
    }
    return byConnection ? `${text} --hmark-tuple ct` : text;
  },
  list({ numbers, byConnection }, family) {
    let text = `HMARK mod ${numbers.get('mod')} `;
    const offset = numbers.get('offset');
    if (offset !== undefined) text += `+ ${hex(offset)} `;
    if (byConnection) text += 'ct, ';
    for (const [name, , digits] of NUMBERS) {
      const value = numbers.get(name);
      if (value === undefined || name === 'mod' || name === 'offset') continue;
      // A full IPv6 prefix comes out empty.
      text += `${name} ${digits > 0 ? hex(value) : family === 6 && value === 128 ? '' : value} `;
    }
    return text;
  },
  compile: () => ({ kind: 'effect', apply() {} }),
};
