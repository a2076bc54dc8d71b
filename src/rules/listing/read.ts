/** Listings (`iptables -L`) and rules as commands (`iptables -S`) -> rules, and what has to be said of them. */
import { NatreplayError } from '../../errors.js';
import type { Family } from '../../host/types.js';
import { checkRuleset } from '../check.js';
import { buildRuleset, type DraftChain, DraftTable } from '../draft.js';
import { checkLine, type SourceLine, splitWords } from '../lexer.js';
import { Problems } from '../problems.js';
import type { ParseOptions, Ruleset, TableName } from '../types.js';
import { hiddenInterfaces } from './hidden.js';
import { readCounter, readRow, targetOf } from './rows.js';
import { type Assumed, assignTables, beginsAnother, isBuiltinSomewhere, type Section } from './sections.js';
import { type Columns, listingLines } from './source.js';
import type { RulesWarning } from './warning.js';

export interface Listed {
  readonly ruleset: Ruleset;
  readonly warnings: readonly RulesWarning[];
}

interface ListedChain {
  readonly name: string;
  /** What stands in brackets behind the name. */
  readonly about: string;
  readonly line: SourceLine;
  columns: Columns | undefined;
  readonly rows: SourceLine[];
}

/** The family a listing shows by its addresses; undefined if it shows none. */
export function familyOfListing(text: string): Family | undefined {
  for (const line of listingLines(text)) {
    if (line.kind === 'command' && line.family === 6) return 6;
    if (line.kind !== 'other') continue;
    if (/(?:^|\s)!?(?:\d{1,3}\.){3}\d{1,3}(?:[/\s]|$)/.test(line.line.text)) return 4;
    if (/(?:^|\s)(?:!?[0-9a-f]{0,4}:[0-9a-f:.]*:[0-9a-f:.]*(?:[/\s]|$)|ipv6-icmp\s|58 +--\s)/.test(line.line.text))
      return 6;
  }
  return undefined;
}

/** Reads what `iptables -L` printed; `told`: the table of which it is, if the text does not say. */
export function readListing(text: string, options: ParseOptions, told: TableName | undefined): Listed {
  const reader = new Reader<ListedChain>(options);
  let chain: ListedChain | undefined;
  let afterBlank = true;
  for (const line of listingLines(text)) {
    if (line.kind === 'blank') afterBlank = true;
    else if (line.kind === 'command') {
      reader.command(line.table, line.family);
      chain = undefined;
    } else if (line.kind === 'chain') {
      const { name, about } = line;
      chain = { name, about, line: line.line, columns: undefined, rows: [] };
      reader.section(name, line.line.number).chains.set(name, chain);
      afterBlank = false;
    } else if (line.kind === 'columns') {
      if (chain !== undefined) chain.columns ??= line.columns;
      afterBlank = false;
    } else if (line.kind === 'prompt') {
      afterBlank = true;
      if (!line.bare) reader.passedOver(line.line);
    } else if (chain !== undefined && (!afterBlank || isRow(line.line, chain))) {
      chain.rows.push(line.line);
      const target = chain.columns === undefined ? undefined : targetOf(line.line, chain.columns);
      if (target !== undefined && target !== '') reader.current?.targets.add(target);
    } else reader.passedOver(line.line);
  }
  return reader.finish(told, (table, name, sections, problems) => {
    for (const { chains } of sections) for (const listed of chains.values()) declare(table, listed, options);
    for (const { chains } of sections)
      for (const listed of chains.values())
        readRows(table, listed, options, problems, () => reader.bare.add(`${name}:${listed.name}`));
  });
}

function isRow(line: SourceLine, { columns }: ListedChain): boolean {
  return columns !== undefined && targetOf(line, columns) !== undefined;
}

/** `policy DROP 26205 packets, 8140K bytes` or `2 references`. */
function declare(table: DraftTable, { name, about, line }: ListedChain, options: ParseOptions): void {
  const column = line.text.indexOf(name) + 1;
  const chain: DraftChain = table.declare({ text: name, column, quoted: false }, line);
  const policy = /^policy (\S+)(?: (\S+) packets, (\S+) bytes)?/.exec(about);
  if (policy === null) return;
  if (chain.policy === undefined) {
    const what = `chain ${name} has a policy, and so is built in, but not to table ${table.name}`;
    const advice = 'state the table with -t';
    throw new NatreplayError('RULES_BAD_POLICY', what, { file: options.file, line: line.number, column, advice });
  }
  chain.policy = table.policy({ text: policy[1] ?? '', column: line.text.indexOf('policy') + 8, quoted: false }, line);
  chain.packets = readCounter(policy[2] ?? '') ?? 0;
  chain.bytes = readCounter(policy[3] ?? '') ?? 0;
}

function readRows(
  table: DraftTable,
  { name, columns, rows, line: head }: ListedChain,
  options: ParseOptions,
  problems: Problems,
  withoutInterfaces: () => void,
): void {
  const { file, family } = options;
  const [first] = rows;
  if (first === undefined) return;
  if (columns === undefined) {
    problems.guard(() => noColumns(name, head, file));
    return;
  }
  if (!columns.interfaces) withoutInterfaces();
  for (const line of rows) {
    problems.guard(() => {
      checkLine(line.text, file, line.number);
      const { words, counters } = readRow(line, columns, { file, family, chains: table.chains });
      table.addRule('-A', { text: name, column: 1, quoted: false }, words, counters, line);
    });
  }
}

