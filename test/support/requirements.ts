/**
 * What a test needs of the machine. Where it is missing the test is skipped with the reason in its name; under CI,
 * where everything is installed, it fails instead.
 */
import { accessSync, constants, existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';

export interface Needs {
  readonly root?: boolean;
  readonly commands?: readonly string[];
  /** Files that the running kernel shows where it has what is needed. */
  readonly files?: readonly string[];
}

export interface Requirement {
  readonly skip: boolean;
  /** Empty when nothing is missing. */
  readonly reason: string;
}

/** Throws under CI when something is missing. */
export function needs(tools: Needs): Requirement {
  const missing: string[] = [];
  if (tools.root === true && process.getuid?.() !== 0) missing.push('root');
  for (const command of tools.commands ?? []) if (!onPath(command)) missing.push(command);
  for (const file of tools.files ?? []) if (!existsSync(file)) missing.push(file);
  if (missing.length === 0) return { skip: false, reason: '' };
  const reason = `needs ${missing.join(', ')}`;
  const { CI: ci = '' } = process.env;
  if (ci !== '' && ci !== 'false') throw new Error(`${reason}, which CI must have`);
  return { skip: true, reason };
}

function onPath(command: string): boolean {
  const { PATH: path = '' } = process.env;
  return path.split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, command), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}
