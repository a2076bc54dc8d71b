/**
 * A pasted text -> its lines, told apart: prompts with the command that printed what follows, heads of chains and of
 * columns, rows. Line numbers and quote marks in front are blanked out, so that columns stay those of the text.
 */
import type { Family } from '../../host/types.js';
import type { SourceLine } from '../lexer.js';
import { isTableName } from '../tables.js';
import type { TableName } from '../types.js';

/** Which columns the rows of a chain have. */
export interface Columns {
  readonly numbers: boolean;
  readonly counters: boolean;
  readonly interfaces: boolean;
}

export type ListingLine =
  | { readonly kind: 'blank' }
  /** `iptables -t nat -L`: the table that follows (filter without `-t`). */
  | { readonly kind: 'command'; readonly table: TableName | undefined; readonly family: Family }
  | { readonly kind: 'chain'; readonly line: SourceLine; readonly name: string; readonly about: string }
  | { readonly kind: 'columns'; readonly columns: Columns }
  /** A shell waiting below what it printed, or asked for something else. */
  | { readonly kind: 'prompt'; readonly line: SourceLine; readonly bare: boolean }
  | { readonly kind: 'other'; readonly line: SourceLine };

const COLUMNS = /^\s*(num\s+)?(pkts\s+bytes\s+)?target\s+prot\s+(?:opt\s+)?(in\s+out\s+)?source\s+destination\s*$/;
const CHAIN = /^\s*Chain (\S+) \((.*)\)\s*$/;
const TABLE = /^\s*Table: (\S+)\s*$/;
/** `root@host:~#`, `[root@host ~]#`, `$`, with what was typed. */
const PROMPT = /^\s*(?:\[?[\w.-]{1,80}@[\w.-]{1,80}(?: |:)?[^\s#$%]{0,200}\s?)?[#$%](?:\s+(\S.*))?\s*$/;
/** `root@host:~# iptables -t nat -L -n`, `$ sudo iptables -nL`, with or without a prompt. */
const COMMAND =
  /^\s*(?:\S{0,80}(?:@\S{0,80})?(?: ?[~/]\S{0,200})?\s{0,3}[#$%>]\s+)?(?:sudo\s+)?(?:\S{0,80}\/)?(ip6?tables)(?:-legacy|-nft)?(?:\s+(\S.*))?$/;

export function* listingLines(text: string): Generator<ListingLine> {
  const lines = text.replace(/^\ufeff/, '').split('\n');
  const clean = withoutLineNumbers(
    lines.map((line) => line.replace(/\r$/, '').replace(/^[ \t]*[>|](?=[ \t])/, blanks)),
  );
  for (const [i, line] of clean.entries()) yield classify({ number: i + 1, text: line.replaceAll('\t', ' ') });
}

function classify(line: SourceLine): ListingLine {
  const { text } = line;
  if (text.trim() === '' || /^\s*(`{3}|~{3})/.test(text) || /^# Warning: iptables/.test(text)) return { kind: 'blank' };
  const chain = CHAIN.exec(text);
  if (chain !== null) return { kind: 'chain', line, name: chain[1] ?? '', about: chain[2] ?? '' };
  const columns = COLUMNS.exec(text);
  if (columns !== null) {
    const [, numbers, counters, interfaces] = columns.map((group) => group !== undefined);
    return {
      kind: 'columns',
      columns: { numbers: numbers === true, counters: counters === true, interfaces: interfaces === true },
    };
  }
  const table = TABLE.exec(text)?.[1];
  if (table !== undefined && isTableName(table)) return { kind: 'command', table, family: 4 };
  const command = commandLine(text);
  if (command !== undefined) return command;
  const prompt = PROMPT.exec(text);
  return prompt === null ? { kind: 'other', line } : { kind: 'prompt', line, bare: prompt[1] === undefined };
}

function commandLine(text: string): ListingLine | undefined {
  const command = COMMAND.exec(text);
  if (command === null) return undefined;
  const [, tool, argumentText = ''] = command;
  const words = argumentText.split(/\s+/);
  // In `-nvL` and `-tnat` letters stand together.
  if (!words.some((word) => /^-[a-z]*[LS]/.test(word) || word === '--list' || word === '--list-rules'))
    return undefined;
  const at = words.findIndex((word) => word === '-t' || word === '--table');
  const joined = words.map((word) => /^(?:-t|--table=)([a-z]+)$/.exec(word)?.[1]).find((name) => name !== undefined);
  const name = (at < 0 ? undefined : words[at + 1]) ?? joined ?? 'filter';
  return { kind: 'command', table: isTableName(name) ? name : undefined, family: tool === 'ip6tables' ? 6 : 4 };
}

const NUMBERED = /^\s*(\d{1,7})[:.|)]?(?=\s|$)/;

const HEAD = /\bChain \S+ \(/;

/**
 * Blogs number their lines: then the heads of chains and columns have numbers in front, too, counting up. Where others
 * have none, what counts up without a gap around a numbered head is one numbered listing among several.
 */
function withoutLineNumbers(lines: readonly string[]): readonly string[] {
  const heads = lines.filter((line) => HEAD.test(line) || /^\W*\d+\W\s*-[PNA] /.test(line));
  const numbered = heads.filter((line) => NUMBERED.test(line)).length;
  if (numbered === 0) return lines;
  if (numbered === heads.length) return lines.map((line) => line.replace(NUMBERED, blanks));
  return runs(lines).flatMap((run) =>
    run.some((line) => HEAD.test(line)) ? run.map((line) => line.replace(NUMBERED, blanks)) : run,
  );
}

/** Lines whose numbers count up by one stand together, others by themselves. */
function runs(lines: readonly string[]): string[][] {
  const found: string[][] = [];
  let before = Number.NaN;
  for (const line of lines) {
    const number = Number(NUMBERED.exec(line)?.[1] ?? Number.NaN);
    const run = found.at(-1);
    if (run !== undefined && number === before + 1) run.push(line);
    else found.push([line]);
    before = number;
  }
  return found;
}

function blanks(text: string): string {
  return ' '.repeat(text.length);
}
