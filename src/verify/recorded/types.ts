/** What comparing with a recording finds out. */
import type { LearntPorts } from '../../report/types.js';
import type { FieldDifference } from '../fields.js';

/** A record of a capture, as Wireshark numbers it. */
export interface RecordPlace {
  readonly file: string;
  /** From 1. */
  readonly frame: number;
  /** Undefined when the capture does not say, or the host has no such interface. */
  readonly iface: string | undefined;
  /** The packet as text. */
  readonly packet: string;
}

/** What natreplay says that became of an incoming record. */
export interface Prediction {
  readonly verdict: string;
  readonly iface: string | undefined;
  /** As it would leave, or as it is when dropped or delivered; undefined if it is as it came in. */
  readonly packet: string | undefined;
  /** The rule that translated it, or why it was dropped. */
  readonly rule: string | undefined;
  readonly why: string | undefined;
}

export type FindingKind = 'differs' | 'missing' | 'unexplained';

/** A disagreement. Packets of one connection, both directions, are told together: the first stands for all. */
export interface Finding {
  readonly kind: FindingKind;
  /** Disagreeing packets of the connection, in each of the three ways. */
  readonly packets: { differs: number; missing: number; unexplained: number };
  readonly incoming: RecordPlace | undefined;
  readonly recorded: RecordPlace | undefined;
  readonly predicted: Prediction | undefined;
  /** Where both packets are known: `kernel` is the recorded one. */
  readonly fields: readonly FieldDifference[];
  /** What is most likely behind it, a sentence without its stop. */
  readonly reason: string;
}

/** Records and predictions that are no disagreement though they have no counterpart, by why. */
export interface SetAside {
  /** Sent by the host itself: answers to packets that it took in or refused, by what they are (`echo replies`). */
  readonly answers: ReadonlyMap<string, number>;
  /** Sent by the host itself, of connections of its own. */
  own: number;
  /** The same packet once more, on a port of a bridge or the like. */
  copies: number;
  /** Passed between two ports of a bridge; IP did not see it. */
  bridged: number;
  /** Of connections that began before the capture and whose translation is therefore not known. */
  beforeCapture: number;
  /** Recorded, but what came in for it did so by an interface that was not captured. */
  cameElsewhere: number;
  /** Predicted to leave by an interface that was not captured. */
  leftElsewhere: number;
  /** Predicted so near the end of the capture that it may have left after it. */
  atTheEnd: number;
  /** Of a family or kind that natreplay does not evaluate. */
  notEvaluated: number;
}

export interface RecordedReport {
  readonly captures: readonly string[];
  /** Records of all captures, and how many of them came in and went out. */
  readonly records: number;
  readonly incoming: number;
  readonly outgoing: number;
  /** Packets that natreplay says left. */
  readonly predicted: number;
  /** Predictions with their record: same interface, same bytes from the IP header on. */
  readonly agreed: number;
  readonly differing: number;
  readonly missing: number;
  readonly unexplained: number;
  readonly setAside: SetAside;
  readonly ports: LearntPorts;
  /** At most MOST_FINDINGS connections; `omitted` says how many more there were. */
  readonly findings: readonly Finding[];
  readonly omitted: number;
  readonly assumptions: readonly string[];
  readonly warnings: readonly string[];
  readonly elapsedSeconds: number;
}
