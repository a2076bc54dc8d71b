/** `-m srh`: the segment routing header (RFC 8754; kernel: net/ipv6/netfilter/ip6t_srh.c). Parsed only. */
import type { MatchExtension, ParsedOption } from '../extension.js';
import type { AddressMatch } from '../types.js';
import { applyMask, formatNetwork, parseNetwork } from '../values/addresses.js';
import { parseNumber } from '../values/ranges.js';
import { argument, bang, find, option } from './support.js';

export interface SrhOptions {
  /** Tests of numbers, in the order printed. Tests of one field share their value, the one given last. */
  readonly numbers: readonly { readonly name: string; readonly negated: boolean; readonly value: number }[];
  /** Previous, next and last segment. */
  readonly segments: readonly { readonly name: string; readonly network: AddressMatch }[];
}

const FIELDS: readonly (readonly [field: string, tests: readonly string[], max: number])[] = [
  ['next-hdr', [''], 255],
  ['hdr-len', ['-eq', '-gt', '-lt'], 255],
  ['segs-left', ['-eq', '-gt', '-lt'], 255],
  ['last-entry', ['-eq', '-gt', '-lt'], 255],
  ['tag', [''], 65535],
];
const SEGMENTS = ['psid', 'nsid', 'lsid'];

export const srh: MatchExtension<SrhOptions> = {
  kind: 'match',
  name: 'srh',
  summary: 'the segment routing header',
  support: 'parsed',
  families: [6],
  options: [
    ...FIELDS.flatMap(([field, tests]) => tests.map((test) => option(true, `--srh-${field}${test}`))),
    ...SEGMENTS.map((name) => option(true, `--srh-${name}`)),
  ],
  parse(options, context) {
    const numbers = FIELDS.flatMap(([field, tests, max]) => {
      const names = tests.map((test) => `${field}${test}`);
      const given = options.filter(({ name }) => names.includes(name.slice(6)));
      const values = given.map((found) => parseNumber(argument(found), 0, max, context));
      const value = values.at(-1) ?? 0;
      return names.flatMap((name) => {
        const found = find(options, `--srh-${name}`);
        return found === undefined ? [] : [{ name, negated: found.negated, value }];
      });
    });
    const network = (found: ParsedOption): AddressMatch => {
      const token = argument(found);
      const parsed = parseNetwork(token.text, 6);
      if ('wrong' in parsed)
        return context.fail(
          'RULES_BAD_ADDRESS',
          `"${token.text}" is not an IPv6 address`,
          token,
          'write it like fd00::/64',
        );
      return { negated: found.negated, address: applyMask(parsed.address, parsed.mask), mask: parsed.mask };
    };
    const segments = SEGMENTS.flatMap((name) => {
      const found = find(options, `--srh-${name}`);
      return found === undefined ? [] : [{ name, network: network(found) }];
    });
    return { numbers, segments };
  },
  print({ numbers, segments }, family) {
    const parts = numbers.map(({ name, negated, value }) => ` ${bang(negated)}--srh-${name} ${value}`);
    for (const { name, network } of segments)
      parts.push(` ${bang(network.negated)}--srh-${name} ${formatNetwork(family, network)}`);
    return parts.join('');
  },
  list({ numbers, segments }, family) {
    const parts = numbers.map(({ name, negated, value }) => ` ${name}:${negated ? '!' : ''}${value}`);
    for (const { name, network } of segments)
      parts.push(` ${name} ${network.negated ? '!' : ''} ${formatNetwork(family, network)}`);
    return `srh${parts.join('')}`;
  },
  compile: () => () => false,
};
