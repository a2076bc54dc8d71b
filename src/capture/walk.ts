/** Why a walk over a slab stopped where it did. One object per reader, written by the walk, read after it. */
export class WalkState {
  /** Bytes the record (or block) at the stop needs to be whole, as far as that can be told yet; 0: nothing is there. */
  needed = 0;
  /** What is wrong with the record at the stop, and where in the slab that is. */
  problem: WalkProblem | undefined;

  reset(): void {
    this.needed = 0;
    this.problem = undefined;
  }

  fail(at: number, code: string, what: string): void {
    this.problem = { at, code, what };
  }
}

export interface WalkProblem {
  readonly at: number;
  readonly code: string;
  readonly what: string;
}
