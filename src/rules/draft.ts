/** Tables as they are being read, line by line, whatever the text they come from; then the finished rules. */
import { NatreplayError } from '../errors.js';
import type { Family } from '../host/types.js';
import type { Token } from './extension.js';
import { TARGETS } from './extensions/index.js';
import { type Counters, parseCounter } from './fixed-part.js';
import type { SourceLine } from './lexer.js';
import { didYouMean } from './nearest.js';
import { type ParsedRule, parseRule } from './rule-parser.js';
import { TABLE_CHAINS } from './tables.js';
import type { Chain, ParseOptions, Policy, Rule, Ruleset, SkippedRule, Table, TableName } from './types.js';

/** Chain names are shorter than this (XT_EXTENSION_MAXNAMELEN). */
const MAX_CHAIN_NAME = 28;

/** Rules that one line may stand for: lists of addresses multiply. */
const MAX_PAIRS = 4096;

/** Numbered once the chain is complete. */
type DraftRule = { -readonly [K in keyof Rule]: Rule[K] };

export interface DraftChain {
  readonly name: string;
  policy: Policy | undefined;
  packets: number;
  bytes: number;
  line: number;
  rules: DraftRule[];
  /** What is missing in rules that are not supported. */
  readonly missing: Map<DraftRule, string>;
  /** What was put before all others (`-I`), last first: joined in one go, so that many of them cost no more than `-A`. */
  inFront: DraftRule[];
}

/** A table that is being read: its built-in chains are there from the beginning. */
export class DraftTable {
  readonly chains = new Map<string, DraftChain>();

  constructor(
    readonly name: TableName,
    /** Where it begins. */
    readonly line: number,
    private readonly options: ParseOptions,
  ) {
    for (const builtin of TABLE_CHAINS[name]) this.chains.set(builtin, draftChain(builtin, 'ACCEPT', line));
  }

  /** ACCEPT or DROP. */
  policy(word: Token, line: SourceLine): Policy {
    if (word.text === 'ACCEPT' || word.text === 'DROP') return word.text;
    return this.fail(
      'RULES_BAD_POLICY',
      `"${word.text}" is not a policy`,
      line,
      word.column,
      'policies are ACCEPT and DROP',
    );
  }

  /** `[packets:bytes] -A CHAIN ...`, `-I CHAIN [NUM] ...`, `-N CHAIN`, `-P CHAIN POLICY` */
  command(words: Token[], line: SourceLine): void {
    const counters = words[0]?.text.startsWith('[') ? words.shift() : undefined;
    const read = counters === undefined ? undefined : this.counters(counters, line);
    // What the other family's rules say is not looked at, as iptables-restore does not.
    if (isForFamily(words, this.options.family === 4 ? 6 : 4)) return;
    while (FAMILY_WORDS.has(words[0]?.text ?? '')) words.shift();
    const [command, name] = words;
    if (command === undefined)
      this.fail('RULES_BAD_LINE', 'counters without a rule', line, 1, 'write the rule behind them');
    const known = COMMANDS.get(command.text);
    if (known === undefined) this.unknownCommand(command, line);
    if (name === undefined) {
      const what = `${command.text} needs the name of a chain`;
      this.fail('RULES_MISSING_ARGUMENT', what, line, command.column, `write it like ${command.text} INPUT`);
    }
    const rest = words.slice(2);
    if (known === '-N') this.declare(name, line);
    else if (known === '-P') this.setPolicy(name, rest, line);
    else this.addRule(known, name, rest, read, line);
  }

  /** `iptables -S -v` prints counters behind it: `-P INPUT ACCEPT -c 12 3456`. */
  private setPolicy(name: Token, words: readonly Token[], line: SourceLine): void {
    const chain = this.chainOf(name, line);
    chain.policy = this.policy(words[0] ?? name, line);
    const [, option, packets, bytes] = words;
    if (option?.text !== '-c' || packets === undefined || bytes === undefined) return;
    const fail = (code: string, what: string, token: Token | undefined, advice: string): never =>
      this.fail(code, what, line, token?.column ?? option.column, advice);
    chain.packets = parseCounter(packets, fail);
    chain.bytes = parseCounter(bytes, fail);
  }

