/** Copies a capture from standard input to standard output; run as a process of its own by stdio.test.ts. */
import { NatreplayError } from '../../src/errors.js';
import { copy } from './read.js';

copy('-', '-').catch((error: unknown) => {
  process.stderr.write(`${error instanceof NatreplayError ? `${error.code} ${error.message}` : String(error)}\n`);
  process.exit(error instanceof NatreplayError ? error.exitCode : 1);
});
