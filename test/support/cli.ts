/** The built command line, run as a user runs it. `npm test` builds it first; after changes `npm run build`. */
import { type ChildProcess, type SpawnSyncReturns, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { vi } from 'vitest';

export const ROOT = fileURLToPath(new URL('../../', import.meta.url));
export const CLI = join(ROOT, 'dist/cli/main.js');

if (!existsSync(CLI)) throw new Error('dist/cli/main.js is not there: npm run build');

export interface RunOptions {
  readonly cwd?: string;
  readonly input?: Buffer;
}

export interface Ran {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly output: Buffer;
}

/** Runs `natreplay ARGS` to its end. */
export function natreplay(args: readonly string[], options: RunOptions = {}): Ran {
  return ran(spawnSync(process.execPath, [CLI, ...args], { ...options, env: environment(), maxBuffer: 1 << 28 }));
}

/** Runs a line of bash, in which `natreplay` is the built command. */
export function bash(line: string, options: RunOptions = {}): Ran {
  const script = `natreplay() { '${process.execPath}' '${CLI}' "$@"; }\n${line}`;
  return ran(spawnSync('bash', ['-c', script], { ...options, env: environment(), maxBuffer: 1 << 28 }));
}

/** Starts `natreplay ARGS` with pipes for its standard streams. */
export function start(args: readonly string[], options: RunOptions = {}): ChildProcess {
  return spawn(process.execPath, [CLI, ...args], { ...options, env: environment() });
}

/** Without colours, and without what would make Node itself print to stderr. */
function environment(): NodeJS.ProcessEnv {
  const { NODE_OPTIONS: _, FORCE_COLOR: __, ...rest } = process.env;
  return { ...rest, NO_COLOR: '1' };
}

function ran({ status, stdout, stderr, error }: SpawnSyncReturns<Buffer>): Ran {
  if (error !== undefined) throw error;
  return { code: status, stdout: stdout.toString(), stderr: stderr.toString(), output: stdout };
}

/** A folder of its own for a test file; `remove` when done. */
export function scratch(): { readonly path: string; at(name: string): string; remove(): void } {
  const path = mkdtempSync(join(tmpdir(), 'natreplay-test-'));
  return {
    path,
    at: (name) => join(path, name),
    remove: () => rmSync(path, { recursive: true, force: true }),
  };
}

/**
 * The same from the source and inside this process: for tables of cases, where starting Node for each would take
 * longer than everything else together. Not for what is about standard streams, signals or the exit itself.
 */
export async function inProcess(args: readonly string[]): Promise<Ran> {
  const written = { stdout: '', stderr: '' };
  const { main } = await import('../../src/cli/main.js');
  const spies = (['stdout', 'stderr'] as const).map((name) =>
    vi.spyOn(process[name], 'write').mockImplementation((chunk) => {
      written[name] += chunk.toString();
      return true;
    }),
  );
  const before = process.exitCode;
  process.exitCode = undefined;
  try {
    const code = await main(args);
    return { code, ...written, output: Buffer.from(written.stdout) };
  } finally {
    // A check that failed says so there; the tests' own exit code it must not be.
    process.exitCode = before;
    for (const spy of spies) spy.mockRestore();
  }
}
