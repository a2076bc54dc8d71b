/** `-m ecn`: the ECN bits of IP and of TCP (RFC 3168; kernel: net/netfilter/xt_ecn.c). */
import { TCP_FLAGS, TCP_MIN_HEADER } from '../../packet/transport.js';
import type { MatchExtension, ParsedOption } from '../extension.js';
import { parseNumber } from '../values/ranges.js';
import { dsField } from './dsfield.js';
import { argument, bang, find, flag, option, requireOne } from './support.js';

export interface EcnOptions {
  /** Whether it is to be absent; undefined: not asked. */
  readonly ece: { readonly negated: boolean } | undefined;
  readonly cwr: { readonly negated: boolean } | undefined;
  readonly ect: { readonly negated: boolean; readonly value: number } | undefined;
}

export const TCP_ECE = 0x40;
export const TCP_CWR = 0x80;
const NAMES = ['--ecn-tcp-cwr', '--ecn-tcp-ece', '--ecn-ip-ect'] as const;

export const ecn: MatchExtension<EcnOptions> = {
  kind: 'match',
  name: 'ecn',
  summary: 'ECN bits of IP and TCP',
  families: [4, 6],
  options: [flag(true, NAMES[0]), flag(true, NAMES[1]), option(true, NAMES[2])],
  parse(options, context) {
    requireOne(options, 'match ecn', context, ...NAMES);
    const tcp = (name: string): ParsedOption | undefined => {
      const found = find(options, name);
      if (found !== undefined && (context.protocol !== 6 || context.protocolNegated))
        context.fail('RULES_WRONG_PROTOCOL', `${name} needs -p tcp`, found.token, 'name the protocol in the rule');
      return found;
    };
    const [cwr, ece] = [tcp('--ecn-tcp-cwr'), tcp('--ecn-tcp-ece')];
    const ect = find(options, '--ecn-ip-ect');
    return {
      ece: ece && { negated: ece.negated },
      cwr: cwr && { negated: cwr.negated },
      ect: ect && { negated: ect.negated, value: parseNumber(argument(ect), 0, 3, context) },
    };
  },
  print({ ece, cwr, ect }) {
    let text = ece === undefined ? '' : ` ${bang(ece.negated)}--ecn-tcp-ece`;
    if (cwr !== undefined) text += ` ${bang(cwr.negated)}--ecn-tcp-cwr`;
    if (ect !== undefined) text += ` ${bang(ect.negated)}--ecn-ip-ect ${ect.value}`;
    return text;
  },
  list({ ece, cwr, ect }) {
    let text = 'ECN match';
    if (ece !== undefined) text += ` ${ece.negated ? '!' : ''}ECE`;
    if (cwr !== undefined) text += ` ${cwr.negated ? '!' : ''}CWR`;
    if (ect !== undefined) text += ` ${ect.negated ? '!' : ''}ECT=${ect.value}`;
    return text;
  },
  compile({ ece, cwr, ect }) {
    const asksTcp = ece !== undefined || cwr !== undefined;
    return (packet) => {
      if (ect !== undefined && ((dsField(packet) & 3) === ect.value) === ect.negated) return false;
      if (!asksTcp) return true;
      const { view, l4, end } = packet;
      if (end - l4 < TCP_MIN_HEADER) return false;
      const flags = view.getUint8(l4 + TCP_FLAGS);
      if (ece !== undefined && ((flags & TCP_ECE) !== 0) === ece.negated) return false;
      return cwr === undefined || ((flags & TCP_CWR) !== 0) !== cwr.negated;
    };
  },
};
