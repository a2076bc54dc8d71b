/** `-m tcpmss`: the MSS option of TCP (kernel: net/netfilter/xt_tcpmss.c). */
import { TCP_DATA_OFFSET, TCP_MIN_HEADER } from '../../packet/transport.js';
import type { MatchExtension } from '../extension.js';
import { formatRange, type NumberRange, parseNumberRange } from '../values/ranges.js';
import { argument, bang, option, requireOne } from './support.js';

export interface TcpmssOptions extends NumberRange {
  readonly negated: boolean;
}

export const TCPOPT_MSS = 2;
export const TCPOLEN_MSS = 4;

/**
 * Where the MSS option lies in the header from `tcp` to `end`, -1 without one. Only one of the right length counts; a
 * length byte of 0 is taken for 1.
 */
export function findMss(view: DataView, tcp: number, end: number): number {
  for (let at = tcp + TCP_MIN_HEADER; at < end; ) {
    const kind = view.getUint8(at);
    if (kind === TCPOPT_MSS && end - at >= TCPOLEN_MSS && view.getUint8(at + 1) === TCPOLEN_MSS) return at;
    if (kind < 2 || at + 1 >= end) at++;
    else at += view.getUint8(at + 1) || 1;
  }
  return -1;
}

export const tcpmss: MatchExtension<TcpmssOptions> = {
  kind: 'match',
  name: 'tcpmss',
  summary: "TCP's maximum segment size, as its option states it",
  families: [4, 6],
  protocols: [6],
  options: [option(true, '--mss')],
  parse(options, context) {
    requireOne(options, 'match tcpmss', context, '--mss');
    const [found] = options;
    if (found === undefined) throw new RangeError('--mss');
    const range = parseNumberRange(argument(found), 65535, context);
    if (range.min > range.max)
      context.fail('RULES_BAD_NUMBER', `range ${formatRange(range)} runs backwards`, argument(found), 'swap its ends');
    return { negated: found.negated, ...range };
  },
  print: (options) => ` ${bang(options.negated)}--mss ${formatRange(options)}`,
  list: (options) => `tcpmss match ${options.negated ? '!' : ''}${formatRange(options)}`,
  compile({ negated, min, max }) {
    return (packet) => {
      const { view, l4, end } = packet;
      const length = end - l4 < TCP_MIN_HEADER ? 0 : (view.getUint8(l4 + TCP_DATA_OFFSET) >> 4) * 4;
      if (length < TCP_MIN_HEADER || end - l4 < length) {
        packet.hotDrop();
        return false;
      }
      const at = findMss(view, l4, l4 + length);
      if (at < 0) return negated;
      const mss = view.getUint16(at + 2);
      return (mss >= min && mss <= max) !== negated;
    };
  },
};
