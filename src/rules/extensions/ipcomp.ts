/** `-m ipcomp`: compression parameter index of IPComp (RFC 3173; kernel: net/netfilter/xt_ipcomp.c). */
import type { MatchExtension } from '../extension.js';
import { inRange, listRange, MAX_32 } from '../values/ranges.js';
import { parseSpis, printSpis, type SpiOptions } from './spis.js';
import { find, flag, has, option } from './support.js';

export interface IpcompOptions extends SpiOptions {
  /** `--compres`, which the kernel does not look at. */
  readonly reserved: boolean;
}

const HEADER = 4;

export const ipcomp: MatchExtension<IpcompOptions> = {
  kind: 'match',
  name: 'ipcomp',
  summary: 'compression parameter index of IPComp',
  families: [4, 6],
  protocols: [108],
  options: [option(true, '--ipcompspi'), flag(false, '--compres')],
  parse(options, context) {
    const spis = parseSpis(options, '--ipcompspi', context);
    // Without the option it is index 0 that iptables asks for.
    const range = find(options, '--ipcompspi') === undefined ? { min: 0, max: 0 } : spis.range;
    return { negated: spis.negated, range, reserved: has(options, '--compres') };
  },
  print: (options) => `${printSpis('--ipcompspi', options)}${options.reserved ? ' --compres' : ''}`,
  list({ range, negated, reserved }) {
    return `comp ${listRange('spi', range, negated, MAX_32)}${reserved ? ' reserved' : ''}`;
  },
  compile({ range, negated }) {
    return (packet) => {
      if (packet.fragmentOffset !== 0) return false;
      if (packet.end - packet.l4 < HEADER) {
        packet.hotDrop();
        return false;
      }
      return inRange(packet.view.getUint16(packet.l4 + 2), range) !== negated;
    };
  },
};
