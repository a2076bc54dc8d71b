/** `-m osf`: the sender's operating system by its SYN (kernel: net/netfilter/xt_osf.c). Parsed only. */
import type { MatchExtension } from '../extension.js';
import { parseNumber } from '../values/ranges.js';
import { argument, bang, find, option, requireOne } from './support.js';

export interface OsfOptions {
  readonly negated: boolean;
  readonly genre: string;
  readonly ttl: number | undefined;
  readonly log: number | undefined;
}

/** Bytes that fit into the kernel's field. */
const MAX_GENRE = 31;

export const osf: MatchExtension<OsfOptions> = {
  kind: 'match',
  name: 'osf',
  summary: "the sender's operating system",
  support: 'parsed',
  families: [4],
  protocols: [6],
  hooks: ['INPUT', 'PREROUTING', 'FORWARD'],
  options: [option(true, '--genre'), option(false, '--ttl'), option(false, '--log')],
  parse(options, context) {
    requireOne(options, 'match osf', context, '--genre');
    const genre = find(options, '--genre');
    const number = (name: string): number | undefined => {
      const found = find(options, name);
      return found === undefined ? undefined : parseNumber(argument(found), 0, 2, context);
    };
    return {
      negated: genre?.negated ?? false,
      genre: (genre?.args[0]?.text ?? '').slice(0, MAX_GENRE),
      ttl: number('--ttl'),
      log: number('--log'),
    };
  },
  print({ negated, genre, ttl, log }) {
    let text = ` ${bang(negated)}--genre ${genre}`;
    if (ttl !== undefined) text += ` --ttl ${ttl}`;
    return log === undefined ? text : `${text} --log ${log}`;
  },
  list: ({ negated, genre }) => `OS fingerprint match ${bang(negated)}${genre}`,
  compile: () => () => false,
};
