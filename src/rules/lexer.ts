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
    const line = text.slice(start, text[end - 1] === '\r' && end > start ? end - 1 : end);
    number++;
    start = end + 1;
    if (line.startsWith('#') || line.trim() === '') continue;
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

/** Splits a line into words. `from` is the index to start at; columns are of the whole line. */
export function splitWords(line: SourceLine, file: string, from = 0): Token[] {
  const { text } = line;
  const words: Token[] = [];
  let word = '';
  let start = -1;
  let quoteOpen = -1;
  let quoted = false;
  const finish = (): void => {
    if (start < 0) return;
    if (word.length > MAX_WORD) tooLong(file, line.number, start);
    words.push({ text: word, column: start + 1, quoted });
    word = '';
    start = -1;
    quoted = false;
    quoteOpen = -1;
  };
  for (let i = from; i < text.length; i++) {
    const c = text[i] as string;
    if (quoteOpen >= 0) {
      if (c === '\\' && i + 1 < text.length) word += text[++i];
      else if (c === '"') finish();
      else word += c;
    } else if (c === '"') {
      if (start < 0) start = i;
      quoteOpen = i;
      quoted = true;
    } else if (c === ' ' || c === '\t') {
      finish();
    } else {
      if (start < 0) start = i;
      word += c;
    }
  }
  if (quoteOpen >= 0) {
    throw new NatreplayError('RULES_UNTERMINATED_QUOTE', 'a quote that is never closed', {
      file,
      line: line.number,
      column: quoteOpen + 1,
      advice: 'close it with " (inside quotes, write \\" for a quote and \\\\ for a backslash)',
    });
  }
  finish();
  return words;
}

function tooLong(file: string, line: number, start: number): never {
  throw new NatreplayError('RULES_WORD_TOO_LONG', `a word of more than ${MAX_WORD} characters`, {
    file,
    line,
    column: start + 1,
    advice: 'iptables-restore refuses it too',
  });
}
