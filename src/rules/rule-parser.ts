/**
 * One rule's words: the fixed part that every rule has (`-s -d -p -i -o -f -m -j -g -c`), and the options of its matches
 * and target, which are gathered here and handed to the extensions once the whole rule is known. Words are taken as
 * iptables' getopt takes them: an option belongs to the extension named last that has it, and long names may be cut short
 * as long as they stay unambiguous.
 */
import { NatreplayError } from '../errors.js';
import type { Family } from '../host/types.js';
import type { ParseContext, Token } from './extension.js';
import { MATCHES, TARGETS } from './extensions/index.js';
import { OTHER_MATCHES, OTHER_TARGETS } from './extensions/known.js';
import {
  type Counters,
  type Fail,
  type FixedPart,
  parseAddressList,
  parseCounter,
  parseFragment,
  parseInterface,
  parseProtocol,
} from './fixed-part.js';
import { didYouMean } from './nearest.js';
import { type Found, OptionLookup, type Pending, splitOption } from './option-lookup.js';
import { isBuiltin } from './tables.js';
import type { MatchUse, TableName, TargetUse } from './types.js';
import { UnsupportedError, type UnsupportedMode } from './unsupported.js';
import { protocolName } from './values/protocols.js';

export interface RuleEnvironment {
  readonly file: string;
  readonly line: number;
  readonly family: Family;
  readonly table: TableName;
  readonly chain: string;
  /** Chains of the table so far, built-in ones included. */
  readonly chains: { has(name: string): boolean; keys(): Iterable<string> };
  readonly unsupported: UnsupportedMode;
}

export interface ParsedRule {
  readonly fixed: FixedPart;
  readonly counters: Counters | undefined;
  readonly matches: readonly MatchUse[];
  readonly target: TargetUse | undefined;
  /** What is not supported in it, e.g. `match recent`; only with `unsupported: 'skip'`. */
  readonly missing: string | undefined;
  /** Then, the words that are not of the fixed part. */
  readonly rest: readonly Token[] | undefined;
  /** True for a `-4` rule among IPv6 rules and the reverse: iptables passes over it. */
  readonly otherFamily: boolean;
}

type Draft<T> = { -readonly [K in keyof T]: T[K] };

const STEP = (parser: RuleParser): void => parser.step();
const CHECK_FIXED_PART = (parser: RuleParser): void => parser.checkFixedPart();

const VERDICTS: readonly string[] = ['ACCEPT', 'DROP', 'RETURN'];

export function parseRule(words: readonly Token[], environment: RuleEnvironment): ParsedRule {
  return new RuleParser(words, environment).parse();
}

class RuleParser {
  private readonly words: readonly Token[];
  private readonly environment: RuleEnvironment;
  private at = 0;
  private negation: Token | undefined;
  /** Places of words that belong to the fixed part, and where the option that is being read begins. */
  private readonly fixedWords: number[] = [];
  private start = 0;
  /** Letters of the fixed options that were given. */
  private seen = '';
  private readonly fixed: Draft<FixedPart> = {
    sources: undefined,
    destinations: undefined,
    protocol: undefined,
    inInterface: undefined,
    outInterface: undefined,
    inToken: undefined,
    outToken: undefined,
    fragment: undefined,
  };
  private counters: Counters | undefined;
  private readonly uses: Pending[] = [];
  private readonly lookup: OptionLookup;
  private readonly failing: Fail;
  private verdict: TargetUse | undefined;
  private target: Pending | undefined;
  private missing: string | undefined;
  private family: Family | undefined;

  constructor(words: readonly Token[], environment: RuleEnvironment) {
    this.words = words;
    this.environment = environment;
    const unknown = environment.unsupported === 'skip' ? 'unsupported' : 'mistake';
    this.failing = (code, what, token, advice) => this.fail(code, what, token, advice);
    this.lookup = new OptionLookup(this.uses, environment.family, unknown, this.failing);
  }

  parse(): ParsedRule {
    while (this.at < this.words.length) this.skipping(STEP);
    if (this.negation !== undefined)
      this.fail('RULES_BAD_WORD', 'a "!" with nothing after it', this.negation, 'leave it out');
    this.skipping(CHECK_FIXED_PART);
    const matches: MatchUse[] = [];
    for (const use of this.uses) if (use !== this.target) this.finishSkipping(use, matches);
    if (this.target !== undefined) this.finishSkipping(this.target, matches);
    for (const { extension, token } of this.uses)
      if (extension.support === 'parsed') this.skipping((parser) => parser.checkSupport(extension, token));
    const otherFamily = this.family !== undefined && this.family !== this.environment.family;
    const { fixed, counters, missing } = this;
    const rest = missing === undefined ? undefined : this.words.filter((_, i) => !this.fixedWords.includes(i));
    return { fixed, counters, matches, target: this.verdict, missing, rest, otherFamily };
  }

