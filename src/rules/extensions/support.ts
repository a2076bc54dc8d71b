/** Small helpers that extensions share when they look at their options. */
import type { OptionSpec, ParseContext, ParsedOption, Token } from '../extension.js';

/** An option with one argument. */
export function option(negatable: boolean, ...names: string[]): OptionSpec {
  return { names, args: 1, negatable };
}

/** An option without argument. */
export function flag(negatable: boolean, ...names: string[]): OptionSpec {
  return { names, args: 0, negatable };
}

export function find(options: readonly ParsedOption[], name: string): ParsedOption | undefined {
  return options.find((found) => found.name === name);
}

export function has(options: readonly ParsedOption[], name: string): boolean {
  return find(options, name) !== undefined;
}

/** The argument of an option; the rule parser has made sure that it is there. */
export function argument(found: ParsedOption, index = 0): Token {
  return found.args[index] ?? found.token;
}

/** Fails unless one of the options is there. */
export function requireOne(
  options: readonly ParsedOption[],
  what: string,
  context: ParseContext,
  ...names: string[]
): void {
  if (names.some((name) => has(options, name))) return;
  const list = names.length === 1 ? names[0] : `one of ${names.join(', ')}`;
  context.fail('RULES_MISSING_OPTION', `${what} needs ${list}`, undefined, `add ${names[0]}`);
}

/** Fails if more than one of the options is there. */
export function exclusive(options: readonly ParsedOption[], context: ParseContext, ...names: string[]): void {
  const found = options.filter((candidate) => names.includes(candidate.name));
  const [first, second] = found;
  if (first === undefined || second === undefined) return;
  const what = `${second.name} cannot be used together with ${first.name}`;
  context.fail('RULES_OPTIONS_EXCLUDE', what, second.token, 'leave one of them out');
}

/** `! ` where an option is negated, else nothing. */
export function bang(negated: boolean): string {
  return negated ? '! ' : '';
}
