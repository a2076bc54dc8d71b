/**
 * What a command line may not ask of its files, looked at before anything is read: results over inputs or over each
 * other, two of them on one stream, folders that are not there. A long run must not end in such a surprise.
 */
import { type Stats, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { NatreplayError } from '../errors.js';

export interface NamedPath {
  /** The option as typed, or what the path is: `--packet-log`, `capture`. */
  readonly option: string;
  readonly path: string;
}

/** Throws USAGE_* when inputs and outputs get in each other's way. `{iface}` in a path is one for which nothing is known yet. */
export function checkPaths(inputs: readonly NamedPath[], outputs: readonly NamedPath[]): void {
  onlyOneStream(inputs, 'standard input can be only one of', 'USAGE_STDIN_TWICE');
  onlyOneStream(outputs, 'standard output can take only one of', 'USAGE_STDOUT_TWICE');
  for (const [n, output] of outputs.entries()) {
    if (output.path === '-') continue;
    for (const input of inputs) if (isSame(input.path, output.path)) throw overInput(output, input);
    for (const other of outputs.slice(0, n)) if (isSame(other.path, output.path)) throw overOutput(output, other);
    checkFolder(output);
  }
}

function onlyOneStream(paths: readonly NamedPath[], what: string, code: string): void {
  const options = paths.filter(({ path }) => path === '-').map(({ option }) => option);
  if (options.length < 2) return;
  throw new NatreplayError(code, `${what} ${options.join(', ')}`, { advice: 'name files for the others' });
}

/** Two names of one regular file, there already or not. Devices (/dev/null) may be written by as many as like. */
function isSame(a: string, b: string): boolean {
  if (a === '-') return false;
  const [one, two] = [statsOf(a), statsOf(b)];
  if (one === undefined || two === undefined) return one === two && resolve(a) === resolve(b);
  return one.isFile() && one.dev === two.dev && one.ino === two.ino;
}

function statsOf(path: string): Stats | undefined {
  try {
    return statSync(path);
  } catch {
    return undefined;
  }
}

function overInput({ option, path }: NamedPath, input: NamedPath): NatreplayError {
  const also = input.path === path ? `is the ${input.option} as well` : `is the ${input.option} ${input.path} as well`;
  return new NatreplayError('USAGE_OUTPUT_IS_INPUT', `the output of ${option} ${also}`, {
    file: path,
    advice: 'write to another file',
  });
}

function overOutput({ option, path }: NamedPath, other: NamedPath): NatreplayError {
  return new NatreplayError('USAGE_OUTPUT_TWICE', `${other.option} and ${option} write to the same file`, {
    file: path,
    advice: 'name a file for each',
  });
}

function checkFolder({ path }: NamedPath): void {
  const folder = dirname(path);
  if (folder.includes('{iface}') || statsOf(folder)?.isDirectory() === true) return;
  throw new NatreplayError('USAGE_NO_FOLDER', `the folder ${folder} does not exist`, {
    file: path,
    advice: 'make it first',
  });
}
