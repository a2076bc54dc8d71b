/** Running the system's own tools, and saying in one line what went wrong with them. */
import { spawn } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { NatreplayError } from '../errors.js';

export interface CommandResult {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Whether a program of this name is on the PATH. */
export function hasCommand(name: string): boolean {
  const { PATH: path = '' } = process.env;
  return path.split(delimiter).some((folder) => {
    try {
      accessSync(join(folder === '' ? '.' : folder, name), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/** Runs a command to its end, whatever its exit status; a signal counts as status 128. */
export function run(argv: readonly string[], stdin = '', env: NodeJS.ProcessEnv = {}): Promise<CommandResult> {
  const [command, ...args] = argv;
  if (command === undefined) throw new RangeError('no command to run');
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: 'pipe', env: { ...process.env, LC_ALL: 'C', ...env } });
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    child.on('error', (cause) =>
      reject(
        new NatreplayError('VERIFY_COMMAND_FAILED', `cannot run ${command}: ${cause.message}`, { exitCode: 3, cause }),
      ),
    );
    child.on('close', (status) => resolve({ status: status ?? 128, stdout, stderr }));
    // A command that fails before it has read its input closes the pipe: its status and stderr say why.
    child.stdin.on('error', () => undefined);
    child.stdin.end(stdin);
  });
}

/** Runs a command that has to succeed and returns its standard output. `what` names the step in the error. */
export async function runChecked(what: string, argv: readonly string[], stdin = ''): Promise<string> {
  const result = await run(argv, stdin);
  if (result.status === 0) return result.stdout;
  throw new NatreplayError('VERIFY_SETUP_FAILED', `${what} failed: ${firstLines(result)}`, { exitCode: 3 });
}

/** The first few lines of what a command complained about, on one line. */
export function firstLines(result: CommandResult, count = 4): string {
  const text = result.stderr.trim() === '' ? result.stdout : result.stderr;
  const lines = text.split('\n').filter((line) => line.trim() !== '');
  return lines.length === 0 ? `exit status ${result.status}` : lines.slice(0, count).join(' | ');
}
