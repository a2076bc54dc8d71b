/** `-j DSCP`: sets the upper six bits of TOS or traffic class (kernel: net/netfilter/xt_DSCP.c). */
import type { TargetExtension } from '../extension.js';
import { formatDscp, parseDscp } from './dscp-values.js';
import { dsField, setDsField } from './dsfield.js';
import { exclusive, option, requireOne } from './support.js';

export const dscpTarget: TargetExtension<number> = {
  kind: 'target',
  name: 'DSCP',
  summary: 'sets the DiffServ code point',
  families: [4, 6],
  tables: ['mangle'],
  options: [option(false, '--set-dscp'), option(false, '--set-dscp-class')],
  parse(options, context) {
    requireOne(options, 'DSCP', context, '--set-dscp', '--set-dscp-class');
    exclusive(options, context, '--set-dscp', '--set-dscp-class');
    const [found] = options;
    if (found === undefined) throw new RangeError('--set-dscp');
    return parseDscp(found, context);
  },
  print: (value) => ` --set-dscp ${formatDscp(value)}`,
  list: (value) => `DSCP set ${formatDscp(value)}`,
  compile: (value) => ({
    kind: 'effect',
    apply(packet) {
      const field = dsField(packet);
      if (field >> 2 !== value) setDsField(packet, (field & 0x03) | (value << 2));
    },
  }),
};