  private unknownCommand(command: Token, line: SourceLine): never {
    const advice = 'a table holds lines :CHAIN, -A, -I, -N and -P, and ends with COMMIT';
    return this.fail(
      'RULES_BAD_LINE',
      `"${excerpt(command.text)}" does not begin a rule`,
      line,
      command.column,
      advice,
    );
  }

  /** `[packets:bytes]` */
  counters(word: Token, line: SourceLine): Counters {
    const match = /^\[([0-9]{1,20}):([0-9]{1,20})\]$/.exec(word.text);
    if (match !== null) return { packets: Number(match[1]), bytes: Number(match[2]) };
    return this.fail(
      'RULES_BAD_COUNTER',
      `"${excerpt(word.text)}" is not a pair of counters`,
      line,
      word.column,
      'write them like [packets:bytes]',
    );
  }

  addRule(command: '-A' | '-I', name: Token, words: Token[], counters: Counters | undefined, line: SourceLine): void {
    const chain = this.chainOf(name, line);
    const position = command === '-I' && /^[0-9]+$/.test(words[0]?.text ?? '') ? words.shift() : undefined;
    const at = command === '-A' ? undefined : Number(position?.text ?? '1') - 1;
    if (at !== undefined && at !== 0) joinFront(chain);
    if (at !== undefined && (at < 0 || at > chain.rules.length)) {
      const what = `there is no place ${at + 1} in chain ${name.text}`;
      this.fail(
        'RULES_BAD_POSITION',
        what,
        line,
        position?.column ?? name.column,
        `it has ${chain.rules.length} rules`,
      );
    }
    const { file, family, unsupported } = this.options;
    const environment = {
      file,
      line: line.number,
      family,
      table: this.name,
      chain: name.text,
      chains: this.chains,
      unsupported,
    };
    const parsed = parseRule(words, environment);
    if (parsed.otherFamily) return;
    const pairs = (parsed.fixed.sources?.length ?? 1) * (parsed.fixed.destinations?.length ?? 1);
    if (pairs > MAX_PAIRS) {
      const what = `${pairs} pairs of source and destination in one rule (${MAX_PAIRS} is the most)`;
      this.fail('RULES_TOO_MANY_ADDRESSES', what, line, name.column, 'split it into several rules');
    }
    for (const draft of draftRules(parsed, counters, chain.name, this.name, line)) {
      if (parsed.missing !== undefined) chain.missing.set(draft, parsed.missing);
      if (at === undefined) chain.rules.push(draft);
      else if (at === 0) chain.inFront.push(draft);
      else chain.rules.splice(at, 0, draft);
    }
  }

  /** The chain of that name, made if it is not there yet. */
  declare(name: Token, line: SourceLine): DraftChain {
    const existing = this.chains.get(name.text);
    if (existing !== undefined) {
      existing.line = line.number;
      return existing;
    }
    this.checkChainName(name, line);
    const chain = draftChain(name.text, undefined, line.number);
    this.chains.set(name.text, chain);
    return chain;
  }

