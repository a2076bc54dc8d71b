import type { Token } from './extension.js';

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
