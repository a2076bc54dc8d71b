/** `-m length`: total length of the IP packet (kernel: net/netfilter/xt_length.c). */
import type { MatchExtension } from '../extension.js';
import { parseUnsigned } from '../values/numbers.js';
import { formatPortRange, type PortRange } from '../values/ports.js';
import { argument, bang, find, option, requireOne } from './support.js';

export interface LengthOptions extends PortRange {
  readonly negated: boolean;
}

export const length: MatchExtension<LengthOptions> = {
  kind: 'match',
  name: 'length',
  summary: 'length of the packet in bytes',
  families: [4, 6],
  options: [option(true, '--length')],
  parse(options, context) {
    requireOne(options, 'match length', context, '--length');
    const found = find(options, '--length');
    if (found === undefined) throw new RangeError('--length');
    const token = argument(found);
    const [low = '', high] = token.text.split(':', 2);
    const read = (text: string, missing: number): number => {
      if (text === '' && high !== undefined) return missing;
      const value = parseUnsigned(text, 65535);
      return (
        value ??
        context.fail(
          'RULES_BAD_NUMBER',
          `"${token.text}" is not a length (0-65535)`,
          token,
          'write it like 100 or 100:200',
        )
      );
    };
    const min = read(low, 0);
    return { negated: found.negated, min, max: high === undefined ? min : read(high, 65535) };
  },
  print(options) {
    return ` ${bang(options.negated)}--length ${formatPortRange(options)}`;
  },
  list(options) {
    return `length ${options.negated ? '!' : ''}${formatPortRange(options)}`;
  },
  compile({ negated, min, max }) {
    return ({ totalLength }) => (totalLength >= min && totalLength <= max) !== negated;
  },
};