  /** Hands its options to an extension. */
  private finishSkipping(use: Pending, matches: MatchUse[]): void {
    this.skipping(() => {
      const options = this.finish(use, use === this.target ? matches : []);
      if (use.extension.kind === 'match') matches.push({ extension: use.extension, options });
      else this.verdict = { kind: 'extension', extension: use.extension, options };
    });
  }

  /** Runs a part of the parsing; what is not supported ends it, or is noted when told to skip such rules. */
  private skipping(part: (parser: RuleParser) => void): void {
    try {
      part(this);
    } catch (error) {
      // What an extension misses may be in an option of it that is not supported.
      if (this.missing !== undefined && error instanceof NatreplayError && error.code === 'RULES_MISSING_OPTION')
        return;
      if (!(error instanceof UnsupportedError)) throw error;
      this.negation = undefined;
      if (this.environment.unsupported !== 'skip') {
        this.fail('RULES_UNSUPPORTED', `${error.missing} is not supported`, error.token, SKIP_ADVICE);
      }
      this.missing ??= error.missing;
    }
  }

  step(): void {
    if (this.negation === undefined) this.start = this.at;
    const word = this.next();
    if (word.text === '!') {
      if (this.negation !== undefined)
        this.fail('RULES_BAD_WORD', 'two "!" one after the other', word, 'leave one out');
      this.negation = word;
      return;
    }
    const { option, attached } = splitOption(word);
    if (option === undefined) {
      if (this.missing !== undefined) return;
      this.fail(
        'RULES_BAD_WORD',
        `"${word.text}" is not expected here`,
        word,
        strayAdvice(word, this.words[this.at - 2]),
      );
    }
    const found = this.lookup.resolve(option, word, this.fixed.protocol?.number ?? 0, this.missing !== undefined);
    if (found === undefined) {
      this.negation = undefined;
      return;
    }
    const negated = this.negation !== undefined || this.oldNegation(found, attached);
    this.negation = undefined;
    const values = attached === undefined ? [] : [attached];
    if ('letter' in found) this.fixedOption(found.letter, word, negated, values);
    else this.extensionOption(found, word, negated, values);
  }

  /** `-s ! 10.0.0.0/8`, the order of before iptables 1.4.3, which old files still have. */
  private oldNegation(found: Found, attached: Token | undefined): boolean {
    const negatable = 'letter' in found ? NEGATABLE.has(found.letter) : found.spec.negatable && found.spec.args > 0;
    const word = this.words[this.at];
    if (!negatable || attached !== undefined || word === undefined || word.quoted || word.text !== '!') return false;
    if ('letter' in found && found.letter === '-f') return false;
    this.at++;
    return true;
  }

  private next(): Token {
    const word = this.words[this.at++];
    if (word === undefined) throw new RangeError('read past the end of a rule');
    return word;
  }

  private value(option: Token, attached: Token[]): Token {
    const value = attached.pop() ?? this.words[this.at++];
    return (
      value ??
      this.fail('RULES_MISSING_ARGUMENT', `${option.text} needs an argument`, option, 'write it behind the option')
    );
  }

  private fixedOption(letter: string, word: Token, negated: boolean, attached: Token[]): void {
    if (letter !== '-m') {
      const once = letter === '-g' ? '-j' : letter;
      if (this.seen.includes(once))
        this.fail('RULES_DUPLICATE_OPTION', `${word.text} is given more than once`, word, 'leave one out');
      this.seen += once;
    }
    if (negated && !NEGATABLE.has(letter))
      this.fail('RULES_NOT_NEGATABLE', `${word.text} cannot be negated`, word, 'leave out the "!"');
    const value = WITHOUT_ARGUMENT.has(letter) ? word : this.value(word, attached);
    const { fixed, failing: fail } = this;
    const { family } = this.environment;
    switch (letter) {
      case '-s':
        fixed.sources = parseAddressList(value, negated, family, fail);
        break;
      case '-d':
        fixed.destinations = parseAddressList(value, negated, family, fail);
        break;
      case '-p':
        fixed.protocol = parseProtocol(value, negated, fail);
        break;
      case '-i':
        fixed.inInterface = parseInterface(value, negated, fail);
        fixed.inToken = word;
        break;
      case '-o':
        fixed.outInterface = parseInterface(value, negated, fail);
        fixed.outToken = word;
        break;
      case '-f':
        fixed.fragment = parseFragment(word, negated, family, fail);
        break;
      case '-m':
        this.loadMatch(value);
        break;
      case '-j':
        this.jump(value);
        break;
      case '-g':
        this.goto(value);
        break;
      case '-c':
        this.counters = { packets: parseCounter(value, fail), bytes: parseCounter(this.value(word, []), fail) };
        break;
      default:
        this.family = letter === '-4' ? 4 : 6;
    }
    if (!LOADING.has(letter)) for (let i = this.start; i < this.at; i++) this.fixedWords.push(i);
  }

