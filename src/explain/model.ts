/** What an explanation says: the way of one packet, hook by hook, as data that text, JSON and diagrams are made of. */
import type { BuiltinChain, Policy, TableName } from '../rules/types.js';

/** A packet as it is at some place of its way. */
export interface PacketState {
  /** `tcp 198.51.100.7:40000 > 192.0.2.1:8799` */
  readonly text: string;
  /** `SYN,ACK`; undefined unless it is TCP. */
  readonly flags: string | undefined;
  /** TTL or hop limit. */
  readonly ttl: number;
  /** IP total length in bytes. */
  readonly length: number;
  readonly tos: number;
  readonly mark: number;
  /** Mark of its connection; undefined without one. */
  readonly connectionMark: number | undefined;
}

export interface Change {
  readonly before: PacketState;
  readonly after: PacketState;
}

/** Why a rule does not match: its first condition that does not hold. */
export interface Reason {
  /** What is looked at: `destination port`. */
  readonly condition: string;
  /** What the rule asks for: `80`, `not 172.17.0.0/16`. */
  readonly wanted: string;
  /** The same as a sentence: `destination port 80, the packet has 8799`. */
  readonly text: string;
}

export interface RuleVisit {
  /** `nat:DOCKER:2` */
  readonly rule: string;
  readonly number: number;
  /** In the rule file, from 1. */
  readonly line: number;
  /** As `iptables-save` prints it. */
  readonly text: string;
  readonly matched: boolean;
  /** Of a rule that does not match. */
  readonly why: Reason | undefined;
  /** The rule could not be held against the packet, so the packet is dropped though it does not match. */
  readonly drops: boolean;
  /** Of a rule that matches: `DNAT`, `DOCKER`, `ACCEPT`; undefined: it only counts. */
  readonly target: string | undefined;
  /** The chain that the target leads to. */
  readonly jump: ChainVisit | undefined;
  /** The target comes back no more: -g. */
  readonly isGoto: boolean;
  /** What the target changed. */
  readonly change: Change | undefined;
}

export interface ChainVisit {
  readonly chain: string;
  /** Those that were tried, in order. */
  readonly rules: readonly RuleVisit[];
  readonly end: 'accept' | 'drop' | 'return' | 'policy';
  /** With `end` policy. */
  readonly policy: Policy | undefined;
}

export interface Connection {
  /** `tcp 198.51.100.7:40000 > 192.0.2.1:8799` */
  readonly original: string;
  readonly reply: string;
  /** The way the packet goes. */
  readonly direction: 'original' | 'reply';
  /** `SYN_SENT`; undefined unless it is TCP. */
  readonly tcpState: string | undefined;
  /** 0 unless a rule says otherwise. */
  readonly zone: number;
}

export type StateWord = 'NEW' | 'ESTABLISHED' | 'RELATED' | 'INVALID' | 'UNTRACKED';

export interface TrackStep {
  readonly kind: 'conntrack';
  readonly state: StateWord | undefined;
  /** `kept`: the packet had its connection before it came to the hook. */
  readonly entry: 'new' | 'found' | 'kept' | 'none';
  readonly connection: Connection | undefined;
  /** Reason word of an INVALID packet. */
  readonly why: string | undefined;
  readonly passed: boolean;
}

export interface TableStep {
  readonly kind: 'table';
  readonly table: TableName;
  readonly walk: ChainVisit;
  readonly passed: boolean;
}

export interface NatStep {
  readonly kind: 'nat';
  readonly manipulates: 'source' | 'destination' | undefined;
  /** Undefined: no chain was asked. */
  readonly walk: ChainVisit | undefined;
  /** What settled the mapping, or why nothing is to be settled. */
  readonly how: 'rule' | 'null-binding' | 'settled' | 'icmp-error' | 'no-connection' | 'dropped';
  /** Of a rule: what it asked for, as `172.17.0.3:1337`. */
  readonly asked: string | undefined;
  /** What was chosen, and why a port is another. */
  readonly choice: string | undefined;
  readonly change: Change | undefined;
  readonly passed: boolean;
}

export interface ConfirmStep {
  readonly kind: 'confirm';
  /** False: there was nothing to confirm. */
  readonly confirmed: boolean;
  readonly passed: boolean;
}

export type Step = TrackStep | TableStep | NatStep | ConfirmStep;

export interface HookStage {
  readonly kind: 'hook';
  readonly hook: BuiltinChain;
  readonly in: string | undefined;
  readonly out: string | undefined;
  /** As it comes to the hook. */
  readonly packet: PacketState;
  readonly steps: readonly Step[];
}

export interface RoutingStage {
  readonly kind: 'routing';
  /** `again`: what OUTPUT changed decides anew. */
  readonly of: 'incoming' | 'outgoing' | 'again';
  readonly decision: 'forward' | 'local' | 'send' | 'drop';
  readonly destination: string;
  readonly iface: string | undefined;
  /** Undefined: the destination is on the link. */
  readonly gateway: string | undefined;
  /** Of `drop`. */
  readonly why: string | undefined;
}

export type Stage = HookStage | RoutingStage;

export interface Outcome {
  readonly verdict: 'forward' | 'local' | 'drop' | 'held' | 'outgoing' | 'ignored';
  /** Rule or reason word; undefined if there is nothing to say. */
  readonly why: string | undefined;
  /** What the sender is told by REJECT, as the word of --reject-with. */
  readonly answer: string | undefined;
  /** Interface it leaves by. */
  readonly out: string | undefined;
  /** As it leaves, or as the host gets it. */
  readonly after: PacketState | undefined;
  /** Packets it leaves as, if it is cut. */
  readonly pieces: number | undefined;
}

export interface Journey {
  /** Interface it comes in by, `@local`: the host sends it; undefined: nobody knows. */
  readonly in: string | undefined;
  /** The capture or the packet's text does not say where it comes in; it follows from its source. */
  readonly ingressIsInferred: boolean;
  /** As it comes; undefined if it is no sound IP packet. */
  readonly packet: PacketState | undefined;
  readonly path: readonly Stage[];
  readonly outcome: Outcome;
}

export interface Explanation {
  /** Packets that were played before it. */
  readonly played: number;
  /** How the first packet of its connection fared; undefined unless one was played for it. */
  readonly first: Journey | undefined;
  readonly journey: Journey;
  readonly reply: Journey | undefined;
  /** Why no reply is shown. */
  readonly noReply: string | undefined;
}
