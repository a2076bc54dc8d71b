/** `-j SYNPROXY`: answers SYNs for the machine behind (kernel: net/netfilter/nf_synproxy_core.c). Parsed only. */
import type { TargetExtension } from '../extension.js';
import { parseNumber } from '../values/ranges.js';
import { argument, find, flag, has, option } from './support.js';

export interface SynproxyOptions {
  readonly sackPerm: boolean;
  readonly timestamp: boolean;
  readonly wscale: number | undefined;
  readonly mss: number | undefined;
  readonly ecn: boolean;
}

function inWords({ sackPerm, timestamp, wscale, mss, ecn }: SynproxyOptions, lead: string): string[] {
  const words = sackPerm ? [`${lead}sack-perm`] : [];
  if (timestamp) words.push(`${lead}timestamp`);
  if (wscale !== undefined) words.push(`${lead}wscale ${wscale}`);
  if (mss !== undefined) words.push(`${lead}mss ${mss}`);
  if (ecn) words.push(`${lead}ecn`);
  return words;
}

export const synproxy: TargetExtension<SynproxyOptions> = {
  kind: 'target',
  name: 'SYNPROXY',
  summary: 'answers SYNs for the machine behind',
  support: 'parsed',
  families: [4, 6],
  protocols: [6],
  hooks: ['INPUT', 'FORWARD'],
  options: [
    option(false, '--wscale'),
    option(false, '--mss'),
    flag(false, '--sack-perm'),
    flag(false, '--timestamp'),
    flag(false, '--ecn'),
  ],
  parse(options, context) {
    // iptables keeps the low bits of what is too large.
    const number = (name: string, mask: number): number | undefined => {
      const found = find(options, name);
      return found === undefined ? undefined : parseNumber(argument(found), 0, 0xffffffff, context) & mask;
    };
    return {
      sackPerm: has(options, '--sack-perm'),
      timestamp: has(options, '--timestamp'),
      wscale: number('--wscale', 0xff),
      mss: number('--mss', 0xffff),
      ecn: has(options, '--ecn'),
    };
  },
  print: (options) =>
    inWords(options, '--')
      .map((word) => ` ${word}`)
      .join(''),
  list: (options) => ['SYNPROXY', ...inWords(options, ''), ''].join(' '),
  compile: () => ({ kind: 'drop' }),
};
