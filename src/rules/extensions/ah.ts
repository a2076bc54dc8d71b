/** `-m ah`: the authentication header (kernel: net/ipv4/netfilter/ipt_ah.c, net/ipv6/netfilter/ip6t_ah.c). */
import { NEXTHDR_AUTH } from '../../packet/ipv6.js';
import type { MatchExtension } from '../extension.js';
import { inRange, listRange, MAX_32, parseNumber } from '../values/ranges.js';
import { findHeader, headerLength } from './ipv6-headers.js';
import { parseSpis, printSpis, type SpiOptions } from './spis.js';
import { argument, bang, find, flag, has, option } from './support.js';

export interface AhOptions extends SpiOptions {
  /** IPv6 only, in bytes; 0: any. */
  readonly length: { readonly negated: boolean; readonly value: number };
  readonly reserved: boolean;
}

const HEADER = 12;
const RESERVED = 2;

export const ah: MatchExtension<AhOptions> = {
  kind: 'match',
  name: 'ah',
  summary: 'security parameter index of AH; IPv6: its length and reserved field',
  families: [4, 6],
  options: [option(true, '--ahspi'), option(true, '--ahlen'), flag(false, '--ahres')],
  parse(options, context) {
    if (context.family === 4) {
      if (context.protocol !== NEXTHDR_AUTH || context.protocolNegated)
        context.fail('RULES_WRONG_PROTOCOL', 'match ah needs -p ah', undefined, 'name the protocol in the rule');
      const other = find(options, '--ahlen') ?? find(options, '--ahres');
      if (other !== undefined)
        context.fail('RULES_UNKNOWN_OPTION', `${other.name} is not for IPv4`, other.token, 'use it in IPv6 rules');
    }
    const length = find(options, '--ahlen');
    return {
      ...parseSpis(options, '--ahspi', context),
      length: {
        negated: length?.negated ?? false,
        value: length === undefined ? 0 : parseNumber(argument(length), 0, MAX_32, context),
      },
      reserved: has(options, '--ahres'),
    };
  },
  print({ length, reserved, ...spis }) {
    let text = printSpis('--ahspi', spis);
    if (length.value !== 0 || length.negated) text += ` ${bang(length.negated)}--ahlen ${length.value}`;
    return reserved ? `${text} --ahres` : text;
  },
  list({ range, negated, length, reserved }) {
    let text = `ah ${listRange('spi', range, negated, MAX_32)}`;
    if (length.value !== 0 || length.negated) text += `length:${length.negated ? '!' : ''}${length.value}`;
    return reserved ? `${text} reserved` : text;
  },
  compile({ range, negated, length, reserved }, { family }) {
    if (family === 4) {
      return (packet) => {
        if (packet.fragmentOffset !== 0) return false;
        if (packet.end - packet.l4 < HEADER) {
          packet.hotDrop();
          return false;
        }
        return inRange(packet.view.getUint32(packet.l4 + 4), range) !== negated;
      };
    }
    return (packet) => {
      const at = findHeader(packet, NEXTHDR_AUTH, HEADER);
      if (at < 0) return false;
      const { view } = packet;
      if (inRange(view.getUint32(at + 4), range) === negated) return false;
      if (length.value !== 0 && (headerLength(view, at, NEXTHDR_AUTH) === length.value) === length.negated)
        return false;
      return !reserved || view.getUint16(at + RESERVED) === 0;
    };
  },
};
