/**
 * Which option a word of a rule is, as iptables' getopt decides it: one of the fixed part, or of an extension, of which
 * the one named last comes first; long names may be cut short as long as they stay unambiguous.
 */
import type { Family } from '../host/types.js';
import type { MatchExtension, OptionSpec, ParsedOption, TargetExtension, Token } from './extension.js';
import { MATCHES, PROTOCOL_MATCHES, TARGETS } from './extensions/index.js';
import type { Fail } from './fixed-part.js';
import { didYouMean } from './nearest.js';
import { UnsupportedError } from './unsupported.js';

const FIXED_OPTIONS: ReadonlyMap<string, string> = new Map([
  ['--source', '-s'],
  ['--src', '-s'],
  ['--destination', '-d'],
  ['--dst', '-d'],
  ['--protocol', '-p'],
  ['--proto', '-p'],
  ['--in-interface', '-i'],
  ['--out-interface', '-o'],
  ['--fragments', '-f'],
  ['--match', '-m'],
  ['--jump', '-j'],
  ['--goto', '-g'],
  ['--set-counters', '-c'],
  ['--ipv4', '-4'],
  ['--ipv6', '-6'],
]);
/** Each by its letter, found without making anything. */
const LETTERS: ReadonlyMap<string, Found> = new Map(
  [...new Set(FIXED_OPTIONS.values())].map((letter) => [letter, { letter }] as const),
);

/** Options of an extension by every name they have, the first of a name counting. */
const SPECS = new WeakMap<object, ReadonlyMap<string, OptionSpec>>();

function specsOf(extension: { readonly options: readonly OptionSpec[] }): ReadonlyMap<string, OptionSpec> {
  const known = SPECS.get(extension);
  if (known !== undefined) return known;
  const specs = new Map<string, OptionSpec>();
  for (const spec of extension.options) for (const name of spec.names) if (!specs.has(name)) specs.set(name, spec);
  SPECS.set(extension, specs);
  return specs;
}

/** An extension named in the rule and the options found for it so far. */
export type Pending = { readonly options: ParsedOption[]; readonly token: Token } & (
  | { readonly extension: MatchExtension<unknown> }
  | { readonly extension: TargetExtension<unknown> }
);

export type Found =
  | { readonly letter: string }
  | { readonly use: Pending; readonly spec: OptionSpec; readonly name: string };

export class OptionLookup {
  /**
   * `uses`: the extensions that the rule names, by reference; a protocol's own match is added when an option needs it.
   * `unknown`: whether an option that nobody knows is a mistake, or is not supported.
   */
  constructor(
    private readonly uses: Pending[],
    private readonly family: Family,
    private readonly unknown: 'mistake' | 'unsupported',
    private readonly fail: Fail,
  ) {}

  /**
   * Which option `name`, found in `word`, is. `lenient`: the rule holds an extension that is not supported, so an
   * unknown option may be that one's; then undefined. Throws UnsupportedError, or NatreplayError by way of `fail`.
   */
  resolve(name: string, word: Token, protocol: number, lenient: boolean): Found | undefined {
    const exact = this.lookUpExact(name);
    if (exact !== undefined) return exact;
    if (protocol !== 0) {
      const loaded = this.loadProtocolMatch((candidate) => candidate === name, word, protocol);
      if (loaded !== undefined) return loaded;
    }
    // What follows an extension that is not known may be options of that one.
    if (!lenient && name.startsWith('--')) {
      const starts = (candidate: string): boolean => candidate.startsWith(name);
      const near = this.lookUp(starts);
      if (near.length > 1 && !sameOption(near)) {
        this.fail(
          'RULES_AMBIGUOUS_OPTION',
          `${name} could be ${[...new Set(near.map(nameOf))].join(' or ')}`,
          word,
          'write it in full',
        );
      }
      const only = near[0] ?? this.loadProtocolMatch(starts, word, protocol);
      if (only !== undefined) return only;
    }
    if (lenient) return undefined;
    return this.unknownOption(name, word, protocol);
  }

