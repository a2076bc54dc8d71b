/** `-j NOTRACK` and `-j CT --notrack`: connection tracking passes the packet over (kernel: net/netfilter/xt_CT.c). */
import type { TargetExtension } from '../extension.js';
import { flag, has, option } from './support.js';

export const notrack: TargetExtension<undefined> = {
  kind: 'target',
  name: 'NOTRACK',
  summary: 'takes the packet out of connection tracking',
  families: [4, 6],
  tables: ['raw'],
  hooks: ['PREROUTING', 'OUTPUT'],
  options: [],
  listName: 'CT',
  parse: () => undefined,
  print: () => '',
  list: () => 'NOTRACK',
  compile: () => ({ kind: 'notrack' }),
};

export const ct: TargetExtension<undefined> = {
  kind: 'target',
  name: 'CT',
  summary: 'takes the packet out of connection tracking (--notrack)',
  families: [4, 6],
  tables: ['raw'],
  hooks: ['PREROUTING', 'OUTPUT'],
  options: [
    flag(false, '--notrack'),
    option(false, '--helper'),
    option(false, '--timeout'),
    option(false, '--ctevents'),
    option(false, '--expevents'),
    option(false, '--zone'),
    option(false, '--zone-orig'),
    option(false, '--zone-reply'),
  ],
  parse(options, context) {
    const other = options.find(({ name }) => name !== '--notrack');
    if (other !== undefined) context.unsupported(`target CT ${other.name}`, other.token);
    if (!has(options, '--notrack')) context.unsupported('target CT without --notrack', undefined);
    return undefined;
  },
  print: () => ' --notrack',
  list: () => 'CT notrack',
  compile: () => ({ kind: 'notrack' }),
};
