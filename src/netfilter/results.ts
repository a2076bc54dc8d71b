/** What tracking says of a slab's packets, a column for each answer; entry i belongs to record i. */

/** How a packet stands to its connection (kernel: enum ip_conntrack_info, the direction apart). */
export const CT_NONE = 0;
export const CT_NEW = 1;
export const CT_ESTABLISHED = 2;
export const CT_RELATED = 3;
export const CT_UNTRACKED = 4;
/** Tracking is not on, or the packet never came to it: no state at all. */
export const CT_OFF = 5;

/** Verdicts. Zero is none: a record that no stage has judged. */
export const VERDICT_FORWARD = 1;
export const VERDICT_LOCAL = 2;
export const VERDICT_DROP = 3;
export const VERDICT_HELD = 4;
export const VERDICT_OUTGOING = 5;
export const VERDICT_IGNORED = 6;

/** Ingress of packets that the host itself sends, and of those whose ingress nobody knows. */
export const INGRESS_LOCAL = -2;
export const INGRESS_UNKNOWN = -1;

/** Egress of a packet that leaves, or is delivered, in another shape than its record: see the engine's `extras`. */
export const EGRESS_REPLACED = -2;

/** Bits of the `nat` column. */
export const NAT_SOURCE = 1;
export const NAT_DESTINATION = 2;

/** `why` of a packet of which nothing needs to be said. */
export const WHY_NONE = 0;

export class ResultColumns {
  readonly verdict: Uint8Array;
  /** In: ingress as far as the capture states it (INGRESS_UNKNOWN if not). Out: what the packet was taken to have. */
  readonly ingress: Int32Array;
  /** Egress interface of forwarded packets, or EGRESS_REPLACED, else -1. */
  readonly egress: Int32Array;
  /** Index into `Reasons`. */
  readonly why: Int32Array;
  /** CT_* of netfilter/packet. */
  readonly state: Uint8Array;
  readonly nat: Uint8Array;
  /** Rules that made the translations, indexes into the counters; -1 none. */
  readonly dnatRule: Int32Array;
  readonly snatRule: Int32Array;

  constructor(capacity: number) {
    const ints = (): Int32Array => new Int32Array(new SharedArrayBuffer(capacity * 4));
    const bytes = (): Uint8Array => new Uint8Array(new SharedArrayBuffer(capacity));
    this.verdict = bytes();
    this.state = bytes();
    this.nat = bytes();
    this.ingress = ints();
    this.egress = ints();
    this.why = ints();
    this.dnatRule = ints();
    this.snatRule = ints();
  }

  /** Forgets the answers for records `from` to `to`; the ingress stays. */
  clear(from: number, to: number): void {
    if (to - from === 1) {
      // The slow path's way; `fill` costs far more than it does here.
      this.egress[from] = -1;
      this.why[from] = WHY_NONE;
      this.nat[from] = 0;
      this.state[from] = CT_OFF;
      return;
    }
    this.egress.fill(-1, from, to);
    this.why.fill(WHY_NONE, from, to);
    this.nat.fill(0, from, to);
    this.state.fill(CT_OFF, from, to);
  }
}

/** Reasons as words, numbered as they turn up, and how often each applied. */
export class Reasons {
  readonly words: string[] = [''];
  readonly counts: number[] = [0];
  private readonly numbers = new Map<string, number>([['', WHY_NONE]]);

  number(word: string): number {
    const known = this.numbers.get(word);
    if (known !== undefined) return known;
    const fresh = this.words.length;
    this.numbers.set(word, fresh);
    this.words.push(word);
    this.counts.push(0);
    return fresh;
  }

  count(number: number): void {
    this.counts[number] = (this.counts[number] ?? 0) + 1;
  }

  /** Every reason that applied, most frequent first. */
  ranking(): (readonly [string, number])[] {
    return this.words
      .map((word, n) => [word, this.counts[n] ?? 0] as const)
      .filter(([word, count]) => word !== '' && count > 0)
      .sort((a, b) => b[1] - a[1]);
  }
}
