/**
 * The fragments of one datagram that have come so far (kernel: struct inet_frag_queue, inet_frag_queue_insert). Knows
 * offsets and ends, not protocols: IPv4 and IPv6 share it.
 *
 * Fragments that came in order form a run; a fragment inside one run is a duplicate and changes nothing, any other
 * overlap kills the datagram (RFC 5722 section 4, for IPv4 as well). Only what comes behind all others joins the run
 * before it: two neighbours that met otherwise stay two runs, so a fragment that spans both is an overlap.
 */

/** A fragment's part of the payload. */
export interface Piece {
  /** In bytes, from the start of the datagram's payload. */
  readonly offset: number;
  readonly end: number;
  /** What was captured of it: `end - offset` bytes, fewer if the snaplen cut the frame. */
  readonly bytes: Uint8Array;
}

interface Run {
  readonly offset: number;
  to: number;
}

/** What became of a fragment: `inconsistent` ones contradict what is known of the datagram's end. */
export type Addition = 'waiting' | 'complete' | 'duplicate' | 'overlap' | 'inconsistent' | 'empty';

export class FragmentQueue {
  /** By offset. */
  readonly pieces: Piece[] = [];
  /** End of the payload as far as it is known. */
  length = 0;
  private meat = 0;
  private first = false;
  private last = false;
  /** By offset; they do not overlap. */
  private readonly runs: Run[] = [];

  get isEmpty(): boolean {
    return this.pieces.length === 0;
  }

  /** Forgets all fragments (kernel: ip_frag_reinit). */
  clear(): void {
    this.pieces.length = 0;
    this.runs.length = 0;
    this.length = 0;
    this.meat = 0;
    this.first = false;
    this.last = false;
  }

  /**
   * Takes in a fragment. `more`: others follow it. The end that a fragment without `more` states is believed even if the
   * fragment itself turns out to be a duplicate, as in the kernel.
   */
  add(piece: Piece, more: boolean): Addition {
    const { offset, end } = piece;
    if (!this.noteEnd(end, more)) return 'inconsistent';
    if (end === offset) return 'empty';
    const fault = this.extendRuns(offset, end);
    if (fault !== undefined) return fault;
    insertByOffset(this.pieces, piece);
    this.meat += end - offset;
    if (offset === 0) this.first = true;
    return this.first && this.last && this.meat === this.length ? 'complete' : 'waiting';
  }

  private noteEnd(end: number, more: boolean): boolean {
    if (more) {
      if (end <= this.length) return true;
      if (this.last) return false;
    } else {
      if (end < this.length || (this.last && end !== this.length)) return false;
      this.last = true;
    }
    this.length = end;
    return true;
  }

  private extendRuns(offset: number, end: number): 'duplicate' | 'overlap' | undefined {
    const { runs } = this;
    const tail = runs.at(-1);
    if (tail === undefined || offset > tail.to) {
      runs.push({ offset, to: end });
    } else if (end > tail.to) {
      if (offset < tail.to) return 'overlap';
      tail.to = end;
    } else {
      const met = runs.find((run) => end > run.offset && offset < run.to);
      if (met !== undefined) return offset >= met.offset && end <= met.to ? 'duplicate' : 'overlap';
      insertByOffset(runs, { offset, to: end });
    }
    return undefined;
  }
}

/** Fragments mostly come in order, so the place is looked for from the end. */
function insertByOffset<T extends { readonly offset: number }>(list: T[], item: T): void {
  let at = list.length;
  while (at > 0 && (list[at - 1] as T).offset > item.offset) at--;
  list.splice(at, 0, item);
}