function noColumns(chain: string, { number }: SourceLine, file: string): never {
  const what = `chain ${chain} is listed without the names of its columns`;
  const advice = 'give the listing as it was printed, with the line "target prot opt source destination"';
  throw new NatreplayError('RULES_LISTING_COLUMNS', what, { file, line: number, column: 1, advice });
}

/** Reads what `iptables -S` printed. */
export function readCommands(text: string, options: ParseOptions, told: TableName | undefined): Listed {
  const reader = new Reader<SourceLine[]>(options);
  let last = '';
  for (const line of listingLines(text)) {
    if (line.kind === 'command') {
      reader.command(line.table, line.family);
      last = '';
    } else if (line.kind === 'prompt') {
      if (!line.bare) reader.passedOver(line.line);
    } else if (line.kind === 'other') {
      const [, command, chain = ''] = /^\s*(-[PNA])\s+(\S+)/.exec(line.line.text) ?? [];
      if (command === undefined) {
        reader.passedOver(line.line);
        continue;
      }
      const declared = command !== '-A';
      const section = declared ? reader.section(chain, line.line.number, last === '-A') : reader.open(line.line.number);
      last = command;
      if (declared || isBuiltinSomewhere(chain)) section.chains.set(chain, section.chains.get(chain) ?? []);
      const target = /\s-[jg]\s+(\S+)/.exec(line.line.text)?.[1];
      if (target !== undefined) section.targets.add(target);
      reader.lines(section).push(line.line);
    }
  }
  return reader.finish(told, (table, _, sections, problems) => {
    for (const section of sections)
      for (const line of reader.lines(section)) problems.guard(() => commandLine(table, line, options.file));
  });
}

function commandLine(table: DraftTable, line: SourceLine, file: string): void {
  checkLine(line.text, file, line.number);
  table.command(splitWords(line, file), line);
}

/** Gathers sections, then makes tables of them. */
class Reader<C> {
  current: Section<C> | undefined;
  /** `table:chain` of those listed without interfaces. */
  readonly bare = new Set<string>();
  private readonly sections: Section<C>[] = [];
  private readonly linesOf = new Map<Section<C>, SourceLine[]>();
  private stated: { readonly table: TableName | undefined; readonly family: Family } | undefined;
  private firstPassedOver: SourceLine | undefined;
  private countPassedOver = 0;

  constructor(private readonly options: ParseOptions) {}

  /** A command was seen that prints a table. */
  command(table: TableName | undefined, family: Family): void {
    this.stated = { table, family };
    this.current = undefined;
  }

  /** The section that a chain belongs to, by its name: often the current one. */
  section(chain: string, line: number, over = false): Section<C> {
    if (this.current !== undefined && (over || beginsAnother(this.current, chain))) this.current = undefined;
    return this.open(line);
  }

  open(line: number): Section<C> {
    if (this.current !== undefined) return this.current;
    const { table, family } = this.stated ?? { table: undefined, family: undefined };
    this.stated = undefined;
    this.current = { stated: table, family, line, chains: new Map(), targets: new Set() };
    this.sections.push(this.current);
    return this.current;
  }

  lines(section: Section<C>): SourceLine[] {
    const lines = this.linesOf.get(section) ?? [];
    this.linesOf.set(section, lines);
    return lines;
  }

  passedOver(line: SourceLine): void {
    this.firstPassedOver ??= line;
    this.countPassedOver++;
  }

  finish(
    told: TableName | undefined,
    fill: (table: DraftTable, name: TableName, sections: readonly Section<C>[], problems: Problems) => void,
  ): Listed {
    const { file, family, onError } = this.options;
    const problems = new Problems(onError);
    const warnings = this.passedOverWarning();
    const tables = new Map<TableName, DraftTable>();
    problems.guard(() => {
      const own = this.sections.filter((section) => section.family === undefined || section.family === family);
      const assume = (section: Section<C>, assumed: Assumed): void => {
        warnings.push(assumption(section, assumed, file));
      };
      for (const [name, sections] of assignTables(own, told, file, assume)) {
        const table = new DraftTable(name, sections[0]?.line ?? 1, this.options);
        tables.set(name, table);
        problems.guard(() => fill(table, name, sections, problems));
      }
    });
    const ruleset = buildRuleset(tables, this.options);
    if (problems.count === 0) problems.guard(() => checkRuleset(ruleset));
    if (problems.count === 0) warnings.push(...hiddenInterfaces(ruleset, this.bare));
    return { ruleset, warnings };
  }

  private passedOverWarning(): RulesWarning[] {
    const { firstPassedOver: first, countPassedOver: count } = this;
    if (first === undefined) return [];
    const lines = count === 1 ? 'a line that is' : `${count} lines that are`;
    const what = `${lines} no part of the rules passed over, such as "${first.text.trim().slice(0, 60)}"`;
    return [{ code: 'LISTING_OTHER_TEXT', file: this.options.file, line: first.number, what, rules: [] }];
  }
}

function assumption({ line }: Section<unknown>, { table, because }: Assumed, file: string): RulesWarning {
  const what = `which table this is, the text does not say; taken as ${table}: ${because}`;
  return {
    code: 'LISTING_TABLE_ASSUMED',
    file,
    line,
    what,
    advice: '-t states it (rules check, rules print)',
    rules: [],
  };
}
