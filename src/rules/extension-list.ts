/** What there is to say of every extension: `natreplay rules extensions`, and the tables of the README. */
import type { Family } from '../host/types.js';
import type { SupportLevel } from './extension.js';
import { MATCHES, TARGETS } from './extensions/index.js';
import { TABLE_NAMES } from './tables.js';
import type { BuiltinChain, TableName } from './types.js';

export interface ListedExtension {
  readonly kind: 'match' | 'target';
  readonly name: string;
  readonly families: readonly Family[];
  /** Where it is allowed. */
  readonly tables: readonly TableName[];
  /** Undefined: every built-in chain of these tables, or as its options say. */
  readonly chains: readonly BuiltinChain[] | undefined;
  readonly support: SupportLevel;
  /** One line. */
  readonly summary: string;
  /** Long names of its options. */
  readonly options: readonly string[];
}

/** Matches, then targets, by name. */
export function listExtensions(): ListedExtension[] {
  return [MATCHES, TARGETS].flatMap((extensions) =>
    [...extensions.values()]
      .sort((a, b) => (a.name < b.name ? -1 : 1))
      .map(({ kind, name, families, tables = TABLE_NAMES, hooks, support = 'evaluated', summary, options }) => ({
        kind,
        name,
        families,
        tables,
        chains: hooks,
        support,
        summary,
        options: options.map(({ names }) => names[0] ?? ''),
      })),
  );
}

/** In words: `IPv6 only`, `parsed only`; '' for what needs none. */
export function remarksOf({ families, support }: ListedExtension): string {
  const remarks: string[] = [];
  if (families.length === 1) remarks.push(`IPv${families[0]} only`);
  if (support === 'parsed') remarks.push('parsed only');
  return remarks.join(', ');
}
