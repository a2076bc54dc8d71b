/** What is to be said of rules that were read, and of which rules it is said. */
import type { TableName } from '../types.js';

export interface RuleRemark {
  readonly table: TableName;
  readonly chain: string;
  readonly number: number;
  readonly line: number;
  /** As iptables-save would write it. */
  readonly text: string;
  /** Options that it probably has. */
  readonly probably?: string | undefined;
  /** Rules that could not match if it stood as it is shown. */
  readonly hides?:
    | readonly { readonly table: TableName; readonly chain: string; readonly number: number }[]
    | undefined;
}

export interface RulesWarning {
  /** Stable, e.g. `LISTING_WITHOUT_INTERFACES`. */
  readonly code: string;
  readonly file: string;
  readonly line?: number | undefined;
  readonly what: string;
  readonly advice?: string | undefined;
  readonly rules: readonly RuleRemark[];
}

/** `FILE:LINE: what; advice` */
export function warningText({ file, line, what, advice }: RulesWarning): string {
  const place = line === undefined ? file : `${file}:${line}`;
  return `${place}: ${what}${advice === undefined ? '' : `; ${advice}`}`;
}
