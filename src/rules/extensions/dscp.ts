/** `-m dscp`: the upper six bits of TOS or traffic class (kernel: net/netfilter/xt_dscp.c). */
import type { MatchExtension } from '../extension.js';
import { formatDscp, parseDscp } from './dscp-values.js';
import { dsField } from './dsfield.js';
import { bang, exclusive, option, requireOne } from './support.js';

export interface DscpOptions {
  readonly negated: boolean;
  readonly value: number;
}

export const dscp: MatchExtension<DscpOptions> = {
  kind: 'match',
  name: 'dscp',
  summary: 'DiffServ code point, by value or class',
  families: [4, 6],
  options: [option(true, '--dscp'), option(true, '--dscp-class')],
  parse(options, context) {
    requireOne(options, 'match dscp', context, '--dscp', '--dscp-class');
    exclusive(options, context, '--dscp', '--dscp-class');
    const [found] = options;
    if (found === undefined) throw new RangeError('--dscp');
    return { negated: found.negated, value: parseDscp(found, context) };
  },
  print: ({ negated, value }) => ` ${bang(negated)}--dscp ${formatDscp(value)}`,
  list: ({ negated, value }) => `DSCP match ${negated ? '!' : ''}${formatDscp(value)}`,
  compile({ negated, value }) {
    return (packet) => (dsField(packet) >> 2 === value) !== negated;
  },
};