  private extensionOption(
    found: Extract<Found, { use: Pending }>,
    word: Token,
    negated: boolean,
    attached: Token[],
  ): void {
    const { use, spec } = found;
    const name = spec.names[0] ?? found.name;
    if (negated && !spec.negatable)
      this.fail('RULES_NOT_NEGATABLE', `${name} cannot be negated`, word, 'leave out the "!"');
    if (spec.repeatable !== true && use.options.some((other) => other.name === name)) {
      const { extension } = use;
      this.fail(
        'RULES_DUPLICATE_OPTION',
        `${name} is given more than once`,
        word,
        againAdvice(extension.kind, extension.name),
      );
    }
    const args: Token[] = [];
    while (args.length < spec.args) args.push(this.value(word, attached));
    use.options.push({ name, negated, args, token: word });
  }

  private loadMatch(word: Token): void {
    const name = word.text === 'icmpv6' ? 'icmp6' : word.text;
    const extension = MATCHES.get(name);
    if (extension !== undefined) {
      if (!extension.families.includes(this.environment.family)) this.wrongFamily(`match ${name}`, word);
      this.uses.push({ extension, options: [], token: word });
      return;
    }
    if (OTHER_MATCHES.includes(name) || this.environment.unsupported === 'skip') {
      throw new UnsupportedError(`match ${name}`, word);
    }
    const advice = didYouMean(name, [...MATCHES.keys(), ...OTHER_MATCHES], SKIP_ADVICE);
    this.fail('RULES_UNKNOWN_MATCH', `match ${name} is not known`, word, advice);
  }

  private jump(word: Token): void {
    const name = word.text;
    const { chains, table, family } = this.environment;
    if (chains.has(name)) {
      if (isBuiltin(table, name))
        this.fail('RULES_JUMP_TO_BUILTIN', `${name} is a built-in chain, which no rule may jump to`, word, OWN_CHAIN);
      this.verdict = { kind: 'jump', chain: name };
      return;
    }
    if (isVerdict(name)) {
      if (name === 'DROP' && table === 'nat') {
        this.fail(
          'RULES_DROP_IN_NAT',
          'DROP is not allowed in the nat table',
          word,
          'drop in the filter table instead',
        );
      }
      this.verdict = { kind: 'verdict', verdict: name };
      return;
    }
    const extension = TARGETS.get(name);
    if (extension !== undefined) {
      if (!extension.families.includes(family)) this.wrongFamily(`target ${name}`, word);
      this.target = { extension, options: [], token: word };
      this.uses.push(this.target);
      return;
    }
    if (OTHER_TARGETS.includes(name)) throw new UnsupportedError(`target ${name}`, word);
    this.unknownChain(name, word, [...VERDICTS, ...TARGETS.keys(), ...OTHER_TARGETS]);
  }

  private goto(word: Token): void {
    const { chains, table } = this.environment;
    if (!chains.has(word.text)) this.unknownChain(word.text, word, []);
    if (isBuiltin(table, word.text)) {
      this.fail('RULES_JUMP_TO_BUILTIN', `${word.text} is a built-in chain, which no rule may go to`, word, OWN_CHAIN);
    }
    this.verdict = { kind: 'goto', chain: word.text };
  }

  private unknownChain(name: string, word: Token, targets: readonly string[]): never {
    const { chains, table } = this.environment;
    const nor = targets.length > 0 ? ' (nor is it a target)' : '';
    const advice = didYouMean(
      name,
      candidates(chains.keys(), table, targets),
      `declare it in the ${table} table with ":${name} - [0:0]"`,
    );
    this.fail('RULES_UNKNOWN_TARGET', `jump to a chain that is not there: "${name}"${nor}`, word, advice);
  }

