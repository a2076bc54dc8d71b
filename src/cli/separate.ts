/**
 * Telling captures from rule files. `--rules` takes several files, so a capture that is named behind them
 * (`replay --rules a.v4 b.v4 in.pcap`) looks like one more; what a file begins with says which it is.
 */
import { closeSync, openSync, readSync } from 'node:fs';
import { captureInput } from './inputs.js';

/** First bytes of captures and of what compresses them. Rules are text. */
const MAGICS: readonly (readonly number[])[] = [
  [0xa1, 0xb2],
  [0xd4, 0xc3, 0xb2, 0xa1],
  [0x4d, 0x3c, 0xb2, 0xa1],
  [0x34, 0xcd, 0xb2, 0xa1],
  [0x0a, 0x0d, 0x0d, 0x0a],
  [0x1f, 0x8b],
  [0x28, 0xb5, 0x2f, 0xfd],
];

export interface Separated {
  readonly captures: readonly string[];
  readonly rules: readonly string[];
  readonly rules6: readonly string[];
}

/** Moves captures that were taken for rule files to where they belong. The first value of an option is always its own. */
export function separateCaptures(
  captures: readonly string[],
  rules: readonly string[],
  rules6: readonly string[],
): Separated {
  const later = [...rules.slice(1), ...rules6.slice(1)];
  const found = later.filter(isCapture);
  // Standard input can't be looked at; where no capture is named, it must be the capture.
  const swallowed = captures.length + found.length === 0 ? later.filter((file) => file === '-') : found;
  return {
    captures: [...captures, ...swallowed],
    rules: rules.filter((file) => !swallowed.includes(file)),
    rules6: rules6.filter((file) => !swallowed.includes(file)),
  };
}

function isCapture(argument: string): boolean {
  const { path, iface } = captureInput(argument);
  if (path === '-') return iface !== undefined;
  const head = firstBytes(path);
  return head !== undefined && MAGICS.some((magic) => magic.every((byte, k) => head[k] === byte));
}

/** Undefined when the file can't be read, or must not be read twice. */
function firstBytes(path: string): Uint8Array | undefined {
  try {
    const file = openSync(path, 'r');
    try {
      const head = new Uint8Array(4);
      readSync(file, head, 0, head.length, 0);
      return head;
    } finally {
      closeSync(file);
    }
  } catch {
    return undefined;
  }
}