  private checkChainName(name: Token, line: SourceLine): void {
    const { text, column } = name;
    const wrong = (why: string): never =>
      this.fail(
        'RULES_BAD_CHAIN',
        `"${excerpt(text)}" cannot be a chain: ${why}`,
        line,
        column,
        'give it another name',
      );
    if (text === '') wrong('the name is empty');
    if (text.length > MAX_CHAIN_NAME) wrong(`its name is longer than ${MAX_CHAIN_NAME} characters`);
    if (/^[-!]/.test(text)) wrong(`its name starts with ${text[0]}`);
    if (/[\s"\\]/.test(text)) wrong('its name holds blanks, quotes or backslashes');
    if (TARGETS.has(text) || ['ACCEPT', 'DROP', 'RETURN', 'QUEUE'].includes(text)) wrong('a target has that name');
  }

  /** The chain of that name; fails where there is none. */
  chainOf(name: Token, line: SourceLine): DraftChain {
    const chain = this.chains.get(name.text);
    if (chain !== undefined) return chain;
    const advice = didYouMean(name.text, this.chains.keys(), `declare it before with ":${excerpt(name.text)} - [0:0]"`);
    return this.fail(
      'RULES_UNKNOWN_CHAIN',
      `there is no chain "${excerpt(name.text)}" in table ${this.name}`,
      line,
      name.column,
      advice,
    );
  }

  private fail(code: string, what: string, line: SourceLine, column: number, advice: string): never {
    throw new NatreplayError(code, what, { file: this.options.file, line: line.number, column, advice });
  }
}

/** `-4` and `-6`, which may stand before the command, too. */
const FAMILY_WORDS: ReadonlyMap<string, number> = new Map([
  ['-4', 4],
  ['--ipv4', 4],
  ['-6', 6],
  ['--ipv6', 6],
]);

function isForFamily(words: readonly Token[], family: Family): boolean {
  for (const { text, quoted } of words) {
    const code = text.charCodeAt(1);
    // Few words are looked up: those that begin as -4, -6, --ipv4 and --ipv6 do.
    if (code !== FOUR && code !== SIX && code !== DASH) continue;
    if (!quoted && FAMILY_WORDS.get(text) === family) return true;
  }
  return false;
}

const DASH = 45;
const FOUR = 52;
const SIX = 54;

const COMMANDS: ReadonlyMap<string, '-A' | '-I' | '-N' | '-P'> = new Map([
  ['-A', '-A'],
  ['--append', '-A'],
  ['-I', '-I'],
  ['--insert', '-I'],
  ['-N', '-N'],
  ['--new-chain', '-N'],
  ['-P', '-P'],
  ['--policy', '-P'],
]);

/** The beginning of a text, for messages. */
export function excerpt(text: string): string {
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}

function draftChain(name: string, policy: Policy | undefined, line: number): DraftChain {
  return { name, policy, packets: 0, bytes: 0, line, rules: [], missing: new Map(), inFront: [] };
}

function joinFront(chain: DraftChain): void {
  if (chain.inFront.length === 0) return;
  chain.rules = [...chain.inFront.reverse(), ...chain.rules];
  chain.inFront = [];
}

const EVERY: readonly undefined[] = [undefined];

/** A rule for each pair of source and destination, in the order iptables adds them. */
function draftRules(
  rule: ParsedRule,
  counters: Counters | undefined,
  chain: string,
  table: TableName,
  line: SourceLine,
): DraftRule[] {
  const { fixed, matches, target, missing } = rule;
  const rules: DraftRule[] = [];
  for (const source of fixed.sources ?? EVERY) {
    for (const destination of fixed.destinations ?? EVERY) {
      rules.push({
        table,
        chain,
        number: 0,
        source,
        destination,
        protocol: fixed.protocol,
        inInterface: fixed.inInterface,
        outInterface: fixed.outInterface,
        fragment: fixed.fragment,
        matches,
        target,
        packets: rule.counters?.packets ?? counters?.packets ?? 0,
        bytes: rule.counters?.bytes ?? counters?.bytes ?? 0,
        line: line.number,
        text: line.text.trim(),
        unsupported: missing !== undefined,
        rest: rule.rest,
      });
    }
  }
  return rules;
}

/** The finished rules of tables that have been read. */
export function buildRuleset(drafts: ReadonlyMap<TableName, DraftTable>, options: ParseOptions): Ruleset {
  const tables = new Map<TableName, Table>();
  const skipped: SkippedRule[] = [];
  for (const draft of drafts.values()) {
    const chains = new Map<string, Chain>();
    for (const [name, draftOf] of draft.chains) {
      joinFront(draftOf);
      const { policy, packets, bytes, line, rules, missing } = draftOf;
      for (const [i, rule] of rules.entries()) rule.number = i + 1;
      if (missing.size > 0)
        for (const rule of rules) {
          const what = missing.get(rule);
          if (what !== undefined) skipped.push({ rule, missing: what });
        }
      chains.set(name, { name, policy, packets, bytes, rules, line });
    }
    tables.set(draft.name, { name: draft.name, chains });
  }
  return { family: options.family, file: options.file, tables, skipped };
}
