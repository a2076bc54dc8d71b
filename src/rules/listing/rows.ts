/** A row of a listing -> the words of a rule, as iptables-save would write it, and its counters. */
import { NatreplayError } from '../../errors.js';
import type { Family } from '../../host/types.js';
import type { Token } from '../extension.js';
import { TARGETS } from '../extensions/index.js';
import { OTHER_TARGETS } from '../extensions/known.js';
import type { SourceLine } from '../lexer.js';
import { parseNetwork } from '../values/addresses.js';
import { addressOfName } from '../values/hostnames.js';
import { protocolNumber } from '../values/protocols.js';
import { MATCH_PHRASES } from './match-phrases.js';
import { readPhrases } from './phrases.js';
import type { Columns } from './source.js';
import { targetPhrases } from './target-phrases.js';

export interface RowContext {
  readonly file: string;
  readonly family: Family;
  /** Chains of the table: a target of such a name is a jump. */
  readonly chains: { has(name: string): boolean };
}

export interface ReadRow {
  readonly words: Token[];
  readonly counters: { readonly packets: number; readonly bytes: number } | undefined;
}

interface Word {
  readonly text: string;
  readonly at: number;
}

/** The target column of a row, '' if it is blank; undefined where the line is no row. */
export function targetOf(line: SourceLine, columns: Columns): string | undefined {
  const words = wordsOf(line.text);
  const first = firstWord(words, columns);
  const split = first === undefined ? undefined : splitTarget(words, first, columns);
  return split === undefined ? undefined : (split.target?.text ?? '');
}

/** Throws NatreplayError with the place of what is not understood. */
export function readRow(line: SourceLine, columns: Columns, context: RowContext): ReadRow {
  const words = wordsOf(line.text);
  const first = firstWord(words, columns);
  const split = first === undefined ? undefined : splitTarget(words, first, columns);
  if (first === undefined || split === undefined) return notARow(line, context);
  const { target, protocol, fragment, next } = split;
  const out: Token[] = [];
  const add = (word: Word, option: string, value: string | undefined, negated: boolean): void => {
    if (negated) out.push(token('!', word.at));
    out.push(token(option, word.at));
    if (value !== undefined) out.push(token(value, word.at));
  };
  const addressOf = (word: Word, text: string): string => addressText(text, word, line, context);
  const rest = words.slice(next);
  const [inWord, outWord] = columns.interfaces ? rest.splice(0, 2) : [];
  const [source, destination] = rest;
  if (source === undefined || destination === undefined) return notARow(line, context);
  for (const [word, option] of [
    [source, '-s'],
    [destination, '-d'],
  ] as const) {
    const [negated, text] = negation(word);
    if (text === 'anywhere' && !negated) continue;
    add(word, option, addressOf(word, text), negated);
  }
  for (const [word, option] of [
    [inWord, '-i'],
    [outWord, '-o'],
  ] as const) {
    if (word === undefined || word.text === '*' || word.text === 'any') continue;
    const [negated, text] = negation(word);
    add(word, option, text, negated);
  }
  const [negatedProtocol, protocolText] = negation(protocol);
  if (!isEveryProtocol(protocolText)) add(protocol, '-p', protocolText, negatedProtocol);
  if (fragment !== undefined && fragment.text !== '--') add(fragment, '-f', undefined, fragment.text === '!f');
  const place = destination.at + destination.text.length;
  addDetails(out, target, line, place, context, addressOf);
  return { words: out, counters: countersOf(words, columns) };
}

function addDetails(
  out: Token[],
  target: Word | undefined,
  line: SourceLine,
  place: number,
  context: RowContext,
  addressOf: (word: Word, text: string) => string,
): void {
  const goto = /^ *\[goto\](?= |$)/.exec(line.text.slice(place));
  const from = place + (goto?.[0].length ?? 0);
  const jump = target !== undefined && context.chains.has(target.text);
  const name = target?.text === 'NOTRACK' ? 'CT' : target?.text;
  const notrack = name === 'CT' && /(?:^| )NOTRACK *$/.test(line.text);
  const text = notrack ? line.text.replace(/NOTRACK *$/, '') : line.text;
  const phrases = jump || name === undefined ? [] : targetPhrases(name);
  const read = readPhrases(text, from, MATCH_PHRASES, phrases, {
    address: (word) => addressOf({ text: word, at: from }, word),
  });
  if ('stuck' in read) notUnderstood(text, read.stuck, line, context);
  for (const word of read.matches) out.push(token(word, from));
  if (target !== undefined) {
    if (!jump && !isTarget(target.text)) chainNotListed(target, line, context);
    out.push(token(goto === null ? '-j' : '-g', target.at), token(notrack ? 'NOTRACK' : target.text, target.at));
  }
  for (const word of read.target) out.push(token(word, from));
}

function isTarget(name: string): boolean {
  return ['ACCEPT', 'DROP', 'RETURN'].includes(name) || TARGETS.has(name) || OTHER_TARGETS.includes(name);
}

