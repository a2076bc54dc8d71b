/**
 * The text behind the columns of a listing (`tcp dpt:80 ctstate NEW to:172.17.0.3:1337`) -> the options it stands for.
 * Each extension's own text is a phrase; phrases follow each other separated by blanks, the target's last. Where several
 * readings are possible (a comment may hold the end of a comment), the one that reads the text to its end counts.
 */

/** One way to read the text at some place: where it ends, and the words of a rule that it stands for (`-m NAME` included). */
export interface PhraseReading {
  readonly end: number;
  readonly words: readonly string[];
}

/** What reading may depend on: the meaning of a name of an address. */
export interface PhraseContext {
  /** `anywhere`, `localhost` or a number -> a number; undefined for a name that nobody knows. */
  address(text: string): string;
}

export interface Phrase {
  /** Of the extension. */
  readonly name: string;
  read(text: string, at: number, context: PhraseContext): Iterable<PhraseReading>;
}

/** A phrase of one pattern, which ends at a blank or at the end of the text. */
export function phrase(
  name: string,
  pattern: string,
  words: (groups: readonly (string | undefined)[], context: PhraseContext) => readonly string[],
): Phrase {
  const regexp = new RegExp(`${pattern}(?=\\s|$)`, 'y');
  return {
    name,
    *read(text, at, context) {
      regexp.lastIndex = at;
      const match = regexp.exec(text);
      if (match !== null && match[0] !== '') yield { end: regexp.lastIndex, words: words(match.slice(1), context) };
    },
  };
}

/** Words of a rule. */
export interface Details {
  /** `-m NAME` and its options, one match after the other. */
  readonly matches: readonly string[];
  /** The target's options. */
  readonly target: readonly string[];
}

const NOTHING: Details = { matches: [], target: [] };

/** The words of all phrases in `text` from `at` on, or the place from which on nothing is understood. */
export function readPhrases(
  text: string,
  at: number,
  matches: readonly Phrase[],
  target: readonly Phrase[],
  context: PhraseContext,
): Details | { readonly stuck: number } {
  const end = text.trimEnd().length;
  let furthest = at;
  const dead = new Set<number>();
  const targetFrom = (start: number): Details | undefined => {
    for (const each of target) {
      for (const { end: next, words } of each.read(text, start, context))
        if (skipBlanks(text, next) >= end) return { matches: [], target: words };
    }
    return undefined;
  };
  const from = (place: number): Details | undefined => {
    const start = skipBlanks(text, place);
    if (start >= end) return NOTHING;
    if (dead.has(start)) return undefined;
    furthest = Math.max(furthest, start);
    for (const each of matches) {
      for (const { end: next, words } of each.read(text, start, context)) {
        const rest = from(next);
        if (rest !== undefined) return { matches: [...words, ...rest.matches], target: rest.target };
      }
    }
    const last = targetFrom(start);
    if (last === undefined) dead.add(start);
    return last;
  };
  return from(at) ?? { stuck: furthest };
}

function skipBlanks(text: string, at: number): number {
  let place = at;
  while (text[place] === ' ' || text[place] === '\t') place++;
  return place;
}
