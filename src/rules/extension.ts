/**
 * What an extension is: one file under extensions/ that knows how to parse its options, check them, print them as
 * iptables-save does, say where it may be used, and compile them into a predicate or an action. Adding an extension is
 * adding a file (and its line in extensions/index.ts).
 */
import type { Family, Host } from '../host/types.js';
import type { PacketContext } from './context.js';
import type { SharedState } from './state/shared.js';
import type { BuiltinChain, MatchUse, TableName } from './types.js';

/** A word of the rule with its place, so that an error can point at it. Columns count from 1. */
export interface Token {
  readonly text: string;
  readonly column: number;
  readonly quoted: boolean;
}

/** One option as found in a rule: `! --dport 80:90` is name `--dport`, negated, one argument. */
export interface ParsedOption {
  readonly name: string;
  readonly negated: boolean;
  readonly args: readonly Token[];
  readonly token: Token;
}

export interface OptionSpec {
  /** Long names with their dashes, canonical first: `--dport`, `--destination-port`. */
  readonly names: readonly string[];
  /** How many arguments follow. */
  readonly args: 0 | 1 | 2;
  readonly negatable: boolean;
  /** May be given more than once (`--next` of `-m policy`). */
  readonly repeatable?: boolean;
}

/** What an extension may know of its rule while it parses; errors go through `fail`, which adds the place. */
export interface ParseContext {
  readonly family: Family;
  readonly table: TableName;
  readonly chain: string;
  /** Protocol of `-p` (0 if none) and whether it was negated. */
  readonly protocol: number;
  readonly protocolNegated: boolean;
  /** The rule's matches; empty while matches themselves are parsed. */
  readonly matches: readonly MatchUse[];
  /** Throws an error that points at the token (at the extension's name without one). */
  fail(code: string, what: string, token: Token | undefined, advice: string): never;
  /** Throws: something iptables knows and this program does not (`target CT --zone`); `--unsupported skip` skips the rule. */
  unsupported(missing: string, token: Token | undefined): never;
}

/** Asks a listing for names of services, networks and the like where they are known, as without `-n`. */
export interface ListNames {
  /** Of the rule's `-p`; 0 if it has none, or a negated one. */
  readonly protocol: number;
}

/** What compiling may rely on. */
export interface CompileContext {
  readonly host: Host;
  readonly family: Family;
  /** Which iptables evaluates the rules: they differ over transport headers that are cut short. Default: legacy. */
  readonly backend?: 'legacy' | 'nft' | undefined;
  /** Random numbers from `--seed`: unsigned 32-bit. */
  random32(): number;
  /** Where a match that counts its visits says how to go back; undefined where nothing ever goes back. */
  readonly savers?: StateSaver[] | undefined;
  /** Sets, and tables that rules share by name. */
  readonly shared: SharedState;
}

/** Numbers from `min` to `max`, both included. */
export interface NumberRange {
  readonly min: number;
  readonly max: number;
}

/**
 * What of an IPv4 packet beside its protocol, its interfaces and how it stands to its connection a match looks at: packets
 * whose fields are in the same ranges, or in none, are the same to it. Addresses in host order.
 */
export interface HeaderReads {
  readonly sources?: readonly NumberRange[];
  readonly destinations?: readonly NumberRange[];
  readonly sourcePorts?: readonly NumberRange[];
  readonly destinationPorts?: readonly NumberRange[];
  /** Byte 13 of the TCP header. */
  readonly tcpFlags?: boolean;
  /** What of a connection is the same at every first packet, but not later on (its mark). */
  readonly connection?: boolean;
}

/** Notes the state of a match as it is now; what it returns brings that back. */
export type StateSaver = () => () => void;

export type SupportLevel = 'evaluated' | 'parsed';

