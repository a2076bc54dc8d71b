/** The lines of a listing -> sections, one for each table, and which table each of them must be. */
import { NatreplayError } from '../../errors.js';
import type { Family } from '../../host/types.js';
import { TARGETS } from '../extensions/index.js';
import { TABLE_CHAINS, TABLE_NAMES } from '../tables.js';
import type { TableName } from '../types.js';

/** What is known of a table before its rules are read. */
export interface Section<C> {
  /** Stated by the command that printed it. */
  stated: TableName | undefined;
  readonly family: Family | undefined;
  readonly line: number;
  readonly chains: Map<string, C>;
  /** Names in target columns or behind -j. */
  readonly targets: Set<string>;
}

const BUILTIN: ReadonlySet<string> = new Set(Object.values(TABLE_CHAINS).flat());

export function isBuiltinSomewhere(chain: string): boolean {
  return BUILTIN.has(chain);
}

/**
 * Whether a chain begins the next table: its name is there already, or it is one that comes first in every table that
 * has it while the filter table is complete.
 */
export function beginsAnother(section: Section<unknown>, chain: string): boolean {
  if (section.chains.has(chain)) return true;
  const filter = TABLE_CHAINS.filter.every((name) => section.chains.has(name));
  return chain === 'PREROUTING' && filter;
}

export interface Assumed {
  readonly table: TableName;
  /** What the text shows of it. */
  readonly because: string;
}

/** The table a section is of, by its built-in chains and by the targets that only one table allows. */
export function inferTable(section: Section<unknown>): Assumed {
  const builtin = [...section.chains.keys()].filter(isBuiltinSomewhere);
  const bound = [...section.targets].filter(
    (name) => !section.chains.has(name) && TARGETS.get(name)?.tables !== undefined,
  );
  const fits = (table: TableName): boolean =>
    builtin.every((chain) => (TABLE_CHAINS[table] as readonly string[]).includes(chain)) &&
    bound.every((name) => TARGETS.get(name)?.tables?.includes(table) === true);
  const order: readonly TableName[] = ['filter', 'nat', 'mangle', 'raw'];
  const whole = order.find((table) => fits(table) && TABLE_CHAINS[table].every((chain) => builtin.includes(chain)));
  const table =
    whole ?? order.find(fits) ?? (bound.length > 0 ? TARGETS.get(bound[0] ?? '')?.tables?.[0] : undefined) ?? 'filter';
  const because = [...builtin, ...bound].slice(0, 6).join(', ');
  return { table, because: because === '' ? 'that is the table iptables lists by itself' : `it has ${because}` };
}

/** Each section with its table; sections of one table that share no chain are taken together. */
export function assignTables<C>(
  sections: readonly Section<C>[],
  told: TableName | undefined,
  file: string,
  assume: (section: Section<C>, assumed: Assumed) => void,
): Map<TableName, Section<C>[]> {
  const found = new Map<TableName, Section<C>[]>();
  const open = sections.filter(({ stated }) => stated === undefined);
  for (const section of sections) {
    const only = section.stated ?? (open.length === 1 ? told : undefined);
    const assumed = only === undefined ? inferTable(section) : undefined;
    if (assumed !== undefined) assume(section, assumed);
    const table = only ?? assumed?.table ?? 'filter';
    const others = found.get(table) ?? [];
    for (const chain of section.chains.keys())
      if (others.some(({ chains }) => chains.has(chain))) twice(chain, table, section, file);
    found.set(table, [...others, section]);
  }
  return found;
}

function twice(chain: string, table: TableName, section: Section<unknown>, file: string): never {
  const what = `chain ${chain} comes twice in what looks like table ${table}`;
  const advice = `put the command that printed each table above it ("# iptables -t ${TABLE_NAMES[2]} -L -n -v"), or give what iptables-save prints`;
  throw new NatreplayError('RULES_LISTING_TWICE', what, { file, line: section.line, column: 1, advice });
}