  private wrongFamily(what: string, word: Token): never {
    const { family } = this.environment;
    this.fail(
      'RULES_WRONG_FAMILY',
      `${what} is not for IPv${family}`,
      word,
      `use it in IPv${family === 4 ? 6 : 4} rules`,
    );
  }

  /** What iptables checks of the fixed part once it has the whole rule. */
  checkFixedPart(): void {
    const { table, chain } = this.environment;
    if (!isBuiltin(table, chain)) return;
    const { inToken, outToken } = this.fixed;
    if (inToken !== undefined && (chain === 'OUTPUT' || chain === 'POSTROUTING')) {
      this.fail(
        'RULES_WRONG_CHAIN',
        `-i cannot be used in ${chain}`,
        inToken,
        'packets there have no incoming interface to match',
      );
    }
    if (outToken !== undefined && (chain === 'INPUT' || chain === 'PREROUTING')) {
      this.fail('RULES_WRONG_CHAIN', `-o cannot be used in ${chain}`, outToken, 'packets there are not routed out yet');
    }
  }

  /** What is only parsed is enough for printing, and nothing else. */
  checkSupport({ kind, name, support }: Pending['extension'], token: Token): void {
    if (support === 'parsed' && this.environment.unsupported !== 'keep')
      throw new UnsupportedError(`${kind} ${name}`, token);
  }

  private finish(use: Pending, matches: readonly MatchUse[]): unknown {
    const { extension, token } = use;
    this.checkProtocol(use);
    this.checkTable(use);
    const { family, table, chain } = this.environment;
    const context: ParseContext = {
      family,
      table,
      chain,
      protocol: this.fixed.protocol?.number ?? 0,
      protocolNegated: this.fixed.protocol?.negated ?? false,
      matches,
      fail: (code, what, at, advice) => this.fail(code, what, at ?? token, advice),
      unsupported: (missing, at) => {
        throw new UnsupportedError(missing, at ?? token);
      },
    };
    return extension.parse(use.options, context);
  }

  private checkProtocol({ extension, token }: Pending): void {
    const { protocols } = extension;
    if (protocols === undefined) return;
    const { protocol } = this.fixed;
    if (protocol !== undefined && !protocol.negated && protocols.includes(protocol.number)) return;
    const names = protocols.map((number) => `-p ${protocolName(number)}`).join(', ');
    const what = `${extension.kind} ${extension.name} needs ${protocols.length > 1 ? 'one of ' : ''}${names}`;
    this.fail('RULES_WRONG_PROTOCOL', what, token, 'name the protocol in the rule');
  }

  private checkTable({ extension, token }: Pending): void {
    const { table } = this.environment;
    if (extension.tables === undefined || extension.tables.includes(table)) return;
    const tables = extension.tables.join(' or ');
    const what = `${extension.kind} ${extension.name} is not allowed in table ${table}`;
    this.fail('RULES_WRONG_TABLE', what, token, `it works in table ${tables}`);
  }

  private fail(code: string, what: string, token: Token | undefined, advice: string): never {
    const { file, line } = this.environment;
    throw new NatreplayError(code, what, { file, line, column: token?.column, advice });
  }
}

/** Not gathered: there may be as many chains as rules that are wrong. */
function* candidates(chains: Iterable<string>, table: TableName, targets: readonly string[]): Generator<string> {
  yield* targets;
  for (const chain of chains) if (!isBuiltin(table, chain)) yield chain;
}

const OWN_CHAIN = 'put its rules into a chain of your own';
const SKIP_ADVICE = 'with --unsupported skip such rules never match and are listed in the report';
const NEGATABLE = new Set(['-s', '-d', '-p', '-i', '-o', '-f']);
const LOADING = new Set(['-m', '-j', '-g']);
const WITHOUT_ARGUMENT = new Set(['-f', '-4', '-6']);

function isVerdict(name: string): name is 'ACCEPT' | 'DROP' | 'RETURN' {
  return VERDICTS.includes(name);
}

function strayAdvice(word: Token, before: Token | undefined): string {
  if (before?.text === '!') return 'a "!" stands before an option';
  if (/[,:]$/.test(before?.text ?? '') || word.text.startsWith(',')) return 'lists are written without blanks';
  return 'a value with blanks must be quoted';
}

function againAdvice(kind: 'match' | 'target', name: string): string {
  return kind === 'match' ? `write -m ${name} again for a second one` : 'leave one out';
}
