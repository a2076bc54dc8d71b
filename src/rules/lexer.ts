/**
 * Lines and words of iptables-save text, split as iptables-restore splits them: blanks between words; a double quote
 * opens a quoted part in which a backslash makes the next character literal, and the closing quote ends the word.
 */
import { NatreplayError } from '../errors.js';
import type { Token } from './extension.js';

/** iptables-restore reads lines into 10240 bytes and would take the rest for another line. */
const MAX_LINE = 10239;
/** Longest word iptables-restore takes. */
const MAX_WORD = 1023;

const RETURN = 13;
const HASH = 35;

export interface SourceLine {
  /** From 1. */
  readonly number: number;
  readonly text: string;
}

/** The lines of a text (LF or CRLF) without those that are blank or comments. */
export function* significantLines(text: string, file: string): Generator<SourceLine> {
  let number = 0;
  let start = 0;
  while (start < text.length) {
    const newline = text.indexOf('\n', start);
    const end = newline < 0 ? text.length : newline;
    const line = text.slice(start, end > start && text.charCodeAt(end - 1) === RETURN ? end - 1 : end);
    number++;
    start = end + 1;
    if (line.charCodeAt(0) === HASH || line.trim() === '') continue;
    checkLine(line, file, number);
    yield { number, text: line };
  }
}

/** Fails for a line that no tool takes: too long, or with a NUL in it. */
export function checkLine(line: string, file: string, number: number): void {
  if (line.length > MAX_LINE) {
    throw new NatreplayError('RULES_LINE_TOO_LONG', `a line of ${line.length} characters (${MAX_LINE} is the most)`, {
      file,
      line: number,
      column: MAX_LINE + 1,
      advice: 'iptables-restore cannot load it either; is this iptables-save text?',
    });
  }
  const nul = line.indexOf('\0');
  if (nul >= 0) {
    throw new NatreplayError('RULES_NUL_BYTE', 'a NUL byte in the rules', {
      file,
      line: number,
      column: nul + 1,
      advice: 'this does not look like iptables-save text',
    });
  }
}

const TAB = 9;
const BLANK = 32;
const QUOTE = 34;
const BACKSLASH = 92;

/** Splits a line into words. `from` is the index to start at; columns are of the whole line. */
export function splitWords(line: SourceLine, file: string, from = 0): Token[] {
  const { text } = line;
  const { length } = text;
  const words: Token[] = [];
  for (let at = from; at < length; ) {
    let code = text.charCodeAt(at);
    if (code === BLANK || code === TAB) {
      at++;
      continue;
    }
    const start = at;
    while (at < length && code !== BLANK && code !== TAB && code !== QUOTE) code = text.charCodeAt(++at);
    const quoted = at < length && code === QUOTE;
    let word = text.slice(start, at);
    if (quoted) {
      const end = closingQuote(text, at);
      if (end < 0) unterminated(file, line.number, at);
      word += unescaped(text.slice(at + 1, end));
      at = end + 1;
    }
    if (word.length > MAX_WORD) tooLong(file, line.number, start);
    words.push({ text: word, column: start + 1, quoted });
  }
  return words;
}

/** Where the quoted part that opens at `open` is closed; -1 if it is not. */
function closingQuote(text: string, open: number): number {
  for (let at = open + 1; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === QUOTE) return at;
    // A backslash at the end of the line stands for itself.
    if (code === BACKSLASH) at++;
  }
  return -1;
}

function unescaped(quoted: string): string {
  return quoted.includes('\\') ? quoted.replace(/\\([\s\S])/g, '$1') : quoted;
}

function unterminated(file: string, line: number, open: number): never {
  throw new NatreplayError('RULES_UNTERMINATED_QUOTE', 'a quote that is never closed', {
    file,
    line,
    column: open + 1,
    advice: 'close it with " (inside quotes, write \\" for a quote and \\\\ for a backslash)',
  });
}

function tooLong(file: string, line: number, start: number): never {
  throw new NatreplayError('RULES_WORD_TOO_LONG', `a word of more than ${MAX_WORD} characters`, {
    file,
    line,
    column: start + 1,
    advice: 'iptables-restore refuses it too',
  });
}
