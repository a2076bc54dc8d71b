/** `-j LOG`: writes to the kernel's log; the packet goes on (kernel: net/netfilter/xt_LOG.c). */
import type { ParseContext, ParsedOption, TargetExtension } from '../extension.js';
import { didYouMean } from '../nearest.js';
import { parseUnsigned } from '../values/numbers.js';
import { quote } from '../values/strings.js';
import { argument, find, flag, has, option } from './support.js';

export interface LogOptions {
  readonly prefix: string;
  readonly level: number;
  /** XT_LOG_* bits. */
  readonly flags: number;
}

const LEVELS = new Map([
  ['emerg', 0],
  ['panic', 0],
  ['alert', 1],
  ['crit', 2],
  ['error', 3],
  ['warning', 4],
  ['notice', 5],
  ['info', 6],
  ['debug', 7],
]);
const DEFAULT_LEVEL = 4;

const FLAGS: readonly (readonly [string, number])[] = [
  ['--log-tcp-sequence', 0x01],
  ['--log-tcp-options', 0x02],
  ['--log-ip-options', 0x04],
  ['--log-uid', 0x08],
  ['--log-macdecode', 0x20],
];

/** Bytes that fit into the kernel's field. */
const MAX_PREFIX = 29;

function parseLevel(found: ParsedOption | undefined, context: ParseContext): number {
  if (found === undefined) return DEFAULT_LEVEL;
  const token = argument(found);
  const level = parseUnsigned(token.text, 7) ?? LEVELS.get(token.text);
  if (level !== undefined) return level;
  const advice = didYouMean(token.text, LEVELS.keys(), `levels are 0 to 7 or ${[...LEVELS.keys()].join(', ')}`);
  return context.fail('RULES_BAD_LOG_LEVEL', `"${token.text}" is not a log level`, token, advice);
}

/** A prefix of at most `max` bytes, cut as iptables cuts it. */
export function parsePrefix(found: ParsedOption | undefined, max: number, context: ParseContext): string {
  if (found === undefined) return '';
  const token = argument(found);
  if (token.text === '') context.fail('RULES_BAD_PREFIX', 'the prefix is empty', token, `leave out ${found.name}`);
  if (/[\r\n]/.test(token.text))
    context.fail('RULES_BAD_PREFIX', 'a prefix cannot hold line ends', token, 'take them out');
  return token.text.slice(0, max);
}

/** The same in words. */
function nameSettings(level: number, flags: number): string {
  // iptables 1.8.9 lists the level it takes as "warning" so.
  const name = level === DEFAULT_LEVEL ? 'warn' : [...LEVELS].find(([, number]) => number === level)?.[0];
  const set = FLAGS.filter(([, bit]) => (flags & bit) !== 0).map(([option]) => ` ${option.slice('--log-'.length)}`);
  return `level ${name ?? level}${set.join('')}`;
}

export const log: TargetExtension<LogOptions> = {
  kind: 'target',
  name: 'LOG',
  summary: "writes to the kernel's log",
  families: [4, 6],
  options: [option(false, '--log-prefix'), option(false, '--log-level'), ...FLAGS.map(([name]) => flag(false, name))],
  parse(options, context) {
    let flags = 0;
    for (const [name, bit] of FLAGS) if (has(options, name)) flags |= bit;
    return {
      prefix: parsePrefix(find(options, '--log-prefix'), MAX_PREFIX, context),
      level: parseLevel(find(options, '--log-level'), context),
      flags,
    };
  },
  print({ prefix, level, flags }) {
    let text = prefix === '' ? '' : ` --log-prefix ${quote(prefix)}`;
    if (level !== DEFAULT_LEVEL) text += ` --log-level ${level}`;
    for (const [name, bit] of FLAGS) if ((flags & bit) !== 0) text += ` ${name}`;
    return text;
  },
  list({ prefix, level, flags }, _, names) {
    const how = names === undefined ? `flags ${flags} level ${level}` : nameSettings(level, flags);
    return `LOG ${how}${prefix === '' ? '' : ` prefix "${prefix}"`}`;
  },
  compile({ prefix }) {
    return { kind: 'effect', logs: prefix === '' ? { target: 'LOG' } : { target: 'LOG', prefix }, apply() {} };
  },
};
