/**
 * `-j NFQUEUE` and its forerunner `-j QUEUE`: a program of the host decides (kernel: net/netfilter/xt_NFQUEUE.c). It is taken to
 * accept every packet as it is, and the packet says so (`queued`).
 */
import type { ParseContext, ParsedOption, TargetExtension } from '../extension.js';
import { parseNumber } from '../values/ranges.js';
import { argument, exclusive, find, flag, has, option } from './support.js';

export interface NfqueueOptions {
  readonly first: number;
  /** The queue itself where it is not one of several. */
  readonly last: number;
  readonly bypass: boolean;
  readonly cpuFanout: boolean;
}

const MAX = 65535;

function parseBalance(found: ParsedOption, context: ParseContext): { first: number; last: number } {
  const token = argument(found);
  const [low = '', high = '', ...more] = token.text.split(':');
  const number = (text: string): number => parseNumber({ ...token, text }, 0, MAX, context);
  const bad = (): never =>
    context.fail(
      'RULES_BAD_NUMBER',
      `"${token.text}" is not a range of queues`,
      token,
      'write it like 0:3, lower number first',
    );
  if (more.length > 0 || high === '') bad();
  const [first, last] = [number(low), number(high)];
  // All 65,536 are one too many for the kernel's count of them.
  return first >= last || last - first === MAX ? bad() : { first, last };
}

export const nfqueue: TargetExtension<NfqueueOptions> = {
  kind: 'target',
  name: 'NFQUEUE',
  summary: 'asks a program of the host, which is taken to accept',
  families: [4, 6],
  options: [
    option(false, '--queue-num'),
    option(false, '--queue-balance'),
    flag(false, '--queue-bypass'),
    flag(false, '--queue-cpu-fanout'),
  ],
  parse(options, context) {
    exclusive(options, context, '--queue-num', '--queue-balance');
    const number = find(options, '--queue-num');
    const balance = find(options, '--queue-balance');
    const fanout = find(options, '--queue-cpu-fanout');
    if (fanout !== undefined && balance === undefined)
      context.fail(
        'RULES_MISSING_OPTION',
        '--queue-cpu-fanout needs --queue-balance',
        fanout.token,
        'add --queue-balance',
      );
    const queue = number === undefined ? 0 : parseNumber(argument(number), 0, MAX, context);
    const range = balance === undefined ? { first: queue, last: queue } : parseBalance(balance, context);
    return { ...range, bypass: has(options, '--queue-bypass'), cpuFanout: fanout !== undefined };
  },
  print: ({ first, last, bypass, cpuFanout }) => {
    const queue = first === last ? ` --queue-num ${first}` : ` --queue-balance ${first}:${last}`;
    return `${queue}${bypass ? ' --queue-bypass' : ''}${cpuFanout ? ' --queue-cpu-fanout' : ''}`;
  },
  list: ({ first, last, bypass, cpuFanout }) => {
    const queue = first === last ? `num ${first}` : `balance ${first}:${last}`;
    return `NFQUEUE ${queue}${bypass ? ' bypass' : ''}${cpuFanout ? ' cpu-fanout' : ''}`;
  },
  compile: () => ({ kind: 'accept', queued: true }),
};

export const queue: TargetExtension<undefined> = {
  kind: 'target',
  name: 'QUEUE',
  summary: 'asks a program of the host, which is taken to accept',
  families: [4, 6],
  options: [],
  parse: () => undefined,
  print: () => '',
  list: () => '',
  compile: () => ({ kind: 'accept', queued: true }),
};
