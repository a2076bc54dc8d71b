/** Rules of any text that people have: what a text is gets told from what is in it. */
import type { Family } from '../host/types.js';
import { kindOf, type TextKind } from './listing/kind.js';
import { familyOfListing, readCommands, readListing } from './listing/read.js';
import type { RulesWarning } from './listing/warning.js';
import { familyOf, parseRules } from './parse.js';
import type { ParseOptions, Ruleset, TableName } from './types.js';

export interface Reading {
  readonly ruleset: Ruleset;
  readonly kind: TextKind;
  readonly warnings: readonly RulesWarning[];
}

export interface ReadOptions extends ParseOptions {
  /** The table of a listing that does not say of which it is. */
  readonly table?: TableName | undefined;
}

/** Reads the text of iptables-save, iptables -S or iptables -L; throws NatreplayError with line and column. */
export function readRules(text: string, options: ReadOptions): Reading {
  const kind = kindOf(text);
  if (kind === 'save') return { kind, ruleset: parseRules(text, options), warnings: [] };
  const read = kind === 'listing' ? readListing : readCommands;
  return { kind, ...read(text, options, options.table) };
}

/** The family that a text states itself, by what made it or by its addresses; undefined if it does not. */
export function statedFamily(text: string): Family | undefined {
  return familyOf(text) ?? (kindOf(text) === 'save' ? undefined : familyOfListing(text));
}
