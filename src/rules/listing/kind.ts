/** What a text of rules is, told from what is in it. */

/** `save`: iptables-save; `listing`: iptables -L; `commands`: iptables -S. */
export type TextKind = 'save' | 'listing' | 'commands';

const CHAIN = /^[\s>|]*(?:\d+[:.|)]?\s+)?Chain \S+ \(/;
const COMMAND = /^[\s>|]*(?:\d+[:.|)]?\s+)?-[PNA] \S/;
const TABLE = /^\s*(?:\*\S+|:\S+ \S+.*\[\d+:\d+\])\s*$/;

export function kindOf(text: string): TextKind {
  let kind: TextKind = 'save';
  for (const line of lines(text)) {
    if (TABLE.test(line)) return 'save';
    if (CHAIN.test(line)) return 'listing';
    if (COMMAND.test(line)) kind = 'commands';
  }
  return kind;
}

function* lines(text: string): Generator<string> {
  for (let start = 0; start < text.length; ) {
    const newline = text.indexOf('\n', start);
    const end = newline < 0 ? text.length : newline;
    // Nothing that tells the kind is long.
    yield text.slice(start, Math.min(end, start + 400));
    start = end + 1;
  }
}
