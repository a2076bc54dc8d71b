/** ICMP types and codes by the names iptables has for them, and the match that icmp and icmp6 share. */
import type { MatchExtension, ParseContext, Token } from '../extension.js';
import { didYouMean } from '../nearest.js';
import { parseUnsigned } from '../values/numbers.js';
import { argument, bang, find, option, requireOne } from './support.js';

export interface IcmpOptions {
  readonly negated: boolean;
  readonly type: number;
  readonly minCode: number;
  readonly maxCode: number;
}

/** Name, type, code (every code without one). */
type NamedType = readonly [name: string, type: number, code?: number];

const HEADER = 8;

export const ICMP_TYPES: readonly NamedType[] = [
  ['any', 255],
  ['echo-reply', 0],
  ['pong', 0],
  ['destination-unreachable', 3],
  ['network-unreachable', 3, 0],
  ['host-unreachable', 3, 1],
  ['protocol-unreachable', 3, 2],
  ['port-unreachable', 3, 3],
  ['fragmentation-needed', 3, 4],
  ['source-route-failed', 3, 5],
  ['network-unknown', 3, 6],
  ['host-unknown', 3, 7],
  ['network-prohibited', 3, 9],
  ['host-prohibited', 3, 10],
  ['TOS-network-unreachable', 3, 11],
  ['TOS-host-unreachable', 3, 12],
  ['communication-prohibited', 3, 13],
  ['host-precedence-violation', 3, 14],
  ['precedence-cutoff', 3, 15],
  ['source-quench', 4],
  ['redirect', 5],
  ['network-redirect', 5, 0],
  ['host-redirect', 5, 1],
  ['TOS-network-redirect', 5, 2],
  ['TOS-host-redirect', 5, 3],
  ['echo-request', 8],
  ['ping', 8],
  ['router-advertisement', 9],
  ['router-solicitation', 10],
  ['time-exceeded', 11],
  ['ttl-exceeded', 11],
  ['ttl-zero-during-transit', 11, 0],
  ['ttl-zero-during-reassembly', 11, 1],
  ['parameter-problem', 12],
  ['ip-header-bad', 12, 0],
  ['required-option-missing', 12, 1],
  ['timestamp-request', 13],
  ['timestamp-reply', 14],
  ['address-mask-request', 17],
  ['address-mask-reply', 18],
];

export const ICMP6_TYPES: readonly NamedType[] = [
  ['destination-unreachable', 1],
  ['no-route', 1, 0],
  ['communication-prohibited', 1, 1],
  ['beyond-scope', 1, 2],
  ['address-unreachable', 1, 3],
  ['port-unreachable', 1, 4],
  ['failed-policy', 1, 5],
  ['reject-route', 1, 6],
  ['packet-too-big', 2],
  ['time-exceeded', 3],
  ['ttl-exceeded', 3],
  ['ttl-zero-during-transit', 3, 0],
  ['ttl-zero-during-reassembly', 3, 1],
  ['parameter-problem', 4],
  ['bad-header', 4, 0],
  ['unknown-header-type', 4, 1],
  ['unknown-option', 4, 2],
  ['echo-request', 128],
  ['ping', 128],
  ['echo-reply', 129],
  ['pong', 129],
  ['mld-listener-query', 130],
  ['mld-listener-report', 131],
  ['mld-listener-done', 132],
  ['mld-listener-reduction', 132],
  ['router-solicitation', 133],
  ['router-advertisement', 134],
  ['neighbour-solicitation', 135],
  ['neighbor-solicitation', 135],
  ['neighbour-advertisement', 136],
  ['neighbor-advertisement', 136],
  ['redirect', 137],
];

/** `3`, `3/4` or a name, which may be cut short as long as it stays unambiguous. */
function parseType(token: Token, types: readonly NamedType[], context: ParseContext): Omit<IcmpOptions, 'negated'> {
  const lower = token.text.toLowerCase();
  const named = lower === '' ? [] : types.filter(([name]) => name.toLowerCase().startsWith(lower));
  const exact = named.find(([name]) => name.toLowerCase() === lower);
  const found = exact ?? named[0];
  if (found !== undefined) {
    const other = named[1];
    if (exact === undefined && other !== undefined) {
      context.fail(
        'RULES_BAD_ICMP_TYPE',
        `ICMP type "${token.text}" could be ${found[0]} or ${other[0]}`,
        token,
        'write it in full',
      );
    }
    const [, type, code] = found;
    return { type, minCode: code ?? 0, maxCode: code ?? 255 };
  }
  const [typeText = '', codeText] = token.text.split('/', 2);
  const type = parseUnsigned(typeText, 255);
  const code = codeText === undefined ? undefined : parseUnsigned(codeText, 255);
  if (type === undefined || (codeText !== undefined && code === undefined)) {
    const names = types.map(([name]) => name);
    const advice = didYouMean(token.text, names, 'write a name, a type (0-255) or type/code');
    return context.fail('RULES_BAD_ICMP_TYPE', `"${token.text}" is not an ICMP type`, token, advice);
  }
  return { type, minCode: code ?? 0, maxCode: code ?? 255 };
}

/** Whether a named type (its number and code) is exactly this one. */
function isType([, number, code]: NamedType, type: number, minCode: number, maxCode: number): boolean {
  return number === type && minCode === (code ?? 0) && maxCode === (code ?? 255);
}

/** Builds the match for one of the two protocols; `any` is the type that stands for every type, if there is one. */
export function icmpMatch(parts: {
  readonly name: string;
  readonly family: 4 | 6;
  readonly protocol: number;
  readonly option: string;
  readonly types: readonly NamedType[];
  readonly any: number | undefined;
  readonly listed: string;
}): MatchExtension<IcmpOptions> {
  const { any, types } = parts;
  return {
    kind: 'match',
    name: parts.name,
    summary: 'ICMP type and code',
    families: [parts.family],
    protocols: [parts.protocol],
    options: [option(true, parts.option)],
    parse(options, context) {
      requireOne(options, `match ${parts.name}`, context, parts.option);
      const found = find(options, parts.option);
      if (found === undefined) throw new RangeError(parts.option);
      return { negated: found.negated, ...parseType(argument(found), types, context) };
    },
    print({ negated, type, minCode, maxCode }) {
      const code = minCode === maxCode && type !== any ? `/${minCode}` : '';
      return ` ${bang(negated)}${parts.option} ${type === any ? 'any' : type}${code}`;
    },
    list({ negated, type, minCode, maxCode }, _, names) {
      const named = types.find((candidate) => isType(candidate, type, minCode, maxCode));
      if (names !== undefined && named !== undefined) return `${parts.listed} ${negated ? '!' : ''}${named[0]}`;
      const code = minCode === maxCode ? ` code ${minCode}` : '';
      return `${parts.listed}${negated ? ' !' : ''}type ${type}${code}`;
    },
    compile({ negated, type, minCode, maxCode }) {
      return (packet) => {
        if (packet.fragmentOffset !== 0) return false;
        const { bytes, l4 } = packet;
        if (packet.end - l4 < HEADER) {
          packet.hotDrop();
          return false;
        }
        if (type === any) return !negated;
        const code = bytes[l4 + 1] as number;
        return ((bytes[l4] as number) === type && code >= minCode && code <= maxCode) !== negated;
      };
    },
  };
}
