/** The rules as written: what a parser yields, what printing and compiling start from. */
import type { NatreplayError } from '../errors.js';
import type { Family } from '../host/types.js';
import type { MatchExtension, TargetExtension, Token } from './extension.js';
import type { UnsupportedMode } from './unsupported.js';

export type TableName = 'raw' | 'mangle' | 'nat' | 'filter' | 'security';
export type BuiltinChain = 'PREROUTING' | 'INPUT' | 'FORWARD' | 'OUTPUT' | 'POSTROUTING';
export type Policy = 'ACCEPT' | 'DROP';

export interface ParseOptions {
  /** As named by the user, for messages. */
  readonly file: string;
  readonly family: Family;
  /** What to do about rules that hold something this program does not know: stop, or keep them as never matching. */
  readonly unsupported: UnsupportedMode;
  /** Told of every error, of which each line has one at most; the rest is read on. Without it the first one is thrown. */
  readonly onError?: ((error: NatreplayError) => void) | undefined;
}

export interface Ruleset {
  readonly family: Family;
  /** As named by the user, for messages. */
  readonly file: string;
  /** In the file's order. A Map, so that no chain or table name can collide with a built-in property. */
  readonly tables: ReadonlyMap<TableName, Table>;
  /** Rules that were skipped because something in them is not supported (`--unsupported skip`). */
  readonly skipped: readonly SkippedRule[];
}

export interface Table {
  readonly name: TableName;
  /** In the file's order; built-in chains that the file leaves out are there too, empty and with policy ACCEPT. */
  readonly chains: ReadonlyMap<string, Chain>;
}

export interface Chain {
  readonly name: string;
  /** Undefined for a user-defined chain. */
  readonly policy: Policy | undefined;
  readonly packets: number;
  readonly bytes: number;
  readonly rules: readonly Rule[];
  readonly line: number;
}

/** `prefix` is what `-s 10.0.0.0/8` gives; a mask need not be contiguous. Words as in host/types. */
export interface AddressMatch {
  readonly negated: boolean;
  readonly address: Uint32Array;
  readonly mask: Uint32Array;
}

export interface InterfaceMatch {
  readonly negated: boolean;
  /** As written, `eth+` included. */
  readonly pattern: string;
}

export interface ProtocolMatch {
  readonly negated: boolean;
  /** 0 means every protocol. */
  readonly number: number;
}

/** One rule of a chain: what `iptables` keeps in its fixed part, the extensions, the target. */
export interface Rule {
  readonly table: TableName;
  readonly chain: string;
  /** Position in its chain, from 1, as `iptables -L --line-numbers` counts. */
  readonly number: number;
  readonly source: AddressMatch | undefined;
  readonly destination: AddressMatch | undefined;
  readonly protocol: ProtocolMatch | undefined;
  readonly inInterface: InterfaceMatch | undefined;
  readonly outInterface: InterfaceMatch | undefined;
  /** `-f`: second and further fragments; undefined when not asked for. */
  readonly fragment: { readonly negated: boolean } | undefined;
  /** In the order written; `-m NAME` twice gives two. */
  readonly matches: readonly MatchUse[];
  /** Undefined: the rule only counts. */
  readonly target: TargetUse | undefined;
  readonly packets: number;
  readonly bytes: number;
  /** Where it was written, for messages. */
  readonly line: number;
  readonly text: string;
  /** Not understood and told to skip: never matches. */
  readonly unsupported: boolean;
  /** Of such a rule, the words that are not of the fixed part. */
  readonly rest?: readonly Token[] | undefined;
}

export interface SkippedRule {
  readonly rule: Rule;
  /** What is missing, e.g. `match rateest`. */
  readonly missing: string;
}

/** A match extension with its parsed options (`options` is the extension's own, opaque to everyone else). */
export interface MatchUse {
  readonly extension: MatchExtension<unknown>;
  readonly options: unknown;
}

export type TargetUse =
  | { readonly kind: 'verdict'; readonly verdict: 'ACCEPT' | 'DROP' | 'RETURN' }
  | { readonly kind: 'jump' | 'goto'; readonly chain: string }
  | { readonly kind: 'extension'; readonly extension: TargetExtension<unknown>; readonly options: unknown };
