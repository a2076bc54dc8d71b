/** How cost grows: the same measurement with more rules in front of those that matter. */
import { NatreplayError } from '../errors.js';
import { parseRules } from '../rules/parse.js';
import { printRules } from '../rules/print.js';
import type { Ruleset } from '../rules/types.js';
import type { Subject } from './subject.js';

export interface Sweep {
  readonly of: 'rules';
  readonly values: readonly number[];
}

const UNITS: Readonly<Record<string, number>> = { '': 1, k: 1e3, M: 1e6 };
const MOST_RULES = 1_000_000;

/** `rules=1..100k`: powers of ten from the one to the other, and both ends. Undefined when it is nothing of the kind. */
export function parseSweep(text: string): Sweep | undefined {
  const match = /^rules=(\d+)([kM]?)\.\.(\d+)([kM]?)$/.exec(text);
  if (match === null) return undefined;
  const [from, to] = [Number(match[1]) * (UNITS[match[2] ?? ''] ?? 1), Number(match[3]) * (UNITS[match[4] ?? ''] ?? 1)];
  if (from < 1 || to < from || to > MOST_RULES) return undefined;
  const values = [from];
  for (let power = 10 ** (Math.floor(Math.log10(from)) + 1); power < to; power *= 10) values.push(power);
  if (to > from) values.push(to);
  return { of: 'rules', values };
}

/**
 * The rule set with so many more rules at the head of the nat table's PREROUTING chain: published ports of an address that
 * no packet has (240.0.0.0/4 is reserved), each of which a first packet is held against in vain.
 */
export function withRules(subject: Subject, count: number): Subject {
  return { ...subject, rules: lengthened(subject.rules, count) };
}

function lengthened(ruleset: Ruleset | undefined, count: number): Ruleset {
  const added = Array.from({ length: count }, (_, k) => {
    const host = `240.${(k >>> 16) & 0xff}.${(k >>> 8) & 0xff}.${k & 0xff}`;
    return `-A PREROUTING -d ${host}/32 -p tcp -m tcp --dport ${1024 + (k % 60_000)} -j DNAT --to-destination 10.255.0.1:80`;
  });
  const text = ruleset === undefined ? '' : printRules(ruleset);
  const lines = text.split('\n');
  const nat = lines.indexOf('*nat');
  if (nat < 0)
    return parseRules(`*nat\n:PREROUTING ACCEPT [0:0]\n${added.join('\n')}\nCOMMIT\n${text}`, {
      file: ruleset?.file ?? 'sweep',
      family: 4,
      unsupported: 'skip',
    });
  const first = lines.findIndex((line, k) => k > nat && (line.startsWith('-') || line === 'COMMIT'));
  if (first < 0) throw new NatreplayError('BENCH_NO_TABLE', 'the nat table has no end', { file: ruleset?.file });
  const longer = [...lines.slice(0, first), ...added, ...lines.slice(first)].join('\n');
  return parseRules(longer, { file: ruleset?.file ?? 'sweep', family: 4, unsupported: 'skip' });
}
