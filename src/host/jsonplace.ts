/** Where a text stops being JSON: Node 20's own message often leaves the place out. */

export interface JsonMistake {
  /** From 1. */
  readonly line: number;
  readonly column: number;
  /** What was found there, for a message. */
  readonly found: string;
}

const BLANK = /[ \t\r\n]*/y;
// Of the characters a string may hold as they are: all from the blank on but the quote and the backslash.
const SCALAR =
  /"(?:[ !#-[\]-\uffff]+|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null/y;
const KEY = /"(?:[ !#-[\]-\uffff]+|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"[ \t\r\n]*/y;

/** The first place at which `text` (which JSON.parse refused) is wrong. */
export function findJsonMistake(text: string): JsonMistake {
  const scan = new Scan(text);
  scan.document();
  const before = text.slice(0, scan.at);
  const line = before.split('\n').length;
  const found =
    scan.at >= text.length ? 'the end of the file' : `'${text.slice(scan.at).split(/\s/, 1)[0]?.slice(0, 20)}'`;
  return { line, column: scan.at - before.lastIndexOf('\n'), found };
}

/** Reads on while the text is right; `at` stays where it is not. Open brackets are a list, so depth costs no stack. */
class Scan {
  at = 0;
  private readonly open: ('{' | '[')[] = [];

  constructor(private readonly text: string) {}

  document(): void {
    let more = this.value();
    while (more && this.open.length > 0) more = this.afterValue();
    if (more) this.skip(BLANK);
  }

  /** A scalar, or the opening of an array or object with its first element. */
  private value(): boolean {
    for (;;) {
      this.skip(BLANK);
      const bracket = this.text[this.at];
      if (bracket !== '{' && bracket !== '[') return this.skip(SCALAR);
      this.at++;
      this.skip(BLANK);
      this.open.push(bracket);
      if (this.text[this.at] === (bracket === '{' ? '}' : ']')) return true;
      if (bracket === '{' && !this.key()) return false;
    }
  }

  /** After an element: its container's end, or a comma and the next element. */
  private afterValue(): boolean {
    this.skip(BLANK);
    const container = this.open.at(-1);
    const next = this.text[this.at];
    if (next === (container === '{' ? '}' : ']')) {
      this.at++;
      this.open.pop();
      return true;
    }
    if (next !== ',') return false;
    this.at++;
    this.skip(BLANK);
    return (container === '[' || this.key()) && this.value();
  }

  private key(): boolean {
    if (!this.skip(KEY)) return false;
    if (this.text[this.at] !== ':') return false;
    this.at++;
    return true;
  }

  private skip(pattern: RegExp): boolean {
    pattern.lastIndex = this.at;
    if (!pattern.test(this.text)) return false;
    this.at = pattern.lastIndex;
    return true;
  }
}