/** The index of the first word behind line number and counters; undefined where these are not what they must be. */
function firstWord(words: readonly Word[], { numbers, counters }: Columns): number | undefined {
  const numeric = numbers ? 1 : 0;
  if (numbers && !/^[0-9]+$/.test(words[0]?.text ?? '')) return undefined;
  if (!counters) return numeric;
  const both = [words[numeric], words[numeric + 1]];
  return both.every((word) => word !== undefined && readCounter(word.text) !== undefined) ? numeric + 2 : undefined;
}

interface Split {
  readonly target: Word | undefined;
  readonly protocol: Word;
  readonly fragment: Word | undefined;
  /** Index of the word behind these. */
  readonly next: number;
}

/** Target and `opt` may be blank: `--` or a protocol's name show which word is which. */
function splitTarget(words: readonly Word[], first: number, columns: Columns): Split | undefined {
  const [a, b, c] = words.slice(first, first + 3);
  if (a === undefined || b === undefined || c === undefined) return undefined;
  const enough = (next: number): boolean => words.length - next >= (columns.interfaces ? 4 : 2);
  if (isFragmentColumn(c) && isProtocol(b) && enough(first + 3))
    return { target: a, protocol: b, fragment: c, next: first + 3 };
  if (isFragmentColumn(b) && isProtocol(a) && enough(first + 2))
    return { target: undefined, protocol: a, fragment: b, next: first + 2 };
  const blank = !isFragmentColumn(b) && !isFragmentColumn(c);
  if (blank && isProtocol(b) && enough(first + 2))
    return { target: a, protocol: b, fragment: undefined, next: first + 2 };
  if (blank && isProtocol(a) && enough(first + 1))
    return { target: undefined, protocol: a, fragment: undefined, next: first + 1 };
  return undefined;
}

function isFragmentColumn({ text }: Word): boolean {
  return text === '--' || text === '-f' || text === '!f';
}

function isProtocol(word: Word): boolean {
  const [, text] = negation(word);
  return protocolNumber(text) !== undefined;
}

function isEveryProtocol(text: string): boolean {
  return protocolNumber(text) === 0;
}

function negation({ text }: Word): [negated: boolean, text: string] {
  return text.startsWith('!') && text.length > 1 ? [true, text.slice(1)] : [false, text];
}

function addressText(text: string, word: Word, line: SourceLine, { file, family }: RowContext): string {
  const slash = text.indexOf('/');
  const name = slash < 0 ? text : text.slice(0, slash);
  if (name === 'anywhere') return family === 4 ? '0.0.0.0/0' : '::/0';
  const number = addressOfName(name, family);
  if (number !== undefined) return slash < 0 ? number : number + text.slice(slash);
  const network = parseNetwork(text, family);
  if (!('wrong' in network) || !/[a-z]/i.test(name) || name.includes(':')) return text;
  throw new NatreplayError('RULES_LISTING_NAME', `"${name}" is a name that iptables looked up for its listing`, {
    file,
    line: line.number,
    column: word.at + 1,
    advice: 'names are not looked up here; list with -n, or give what iptables-save prints',
  });
}

const UNITS: Readonly<Record<string, number>> = { K: 1e3, M: 1e6, G: 1e9, T: 1e12 };

/** `2965K` -> 2965000, as much as is stated; undefined if it is no counter. */
export function readCounter(text: string): number | undefined {
  const match = /^([0-9]{1,20})([KMGT])?$/.exec(text);
  return match === null ? undefined : Number(match[1]) * (UNITS[match[2] ?? ''] ?? 1);
}

function countersOf(words: readonly Word[], { numbers, counters }: Columns): ReadRow['counters'] {
  if (!counters) return undefined;
  const at = numbers ? 1 : 0;
  return { packets: readCounter(words[at]?.text ?? '') ?? 0, bytes: readCounter(words[at + 1]?.text ?? '') ?? 0 };
}

function wordsOf(text: string): Word[] {
  return [...text.matchAll(/\S+/g)].map((match) => ({ text: match[0], at: match.index }));
}

function token(text: string, at: number): Token {
  return { text, column: at + 1, quoted: false };
}

function excerpt(text: string): string {
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}

function notARow(line: SourceLine, { file }: RowContext): never {
  const what = `"${excerpt(line.text.trim())}" is not a row of the columns above it`;
  const column = line.text.length - line.text.trimStart().length + 1;
  const advice = 'is the line cut off or wrapped? iptables-save prints rules that bear copying better';
  throw new NatreplayError('RULES_LISTING_ROW', what, { file, line: line.number, column, advice });
}

function notUnderstood(text: string, at: number, line: SourceLine, { file }: RowContext): never {
  const what = `"${excerpt(text.slice(at).trim())}" in a listing is not understood`;
  const advice = 'give what iptables-save prints, which leaves nothing out';
  throw new NatreplayError('RULES_LISTING_UNKNOWN', what, { file, line: line.number, column: at + 1, advice });
}

function chainNotListed(target: Word, line: SourceLine, { file }: RowContext): never {
  const what = `chain "${excerpt(target.text)}" is not in the listing (nor is it a target that is known)`;
  const advice = 'list the whole table, without naming a chain';
  throw new NatreplayError('RULES_UNKNOWN_TARGET', what, { file, line: line.number, column: target.at + 1, advice });
}
