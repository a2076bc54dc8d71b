/** What a replay found out, gathered once and then shown in several ways (terminal, JSON, listings). */
import type { CaptureWarning, WrittenFile } from '../capture/types.js';
import type { Host } from '../host/types.js';
import type { Ruleset, TableName } from '../rules/types.js';

export type Verdict = 'forward' | 'local' | 'drop' | 'held' | 'outgoing' | 'ignored';

export interface InputSummary {
  readonly path: string;
  readonly format: string;
  readonly linkTypes: readonly string[];
  readonly records: number;
  /** Bytes of the capture as stored. */
  readonly bytes: number;
  readonly warnings: readonly CaptureWarning[];
}

export interface VerdictCounts {
  readonly forward: number;
  readonly local: number;
  readonly drop: number;
  readonly held: number;
  readonly outgoing: number;
  readonly ignored: number;
  /** Forwarded or delivered with an address or port changed. */
  readonly translated: number;
}

/** RX and TX of an interface, as `ifconfig` counts them: frames and their bytes (link-layer header included). */
export interface InterfaceCounters {
  readonly name: string;
  readonly rxPackets: number;
  readonly rxBytes: number;
  readonly txPackets: number;
  readonly txBytes: number;
}

export interface ConnectionCounts {
  readonly created: number;
  readonly expired: number;
  /** Alive at the capture's end. */
  readonly live: number;
  readonly peak: number;
}

/** What became of fragments that were gathered into datagrams. */
export interface FragmentTotals {
  /** Fragments that waited for others. */
  readonly held: number;
  /** Fragments that were refused: the reasons `fragment-...`. */
  readonly dropped: number;
  /** Datagrams put together, and given up because their time was over. */
  readonly reassembled: number;
  readonly expired: number;
  /** What still waits at the capture's end. */
  readonly waitingDatagrams: number;
  readonly waitingFragments: number;
}

/** Service time of packets, sampled; nanoseconds. */
export interface ServiceTime {
  readonly samples: number;
  readonly p50: number;
  readonly p99: number;
  readonly p999: number;
  readonly max: number;
  readonly mean: number;
  /** What was measured and how it was sampled, a sentence. */
  readonly method: string;
}

/** Counters of a rule set after the run. */
export interface RuleCounters {
  readonly ruleset: Ruleset;
  /** By table, then chain: `policy` for built-in chains, and the rule's number (`Rule.number`, from 1). */
  packets(table: string, chain: string, rule: number | 'policy'): number;
  bytes(table: string, chain: string, rule: number | 'policy'): number;
  /** Tables that were read but that no packet went through. */
  readonly notEvaluated?: readonly TableName[] | undefined;
}

/** An entry of the connection table at the capture's end, for `conntrack -L` text. Addresses as text. */
export interface ConnectionEntry {
  readonly family: 4 | 6;
  readonly protocol: number;
  /** Seconds until it expires, rounded down as the kernel prints them. */
  readonly timeout: number;
  /** TCP (or SCTP, DCCP) state name (`ESTABLISHED`), undefined for other protocols. */
  readonly tcpState: string | undefined;
  readonly original: ConnectionTuple;
  readonly reply: ConnectionTuple;
  readonly seenReply: boolean;
  readonly assured: boolean;
  readonly mark: number;
  readonly zone: number;
  /** Directions that the zone is valid for (the other one is in zone 0); undefined: both. */
  readonly zoneDirection?: 'original' | 'reply' | undefined;
}

export interface ConnectionTuple {
  readonly source: string;
  readonly destination: string;
  /** Undefined for protocols without ports. */
  readonly sourcePort: number | undefined;
  readonly destinationPort: number | undefined;
  readonly icmp: { readonly type: number; readonly code: number; readonly id: number } | undefined;
  /** GRE key of the source, undefined for other protocols. */
  readonly greKey: number | undefined;
  /** GRE key of the destination; the source's if not given (0 both but for PPTP). */
  readonly greDestinationKey?: number | undefined;
}

/** A file of text that was written beside the captures: the packet log, counters, the connection listing. */
export interface WrittenText {
  readonly path: string;
  /** What it holds, as the report names it: `packet log`, `counters`, `connections`. */
  readonly what: string;
  readonly bytes: number;
}

/** Source ports and ids that a real host drew at random, as its own outgoing records show them. */
export interface LearntPorts {
  /** Drawn by the kernel and seen. */
  learnt: number;
  /** To be drawn, but no outgoing packet shows what the kernel drew. */
  unknown: number;
  /** Seen, but not what these rules permit, or taken already. */
  refused: number;
  /** Other than expected though these rules would have kept the port. */
  unforeseen: number;
}

export interface ReplayResult {
  readonly host: Host;
  readonly inputs: readonly InputSummary[];
  readonly outputs: readonly WrittenFile[];
  readonly texts?: readonly WrittenText[] | undefined;
  readonly records: number;
  readonly verdicts: VerdictCounts;
  /** Why packets were dropped or went past NAT: reason -> packets, most frequent first. */
  readonly reasons: readonly (readonly [string, number])[];
  readonly interfaces: readonly InterfaceCounters[];
  readonly connections: ConnectionCounts;
  /** Undefined: none came. */
  readonly fragments?: FragmentTotals | undefined;
  /** With --learn-ports. */
  readonly ports?: LearntPorts | undefined;
  readonly rules: readonly RuleCounters[];
  readonly serviceTime: ServiceTime | undefined;
  /** Wall time of the run. */
  readonly elapsedSeconds: number;
  readonly captureSeconds: { readonly first: number; readonly last: number } | undefined;
  readonly assumptions: readonly string[];
  readonly warnings: readonly string[];
}

/** A line of the packet log (DESIGN: NDJSON, one object per input record). */
export interface PacketLogEntry {
  readonly i: number;
  /** Seconds since 1970, digits for the capture's full resolution: written as a JSON number without going through a double. */
  readonly ts: string;
  readonly in: string | null;
  readonly verdict: Verdict;
  readonly why?: string | undefined;
  readonly state?: 'new' | 'established' | 'related' | 'invalid' | 'untracked' | undefined;
  readonly nat?: string | undefined;
  readonly rule?: string | undefined;
  readonly out?: readonly { readonly iface: string | null; readonly record: number }[] | undefined;
  readonly before?: string | undefined;
  readonly after?: string | undefined;
  /** Rules that logged it, in the order met. */
  readonly logs?: readonly LoggedBy[] | undefined;
  /** What it met behind a TRACE rule: `filter:FORWARD:rule:2`. */
  readonly trace?: readonly string[] | undefined;
}

/** `target` is LOG, NFLOG, ULOG or TRACE; `rule` as `table:chain:number`. */
export interface LoggedBy {
  readonly target: string;
  readonly rule: string;
  readonly prefix?: string | undefined;
  readonly group?: number | undefined;
}
