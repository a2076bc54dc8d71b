/** `-m multiport`: up to 15 ports and ranges (kernel: net/netfilter/xt_multiport.c). */
import type { MatchExtension, ParseContext, Token } from '../extension.js';
import { formatPortRange, listPortRange, type PortRange, parsePort } from '../values/ports.js';
import { argument, bang, exclusive, option, requireOne } from './support.js';

export interface MultiportOptions {
  readonly which: 'sports' | 'dports' | 'ports';
  readonly negated: boolean;
  readonly ranges: readonly PortRange[];
}

/** A range takes two of the kernel's 15 places. */
const PLACES = 15;
const NAMES = ['--sports', '--dports', '--ports'] as const;

function parseRanges(token: Token, context: ParseContext): PortRange[] {
  const ranges = token.text.split(',').map((part) => {
    const colon = part.indexOf(':');
    const min = parsePort(colon < 0 ? part : part.slice(0, colon), token, context);
    const max = colon < 0 ? min : parsePort(part.slice(colon + 1), token, context);
    if (colon >= 0 && min >= max) {
      context.fail('RULES_BAD_PORT', `port range ${part} does not run upwards`, token, 'write the lower port first');
    }
    return { min, max };
  });
  const places = ranges.reduce((sum, range) => sum + (range.min === range.max ? 1 : 2), 0);
  if (places > PLACES) {
    const advice = 'split the rule (a range counts as two)';
    context.fail('RULES_TOO_MANY_PORTS', `${places} ports, and multiport takes ${PLACES}`, token, advice);
  }
  return ranges;
}

export const multiport: MatchExtension<MultiportOptions> = {
  kind: 'match',
  name: 'multiport',
  summary: 'lists of ports',
  families: [4, 6],
  protocols: [6, 17, 136, 132, 33],
  options: [
    option(true, '--sports', '--source-ports'),
    option(true, '--dports', '--destination-ports'),
    option(true, '--ports', '--port'),
  ],
  parse(options, context) {
    requireOne(options, 'match multiport', context, ...NAMES);
    exclusive(options, context, ...NAMES);
    const found = options[0];
    const which = NAMES.find((name) => name === found?.name);
    if (found === undefined || which === undefined) throw new RangeError('multiport without ports');
    const ranges = parseRanges(argument(found), context);
    return { which: which.slice(2) as MultiportOptions['which'], negated: found.negated, ranges };
  },
  print({ which, negated, ranges }) {
    return ` ${bang(negated)}--${which} ${ranges.map((range) => formatPortRange(range)).join(',')}`;
  },
  list({ which, negated, ranges }, _, names) {
    return `multiport ${which} ${negated ? ' !' : ''}${ranges.map((range) => listPortRange(range, names)).join(',')}`;
  },
  reads({ which, ranges }) {
    return {
      sourcePorts: which === 'dports' ? [] : ranges,
      destinationPorts: which === 'sports' ? [] : ranges,
    };
  },
  compile({ which, negated, ranges }) {
    const bounds = Uint16Array.from(ranges.flatMap(({ min, max }) => [min, max]));
    const source = which !== 'dports';
    const destination = which !== 'sports';
    return (packet) => {
      if (packet.fragmentOffset !== 0) return false;
      const { l4, view } = packet;
      if (packet.end - l4 < 4) {
        packet.hotDrop();
        return false;
      }
      const sport = view.getUint16(l4);
      const dport = view.getUint16(l4 + 2);
      for (let i = 0; i < bounds.length; i += 2) {
        const min = bounds[i] as number;
        const max = bounds[i + 1] as number;
        if (source && sport >= min && sport <= max) return !negated;
        if (destination && dport >= min && dport <= max) return !negated;
      }
      return negated;
    };
  },
};
