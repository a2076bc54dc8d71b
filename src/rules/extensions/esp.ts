/** `-m esp`: security parameter index of ESP (kernel: net/netfilter/xt_esp.c). */
import type { MatchExtension } from '../extension.js';
import { inRange, listRange, MAX_32 } from '../values/ranges.js';
import { parseSpis, printSpis, type SpiOptions } from './spis.js';
import { option } from './support.js';

const HEADER = 8;

export const esp: MatchExtension<SpiOptions> = {
  kind: 'match',
  name: 'esp',
  summary: 'security parameter index of ESP',
  families: [4, 6],
  protocols: [50],
  options: [option(true, '--espspi')],
  parse: (options, context) => parseSpis(options, '--espspi', context),
  print: (options) => printSpis('--espspi', options),
  list({ range, negated }) {
    const text = listRange('spi', range, negated, MAX_32);
    return text === '' ? 'esp' : `esp ${text}`;
  },
  compile({ range, negated }) {
    return (packet) => {
      if (packet.fragmentOffset !== 0) return false;
      if (packet.end - packet.l4 < HEADER) {
        packet.hotDrop();
        return false;
      }
      return inRange(packet.view.getUint32(packet.l4), range) !== negated;
    };
  },
};