  /** The option of that very name: this is where nearly every word ends up. */
  private lookUpExact(name: string): Found | undefined {
    const short = name.length === 2 ? LETTERS.get(name) : undefined;
    if (short !== undefined) return short;
    for (let i = this.uses.length - 1; i >= 0; i--) {
      const use = this.uses[i];
      const spec = use === undefined ? undefined : specsOf(use.extension).get(name);
      if (use !== undefined && spec !== undefined) return { use, spec, name };
    }
    // Behind them: `--proto` is -p, and of -m policy it is its own.
    const letter = FIXED_OPTIONS.get(name);
    return letter === undefined ? undefined : LETTERS.get(letter);
  }

  /** Options whose name passes, those of the extension named last first, the fixed ones before all. */
  private lookUp(test: (name: string) => boolean): Found[] {
    const found: Found[] = [];
    for (const [name, letter] of FIXED_OPTIONS) if (test(name)) found.push({ letter });
    for (let i = this.uses.length - 1; i >= 0; i--) {
      const use = this.uses[i];
      if (use !== undefined) found.push(...optionsOf(use, test));
    }
    return found;
  }

  /** `-p tcp --dport 80` works without `-m tcp`: the protocol's own match is loaded when an option needs it. */
  private loadProtocolMatch(test: (name: string) => boolean, token: Token, protocol: number): Found | undefined {
    const name = PROTOCOL_MATCHES.get(protocol);
    if (name === undefined || this.uses.some((use) => use.extension.name === name)) return undefined;
    const extension = MATCHES.get(name);
    if (extension === undefined) return undefined;
    if (!extension.families.includes(this.family)) return undefined;
    const use: Pending = { extension, options: [], token };
    const found = optionsOf(use, test)[0];
    if (found === undefined) return undefined;
    this.uses.push(use);
    return found;
  }

  private unknownOption(name: string, word: Token, protocol: number): never {
    const implicit = PROTOCOL_MATCHES.get(protocol);
    if (implicit !== undefined && !MATCHES.has(implicit)) throw new UnsupportedError(`match ${implicit}`, word);
    if (this.unknown === 'unsupported') throw new UnsupportedError(`option ${name}`, word);
    const candidates = [...FIXED_OPTIONS.keys()];
    for (const use of this.uses) candidates.push(...use.extension.options.flatMap((spec) => spec.names));
    const extra = implicit === undefined ? undefined : MATCHES.get(implicit);
    if (extra !== undefined) candidates.push(...extra.options.flatMap((spec) => spec.names));
    this.fail(
      'RULES_UNKNOWN_OPTION',
      `unknown option "${name}"`,
      word,
      didYouMean(name, candidates, this.ownerAdvice(name)),
    );
  }

  /** Names the extension that has such an option, when the rule does not name it. */
  private ownerAdvice(name: string): string {
    const has = (specs: readonly OptionSpec[]): boolean => specs.some((spec) => spec.names.includes(name));
    for (const extension of MATCHES.values()) {
      if (!has(extension.options)) continue;
      const protocol = [...PROTOCOL_MATCHES].find(([, match]) => match === extension.name);
      return protocol === undefined ? `add -m ${extension.name} before it` : `add -p ${extension.name} before it`;
    }
    for (const extension of TARGETS.values()) if (has(extension.options)) return `it belongs to -j ${extension.name}`;
    return 'see the options of the matches and the target of this rule in iptables-extensions(8)';
  }
}

const DASH = 45;

/** `--dport=80` carries its argument with it. */
export function splitOption(word: Token): { option: string | undefined; attached: Token | undefined } {
  const { text } = word;
  if (text.charCodeAt(0) !== DASH || text === '-' || text === '--') return { option: undefined, attached: undefined };
  const equals = text.startsWith('--') ? text.indexOf('=') : -1;
  if (equals < 0) return { option: text, attached: undefined };
  return { option: text.slice(0, equals), attached: { ...word, text: text.slice(equals + 1) } };
}

function optionsOf(use: Pending, test: (name: string) => boolean): Found[] {
  const found: Found[] = [];
  for (const spec of use.extension.options) {
    for (const name of spec.names) if (test(name)) found.push({ use, spec, name });
  }
  return found;
}

function nameOf(found: Found): string {
  return 'letter' in found ? found.letter : found.name;
}

function sameOption(found: readonly Found[]): boolean {
  const [first] = found;
  if (first === undefined) return true;
  if ('letter' in first) return found.every((other) => 'letter' in other && other.letter === first.letter);
  return found.every((other) => !('letter' in other) && other.spec === first.spec);
}
