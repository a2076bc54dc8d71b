/**
 * Errors people read: one line that says where, what is wrong and what to do, with a code that stays the same
 * across releases so that scripts can rely on it.
 */

/** Where in a file an error is. Lines and columns count from 1, byte offsets from 0. */
export interface Place {
  readonly file?: string | undefined;
  readonly line?: number | undefined;
  readonly column?: number | undefined;
  readonly offset?: number | undefined;
}

/** Exit codes of the command line: 2 bad usage or input, 3 failed while running. */
export type FailureExitCode = 2 | 3;

export interface ErrorDetails extends Place {
  /** What the reader can do about it. */
  readonly advice?: string | undefined;
  /** 2 (the default): usage or input; 3: something failed while running. */
  readonly exitCode?: FailureExitCode | undefined;
  readonly cause?: unknown;
}

export class NatreplayError extends Error {
  override readonly name = 'NatreplayError';
  /** Stable, upper case, e.g. `RULES_UNKNOWN_OPTION`. */
  readonly code: string;
  readonly what: string;
  readonly place: Place;
  readonly advice: string | undefined;
  readonly exitCode: FailureExitCode;

  constructor(code: string, what: string, details: ErrorDetails = {}) {
    super(formatError(what, details), details.cause === undefined ? undefined : { cause: details.cause });
    this.code = code;
    this.what = what;
    this.place = { file: details.file, line: details.line, column: details.column, offset: details.offset };
    this.advice = details.advice;
    this.exitCode = details.exitCode ?? 2;
  }
}

/** `FILE:LINE:COL: what; advice`, leaving out what is not known; one line whatever the texts hold. */
function formatError(what: string, details: ErrorDetails): string {
  let place = details.file ?? '';
  if (details.line !== undefined) place += `:${details.line}`;
  if (details.column !== undefined) place += `:${details.column}`;
  const where = details.offset === undefined ? '' : ` at byte ${details.offset}`;
  const head = place === '' ? '' : `${place}: `;
  const tail = details.advice === undefined ? '' : `; ${details.advice}`;
  return printable(`${head}${what}${where}${tail}`);
}

/** Control characters, which could move a terminal's cursor or split the line, are shown as `\xNN`. */
export function printable(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what this looks for
  return text.replace(/[\u0000-\u001f\u007f-\u009f]/g, (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, '0')}`);
}