export interface ExtensionBase<O> {
  /** As in `-m NAME` or `-j NAME`. */
  readonly name: string;
  /** One line of documentation. */
  readonly summary: string;
  readonly families: readonly Family[];
  /** Undefined: every table (chain). */
  readonly tables?: readonly TableName[];
  readonly hooks?: readonly BuiltinChain[];
  /** Protocol numbers of which the rule's `-p` must name one (`--dport` needs tcp). Undefined: any. */
  readonly protocols?: readonly number[];
  readonly options: readonly OptionSpec[];
  /** Where it may be used given these options (kernel: checkentry); undefined: as `hooks` says. */
  usableIn?(options: O): readonly BuiltinChain[] | undefined;
  /** Name in the target column of listings where it differs (`NOTRACK` is listed as `CT`). */
  readonly listName?: string;
  /** Listed without the blank that iptables puts before every other (`bpf`, `eui64`). */
  readonly listsTight?: boolean;
  /** `parsed`: read, checked and printed, but no packet can be held against it. Undefined: `evaluated`. */
  readonly support?: SupportLevel;
  /** Turns the options found (in the order written) into the extension's own value, or fails. */
  parse(options: readonly ParsedOption[], context: ParseContext): O;
  /** Exactly what iptables-save prints after `-m NAME` or `-j NAME`, with a leading space, or ''. */
  print(options: O, family: Family): string;
  /**
   * What `iptables -L` prints in the last column for it, without leading space ('' for nothing): numbers as with `-n`,
   * unless names are asked for.
   */
  list(options: O, family: Family, names?: ListNames): string;
}

export interface MatchExtension<O> extends ExtensionBase<O> {
  readonly kind: 'match';
  /**
   * Range outside of which no destination port of a packet with a whole TCP or UDP header matches; undefined if these
   * options have none. Lets a chain pass over rules without asking each of them.
   */
  destinationPorts?(options: O): { readonly min: number; readonly max: number } | undefined;
  /**
   * What it goes by for packets that are NEW or ESTABLISHED, when that is all there is: nothing is counted, drawn or taken
   * from the clock. Undefined: it has to be asked about each packet.
   */
  reads?(options: O): HeaderReads | undefined;
  compile(options: O, context: CompileContext): (packet: PacketContext) => boolean;
}

export interface TargetExtension<O> extends ExtensionBase<O> {
  readonly kind: 'target';
  compile(options: O, context: CompileContext): TargetAction;
}

/**
 * What a target does. `effect` may change the packet's mark and the like; then the walk goes on to the next rule.
 * For `nat` the hook decides what is translated, as in the kernel (HOOK2MANIP): the destination in PREROUTING and OUTPUT,
 * the source in POSTROUTING and INPUT; `manipulation` says the same for targets that are bound to one of them (not NETMAP).
 */
export type TargetAction =
  | { readonly kind: 'drop' | 'return' }
  /** `queued`: a program of the host is asked, which is taken to accept; that is to be said of the packet. */
  | { readonly kind: 'accept'; readonly queued?: boolean }
  /** `logs`: what a packet log is to say of the packet. */
  | { readonly kind: 'effect'; readonly logs?: LogUse; apply(packet: PacketContext): void }
  | { readonly kind: 'reject'; readonly with: string }
  | { readonly kind: 'notrack' }
  /** The zone that the packet is to be tracked in; `directions` as in CtOptions. */
  | { readonly kind: 'zone'; readonly zone: number | 'mark'; readonly directions: number }
  | {
      readonly kind: 'nat';
      readonly manipulation: 'src' | 'dst';
      /** The range depends on the packet's own addresses (NETMAP), not only on the way it takes. */
      readonly byAddress?: boolean;
      range(packet: PacketContext): NatRange | undefined;
    };

/** A target that logs: its name, and what it puts into the log. */
export interface LogUse {
  readonly target: 'LOG' | 'NFLOG' | 'ULOG' | 'TRACE';
  /** Undefined: none. */
  readonly prefix?: string;
  /** Netlink group of the program that listens. */
  readonly group?: number;
}

/**
 * Where NAT may map to (kernel: nf_nat_range2). `range()` above returns the same object for every packet when it can;
 * undefined drops the packet (REDIRECT without an address).
 */
export interface NatRange {
  /** Undefined: the address stays. Words in host order, both ends included. */
  readonly minAddress: Uint32Array | undefined;
  readonly maxAddress: Uint32Array | undefined;
  /** Undefined: no port range asked for (`--to-ports`, `:port`). Host order, both ends included. */
  readonly minPort: number | undefined;
  readonly maxPort: number | undefined;
  /** Base port of a shifted range `a-b/base`. */
  readonly basePort: number | undefined;
  /** `--random`, `--random-fully`, `--persistent`. */
  readonly random: boolean;
  readonly randomFully: boolean;
  readonly persistent: boolean;
}
