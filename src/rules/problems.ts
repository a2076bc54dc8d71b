/** Errors that are gathered instead of ending the reading at the first of them. */
import { NatreplayError } from '../errors.js';

export class Problems {
  count = 0;

  /** Without anyone to tell, errors are thrown as they are. */
  constructor(private readonly tell: ((error: NatreplayError) => void) | undefined) {}

  /** Runs a part of the reading, which an error for the reader ends. */
  guard(part: () => void): void {
    try {
      part();
    } catch (error) {
      if (!(error instanceof NatreplayError) || this.tell === undefined) throw error;
      this.count++;
      this.tell(error);
    }
  }
}
