import type { Token } from './extension.js';

/**
 * What to do about rules with something in them that no packet can be held against: stop, or let them never match. `keep`,
 * for those who only print rules, takes the extensions that are parsed and not evaluated as they are, and stops at others.
 */
export type UnsupportedMode = 'stop' | 'skip' | 'keep';

/** Something iptables knows and this program does not: turned into an error or a skipped rule. */
export class UnsupportedError extends Error {
  readonly missing: string;
  readonly token: Token | undefined;
  constructor(missing: string, token: Token | undefined) {
    super(missing);
    this.missing = missing;
    this.token = token;
  }
}
