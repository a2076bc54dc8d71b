/** `-j NFLOG` and its forerunner `-j ULOG`: copies to a logging program; the packet goes on. */
import type { OptionSpec, ParseContext, ParsedOption, TargetExtension } from '../extension.js';
import { parseUnsigned } from '../values/numbers.js';
import { quote } from '../values/strings.js';
import { parsePrefix } from './log.js';
import { argument, find, option } from './support.js';

export interface NflogOptions {
  readonly prefix: string;
  /** Option name and value, in the order printed. */
  readonly numbers: readonly (readonly [string, number])[];
}

interface NumberOption {
  readonly name: string;
  readonly min: number;
  readonly max: number;
  /** The value that is not printed. */
  readonly unset: number;
}

function logTarget(parts: {
  readonly name: 'NFLOG' | 'ULOG';
  readonly prefix: string;
  readonly maxPrefix: number;
  /** The option that names the group of programs, and which it is otherwise. */
  readonly group: string;
  readonly defaultGroup: number;
  readonly numbers: readonly NumberOption[];
  list(options: NflogOptions): string;
}): TargetExtension<NflogOptions> {
  const specs: OptionSpec[] = [option(false, parts.prefix), ...parts.numbers.map(({ name }) => option(false, name))];
  return {
    kind: 'target',
    name: parts.name,
    summary: 'copies packets to a logging program',
    families: parts.name === 'ULOG' ? [4] : [4, 6],
    options: specs,
    parse(options, context) {
      return {
        prefix: parsePrefix(find(options, parts.prefix), parts.maxPrefix, context),
        numbers: parts.numbers.flatMap((spec) => parseNumber(spec, options, context)),
      };
    },
    print({ prefix, numbers }) {
      let text = prefix === '' ? '' : ` ${parts.prefix} ${quote(prefix)}`;
      for (const [name, value] of numbers) text += ` ${name} ${value}`;
      return text;
    },
    list: parts.list,
    compile({ prefix, numbers }) {
      const group = numbers.find(([name]) => name === parts.group)?.[1] ?? parts.defaultGroup;
      const logs = prefix === '' ? { target: parts.name, group } : { target: parts.name, prefix, group };
      return { kind: 'effect', logs, apply() {} };
    },
  };
}

function parseNumber(
  { name, min, max, unset }: NumberOption,
  options: readonly ParsedOption[],
  context: ParseContext,
): (readonly [string, number])[] {
  const found = find(options, name);
  if (found === undefined) return [];
  const token = argument(found);
  const value = parseUnsigned(token.text, max);
  if (value === undefined || value < min) {
    return context.fail(
      'RULES_BAD_NUMBER',
      `"${token.text}" is not between ${min} and ${max}`,
      token,
      'correct the number',
    );
  }
  return value === unset ? [] : [[name, value]];
}

export const nflog = logTarget({
  name: 'NFLOG',
  prefix: '--nflog-prefix',
  maxPrefix: 63,
  group: '--nflog-group',
  defaultGroup: 0,
  numbers: [
    { name: '--nflog-group', min: 0, max: 65535, unset: 0 },
    { name: '--nflog-range', min: 0, max: 0xffffffff, unset: 0 },
    { name: '--nflog-size', min: 0, max: 0xffffffff, unset: -1 },
    { name: '--nflog-threshold', min: 0, max: 65535, unset: 0 },
  ],
  list({ prefix, numbers }) {
    const words = prefix === '' ? [] : [`nflog-prefix ${quote(prefix)}`];
    for (const [name, value] of numbers) words.push(`${name.slice(2)} ${value}`);
    return words.join(' ');
  },
});

export const ulog = logTarget({
  name: 'ULOG',
  prefix: '--ulog-prefix',
  maxPrefix: 31,
  group: '--ulog-nlgroup',
  defaultGroup: 1,
  numbers: [
    { name: '--ulog-nlgroup', min: 1, max: 32, unset: 1 },
    { name: '--ulog-cprange', min: 0, max: 0xffffffff, unset: 0 },
    { name: '--ulog-qthreshold', min: 1, max: 50, unset: 1 },
  ],
  list({ prefix, numbers }) {
    const value = (name: string, unset: number): number => numbers.find(([found]) => found === name)?.[1] ?? unset;
    const head = `ULOG copy_range ${value('--ulog-cprange', 0)} nlgroup ${value('--ulog-nlgroup', 1)}`;
    const text = prefix === '' ? head : `${head} prefix ${quote(prefix)}`;
    return `${text} queue_threshold ${value('--ulog-qthreshold', 1)}`;
  },
});
