function isOneOf(code: number, characters: string): boolean {
  for (let k = 0; k < characters.length; k++) if (characters.charCodeAt(k) === code) return true;
  return false;
}

/**
 * Reads a line of `ipset save` character by character: a set may have a million of them, and cutting each into strings
 * costs more than all the rest.
 */
const DOT = 46;
const ZERO = 48;
const NINE = 57;

export class Cursor {
  at = 0;
  end = 0;

  constructor(readonly text: string) {}

  /** Whether the next character is this one; then it is passed. */
  takes(code: number): boolean {
    if (this.at >= this.end || this.text.charCodeAt(this.at) !== code) return false;
    this.at++;
    return true;
  }

  /** A decimal number up to `max`, -1 if there is none; leading zeros are let pass. */
  number(max: number): number {
    const { text, end } = this;
    let { at } = this;
    let value = 0;
    for (; at < end; at++) {
      const code = text.charCodeAt(at);
      if (code < ZERO || code > NINE) break;
      value = value * 10 + code - ZERO;
      if (value > max) return -1;
    }
    if (at === this.at) return -1;
    this.at = at;
    return value;
  }

  /** An IPv4 address as a word (unsigned), -1 if there is none; then nothing is passed. */
  ipv4(): number {
    const start = this.at;
    let word = 0;
    for (let k = 0; k < 4; k++) {
      const octet = k > 0 && !this.takes(DOT) ? -1 : this.number(255);
      if (octet < 0) {
        this.at = start;
        return -1;
      }
      word = word * 256 + octet;
    }
    return word;
  }

  /** Everything up to one of these characters, or the end. */
  upTo(stop: string): string {
    const { text, at, end } = this;
    let to = at;
    while (to < end && !isOneOf(text.charCodeAt(to), stop)) to++;
    this.at = to;
    return text.slice(at, to);
  }

  /** What is left. */
  get rest(): string {
    return this.text.slice(this.at, this.end);
  }
}
